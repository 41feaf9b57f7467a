"""Read ScanNet's rooms: mesh and objects of a scan, from its meta file, mesh and annotation."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from rollout3d.fingerprint import note
from rollout3d.geometry.boxes import minimal_oriented_box
from rollout3d.geometry.camera import valid_pose
from rollout3d.releases import MissingData
from rollout3d.scenes.assets import found_in
from rollout3d.scenes.contract import Accepted, Refused, accept, identity
from rollout3d.scenes.datasets._scannet_labels import meanings
from rollout3d.scenes.datasets.scannet import NAME, RELEASE, assets
from rollout3d.scenes.formats.packed import PackedPath
from rollout3d.scenes.formats.ply import read_ply
from rollout3d.scenes.reading import ScanError, read_json, read_text, reading
from rollout3d.scenes.release import ScanRef, label_table, missing
from rollout3d.scenes.scan import Annotated, Room, matrix, segment_of_vertices


def read_room(root: Path, ref: ScanRef) -> Room:
    """Read mesh and objects of a scan. Raises `ScanError`, or `MissingData` without the label table."""
    tsv = label_table(RELEASE, root, note)
    if tsv is None and not ref.alone:
        raise MissingData(
            missing(RELEASE, root)
            or f"{NAME}: no label table {root / RELEASE.label_tables[0]}; the download script has it. {found_in(root)}"
        )
    meta_asset, mesh_asset, _ = assets(root, ref)
    (meta_path, _), flags = meta_asset.file(), []
    meta = read_meta_file(meta_path)
    to_aligned = np.eye(4)
    if "axisAlignment" in meta:
        with reading(meta_path):
            to_aligned = matrix(meta["axisAlignment"], 4, 4)
        if not valid_pose(to_aligned):
            raise ScanError(meta_path, "axisAlignment is no rigid transform")
    else:
        flags.append("no_axis_alignment")
    ((mesh_path, *annotation), mesh), chosen = mesh_asset.first(lambda each: (each.paths, read_ply(each.paths[0])))
    vertices = mesh.vertices @ to_aligned[:3, :3].T + to_aligned[:3, 3]
    found = _read_objects(annotation, ref, vertices, tsv, flags)
    flags += [*chosen, *([] if tsv is not None else ["no_label_table"])]
    scene_type = meta.get("sceneType")
    scene_type = scene_type if isinstance(scene_type, str) else None
    room = Room(vertices, mesh.faces, mesh.colors, [], to_aligned, scene_type, flags, mesh_path)
    return room if found is None else found.into(room)


def read_meta_file(path: Path | PackedPath) -> dict[str, list[float] | str]:
    """Read the `key = value` lines of a scan's .txt. Raises `ScanError`.

    Values that are numbers throughout become lists of floats.
    """
    meta: dict[str, list[float] | str] = {}
    with reading(path):
        for line in read_text(path).splitlines():
            key, found, value = line.partition("=")
            if not found:
                continue
            try:
                meta[key.strip()] = [float(word) for word in value.split()]
            except ValueError:
                meta[key.strip()] = value.strip()
    if not meta:
        raise ScanError(path, "holds no `key = value`: empty or damaged; download it again")
    return meta


def _read_objects(
    annotation: Sequence[Path | PackedPath], ref: ScanRef, vertices: np.ndarray, tsv: Path | None, flags: list[str]
) -> Accepted | None:
    """Read the objects of a scan; None without an annotation. Raises `ScanError`."""
    if not annotation:
        flags.append("no_annotation")
        return None
    aggregation, segments_path = annotation
    groups = read_json(aggregation)
    segments = read_json(segments_path)
    with reading(segments_path):
        of_vertex = segment_of_vertices(segments, len(vertices))
    with reading(aggregation):
        stated = str(groups.get("sceneId", ref.scene_id)).removeprefix("scannet.")
        if stated != ref.scene_id:
            raise ScanError(aggregation, f"is of another scan, '{stated}'")
        found, n_empty = _group_vertices(groups["segGroups"], of_vertex, vertices, tsv, flags)
    return accept(aggregation, found, vertices, n_empty)


def _group_vertices(
    groups: list[dict[str, Any]], of_vertex: np.ndarray, vertices: np.ndarray, tsv: Path | None, flags: list[str]
) -> tuple[list[Annotated | Refused], int]:
    """Return the objects of an annotation, and the number of further objects without a vertex of the mesh.

    `of_vertex`: segment (V,) of each vertex. Raises ValueError for a segment that is not in the mesh.
    """
    labels = meanings(tsv)
    ids, inverse = np.unique(of_vertex, return_inverse=True)
    objects: list[Annotated | Refused] = []
    seen: set[tuple[int, ...]] = set()
    n_duplicate = n_empty = 0
    for group in groups:
        segments = tuple(sorted(set(group["segments"])))
        object_id, label = identity(group)
        if segments and segments in seen:
            n_duplicate += 1  # one released scan lists every object twice
            continue
        seen.add(segments)
        absent = np.setdiff1d(segments, ids, assume_unique=True)
        if len(absent):
            raise ValueError(
                f"object {object_id} ('{label}') names segment {absent[0]}, which no vertex of the mesh has"
            )
        index = np.flatnonzero(np.isin(ids, segments)[inverse])
        if not len(index):
            n_empty += 1
            continue
        meaning = labels(label)
        points = vertices[index]
        box = partial(minimal_oriented_box, points)
        low, high = points.min(axis=0), points.max(axis=0)
        n = len(index)
        objects.append(
            Annotated(object_id, label, meaning.category, meaning.perturbable, box, low, high, n, index, meaning.known)
        )
    flags += [f"{what}:{n}" for what, n in (("duplicate_objects", n_duplicate), ("empty_objects", n_empty)) if n]
    return objects, n_empty
