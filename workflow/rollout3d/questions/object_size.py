"""Object size: the longest side of every unique object's oriented box, in whole centimetres (VSI-Bench)."""

from __future__ import annotations

from collections import Counter

import numpy as np

from rollout3d.config import Questions
from rollout3d.questions import templates
from rollout3d.questions.scene import Result, SceneView
from rollout3d.questions.select import sample

KIND = "object_size_estimation"


def answer(scene: SceneView, category: str) -> int:
    """Longest side of a unique category's box, whole centimetres."""
    return round(100 * float(scene.box(category).axes_lengths.max()))


def generate(scene: SceneView, config: Questions, rng: np.random.Generator) -> Result:
    """One question a unique category."""
    reasons: Counter[str] = Counter()
    reasons["counts and boxes disagree"] += scene.unlocated
    rows = []
    for category in sample(scene.unique, config.per_scene.get(KIND), rng, reasons):
        longest = answer(scene, category)
        evidence = {"object": scene.place(category), "longest_cm": longest}
        rows.append(scene.row(KIND, templates.SIZE.format(category=category), str(longest), [category], evidence))
    return rows, reasons
