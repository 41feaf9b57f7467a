"""Cognitive maps of scans: made from scene tables, read for training, and written as SpaceR writes them.

A map is a category -> the cells [column, row] of all its instances (SpaceR, appendix A; `geometry/gridmap.py`).

Departure: appendix A maps each object. Here those count that have a category of VSI-Bench; other things that questions
by SpaceR's rules may name, by their raw labels (cabinet, desk), have no cell.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Collection, Iterable
from pathlib import Path

from rollout3d import tables
from rollout3d.config.choices import MAP_GRIDS
from rollout3d.errors import InvalidInput
from rollout3d.geometry.gridmap import cognitive_map
from rollout3d.tables.rows import CognitiveMapRow, ObjectRow, SceneRow

LOG = logging.getLogger(__name__)

TRAIN = "train"
"""The split whose maps may enter training; the others are those of benchmarks."""


class NoMap(ValueError):
    """A scan has no map; the message is the reason."""


def map_rows(
    scene: SceneRow,
    objects: Iterable[ObjectRow],
    floor_rect: Iterable[float] | None,
    grids: Iterable[int] = MAP_GRIDS,
) -> tuple[list[CognitiveMapRow], list[str]]:
    """Return the maps of one scan, one row per grid size, and a remark per category with an instance left out.

    `floor_rect`: x_min, y_min, x_max, y_max of the floor, metres; None where no mesh was read. Each instance lies in
    the cell of its box centre. Categories are those that questions name, so walls, floors and ceilings are in no map
    (SpaceR, appendix A, data filtering). An instance that the scene counts and that has no box with finite numbers is
    left out, with a remark. Raises NoMap with the reason if there is no floor with an area, or no such box.
    """
    if floor_rect is None:
        raise NoMap("its floor is unknown: the table maps has no row of it")
    border = [float(value) for value in floor_rect]
    if not all(map(math.isfinite, border)) or not (border[2] > border[0] and border[3] > border[1]):
        raise NoMap(f"its floor {border} has no area")
    centres: dict[str, list[list[float]]] = {}
    for row in sorted(objects, key=lambda row: row["object_id"]):
        centre = row["centroid"][:2]
        if row["category"] is not None and all(map(math.isfinite, centre)):
            centres.setdefault(row["category"], []).append(centre)
    if not centres:
        raise NoMap("no object of a category that questions name has a box")
    counted = {entry["category"]: entry["n"] for entry in scene["object_counts"]}
    remarks = [
        f"{category}: {n - len(centres.get(category, ()))} of {n} instances have no box and are not in the map"
        for category, n in sorted(counted.items())
        if n > len(centres.get(category, ()))
    ]
    rows: list[CognitiveMapRow] = []
    for grid in grids:
        cells = cognitive_map(dict(sorted(centres.items())), border, grid)
        rows.append(
            {
                "scene_id": scene["scene_id"],
                "space_id": scene["space_id"],
                "dataset": scene["dataset"],
                "split": scene["split"],
                "grid": grid,
                "border": border,
                "cells": [{"category": category, "cells": found} for category, found in cells.items()],
            }
        )
    return rows, remarks


def around(objects: Iterable[ObjectRow]) -> list[float] | None:
    """Return x_min, y_min, x_max, y_max of the rectangle around the axis-aligned boxes of objects that questions name,
    metres: the border of a map where no floor is known. None without such a box.

    SpaceR's border is the floor's (appendix A): maps of published boxes depart from it.
    """
    boxes = [(*row["aabb_min"][:2], *row["aabb_max"][:2]) for row in objects if row["category"] is not None]
    boxes = [box for box in boxes if all(map(math.isfinite, box))]
    if not boxes:
        return None
    x_min, y_min, x_max, y_max = zip(*boxes, strict=True)
    return [min(x_min), min(y_min), max(x_max), max(y_max)]


def by_category(row: CognitiveMapRow) -> dict[str, list[list[int]]]:
    """Return the map of a row: category -> cells [column, row] of its instances."""
    return {entry["category"]: entry["cells"] for entry in row["cells"]}


def read_maps(paths: Iterable[Path | str], grid: int) -> list[CognitiveMapRow]:
    """Return the rows of one grid size. Raises InvalidInput if tables hold rows, and none of this size."""
    paths = list(paths)
    rows = tables.read_many(tables.COGNITIVE_MAPS, paths)
    found = [row for row in rows if row["grid"] == grid]
    if rows and not found:
        sizes = ", ".join(map(str, sorted({row["grid"] for row in rows})))
        raise InvalidInput(f"{paths[0]}: no map of {grid} x {grid} cells; the tables hold grids of {sizes}")
    return found


def load_maps(
    paths: Iterable[Path | str], grid: int, scenes: Collection[str] | None = None
) -> dict[str, dict[str, list[list[int]]]]:
    """Return scene_id -> map of the training scenes in tables of maps: category -> cells [column, row].

    `scenes`: those that training needs; None = all training scenes of the tables. Scenes among them that have no map
    are missing in the result and counted in the log. Maps of benchmark scenes, those of another split than train, are
    never returned. Raises InvalidInput if `scenes` names one of them, or for tables without maps of this grid size.
    """
    rows = read_maps(paths, grid)
    found = {row["scene_id"]: by_category(row) for row in rows if row["split"] == TRAIN}
    if scenes is None:
        return found
    wanted = set(scenes)
    held_out = sorted((row["scene_id"], row["split"]) for row in rows if row["split"] != TRAIN)
    asked = [(scene, split) for scene, split in held_out if scene in wanted]
    if asked:
        scene, split = asked[0]
        raise InvalidInput(
            f"{len(asked)} of {len(wanted)} training scenes, such as {scene}, are of split {split}: maps of benchmark "
            "scenes never enter training. Take these scenes out of the training table (datasets.*.splits.train)"
        )
    lacking = sorted(wanted - set(found))
    if lacking:
        LOG.warning(
            "%d of %d training scenes have no cognitive map, such as %s; maps/DATASET/SHARD_dropped.parquet has the "
            "reasons",
            len(lacking),
            len(wanted),
            lacking[0],
        )
    return {scene: cells for scene, cells in found.items() if scene in wanted}


def spacer_lines(rows: Iterable[CognitiveMapRow]) -> str:
    """Return maps as SpaceR's training reads them: one line of JSON per scan.

    The fields are `video_id` (the scan), `cognitive_map` (category -> cells [x, y]) and `object_list` (the map's
    categories). Sorted by scan.
    """
    lines = []
    for row in sorted(rows, key=lambda row: row["scene_id"]):
        cells = by_category(row)
        line = {"video_id": row["scene_id"], "cognitive_map": cells, "object_list": list(cells)}
        lines.append(json.dumps(line, ensure_ascii=False) + "\n")
    return "".join(lines)
