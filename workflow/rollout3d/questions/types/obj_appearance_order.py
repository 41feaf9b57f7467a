"""Appearance order: in which order four categories first come into view (VSI-Bench)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import pairwise, permutations
from math import comb
from typing import TYPE_CHECKING, Any

from rollout3d.questions.evidence import rounded
from rollout3d.questions.reasoning import Facts, Said, Written, holds, in_decimals
from rollout3d.questions.select import SpacedSets
from rollout3d.questions.templates import option_text
from rollout3d.questions.types import QuestionType, Task
from rollout3d.questions.visible import UNCERTAIN, WHOLE_VIDEO, Gate, Sights, Verdict, all_seen

if TYPE_CHECKING:
    import numpy as np

    from rollout3d.config import Questions
    from rollout3d.questions.scene import Result, SceneView
    from rollout3d.tables.rows import QuestionRow

NAME = "obj_appearance_order"
RANK = 9
PER_SCENE = 30
SOURCE = "external"
TEXT = "What will be the first-time appearance order of the following categories in the video: {categories}?"
N_CATEGORIES = 4
N_OPTIONS = 4


def generate(scene: SceneView, config: Questions, rng: np.random.Generator) -> Result:
    """Sets of four categories whose first appearances differ by more than `appearance_gap_s`, drawn uniformly.

    The question lists the four in a random order that is not the answer, the wrong options are random orders. No
    option repeats the list: in the benchmark one always does and is never right, which `compat: vsibench` reproduces.
    SpaceR (section 3) and Spatial-R1 (section 2.2) order by the index of the first frame that has any of an object, and
    state no gap: their presets set it to 0.
    """
    reasons: Counter[str] = Counter()
    times = {c: scene.appearances[c] for c in scene.counts if c in scene.appearances}
    if not times:
        return [], Counter({"no first appearances known": 1})
    sets = SpacedSets(times, N_CATEGORIES, config.appearance_gap_s)
    total = len(sets)
    reasons[f"first appearances within {config.appearance_gap_s:g} s"] += comb(len(times), N_CATEGORIES) - total
    cap = min(config.caps.get(NAME) or total, total)
    reasons[f"cap of {cap} a scene"] += total - cap
    rows = []
    for rank in sorted(rng.choice(total, cap, replace=False).tolist()) if total else []:
        truth = sets[rank]
        wrong = [list(order) for order in permutations(truth) if list(order) != truth]
        listed, *others = (wrong[k] for k in rng.permutation(len(wrong)))
        if config.compat == "vsibench":
            others.insert(0, listed)
        options = sorted(", ".join(order) for order in [truth, *others[: N_OPTIONS - 1]])
        evidence = {"first_seen_s": {c: rounded([times[c]])[0] for c in truth}, "order": truth, **_frames(scene, truth)}
        question = TEXT.format(categories=", ".join(listed))
        rows.append(scene.row(NAME, question, ", ".join(truth), listed, evidence, options))
    return rows, reasons


def _frames(scene: SceneView, order: Sequence[str]) -> dict[str, Any]:
    """Return what the evidence says of first frames, and of what stands in for them; nothing under OCR's rules."""
    if not scene.by_frame:
        return {}
    frames = {} if scene.fps is None else {c: round(scene.appearances[c] * scene.fps) for c in order}
    stands_in = {} if scene.order_approximate is None else {"approximate": scene.order_approximate}
    return {**stands_in, "first_frame": frames}


def sight(row: QuestionRow, sights: Sights, sampling: str, gate: Gate) -> Verdict:
    """An order is certain if each category is clearly seen before the next one may be even faintly seen.

    In the whole video, before it by the gap that the generator asks for.
    """
    unseen = all_seen(row, sights, sampling, gate)
    if unseen.reason:
        return unseen
    named = {each["category"]: sights.seen(sampling, each["object_ids"]) for each in row["objects"]}
    clear = {name: min(one["first_clear_s"] for one in seen) for name, seen in named.items()}
    faint = {name: min(one["first_faint_s"] for one in seen) for name, seen in named.items()}
    gap = gate.gap_s if sampling == WHOLE_VIDEO else 0.0

    def open_pair(order: Sequence[str]) -> tuple[str, str] | None:
        return next(((a, b) for a, b in pairwise(order) if not faint[b] - clear[a] > gap), None)

    found = open_pair(json.loads(row["evidence"])["order"])
    if found is None:
        return Verdict()
    own = sorted(clear, key=clear.__getitem__)
    answer = ", ".join(own)
    # Of the whole video another order is no answer but a contradiction: the ground truth is of the whole video.
    certain = sampling != WHOLE_VIDEO and open_pair(own) is None
    offered = certain and answer in [option_text(option) for option in row["options"] or ()]
    return Verdict(f"{UNCERTAIN} {sampling}: {', '.join(found)}", answer if offered else None)


def reason(facts: Facts) -> Written:
    """When each category comes into view, in that order."""
    times = facts["first_seen_s"]
    order = sorted(times, key=times.__getitem__)
    said = in_decimals([times[c] for c in order], lambda rounded: all(a < b for a, b in pairwise(rounded)))
    words = ["first", *["then"] * (len(order) - 2), "last"]
    # First and last frame the others: under a cap they stay longest.
    ranks = [2, *range(4, len(order) + 2), 3]
    steps = [facts.say(0, "watch")]
    steps += [facts.say(rank, word, c=c, t=t) for rank, word, c, t in zip(ranks, words, order, said)]
    text = ", ".join(order)
    return [*steps, facts.say(1, "order", text=text)], text


def leads_to(said: Said) -> Iterator[str]:
    """The order that is said, in which the times of those that are said must rise."""
    seen = [fields for name in ("first", "then", "last") for fields in said.get(name, ())]
    times = [Decimal(fields["t"]) for fields in seen]
    holds(all(a < b for a, b in pairwise(times)))
    for fields in said.get("order", ()):
        order = fields["text"].split(", ")
        named = [each["c"] for each in seen]
        holds(named == [name for name in order if name in named])
        yield fields["text"]


TYPE = QuestionType(
    name=NAME,
    task=Task(NAME, "Appr. Order", 8, "appearance order"),
    words="appearance order",
    text=TEXT,
    generate=generate,
    wordings=(r"first-time appearance order of [^?\n]{1,60}? in the video: {options}\?",),
    aliases=("appearance_order",),
    options="lists of things",
    not_recomputed="boxes do not tell what the video shows first",
    sight=sight,
    whole_video_decides=True,
    reason=reason,
    leads_to=leads_to,
    sentences={
        "watch": ("I watch when each one comes into view.", "I note when each one first comes into view."),
        "first": ("First comes the {c}, at {t} s.",),
        "then": ("Then comes the {c}, at {t} s.",),
        "last": ("Last comes the {c}, at {t} s.",),
        "order": ("The order is {text}.",),
    },
)
