"""Relative distance: which of four categories is closest to a unique object (VSI-Bench)."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate
from math import comb

import numpy as np

from rollout3d.config import Questions
from rollout3d.geometry.distance import Method
from rollout3d.questions import templates
from rollout3d.questions.scene import Result, SceneView, rounded
from rollout3d.questions.select import SpacedSets, sample

KIND = "object_rel_distance"
N_OPTIONS = 4
LARGE_ROOM_M2 = 40.0
"""Rooms above this need the larger gap. [VSI-Bench paper]"""


def answer(scene: SceneView, primary: str, options: Sequence[str], method: Method) -> str:
    """The option whose nearest instance is closest to the primary; the first of equals."""
    return min(options, key=lambda option: scene.distance(primary, option, method))


def generate(scene: SceneView, config: Questions, rng: np.random.Generator) -> Result:
    """Sets of four other categories for each unique one, drawn uniformly from all that pass.

    The distance to a category is that to its nearest instance. A set passes if its nearest is at least
    `rel_distance_margin_m` away and any two distances differ by more than the gap: that margin, or
    `rel_distance_margin_large_m` in rooms above 40 m2 or of unknown area.
    """
    reasons: Counter[str] = Counter()
    large = scene.room_size_m2 is None or scene.room_size_m2 > LARGE_ROOM_M2
    gap = config.rel_distance_margin_large_m if large else config.rel_distance_margin_m
    choices: list[tuple[str, dict[str, float], SpacedSets]] = []
    for primary in scene.unique:
        distances = {c: scene.distance(primary, c, config.distance) for c in scene.located if c != primary}
        far = {c: d for c, d in distances.items() if d >= config.rel_distance_margin_m}
        sets = SpacedSets(far, N_OPTIONS, gap)
        choices.append((primary, distances, sets))
        reasons[f"nearest below {config.rel_distance_margin_m} m"] += comb(len(distances), 4) - comb(len(far), 4)
        reasons[f"two distances within {gap} m"] += comb(len(far), 4) - len(sets)
    rows = []
    for which, rank in _drawn([len(sets) for _, _, sets in choices], config, rng, reasons):
        primary, distances, sets = choices[which]
        chosen = sets[rank]
        options = [c for c in scene.located if c in chosen]
        evidence = {
            "object": scene.place(primary),
            "distances_m": {c: rounded([distances[c]])[0] for c in options},
            "nearest": chosen[0],
            "method": config.distance,
        }
        question = templates.WORDINGS[config.wording].rel_distance.format(options=", ".join(options), category=primary)
        rows.append(scene.row(KIND, question, chosen[0], [primary, *options], evidence, options))
    return rows, reasons


def _drawn(
    sizes: Sequence[int], config: Questions, rng: np.random.Generator, reasons: Counter[str]
) -> list[tuple[int, int]]:
    """(primary, rank of its set) of the sets that the caps leave, without listing the others."""
    starts = [0, *accumulate(sizes)]
    each, of_scene, total = config.rel_distance_per_primary, config.per_scene.get(KIND), starts[-1]
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
