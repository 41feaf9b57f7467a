"""Relative distance: which of four categories is closest to a unique object (VSI-Bench)."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import accumulate
from math import comb
from typing import TYPE_CHECKING

from rollout3d.questions.evidence import rounded
from rollout3d.questions.reasoning import Facts, Said, Written, holds, in_decimals
from rollout3d.questions.select import SpacedSets, sample
from rollout3d.questions.types import Boxes, QuestionType, Task
from rollout3d.questions.variants import POINTS_BY_BOXES, RULES, TIE_M

if TYPE_CHECKING:
    import numpy as np

    from rollout3d.config import Questions
    from rollout3d.questions.scene import Result, SceneView

NAME = "object_rel_distance"
RANK = 5
PER_SCENE = 50
TEXT = (
    "Measuring from the closest point of each object, which of these objects ({options}) is the closest to the "
    "{category}?"
)
N_OPTIONS = 4
MARGIN_M = 0.15
"""Smallest nearest distance, and smallest gap between options, metres. [VSI-Bench generator]"""
MARGIN_LARGE_ROOM_M = 0.30
"""The gap in rooms above `LARGE_ROOM_M2`, metres. [VSI-Bench paper]"""
LARGE_ROOM_M2 = 40.0
"""Rooms above this need the larger gap. [VSI-Bench paper]"""

_WHICH = "which (?:of (?:these|the following|the) )?(?:objects?|categor(?:y|ies)|items?)(?: below| listed)?"
_NEAREST = " is (?:the )?(?:closest|nearest) to (?:the )?{category}"


def generate(scene: SceneView, config: Questions, rng: np.random.Generator) -> Result:
    """Sets of four other categories for each unique one, drawn uniformly from all that pass.

    The distance to a category is that to its nearest instance. A set passes if its nearest is at least
    `MARGIN_M` away and any two distances differ by more than the gap: that margin, or
    `MARGIN_LARGE_ROOM_M` in rooms above 40 m2 or of unknown area.

    SpaceR (section 3) takes four other unique objects, Spatial-R1 (section 2.2) any four of distinct labels. Both take
    the smallest Euclidean distance and state no margin, so a set passes without ties. The distance is that of boxes as
    solids for SpaceR, which does not say between what, and that of point clouds for Spatial-R1.
    """
    rules = RULES[config.rules]
    method = rules.rel_distance or config.distance
    approximate = {}
    if method == "points" and scene.clouds is None:
        method, approximate = "exact", {"approximate": POINTS_BY_BOXES}
    reasons: Counter[str] = Counter()
    large = scene.room_size_m2 is None or scene.room_size_m2 > LARGE_ROOM_M2
    gap = (MARGIN_LARGE_ROOM_M if large else MARGIN_M) if rules.margins else TIE_M
    least = MARGIN_M if rules.margins else 0.0
    others = scene.unique if rules.unique_options else scene.located
    choices: list[tuple[str, dict[str, float], SpacedSets]] = []
    for primary in scene.unique:
        distances = {c: scene.distance(primary, c, method) for c in others if c != primary}
        far = {c: d for c, d in distances.items() if d >= least}
        sets = SpacedSets(far, N_OPTIONS, gap)
        choices.append((primary, distances, sets))
        reasons[f"nearest below {least} m"] += comb(len(distances), 4) - comb(len(far), 4)
        reasons[f"two distances within {gap} m"] += comb(len(far), 4) - len(sets)
    text = TYPE.wording(config.wording)
    rows = []
    for which, rank in _drawn([len(sets) for _, _, sets in choices], config, rng, reasons):
        primary, distances, sets = choices[which]
        chosen = sets[rank]
        options = [c for c in scene.located if c in chosen]
        evidence = {
            "object": scene.place(primary),
            "distances_m": {c: rounded([distances[c]])[0] for c in options},
            "nearest": chosen[0],
            "method": method,
            **approximate,
        }
        question = text.format(options=", ".join(options), category=primary)
        rows.append(scene.row(NAME, question, chosen[0], [primary, *options], evidence, options))
    return rows, reasons


def _drawn(
    sizes: Sequence[int], config: Questions, rng: np.random.Generator, reasons: Counter[str]
) -> list[tuple[int, int]]:
    """(primary, rank of its set) of the sets that the caps leave, without listing the others."""
    starts = [0, *accumulate(sizes)]
    each, of_scene, total = config.sets_per_object, config.caps.get(NAME), starts[-1]
    if each is not None:
        places = [
            start + rank
            for start, size in zip(starts, sizes)
            for rank in sorted(rng.choice(size, min(each, size), replace=False).tolist() if size else [])
        ]
        reasons[f"cap of {each} an object"] += total - len(places)
        places = sample(places, of_scene, rng, reasons)
    else:
        cap = min(of_scene or total, total)
        reasons[f"cap of {cap} a scene"] += total - cap
        places = sorted(rng.choice(total, cap, replace=False).tolist()) if total else []
    return [(which, place - starts[which]) for place in places for which in [bisect_right(starts, place) - 1]]


def recompute(fields: Mapping[str, str], options: Sequence[str], boxes: Boxes) -> str:
    """Return the option whose nearest instance is closest to the object; the first of equals."""
    primary = boxes.located(fields["category"])
    categories = [boxes.located(option) for option in options]
    metres = [boxes.distance(primary, category) for category in categories]
    return options[metres.index(min(metres))]


def reason(facts: Facts) -> Written:
    """Each option's distance, and the smallest."""
    distances = facts["distances_m"]
    order = sorted(distances, key=distances.__getitem__)
    nearest, *others = order
    said = in_decimals([distances[c] for c in order], lambda rounded: all(rounded[0] < other for other in rounded[1:]))
    metres = dict(zip(order, said))
    # The runner-up is what the nearest is compared with: under a cap it stays longest.
    ranks = {c: rank for rank, c in enumerate([*others[:1], nearest, *others[1:]], start=2)}
    several = {c for c, centres in facts.evidence.get("centres", {}).items() if len(centres) > 1}
    steps = [
        facts.say(0, "compare", a=facts["object"]["category"]),
        *(
            facts.say(
                ranks[category], "away_closest" if category in several else "away", c=category, d=metres[category]
            )
            for category in distances
        ),
        facts.say(1, "smallest", c=nearest, d=metres[nearest]),
    ]
    return steps, nearest


def leads_to(said: Said) -> Iterator[str]:
    """The nearest of those whose distance is said, and the one that is called the closest."""
    away = {fields["c"]: Decimal(fields["d"]) for name in ("away", "away_closest") for fields in said.get(name, ())}
    least = min(away.values(), default=None)
    for fields in said.get("smallest", ()):
        holds(least is None or Decimal(fields["d"]) == least == away.get(fields["c"]))
        yield fields["c"]
    # One distance alone decides nothing.
    if len(away) > 1:
        yield from (category for category, distance in away.items() if distance == least)


TYPE = QuestionType(
    name=NAME,
    task=Task(NAME, "Rel. Dist.", 5, "relative distance"),
    words="relative distance",
    text=TEXT,
    other_texts={
        "vlm3r": TEXT + "\nIf there are multiple instances of an object category, measure to the closest.",
    },
    lists_options=True,
    generate=generate,
    wordings=(
        rf"{_WHICH}{_NEAREST}: {{options}}\?",
        rf"{_WHICH}, {{options}},{_NEAREST}(?:\?|,|\.)",
        rf"{_WHICH}(?: \({{options}}\))?{_NEAREST}(?:\?|,|\.)",
    ),
    aliases=("relative_distance_object", "relative_distance"),
    options="things",
    recompute=recompute,
    by_distance=True,
    singles=("category",),
    reason=reason,
    leads_to=leads_to,
    sentences={
        "compare": ("I measure from the {a} to each one.", "I compare how far each one is from the {a}."),
        "away": ("The {c} is {d} m away.",),
        "away_closest": ("The closest {c} is {d} m away.",),
        "smallest": ("The smallest is {d} m, so the {c} is the closest.", "The closest is the {c}, with {d} m."),
    },
)
