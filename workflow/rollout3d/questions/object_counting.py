"""Counting: every category with at least two instances (VSI-Bench)."""

from __future__ import annotations

from collections import Counter

import numpy as np

from rollout3d.config import Questions
from rollout3d.questions import templates
from rollout3d.questions.scene import Result, SceneView, rounded
from rollout3d.questions.select import sample

KIND = "object_counting"


def answer(scene: SceneView, category: str) -> int:
    """Instances by the scene's counts."""
    return scene.counts[category]


def generate(scene: SceneView, config: Questions, rng: np.random.Generator) -> Result:
    """The count comes from the scene's object counts, not from the number of boxes."""
    reasons: Counter[str] = Counter()
    many = [category for category, n in scene.counts.items() if n >= 2]
    rows = []
    for category in sample(many, config.per_scene.get(KIND), rng, reasons):
        n = answer(scene, category)
        positions = [rounded(item.box.centroid) for item in scene.items.get(category, ())]
        evidence = {"category": category, "count": n, "positions": positions}
        rows.append(scene.row(KIND, templates.COUNTING.format(category=category), str(n), [category], evidence))
    return rows, reasons
