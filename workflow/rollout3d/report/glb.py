"""One scan's points and boxes as a GLB file, for viewers such as Blender and MeshLab.

Points are those of the maps table (at most 20,000), boxes are the oriented boxes of the objects; metres, z up.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from trimesh.visual import ColorVisuals

from rollout3d import tables
from rollout3d.geometry.boxes import OrientedBox
from rollout3d.report.view import Located, ViewError, points_of, rows_of

ALPHA = 90
"""Opacity of a box, 0 to 255."""


def write(located: Located, path: Path) -> int:
    """Write the file; return the number of boxes. Raises ViewError for a scan without points and boxes.

    An object whose row holds no box is left out.
    """
    scene, boxes = trimesh.Scene(), 0
    for row in rows_of(tables.MAPS, located, "maps", []):
        xyz, rgb = points_of(row["points"] or [])
        if len(xyz):
            scene.add_geometry(trimesh.PointCloud(xyz, colors=rgb), node_name="points")
    rng = np.random.default_rng(0)
    colours = {}
    for row in rows_of(tables.OBJECTS, located, "objects", []):
        try:
            box = OrientedBox.from_row(row)
        except ValueError:
            continue
        place = np.eye(4)
        place[:3, :3], place[:3, 3] = box.normalized_axes.T, box.centroid
        mesh = trimesh.creation.box(extents=box.axes_lengths, transform=place)
        colour = colours.setdefault(row["label"], [*rng.integers(60, 256, 3).tolist(), ALPHA])
        mesh.visual = ColorVisuals(mesh, face_colors=colour)
        scene.add_geometry(mesh, node_name=f"{row['label']} {row['object_id']}")
        boxes += 1
    if not scene.geometry:
        raise ViewError(f"{located.row['scene_id']}: its tables hold no points and no boxes")
    path.parent.mkdir(parents=True, exist_ok=True)
    data: Any = scene.export(file_type="glb")
    path.write_bytes(data)
    return boxes
