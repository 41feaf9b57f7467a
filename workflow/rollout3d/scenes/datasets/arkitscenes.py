"""ARKitScenes: frames turned upright, ARKit poses, and oriented boxes over the ARKit mesh.

Root: raw/{Training,Validation}/<video>/ and, or instead, 3dod/{Training,Validation}/<video>/. Frames are raw vga_wide
(640x480, 30 fps) if whole, else raw lowres_wide, else the 10 fps lowres_wide of 3dod, else, with a flag, wide or the
first release's color (`_arkit_layout`). Archives are read without being unpacked (`formats.packed`). The world is
ARKit's as distributed (metres, +z up), so nothing is moved. Boxes are `segments.obbAligned` (rows are the axes; the
`obb` beside it is in another frame). There are no labels of vertices: an object's points are the mesh vertices inside
its box.

Tested with files written from the published description, not with an annotation, trajectory or intrinsics file of the
release.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rollout3d.fingerprint import note
from rollout3d.releases import MissingData
from rollout3d.scenes.assets import Asset
from rollout3d.scenes.datasets import _arkit_layout
from rollout3d.scenes.formats.packed import PackedPath, check_archive, unpacked
from rollout3d.scenes.lists import is_scan_name, read_table
from rollout3d.scenes.reading import ScanError
from rollout3d.scenes.release import Evidence, Release, ScanRef, require

if TYPE_CHECKING:
    import numpy as np

    from rollout3d.scenes.scan import FrameSource, Room

NAME = "arkitscenes"
_log = logging.getLogger(__name__)

RELEASE = Release(
    name=NAME,
    title="ARKitScenes",
    folders=("raw", "3dod"),
    scan_folder="ROOT/raw/Training/<video> (or 3dod, Validation)",
    how="download ARKitScenes (https://github.com/apple/ARKitScenes, Apple's licence): raw/ with vga_wide, "
    "lowres_depth, trajectories, meshes and annotations, and raw/metadata.csv",
    terms="ARKitScenes (Apple's licence in its repository)",
    n_scans=5047,
    splits=("train", "val"),
    scan_tables=(
        "raw/metadata.csv",
        "metadata.csv",
        "raw/raw_train_val_splits.csv",
        "raw_train_val_splits.csv",
        "3dod/3dod_train_val_splits.csv",
        "3dod_train_val_splits.csv",
        "3dod/metadata.csv",
    ),
    telltales=("_3dod_mesh.ply", "_3dod_annotation.json"),
    archives=True,
    # SpatialEvo names the scans of all datasets as ScanNet's: scene45261725_00.
    scan_form=r"(?<![a-z0-9])(?:scene(?=\d{8}_\d\d(?!\d)))?(4\d{7})(?![a-z0-9])",
    spellings=("arkitscene",),
    listed_spaces=True,
    evidence=Evidence(points_in_box=True),
)
FOLDS = {"train": "Training", "val": "Validation"}
"""Folder of the videos of each split, below raw/ and 3dod/."""
_INCOMPLETE = {
    "47334522", "47334523", "42897421", "45261582", "47333152", "47333155", "48458535", "48018733", "47429677",
    "48458541", "42897848", "47895482", "47333960", "47430089", "42899148", "42897612", "42899153", "42446164",
    "48018149", "47332198", "47334515", "45663223", "45663226", "45663227",
}  # fmt: skip
"""Videos whose mesh, annotation or trajectory the release itself lacks, so that the absence is no damage."""
_NAMES = [Path(name).name for name in RELEASE.scan_tables]
_WHOLE_FLOAT = re.compile(r"(\d+)\.0+")
_UNKNOWN = frozenset({"", "na", "n/a", "nan", "none", "null", "-"})


def space_of(scene_id: str, visit: str | None = None) -> str:
    """Return the physical space of a video: its visit to a flat, `visit_id` of the release's tables.

    Without a visit a video counts as its own space, although other videos may show the same flat.
    """
    return visit_of(visit) or scene_id


def visit_of(text: str | None) -> str | None:
    """Return a visit_id in canonical spelling; None for a cell without one.

    Tables that were saved by a spreadsheet or pandas have "420673.0" for 420673, and "NA" or "nan" for an unknown
    visit.
    """
    plain = (text or "").strip()
    if plain.lower() in _UNKNOWN:
        return None
    found = _WHOLE_FLOAT.fullmatch(plain)
    return found[1] if found else plain


def placed(path: Path) -> tuple[Path, ScanRef] | None:
    """Return root and scan of a folder that is one of the release's places for videos; None for any other folder."""
    split = {fold: split for split, fold in FOLDS.items()}.get(path.parent.name)
    if split is None or path.parent.parent.name not in RELEASE.folders:
        return None
    return path.parents[2], ScanRef(path.name, space_of(path.name), split)


def list_scans(root: Path, splits: list[str], lists: Path | str | None = None) -> list[ScanRef]:
    """Return the videos of the splits, sorted by id. A visit is a space; a video without one is its own space.

    Videos, visits and folds come from all tables of the release that are there (raw and 3dod have their own), else from
    the folders. `lists`: folder of tables to read instead. ARKitScenes has no test split. Raises `MissingData`.
    """
    require(RELEASE, root)
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
        if split not in FOLDS:
            raise MissingData(f"{NAME} has no split '{split}': only train and val")
        for video, visit in sorted((v, visit) for v, (visit, fold) in rows.items() if fold == FOLDS[split]):
            space = space_of(video, visit)
            found.append(ScanRef(video, space, split, bool(_present(root, ScanRef(video, "", split)))))
    return found


def on_disk(root: Path) -> list[ScanRef]:
    """Return the videos that have a folder or an archive, listed or not, sorted by id."""
    splits = {fold: split for split, fold in FOLDS.items()}
    found = {video: fold for _, video, _, fold in _from_folders(root)}
    return [ScanRef(video, space_of(video), splits[fold]) for video, fold in sorted(found.items())]


def folders(root: Path, ref: ScanRef) -> list[Path]:
    """Return the folders that are searched for the files of a video, raw first."""
    if ref.folder is not None:
        return [ref.folder]
    return [root / asset / FOLDS[ref.split] / ref.scene_id for asset in ("raw", "3dod")]


def assets(root: Path, ref: ScanRef) -> list[Asset]:
    """Return the assets of a video (`_arkit_layout`). Raises `ScanError` if only damaged archives are there."""
    found, damaged = readable(root, ref)
    released = ref.scene_id not in _INCOMPLETE
    layout = _arkit_layout.assets(found, ref.scene_id, ref.annotated, released or bool(damaged))
    again = "".join(f", or {path.name} again, which is damaged" for path in damaged)
    return [replace(asset, remedy=asset.remedy + again) for asset in layout]


def read_room(root: Path, ref: ScanRef) -> Room:
    """Read mesh and objects of a video.

    Raises `ScanError`; `expected` for an annotation that is marked as skipped, and for what the release itself lacks.
    """
    from rollout3d.scenes.datasets import _arkit_room

    return _arkit_room.read_room(root, ref)


def open_video(root: Path, ref: ScanRef, to_aligned: np.ndarray) -> tuple[FrameSource, list[str]]:
    """Return the video of a scan, and flags of the choice of files and of oddities. Raises `ScanError`."""
    from rollout3d.scenes.datasets._arkit_frames import ArkitSource

    source = ArkitSource(readable(root, ref)[0], ref.scene_id)
    return source, [*source.flags, *([] if source.has_poses else ["no_poses"])]


def _present(root: Path, ref: ScanRef) -> list[Path | PackedPath]:
    """Return the folders of a video that are there, raw first, or archives in their place."""
    found = [unpacked(note(path)) for path in folders(root, ref)]
    return [path for path in found if path.is_dir() or path.is_file()]


def readable(root: Path, ref: ScanRef) -> tuple[list[Path | PackedPath], list[Path]]:
    """Return the readable folders of a video, raw first, and its damaged archives.

    Raises `ScanError` for a damaged archive if no folder or other archive has files of the video.
    """
    found: list[Path | PackedPath] = []
    damaged: list[Path] = []
    first: ScanError | None = None
    for path in _present(root, ref):
        try:
            check_archive(path)
        except ScanError as error:
            damaged.append(Path(path))
            first = first or error
        else:
            found.append(path)
    if first is not None and not any(next(path.iterdir(), None) for path in found):
        raise first
    return found or [*folders(root, ref)], damaged


_Entry = tuple[Path, str, str | None, str]
"""Table or folder of a video, its name, its visit (None if unknown) and its fold."""


def _from_tables(root: Path, lists: Path | str | None) -> Iterator[_Entry]:
    """Yield the rows of all tables in the root, or in the folder `lists`.

    Raises `MissingData` for an invalid table, and for a folder `lists` without tables.
    """
    tables = [path for name in RELEASE.scan_tables if note(path := Path(lists or root) / name).is_file()]
    if lists is not None and not tables:
        raise MissingData(f"{NAME}: site.splits.{NAME} = {lists} has none of {', '.join(dict.fromkeys(_NAMES))}")
    for path in tables:
        others: Counter[str] = Counter()
        for row in read_table(path, ("video_id", "visit_id", "fold")):
            if not is_scan_name(row["video_id"]):
                raise MissingData(f"{path}: {row['video_id']!r} is no name of a video; download the table again")
            if row["fold"] in FOLDS.values():
                yield path, row["video_id"], visit_of(row["visit_id"]), row["fold"]
            else:
                others[row["fold"] or "none"] += 1
        if others:
            named = ", ".join(sorted(others))
            _log.warning("%s: %d videos of other folds are left out: %s", path, others.total(), named)


def _from_folders(root: Path) -> Iterator[_Entry]:
    """Yield the folders of videos, which are in a folder per fold."""
    for folder in [root / asset / fold for asset in ("raw", "3dod") for fold in FOLDS.values()]:
        for path in sorted(folder.glob("*")):
            if path.is_dir() or path.suffix == ".zip":
                yield path, path.stem if path.suffix == ".zip" else path.name, None, folder.name
