"""Counting: every category with at least two instances (VSI-Bench)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from rollout3d.questions.evidence import rounded
from rollout3d.questions.reasoning import Facts, Said, Written, added, holds
from rollout3d.questions.select import sample
from rollout3d.questions.types import Boxes, Number, QuestionType, Task
from rollout3d.questions.variants import RULES
from rollout3d.questions.visible import FEWER, UNSEEN, Gate, Sights, Verdict

if TYPE_CHECKING:
    import numpy as np

    from rollout3d.config import Questions
    from rollout3d.questions.scene import Result, SceneView
    from rollout3d.tables.rows import QuestionRow

NAME = "object_counting"
RANK = 1
PER_SCENE = 100
TEXT = "How many {category}(s) are in this room?"
MAX_GROUPS = 4
"""Places that the reasoning names; the rest is summed up."""


def generate(scene: SceneView, config: Questions, rng: np.random.Generator) -> Result:
    """The count comes from the scene's object counts, not from the number of boxes.

    Spatial-R1 (section 2.2) leaves out what is there once, as VSI-Bench does; SpaceR (section 3) does not say so.
    """
    reasons: Counter[str] = Counter()
    rules = RULES[config.rules]
    many = [category for category, n in scene.counts.items() if n >= rules.least_count]
    large = [category for category in many if not rules.too_small(scene, category)]
    reasons["too small to identify"] += len(many) - len(large)
    rows = []
    for category in sample(large, config.caps.get(NAME), rng, reasons):
        n = scene.counts[category]
        positions = [rounded(item.box.centroid) for item in scene.items.get(category, ())]
        evidence = {"category": category, "count": n, "positions": positions}
        rows.append(scene.row(NAME, TEXT.format(category=category), str(n), [category], evidence))
    return rows, reasons


def recompute(fields: Mapping[str, str], options: Sequence[str], boxes: Boxes) -> float:
    """Return the number of instances by the scene's counts."""
    return boxes.count(fields["category"])


def sight(row: QuestionRow, sights: Sights, sampling: str, gate: Gate) -> Verdict:
    """A count is that of the instances seen; one that is only faintly seen leaves it open."""
    ((category, object_ids),) = {each["category"]: each["object_ids"] for each in row["objects"]}.items()
    instances = sights.seen(sampling, object_ids)
    n, true = sum(one["n_clear"] > 0 for one in instances), int(row["ground_truth"])
    if n == true:
        return Verdict()
    if n == 0:
        return Verdict(f"{UNSEEN} {sampling}: {category}")
    faint = any(not one["n_clear"] and one["first_faint_s"] is not None for one in instances)
    return Verdict(f"{FEWER} {sampling}: {category}, {n} of {true}", None if faint else str(n))


def correct(evidence: dict[str, Any], truth: str) -> dict[str, Any]:
    """Return the evidence with the corrected count."""
    return evidence | {"count": int(float(truth))}


def reason(facts: Facts) -> Written:
    """The instances by the thing that each is nearest to, and their sum."""
    category, count, positions = facts["category"], facts["count"], facts["positions"]
    places: Counter[str] = Counter()
    for position in positions if len(positions) <= count else ():
        near = facts.near(position, frozenset({category}))
        if near:
            places[near] += 1
    groups = sorted(places.items(), key=lambda item: (-item[1], item[0]))[:MAX_GROUPS]
    if facts.most is not None:
        # A sum names all that it adds up: under a cap, the groups for which no sentence is left go to the rest.
        spare = max(0, facts.most - 3)
        all_said = len(groups) <= spare and sum(n for _, n in groups) == count
        groups = groups if all_said else groups[: max(0, spare - 1)]
    terms = [n for _, n in groups]
    rest = count - sum(terms)
    steps = [facts.say(0, "every", a=category)]
    steps += [facts.say(1, "group_more" if k else "group", n=n, c=place) for k, (place, n) in enumerate(groups)]
    if rest:
        steps.append(facts.say(1, "rest" if groups else "alone", n=rest))
        terms.append(rest)
    if len(terms) < 2:
        steps.append(facts.say(2, "no_more"))
    steps.append(facts.say(3, "once"))
    if len(terms) > 1:
        steps.append(facts.say(1, "sum", terms=" plus ".join(map(str, terms)), n=count))
    return steps, str(count)


def leads_to(said: Said) -> Iterator[str]:
    """The sum of the groups seen, which must be the sum that is said."""
    groups = [fields["n"] for name in ("group", "group_more", "alone", "rest") for fields in said.get(name, ())]
    if groups:
        yield str(sum(map(Decimal, groups)))
    for fields in said.get("sum", ()):
        holds(added(fields["terms"]) == Decimal(fields["n"]))
        yield fields["n"]


TYPE = QuestionType(
    name=NAME,
    task=Task(NAME, "Obj. Count", 1, "object count"),
    words="object count",
    text=TEXT,
    answer=Number(measure="count", decimals=0),
    generate=generate,
    wordings=(
        r"How many {category}(?:\(s\)| instances)? (?:are|is) (?:there )?in (?:this|the) (?:room|whole scene)\b",
        r"how many {category}\(s\)",
    ),
    aliases=("absolute_count",),
    recompute=recompute,
    sight=sight,
    correct=correct,
    reason=reason,
    leads_to=leads_to,
    sentences={
        "every": ("I look for every {a} in the room.", "I count every {a} in the room."),
        "group": ("I see {n} near the {c}.",),
        "group_more": ("I see {n} more near the {c}.",),
        "alone": ("I see {n} in the room.",),
        "rest": ("I see {n} more in the room.",),
        "no_more": ("There are no more.",),
        "once": ("I check that I count each one once.", "I look again, and each one is counted once."),
    },
)
