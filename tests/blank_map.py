"""A row of the table `maps` that holds a view from above and nothing else."""

from __future__ import annotations

from typing import Any


def blank_map(scene_id: str, png: bytes, m_per_px: float = 0.01) -> dict[str, Any]:
    """Return the row of a scene without floor, grid, points and appearances."""
    empty = {"floor_rect": [0.0] * 4, "walkable": b"", "grid_origin": [0.0, 0.0], "grid_size": [0, 0]}
    scale = {"m_per_px": m_per_px, "x0": 0.0, "y0": 0.0, "cell_m": 0.05}
    return {
        "scene_id": scene_id,
        "bev": {"bytes": png, "path": "bev.png"},
        **scale,
        **empty,
        "points": [],
        "appearances": [],
    }
