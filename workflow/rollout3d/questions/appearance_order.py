"""Appearance order: in which order four categories first come into view (VSI-Bench)."""

from __future__ import annotations

from collections import Counter
from itertools import permutations
from math import comb

import numpy as np

from rollout3d.config import Questions
from rollout3d.questions import templates
from rollout3d.questions.scene import Result, SceneView, rounded
from rollout3d.questions.select import SpacedSets

KIND = "obj_appearance_order"
N_CATEGORIES = 4
N_OPTIONS = 4


def generate(scene: SceneView, config: Questions, rng: np.random.Generator) -> Result:
    """Sets of four categories whose first appearances differ by more than `appearance_gap_s`, drawn uniformly.

    The question lists the four in a random order that is not the answer, the wrong options are random orders. No
    option repeats the list: in the benchmark one always does and is never right, which `compat: vsibench` reproduces.
    """
    reasons: Counter[str] = Counter()
    times = {c: scene.appearances[c] for c in scene.counts if c in scene.appearances}
    if not times:
        return [], Counter({"no first appearances known": 1})
    sets = SpacedSets(times, N_CATEGORIES, config.appearance_gap_s)
    total = len(sets)
    reasons[f"first appearances within {config.appearance_gap_s:g} s"] += comb(len(times), N_CATEGORIES) - total
    cap = min(config.per_scene.get(KIND) or total, total)
    reasons[f"cap of {cap} a scene"] += total - cap
    rows = []
    for rank in sorted(rng.choice(total, cap, replace=False).tolist()) if total else []:
        truth = sets[rank]
        wrong = [list(order) for order in permutations(truth) if list(order) != truth]
        listed, *others = (wrong[k] for k in rng.permutation(len(wrong)))
        if config.compat == "vsibench":
            others.insert(0, listed)
        options = sorted(", ".join(order) for order in [truth, *others[: N_OPTIONS - 1]])
        evidence = {"first_seen_s": {c: rounded([times[c]])[0] for c in truth}, "order": truth}
        question = templates.APPEARANCE_ORDER.format(categories=", ".join(listed))
        rows.append(scene.row(KIND, question, ", ".join(truth), listed, evidence, options))
    return rows, reasons
