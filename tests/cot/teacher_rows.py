"""Questions of every type from two random rooms, with their evidence."""

from __future__ import annotations

import json
from collections import Counter
from functools import cache
from typing import Any

import numpy as np

from cot.cot_rows import question
from rollout3d.config import Questions, question_types
from rollout3d.questions import types
from rollout3d.questions.scene import SceneView

THINGS = ["bed", "tv", "sofa", "lamp", "table", "chair", "chair", "chair", "stool", "stool", "oven", "computer mouse"]


def place(category, x, y):
    return {"category": category, "position": [x, y, 0.5], "sides_m": [2.04, 0.9, 0.5]}


def route_row():
    steps = [
        {"turn": None, "turn_deg": 3.0, "to": "bed", "from": [0, 0], "at": [2, 0], "metres": 2.0},
        {"turn": "Turn Left", "turn_deg": 82.0, "to": "computer mouse", "from": [2, 0], "at": [2, 2], "metres": 2.0},
        {"turn": "Turn Back", "turn_deg": -171.0, "to": "table", "from": [2, 2], "at": [2, 0], "metres": 2.0},
        {"turn": "Turn Right", "turn_deg": -88.0, "to": "lamp", "from": [2, 0], "at": [0, 0], "metres": 2.0},
    ]
    return question(
        question_type="route_planning",
        options=["A. Turn Left, Turn Back, Turn Left", "B. Turn Left, Turn Back, Turn Right"],
        ground_truth="B",
        evidence=json.dumps({"start": place("tv", 0, 0), "facing": place("bed", 2, 0), "steps": steps}),
    )


@cache
def teacher_rows() -> list[dict[str, Any]]:
    """Return questions of every type, made by the generators themselves; do not change them."""
    made = [route_row()]
    for seed in range(2):
        rng = np.random.default_rng(seed)
        objects = [
            {
                "object_id": i,
                "category": category,
                "centroid": rng.uniform([0, 0, 0.2], [6, 4.5, 0.8]).tolist(),
                "axes_lengths": rng.uniform(0.3, 1.6, 3).tolist(),
                "normalized_axes": np.eye(3).ravel().tolist(),
            }
            for i, category in enumerate(THINGS)
        ]
        scene = {
            "scene_id": f"scene{seed}",
            "space_id": f"scene{seed}",
            "dataset": "scannet",
            "split": "train",
            "room_size_m2": 27.31,
            "object_counts": [{"category": c, "n": n} for c, n in Counter(THINGS).items()],
        }
        view = SceneView.from_rows(scene, objects)
        view.appearances = {c: 1.7 * i for i, c in enumerate(dict.fromkeys(THINGS))}
        config = Questions()
        # Routes need a walkable floor.
        for name in sorted(set(question_types.NAMES) - {"route_planning"}):
            made += types.load(name).generate(view, config, rng)[0]
    return made
