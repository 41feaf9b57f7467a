"""Rooms built by hand, and drawn at random, for the tests of question generation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rollout3d.geometry.topdown import pack_grid
from rollout3d.questions.scene import SceneView

Thing = tuple[str, Sequence[float], Sequence[float]]
"""Category, box centre, side lengths (axis-aligned)."""


def scene_row(things: Sequence[Thing], **changes: Any) -> dict[str, Any]:
    counts = Counter(category for category, _, _ in things if category)
    return {
        "scene_id": "scene0000_00",
        "space_id": "scene0000",
        "dataset": "scannet",
        "split": "train",
        "scene_type": None,
        "fps": 30.0,
        "n_frames": 300,
        "width": 64,
        "height": 48,
        "rotation_deg": 0,
        "to_aligned": np.eye(4).ravel().tolist(),
        "room_size_m2": 20.0,
        "room_center": [0.0, 0.0, 1.0],
        "object_counts": [{"category": c, "n": n} for c, n in counts.items()],
        "flags": [],
        "agreement": None,
    } | changes


def object_rows(things: Sequence[Thing], scene_id: str = "scene0000_00") -> list[dict[str, Any]]:
    rows = []
    for k, (category, centre, sides) in enumerate(things):
        low, high = np.array(centre) - np.array(sides) / 2, np.array(centre) + np.array(sides) / 2
        rows.append(
            {
                "scene_id": scene_id,
                "object_id": k + 10,
                "label": category or "wall",
                "category": category,
                "perturbable": category is not None,
                "centroid": list(map(float, centre)),
                "axes_lengths": list(map(float, sides)),
                "normalized_axes": np.eye(3).ravel().tolist(),
                "aabb_min": low.tolist(),
                "aabb_max": high.tolist(),
                "n_points": None,
            }
        )
    return rows


def map_row(
    grid: np.ndarray,
    appearances: Mapping[str, float],
    scene_id: str = "scene0000_00",
    cell_m: float = 0.1,
    origin: Sequence[float] = (0.0, 0.0),
) -> dict[str, Any]:
    return {
        "scene_id": scene_id,
        "bev": {"bytes": b"png", "path": "bev.png"},
        "m_per_px": 0.01,
        "x0": 0.0,
        "y0": 4.0,
        "floor_rect": [0.0, 0.0, 4.0, 4.0],
        "walkable": pack_grid(grid),
        "cell_m": cell_m,
        "grid_origin": list(origin),
        "grid_size": [grid.shape[1], grid.shape[0]],
        "points": [],
        "appearances": [{"category": c, "first_seen_s": t} for c, t in appearances.items()],
    }


def floor_of(things: Sequence[Thing], metres: float = 6.0, cell_m: float = 0.1) -> np.ndarray:
    """A square floor from (0, 0), open but for the outlines of the things that stand on it."""
    n = round(metres / cell_m)
    middle = (np.arange(n) + 0.5) * cell_m
    x, y = np.meshgrid(middle, middle)
    grid = np.ones((n, n), bool)
    for _, centre, sides in things:
        if centre[2] - sides[2] / 2 < 1.6:
            grid &= ~((abs(x - centre[0]) < sides[0] / 2) & (abs(y - centre[1]) < sides[1] / 2))
    return grid


def view(
    things: Sequence[Thing],
    appearances: Mapping[str, float] | None = None,
    grid: np.ndarray | None = None,
    cell_m: float = 0.1,
    **changes: Any,
) -> SceneView:
    row = scene_row(things, **changes)
    maps = None
    if appearances is not None or grid is not None:
        grid = np.zeros((1, 1), bool) if grid is None else grid
        maps = map_row(grid, appearances or {}, row["scene_id"], cell_m)
    return SceneView.from_rows(row, object_rows(things, row["scene_id"]), maps)


KINDS = (
    "bed",
    "chair",
    "table",
    "sofa",
    "tv",
    "lamp",
    "door",
    "window",
    "plant",
    "clock",
    "stool",
    "oven",
    "piano",
    "mirror",
    "fan",
    "radiator",
    "backpack",
    "printer",
    "monitor",
    "keyboard",
    "bathtub",
    "toilet",
    "washer",
    "stove",
)


def random_things(seed: int, n: int = 14, metres: float = 6.0, kinds: Sequence[str] = KINDS) -> list[Thing]:
    """Boxes strewn over the floor, some categories several times."""
    rng = np.random.default_rng(seed)
    things = []
    for _ in range(n):
        sides = rng.uniform(0.2, 1.0, 3)
        centre = [*rng.uniform(0.5, metres - 0.5, 2), sides[2] / 2]
        things.append((str(rng.choice(kinds)), centre, sides.tolist()))
    return things
