"""Absolute distance: every pair of unique objects, to one decimal (VSI-Bench)."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import numpy as np

from rollout3d.config import Questions
from rollout3d.geometry.distance import Method
from rollout3d.questions import templates
from rollout3d.questions.scene import Result, SceneView, rounded
from rollout3d.questions.select import sample

KIND = "object_abs_distance"
MIN_DISTANCE_M = 0.2
"""Pairs whose rounded distance is below this are not asked about. [VSI-Bench generator]"""


def answer(scene: SceneView, first: str, second: str, method: Method) -> float:
    """Distance of the nearest instances of two categories, metres to one decimal."""
    return round(scene.distance(first, second, method), 1)


def generate(scene: SceneView, config: Questions, rng: np.random.Generator) -> Result:
    """Pairs in the order of the scene's categories; the distance is `config.distance`'s."""
    reasons: Counter[str] = Counter()
    far = []
    for first, second in combinations(scene.unique, 2):
        distance = answer(scene, first, second, config.distance)
        if distance < MIN_DISTANCE_M:
            reasons[f"closer than {MIN_DISTANCE_M} m"] += 1
        else:
            far.append((first, second, distance))
    rows = []
    for first, second, distance in sample(far, config.per_scene.get(KIND), rng, reasons):
        between = scene.box(first).centroid - scene.box(second).centroid
        evidence = {
            "first": scene.place(first),
            "second": scene.place(second),
            "distance_m": distance,
            "method": config.distance,
            "centre_distance_m": rounded([np.linalg.norm(between)])[0],
        }
        question = templates.WORDINGS[config.wording].abs_distance.format(first=first, second=second)
        rows.append(scene.row(KIND, question, str(distance), [first, second], evidence))
    return rows, reasons
