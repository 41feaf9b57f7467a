"""All questions of a scan, and of a shard of scans."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import numpy as np

from rollout3d import tables
from rollout3d.config import Questions, Splits
from rollout3d.progress import progress
from rollout3d.questions import (
    abs_distance,
    appearance_order,
    object_counting,
    object_size,
    rel_direction,
    rel_distance,
    room_size,
    route_planning,
)
from rollout3d.questions.scene import Result, SceneView
from rollout3d.seeding import generator

GENERATORS: dict[str, Callable[[SceneView, Questions, np.random.Generator], Result]] = {
    "object_counting": object_counting.generate,
    "object_size_estimation": object_size.generate,
    "room_size_estimation": room_size.generate,
    "object_abs_distance": abs_distance.generate,
    "object_rel_distance": rel_distance.generate,
    "object_rel_direction_easy": partial(rel_direction.generate, level="easy"),
    "object_rel_direction_medium": partial(rel_direction.generate, level="medium"),
    "object_rel_direction_hard": partial(rel_direction.generate, level="hard"),
    "obj_appearance_order": appearance_order.generate,
    "route_planning": route_planning.generate,
}
"""Question type -> its generator, in the configuration's order of types."""

_MAP_COLUMNS = ("walkable", "cell_m", "grid_origin", "grid_size", "appearances")

Rows = list[dict[str, Any]]


def questions_for_scene(scene: SceneView, config: Questions, seed: int) -> tuple[Rows, Rows]:
    """Question rows of one scan, by type, and `questions_dropped` rows: a line for each reason with its count.

    Each type draws from its own generator, seeded by scan and type: a change of one leaves the others alone.
    Candidates have no content hash yet, so the dropped rows carry "scene_id/question_type".
    """
    rows: Rows = []
    dropped: Rows = []
    for kind, generate in GENERATORS.items():
        rng = generator(seed, "questions", scene.dataset, scene.scene_id, kind)
        made, reasons = generate(scene, config, rng)
        rows += made
        for reason, n in sorted(reasons.items()):
            if n:
                dropped.append(_dropped(f"{scene.scene_id}/{kind}", f"{n} candidates: {reason}"))
    return rows, dropped


def questions_for_shard(
    scenes: Iterable[Mapping[str, Any]],
    objects: Iterable[Mapping[str, Any]],
    maps: tables.SceneReader,
    splits: Mapping[str, Splits],
    config: Questions,
    seed: int,
) -> tuple[Rows, Rows]:
    """`questions_for_scene` for every scan of a shard whose split is trained on or tested, in scene_id order.

    `splits`: dataset -> its splits. Scans of other splits are dropped with a reason: their spaces still count for the
    leak guard at assembly.
    """
    of_scene: dict[str, list[Mapping[str, Any]]] = {}
    for row in objects:
        of_scene.setdefault(row["scene_id"], []).append(row)
    rows: Rows = []
    dropped: Rows = []
    for scene in progress(sorted(scenes, key=lambda row: row["scene_id"]), "questions of scans"):
        scene_id, mine = scene["scene_id"], splits[scene["dataset"]]
        if scene["split"] not in (*mine.train, *mine.test):
            dropped.append(_dropped(scene_id, f"split '{scene['split']}' is neither trained on nor tested"))
            continue
        found = maps.rows(scene_id, _MAP_COLUMNS)
        view = SceneView.from_rows(scene, of_scene.get(scene_id, ()), found[0] if found else None)
        made, left_out = questions_for_scene(view, config, seed)
        rows += made
        dropped += left_out
    return rows, dropped


def _dropped(key: str, reason: str) -> dict[str, Any]:
    return {"question_id": key, "file": "", "reason": reason}
