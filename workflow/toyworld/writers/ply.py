"""Write binary little-endian PLY meshes with vertex colours."""

from __future__ import annotations

from pathlib import Path

import numpy as np


def write_ply(path: Path, vertices: np.ndarray, faces: np.ndarray, colors: np.ndarray, *, alpha: bool = False) -> None:
    """Write vertices (V, 3) metres (stored as float32), faces (F, 3) and colours (V, 3) uint8.

    With `alpha`, each vertex has a fourth colour byte of 255, as in ScanNet's meshes (16 bytes per vertex).
    """
    names = ["red", "green", "blue", "alpha"] if alpha else ["red", "green", "blue"]
    points = np.zeros(len(vertices), dtype=[*((axis, "<f4") for axis in "xyz"), *((name, "u1") for name in names)])
    for column, axis in enumerate("xyz"):
        points[axis] = vertices[:, column]
    for column, name in enumerate(names[:3]):
        points[name] = colors[:, column]
    if alpha:
        points["alpha"] = 255
    triangles = np.zeros(len(faces), dtype=[("n", "u1"), ("corners", "<i4", (3,))])
    triangles["n"] = 3
    triangles["corners"] = faces
    header = [
        "ply",
        "format binary_little_endian 1.0",
        f"element vertex {len(points)}",
        *(f"property float {axis}" for axis in "xyz"),
        *(f"property uchar {name}" for name in names),
        f"element face {len(triangles)}",
        "property list uchar int vertex_indices",
        "end_header",
    ]
    path.write_bytes(("\n".join(header) + "\n").encode() + points.tobytes() + triangles.tobytes())
