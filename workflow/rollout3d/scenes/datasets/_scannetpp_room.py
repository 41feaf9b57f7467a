"""Read ScanNet++'s rooms: the laser mesh with points added on its faces, and the annotated objects."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from rollout3d.fingerprint import note
from rollout3d.geometry.boxes import OrientedBox
from rollout3d.scenes.categories import Labels
from rollout3d.scenes.contract import Corners, NoObjects, Refused, accept, read_object
from rollout3d.scenes.datasets._scannetpp_labels import meanings
from rollout3d.scenes.datasets.scannetpp import NAME, assets, folders
from rollout3d.scenes.formats.ply import read_ply
from rollout3d.scenes.reading import ScanError, read_json, reading
from rollout3d.scenes.release import ScanRef
from rollout3d.scenes.scan import Annotated, Room, segment_of_vertices
from rollout3d.scenes.surface import sample_surface
from rollout3d.seeding import generator

SURFACE_SPACING_M = 0.03
"""Spacing of the points added on the faces, metres: near ScanNet's vertex spacing."""


def read_room(root: Path, ref: ScanRef) -> Room:
    """Read mesh, added surface points and objects of a scan. Raises `ScanError`."""
    folder = folders(root, ref)[0] / "scans"
    annotation = folder / "segments_anno.json"
    # Both meshes have the annotated vertices, but the semantic one may have class colours.
    (mesh_path, mesh), chosen = assets(root, ref)[0].first(lambda each: (each.paths[0], read_ply(each.paths[0])))
    if not ref.annotated or (ref.split == "test" and not note(annotation).exists()):
        groups, owner, flags = [], np.full(len(mesh.vertices), -1), ["no_annotation"]
    else:
        of_vertex = _segments(folder / "segments.json", len(mesh.vertices))
        content = read_json(annotation)
        with reading(annotation):
            groups = content["segGroups"]
            owner, flags = _owners(groups, of_vertex), []
        if not groups:
            raise NoObjects(annotation)
        if (owner < 0).all():
            raise ScanError(annotation, "names no segment of the mesh: it is of another scan, or damaged")
    rng = generator(NAME, "surface", ref.scene_id)
    with reading(mesh_path):
        extra = sample_surface(mesh.vertices, mesh.faces, mesh.colors, SURFACE_SPACING_M, rng)
    vertices = np.concatenate([mesh.vertices, extra.points])
    colors = None
    if mesh.colors is not None and extra.colors is not None:
        colors = np.concatenate([mesh.colors, extra.colors])
    flags += chosen
    room = Room(vertices, mesh.faces, colors, [], flags=flags, mesh_path=mesh_path)
    if "no_annotation" in flags:
        return room
    with reading(annotation):
        objects = _objects(groups, owner, np.concatenate([owner, owner[extra.vertex]]), _labels(root), flags)
    return accept(annotation, objects, mesh.vertices).into(room)


def _segments(path: Path, n_vertices: int) -> np.ndarray:
    """Return the segment of each vertex. Raises `ScanError`."""
    content = read_json(path)
    with reading(path):
        return segment_of_vertices(content, n_vertices)


def _labels(root: Path) -> Labels:
    table = root / "metadata" / "semantic_benchmark" / "map_benchmark.csv"
    return meanings(table if note(table).is_file() else None)


def _owners(groups: list[dict[str, Any]], of_vertex: np.ndarray) -> np.ndarray:
    """Return for each vertex the position of its group in `groups`, -1 = none; of several groups the smallest."""
    ids, inverse = np.unique(of_vertex, return_inverse=True)
    members = [np.flatnonzero(np.isin(ids, group["segments"])[inverse]) for group in groups]
    owner = np.full(len(of_vertex), -1)
    for k in sorted(range(len(groups)), key=lambda k: (-len(members[k]), k)):
        owner[members[k]] = k
    return owner


def _objects(
    groups: list[dict[str, Any]], mesh_owner: np.ndarray, owner: np.ndarray, labels: Labels, flags: list[str]
) -> list[Annotated | Refused]:
    """Return the objects of an annotation. `mesh_owner`, `owner`: group of each mesh vertex, and of each point."""
    n_vertices = np.bincount(mesh_owner + 1, minlength=len(groups) + 1)[1:]
    order = np.argsort(owner, kind="stable")
    bounds = np.searchsorted(owner[order], np.arange(len(groups) + 1))

    def read(k: int) -> Annotated | Refused:
        def members(box: OrientedBox, corners: Corners) -> tuple[np.ndarray, int]:
            return order[bounds[k] : bounds[k + 1]], int(n_vertices[k])

        return read_object(groups[k], groups[k].get("obb"), labels, members, flags)

    return [read(k) for k in range(len(groups))]
