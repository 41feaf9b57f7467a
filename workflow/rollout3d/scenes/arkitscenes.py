"""ARKitScenes: frames turned upright, ARKit poses, and oriented boxes over the ARKit mesh.

Root: raw/{Training,Validation}/<video>/ and, or instead, 3dod/{Training,Validation}/<video>/. Frames are raw vga_wide
(640x480, 30 fps) if there, else raw lowres_wide, else the 10 fps lowres_wide of 3dod. The world is ARKit's as
distributed (metres, +z up), so nothing is moved. Boxes are `segments.obbAligned` (rows are the axes; the `obb` beside
it is in another frame). There are no labels of vertices: an object's points are the mesh vertices inside its box.

Checked against files written from the published description: no annotation, trajectory or intrinsics file of the
release could be looked at.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np

from rollout3d.fingerprint import note
from rollout3d.releases import MissingData, require
from rollout3d.scenes.arkit_frames import ArkitSource
from rollout3d.scenes.categories import arkitscenes_labels
from rollout3d.scenes.ply import read_ply
from rollout3d.scenes.scan import (
    Annotated,
    Room,
    Scan,
    ScanError,
    ScanRef,
    read_json,
    reading,
    released_box,
    unknown_labels,
)
from rollout3d.spaces import space_of

NAME = "arkitscenes"
ROUNDING_M = 1e-4
"""A vertex on the surface of a box is in it, whatever its 32-bit coordinates make of that."""

FOLDERS = {"train": "Training", "val": "Validation"}
_INCOMPLETE = {
    "47334522", "47334523", "42897421", "45261582", "47333152", "47333155", "48458535", "48018733", "47429677",
    "48458541", "42897848", "47895482", "47333960", "47430089", "42899148", "42897612", "42899153", "42446164",
    "48018149", "47332198", "47334515", "45663223", "45663226", "45663227",
}  # fmt: skip
"""Videos that the release itself has without mesh, annotation or trajectory: their lack is no damage."""
_TABLES = (
    "raw/metadata.csv", "metadata.csv", "raw/raw_train_val_splits.csv", "raw_train_val_splits.csv",
    "3dod/3dod_train_val_splits.csv", "3dod_train_val_splits.csv", "3dod/metadata.csv",
)  # fmt: skip


def list_scans(root: Path, splits: list[str]) -> list[ScanRef]:
    """The videos of the splits, by id. A visit is a space; a video without one (or "NA") is a space of its own.

    Videos, visits and folds come from the release's tables, all that are there (raw and 3dod have their own); without
    any the folders decide. ARKitScenes has no test split. Raises `MissingData`.
    """
    if not (root / "3dod").is_dir():
        require(NAME, root)
    rows: dict[str, tuple[str, str]] = {}
    for path in [root / name for name in _TABLES if note(root / name).is_file()]:
        for video, visit, fold in _read_table(path):
            rows.setdefault(video, (visit, fold))
    rows = rows or _from_folders(root)
    found = []
    for split in splits:
        if split not in FOLDERS:
            raise MissingData(f"{NAME} has no split '{split}': only train and val")
        for video, visit in sorted((v, visit) for v, (visit, fold) in rows.items() if fold == FOLDERS[split]):
            space = space_of(NAME, video, visit)
            found.append(ScanRef(video, space, split, bool(_folders(root, ScanRef(video, "", split)))))
    return found


def folders(root: Path, ref: ScanRef) -> list[Path]:
    """Where the files of a video are looked for, raw first."""
    return [root / asset / FOLDERS[ref.split] / ref.scene_id for asset in ("raw", "3dod")]


def read_room(root: Path, ref: ScanRef) -> Room:
    """Mesh and objects of a video.

    Raises `ScanError`; `expected` for an annotation that is marked as skipped, and for what the release itself lacks.
    """
    folders = _folders(root, ref)
    annotation, content = Path(), {"data": []}
    if ref.annotated:
        annotation = _find(folders, root, ref, f"{ref.scene_id}_3dod_annotation.json")
        content = read_json(annotation)
    with reading(annotation):
        if content.get("skipped"):
            raise ScanError(annotation, "the annotators skipped this video", expected=True)
        items = content["data"]
    mesh_path = _find(folders, root, ref, f"{ref.scene_id}_3dod_mesh.ply")
    mesh = read_ply(mesh_path)
    with reading(annotation):
        objects = _objects(items, mesh.vertices)
    if not objects and ref.annotated:
        raise ScanError(annotation, "annotates no object", expected=True)
    if objects and not any(item.n_points for item in objects):
        raise ScanError(annotation, "no vertex of the mesh is in any box: it is of another scan, or damaged")
    flags = unknown_labels(objects) if ref.annotated else ["no_annotation"]
    return Room(mesh.vertices, mesh.faces, mesh.colors, objects, flags=flags, mesh_path=mesh_path)


def read_scan(root: Path, ref: ScanRef) -> Scan:
    """A video with its room. Raises `ScanError`."""
    room = read_room(root, ref)
    source = ArkitSource(_folders(root, ref), ref.scene_id)
    if not source.has_poses:
        room.flags.append("no_poses")
    return Scan(ref, NAME, room, source)


def _folders(root: Path, ref: ScanRef) -> list[Path]:
    """Where the files of a video may be, raw first."""
    return [path for path in folders(root, ref) if note(path).is_dir()]


def _find(folders: list[Path], root: Path, ref: ScanRef, name: str) -> Path:
    for folder in folders:
        if note(folder / name).is_file():
            return folder / name
    folder = folders[0] if folders else root / "raw" / FOLDERS[ref.split] / ref.scene_id
    if ref.scene_id in _INCOMPLETE:
        raise ScanError(folder / name, "the release has no such file", expected=True)
    raise ScanError(folder / name, "no such file")


def _read_table(path: Path) -> list[tuple[str, str, str]]:
    """video_id, visit_id, fold of each row, as text: "NA" must stay "NA", and ids must not become floats."""
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if not rows or not {"video_id", "visit_id", "fold"} <= set(rows[0]):
        raise MissingData(f"{path}: expected columns video_id, visit_id and fold; download the table again")
    names = ("video_id", "visit_id", "fold")
    return [tuple((row[name] or "").strip() for name in names) for row in rows]  # short rows hold None


def _from_folders(root: Path) -> dict[str, tuple[str, str]]:
    """Visit (unknown) and fold of each video, by the folder it is in."""
    found = {}
    for asset in ("raw", "3dod"):
        for fold in FOLDERS.values():
            found |= {path.name: ("", fold) for path in (root / asset / fold).glob("*") if path.is_dir()}
    return found


def _objects(items: list[dict[str, Any]], vertices: np.ndarray) -> list[Annotated]:
    labels = arkitscenes_labels()
    ids = [item.get("objectId") for item in items]
    if not all(isinstance(i, int) for i in ids) or len(set(ids)) < len(ids):
        ids = list(range(len(items)))
    objects = []
    for object_id, item in zip(ids, items):
        box = released_box(item["segments"]["obbAligned"])
        low, high = box.aabb()
        near = np.flatnonzero(((vertices >= low - ROUNDING_M) & (vertices <= high + ROUNDING_M)).all(axis=1))
        index = near[box.contains(vertices[near], ROUNDING_M)]
        label = str(item["label"])
        category, perturbable, known = labels(label)
        n = len(index)
        objects.append(
            Annotated(object_id, label, category, perturbable, lambda box=box: box, low, high, n, index, known)
        )
    return sorted(objects, key=lambda o: o.object_id)
