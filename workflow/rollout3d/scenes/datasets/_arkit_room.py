"""Read ARKitScenes' rooms: the ARKit mesh of a video and its annotated boxes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from rollout3d.geometry.boxes import OrientedBox
from rollout3d.scenes.contract import Corners, Refused, accept, read_object
from rollout3d.scenes.datasets._arkit_labels import meanings
from rollout3d.scenes.datasets._arkit_layout import read_annotation
from rollout3d.scenes.datasets.arkitscenes import assets, readable
from rollout3d.scenes.formats.ply import read_ply
from rollout3d.scenes.reading import ScanError, reading
from rollout3d.scenes.release import ScanRef
from rollout3d.scenes.scan import ROUNDING_M, Annotated, Room


def read_room(root: Path, ref: ScanRef) -> Room:
    """Read mesh and objects of a video.

    Raises `ScanError`; `expected` for an annotation that is marked as skipped, and for what the release itself lacks.
    """
    layout = {asset.what: asset for asset in assets(root, ref)}
    annotation, content = Path(), {"data": []}
    flags = [f"damaged:{path.name}" for path in readable(root, ref)[1]]
    if ref.annotated:
        (annotation, content), chosen = layout["annotation"].first(lambda c: (c.paths[0], read_annotation(c.paths[0])))
        flags += chosen
    with reading(annotation):
        items = content["data"]
    (mesh_path, mesh), chosen = layout["mesh"].first(lambda c: (c.paths[0], read_ply(c.paths[0])))
    flags += chosen
    room = Room(mesh.vertices, mesh.faces, mesh.colors, [], flags=flags, mesh_path=mesh_path)
    if not ref.annotated:
        room.flags.append("no_annotation")
        return room
    with reading(annotation):
        objects = _objects(items, mesh.vertices, room.flags)
    boxed = [item for item in objects if isinstance(item, Annotated)]
    if boxed and not any(item.n_points for item in boxed):
        raise ScanError(annotation, "no vertex of the mesh is in any box: it is of another scan, or damaged")
    return accept(annotation, objects, mesh.vertices).into(room)


def _objects(items: list[dict[str, Any]], vertices: np.ndarray, flags: list[str]) -> list[Annotated | Refused]:
    """Return the objects of an annotation; vertices (V,3) belong to an object if they are in its box."""
    if items and all(item.get("objectId") is None for item in items):
        flags.append("numbered_objects")
        items = [item | {"objectId": k} for k, item in enumerate(items)]

    def members(box: OrientedBox, corners: Corners) -> tuple[np.ndarray, int]:
        low, high = corners
        near = np.flatnonzero(((vertices >= low - ROUNDING_M) & (vertices <= high + ROUNDING_M)).all(axis=1))
        index = near[box.contains(vertices[near], ROUNDING_M)]
        return index, len(index)

    labels = meanings()
    return [read_object(item, (item.get("segments") or {}).get("obbAligned"), labels, members, flags) for item in items]
