"""Room size: the floor area of the scan, to one decimal (VSI-Bench)."""

from __future__ import annotations

from collections import Counter

import numpy as np

from rollout3d.config import Questions
from rollout3d.questions import templates
from rollout3d.questions.scene import Result, SceneView

KIND = "room_size_estimation"


def answer(scene: SceneView) -> float | None:
    """Floor area, square metres to one decimal; None where it is unknown."""
    return None if scene.room_size_m2 is None else round(scene.room_size_m2, 1)


def generate(scene: SceneView, config: Questions, rng: np.random.Generator) -> Result:
    """One question a scan, none where the area is unknown."""
    area = answer(scene)
    if area is None:
        return [], Counter({"the room's area is unknown": 1})
    return [scene.row(KIND, templates.ROOM_SIZE, str(area), [], {"room_size_m2": area})], Counter()
