"""Absolute distance: every pair of unique objects, to one decimal (VSI-Bench)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from rollout3d.questions.evidence import rounded
from rollout3d.questions.reasoning import Facts, Said, Written, holds
from rollout3d.questions.select import sample
from rollout3d.questions.types import Boxes, Number, QuestionType, Task
from rollout3d.questions.types._wordings import UNIT_FOLLOWS
from rollout3d.questions.variants import RULES

if TYPE_CHECKING:
    from rollout3d.config import Questions
    from rollout3d.questions.scene import Result, SceneView

NAME = "object_abs_distance"
RANK = 4
PER_SCENE = 50
TEXT = (
    "Measuring from the closest point of each object, what is the distance between the {first} and the {second} "
    "(in meters)?"
)
DIRECT = TEXT.replace("what is the distance", "what is the direct distance")
"""VSI-Bench's own paper says "direct distance" too, which its rows do not."""
ANSWER = Number(measure="length")
MIN_DISTANCE_M = 0.2
"""Pairs whose rounded distance is below this are not asked about. [VSI-Bench generator]"""
LEAST_ANSWER_M = 0.1
"""Least answer but 0 that is written."""


def generate(scene: SceneView, config: Questions, rng: np.random.Generator) -> Result:
    """Pairs in the order of the scene's categories; the distance is `config.distance`'s, or that of the rules.

    SpaceR (section 3) and Spatial-R1 (section 2.2) state no least distance: 0.0 m alone is left out, of which a
    relative accuracy is not defined.
    """
    rules = RULES[config.rules]
    method = rules.abs_distance or config.distance
    least = MIN_DISTANCE_M if rules.abs_distance is None else LEAST_ANSWER_M
    reasons: Counter[str] = Counter()
    large = [name for name in scene.unique if not rules.too_small(scene, name)]
    reasons["too small to identify"] += len(scene.unique) - len(large)
    far = []
    for first, second in combinations(large, 2):
        distance = ANSWER.rounded(scene.distance(first, second, method))
        if distance < least:
            reasons[f"closer than {least} m"] += 1
        else:
            far.append((first, second, distance))
    text = TYPE.wording(config.wording)
    rows = []
    for first, second, distance in sample(far, config.caps.get(NAME), rng, reasons):
        between = scene.box(first).centroid - scene.box(second).centroid
        evidence = {
            "first": scene.place(first),
            "second": scene.place(second),
            "distance_m": distance,
            "method": method,
            "centre_distance_m": rounded([float(np.linalg.norm(between))])[0],
        }
        question = text.format(first=first, second=second)
        rows.append(scene.row(NAME, question, str(distance), [first, second], evidence))
    return rows, reasons


def recompute(fields: Mapping[str, str], options: Sequence[str], boxes: Boxes) -> float:
    """Return the distance of the nearest instances of two categories, metres."""
    first, second = (boxes.located(fields[name]) for name in ("first", "second"))
    return boxes.distance(first, second)


def reason(facts: Facts) -> Written:
    """From centre to centre, and what is left between the closest points."""
    first, second = facts["first"], facts["second"]
    names = {"a": first["category"], "b": second["category"]}
    gap, centers = str(facts["distance_m"]), f"{facts['centre_distance_m']:.1f}"
    nearer = Decimal(centers) - Decimal(gap)
    steps = [
        facts.say(0, "find_two", **names),
        *facts.beside(4, first),
        facts.say(2, "centers", d=centers, **names),
        *([facts.say(3, "nearer", d=centers, r=nearer, g=gap)] if nearer > 0 else []),
        facts.say(1, "gap", g=gap),
    ]
    return steps, gap


def leads_to(said: Said) -> Iterator[str]:
    """What is left of the distance of the centres, and the distance of the closest points."""
    for fields in said.get("nearer", ()):
        holds(Decimal(fields["d"]) - Decimal(fields["r"]) == Decimal(fields["g"]))
        holds(all(Decimal(centers["d"]) == Decimal(fields["d"]) for centers in said.get("centers", ())))
        yield fields["g"]
    yield from (fields["g"] for fields in said.get("gap", ()))


TYPE = QuestionType(
    name=NAME,
    task=Task(NAME, "Abs. Dist.", 2, "absolute distance"),
    words="absolute distance",
    text=TEXT,
    other_texts={"spacer": DIRECT, "vlm3r": DIRECT},
    answer=ANSWER,
    generate=generate,
    wordings=(
        r"distance between (?:the )?{first} and (?:the )?{second}" + UNIT_FOLLOWS,
        r"how far apart (?:are )?(?:the )?{first} and (?:the )?{second}(?: are)?" + UNIT_FOLLOWS,
    ),
    aliases=("absolute_distance_object", "absolute_distance"),
    recompute=recompute,
    by_distance=True,
    singles=("first", "second"),
    reason=reason,
    leads_to=leads_to,
    sentences={
        "find_two": ("I look for the {a} and the {b}.", "First I find the {a} and the {b}."),
        "centers": ("The center of the {a} is {d} m from the center of the {b}.", "From center to center it is {d} m."),
        "nearer": ("The closest points are {r} m nearer, and {d} minus {r} is {g}.",),
        "gap": ("Between the closest points it is {g} m.", "The closest points are {g} m apart."),
    },
)
