"""ARKitScenes: frames turned upright, ARKit poses, and oriented boxes over the ARKit mesh.

Root: raw/{Training,Validation}/<video>/ and, or instead, 3dod/{Training,Validation}/<video>/. Frames are raw vga_wide
(640x480, 30 fps) if whole, else raw lowres_wide, else the 10 fps lowres_wide of 3dod, else, with a flag, wide or the
first release's color (`arkit_layout`); archives are read without being unpacked (`packed`). The world is ARKit's as
distributed (metres, +z up), so nothing is moved. Boxes are `segments.obbAligned` (rows are the axes; the `obb` beside
it is in another frame). There are no labels of vertices: an object's points are the mesh vertices inside its box.

Checked against files written from the published description: no annotation, trajectory or intrinsics file of the
release could be looked at.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from rollout3d.fingerprint import note
from rollout3d.releases import ARKITSCENES_TABLES, MissingData, require
from rollout3d.scenes.assets import Asset
from rollout3d.scenes.categories import arkitscenes_labels
from rollout3d.scenes.contract import Refused, accept, identity, is_scan_name, read_stated, read_table
from rollout3d.scenes.datasets import _arkit_layout as arkit_layout
from rollout3d.scenes.datasets._arkit_frames import ArkitSource
from rollout3d.scenes.formats.packed import PackedPath, check_archive, unpacked
from rollout3d.scenes.formats.ply import read_ply
from rollout3d.scenes.scan import (
    ROUNDING_M,
    Annotated,
    FrameSource,
    Room,
    Scan,
    ScanError,
    ScanRef,
    read_json,
    reading,
)
from rollout3d.spaces import space_of, visit_of

NAME = "arkitscenes"
_log = logging.getLogger(__name__)

FOLDERS = {"train": "Training", "val": "Validation"}
_INCOMPLETE = {
    "47334522", "47334523", "42897421", "45261582", "47333152", "47333155", "48458535", "48018733", "47429677",
    "48458541", "42897848", "47895482", "47333960", "47430089", "42899148", "42897612", "42899153", "42446164",
    "48018149", "47332198", "47334515", "45663223", "45663226", "45663227",
}  # fmt: skip
"""Videos that the release itself has without mesh, annotation or trajectory: their lack is no damage."""
_NAMES = [Path(name).name for name in ARKITSCENES_TABLES]


def list_scans(root: Path, splits: list[str], lists: Path | str | None = None) -> list[ScanRef]:
    """The videos of the splits, by id. A visit is a space; a video without one (or "NA") is a space of its own.

    Videos, visits and folds come from the release's tables, all that are there (raw and 3dod have their own); without
    any the folders decide. `lists` is a folder of tables to read instead. ARKitScenes has no test split. Raises
    `MissingData`.
    """
    if not (root / "3dod").is_dir():
        require(NAME, root)
    rows: dict[str, tuple[str | None, str]] = {}
    for place, video, visit, fold in [*_from_tables(root, lists)] or _from_folders(root):
        other_visit, other_fold = rows.get(video, (None, fold))
        if fold != other_fold or (visit and other_visit and visit != other_visit):
            raise MissingData(
                f"{place}: video {video} is in {fold}, visit {visit}, and elsewhere in {other_fold}, visit "
                f"{other_visit}: a scan is trained on or tested, never both; remove the wrong entry"
            )
        rows[video] = (visit or other_visit, fold)
    found = []
    for split in splits:
        if split not in FOLDERS:
            raise MissingData(f"{NAME} has no split '{split}': only train and val")
        for video, visit in sorted((v, visit) for v, (visit, fold) in rows.items() if fold == FOLDERS[split]):
            space = space_of(NAME, video, visit)
            found.append(ScanRef(video, space, split, bool(_folders(root, ScanRef(video, "", split)))))
    return found


def on_disk(root: Path) -> list[ScanRef]:
    """The videos that have a folder or an archive, whatever the tables say, by id."""
    splits = {fold: split for split, fold in FOLDERS.items()}
    found = {video: fold for _, video, _, fold in _from_folders(root)}
    return [ScanRef(video, video, splits[fold]) for video, fold in sorted(found.items())]


def folders(root: Path, ref: ScanRef) -> list[Path]:
    """Where the files of a video are looked for, raw first."""
    if ref.folder is not None:
        return [ref.folder]
    return [root / asset / FOLDERS[ref.split] / ref.scene_id for asset in ("raw", "3dod")]


def assets(root: Path, ref: ScanRef) -> list[Asset]:
    """What a video consists of (`arkit_layout.assets`). Raises `ScanError` if all there is are damaged archives."""
    found, damaged = _readable(root, ref)
    released = ref.scene_id not in _INCOMPLETE
    layout = arkit_layout.assets(found, ref.scene_id, ref.annotated, released or bool(damaged))
    again = "".join(f", or {path.name} again, which is damaged" for path in damaged)
    return [replace(asset, remedy=asset.remedy + again) for asset in layout]


def read_room(root: Path, ref: ScanRef) -> Room:
    """Mesh and objects of a video.

    Raises `ScanError`; `expected` for an annotation that is marked as skipped, and for what the release itself lacks.
    """
    layout = {asset.what: asset for asset in assets(root, ref)}
    annotation, content = Path(), {"data": []}
    flags = [f"damaged:{path.name}" for path in _readable(root, ref)[1]]
    if ref.annotated:
        (annotation, content), chosen = layout["annotation"].first(lambda c: (c.paths[0], read_json(c.paths[0])))
        flags += chosen
    with reading(annotation):
        if content.get("skipped"):
            raise ScanError(annotation, "the annotators skipped this video", expected=True)
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


def read_scan(root: Path, ref: ScanRef) -> Scan:
    """A video with its room. Raises `ScanError`."""
    room = read_room(root, ref)
    source, flags = open_video(root, ref, room.to_aligned)
    room.flags += flags
    return Scan(ref, NAME, room, source)


def open_video(root: Path, ref: ScanRef, to_aligned: np.ndarray) -> tuple[FrameSource, list[str]]:
    """The video of a scan and flags of its choice and oddities; its world needs no alignment. Raises `ScanError`."""
    source = ArkitSource(_readable(root, ref)[0], ref.scene_id)
    return source, [*source.flags, *([] if source.has_poses else ["no_poses"])]


def _folders(root: Path, ref: ScanRef) -> list[Path | PackedPath]:
    """Where the files of a video are, raw first: folders, or archives in their place."""
    found = [unpacked(note(path)) for path in folders(root, ref)]
    return [path for path in found if path.is_dir() or path.is_file()]


def _readable(root: Path, ref: ScanRef) -> tuple[list[Path | PackedPath], list[Path]]:
    """Return where the files of a video are, raw first, and the damaged archives that are left out of it.

    Raises `ScanError` for a damaged archive if nothing else holds files of the video.
    """
    found, damaged, first = [], [], None
    for path in _folders(root, ref):
        try:
            check_archive(path)
        except ScanError as error:
            damaged.append(path)
            first = first or error
        else:
            found.append(path)
    if first is not None and not any(next(path.iterdir(), None) for path in found):
        raise first
    return found or folders(root, ref), damaged


_Entry = tuple[Path, str, str | None, str]
"""Where a video stands, its name, its visit (None if unknown) and its fold."""


def _from_tables(root: Path, lists: Path | str | None) -> Iterator[_Entry]:
    """The rows of all tables in the root, or in the folder `lists`. Raises `MissingData` for a table that is none, and
    if the folder has none.
    """
    tables = [path for name in ARKITSCENES_TABLES if note(path := Path(lists or root) / name).is_file()]
    if lists is not None and not tables:
        raise MissingData(f"{NAME}: site.splits.{NAME} = {lists} has none of {', '.join(dict.fromkeys(_NAMES))}")
    for path in tables:
        others: Counter[str] = Counter()
        for row in read_table(path, ("video_id", "visit_id", "fold")):
            if not is_scan_name(row["video_id"]):
                raise MissingData(f"{path}: {row['video_id']!r} is no name of a video; download the table again")
            if row["fold"] in FOLDERS.values():
                yield path, row["video_id"], visit_of(row["visit_id"]), row["fold"]
            else:
                others[row["fold"] or "none"] += 1
        if others:
            named = ", ".join(sorted(others))
            _log.warning("%s: %d videos of other folds are left out: %s", path, others.total(), named)


def _from_folders(root: Path) -> Iterator[_Entry]:
    """The folders of videos: each says its fold."""
    for folder in [root / asset / fold for asset in ("raw", "3dod") for fold in FOLDERS.values()]:
        for path in sorted(folder.glob("*")):
            if path.is_dir() or path.suffix == ".zip":
                yield path, path.stem if path.suffix == ".zip" else path.name, None, folder.name


def _objects(items: list[dict[str, Any]], vertices: np.ndarray, flags: list[str]) -> list[Annotated | Refused]:
    labels = arkitscenes_labels()
    if items and all(item.get("objectId") is None for item in items):
        flags.append("numbered_objects")
        items = [item | {"objectId": k} for k, item in enumerate(items)]
    objects: list[Annotated | Refused] = []
    for item in items:
        object_id, label = identity(item)
        category, perturbable, known = labels(label)
        stated = read_stated((item.get("segments") or {}).get("obbAligned"), category, label, flags)
        if isinstance(stated, str):
            objects.append(Refused(object_id, label, category, stated))
            continue
        box, (low, high) = stated
        near = np.flatnonzero(((vertices >= low - ROUNDING_M) & (vertices <= high + ROUNDING_M)).all(axis=1))
        index = near[box.contains(vertices[near], ROUNDING_M)]
        n = len(index)
        objects.append(
            Annotated(
                object_id, label, category, perturbable, lambda box=box: box, low, high, n, index, known, stated=True
            )
        )
    return objects
