"""Room size: the floor area of the scan, to one decimal (VSI-Bench)."""

from __future__ import annotations

from collections import Counter

import numpy as np

from rollout3d.config import Questions
from rollout3d.questions import templates
from rollout3d.questions.scene import Result, SceneView

KIND = "room_size_estimation"


def generate(scene: SceneView, config: Questions, rng: np.random.Generator) -> Result:
    """One question a scan, none where the area is unknown."""
    if scene.room_size_m2 is None:
        return [], Counter({"the room's area is unknown": 1})
    area = round(scene.room_size_m2, 1)
    return [scene.row(KIND, templates.ROOM_SIZE, str(area), [], {"room_size_m2": area})], Counter()
