"""ScanNet: `.sens` video, cleaned mesh, segments and aggregation, moved to the axis-aligned frame.

Root: scans/<id>/ (also scans_train/, scans_val/), scans_test/<id>/, scannetv2_{train,val,test}.txt (also in the
folders of `RELEASE.list_folders`), scannetv2-labels.combined.tsv. A root of the first version has scannetv1_{...}.txt,
scannet-labels.combined.tsv and scans without axisAlignment. Mesh vertices and camera poses share one raw world; both
are aligned by the same matrix (the scan's .txt), or neither. Objects: the minimal oriented box of the instance's
aligned vertices, as in VSI-Bench, and their axis-aligned box. Without the `.sens` file its export is read
(`_scannet_exported`); without the annotation of the cleaned mesh, that of the full-resolution mesh. Both are flagged.

Tested with files written from the published description, not with a released scan, which the licence keeps private.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rollout3d.fingerprint import note
from rollout3d.scenes.assets import Asset, Candidate
from rollout3d.scenes.lists import read_splits
from rollout3d.scenes.release import Evidence, Release, ScanRef, list_files, require

if TYPE_CHECKING:
    import numpy as np

    from rollout3d.scenes.scan import FrameSource, Room

NAME = "scannet"
PLACES = {"train": ("scans", "scans_train", "scans_val"), "test": ("scans_test", "scans")}
"""Folders of scans below the root, by split: those of train are also those of val."""
EXPORTS = (".", "exported", "frames", "sens", "output")
"""Folders below the scan's folder that are searched for an export, besides a folder with the scan's name."""
EXPORTS_OUTSIDE = ("exported", "frames")
"""Folders beside scans/ that may hold exports, in folders with the scans' names."""
RELEASE = Release(
    name=NAME,
    title="ScanNet",
    folders=("scans", "scans_train", "scans_val", "scans_test"),
    scan_folder="ROOT/scans/<scene>",
    how="sign the ScanNet Terms of Use (http://www.scan-net.org), then download with the script you are sent: .sens, "
    ".txt, _vh_clean_2.ply, segs.json and aggregation.json of each scan into scans/, with "
    "scannetv2-labels.combined.tsv and scannetv2_{train,val}.txt beside it",
    terms="ScanNet (ScanNet Terms of Use: non-commercial, no redistribution)",
    n_scans=1513,
    lists=tuple({split: f"scannetv{version}_{split}.txt" for split in ("train", "val", "test")} for version in (2, 1)),
    list_folders=(
        *(".", "Tasks/Benchmark", "splits", "meta_data"),
        *("..", "../Tasks/Benchmark", "../ScanNet/Tasks/Benchmark"),
    ),
    # The download of version 2 has the tables of both versions; its own comes first.
    label_tables=("scannetv2-labels.combined.tsv", "scannet-labels.combined.tsv"),
    telltales=("_vh_clean_2.ply", "_vh_clean.ply", ".sens", ".aggregation.json"),
    scan_form=r"(?<![a-z0-9])(scene\d{4}_\d{2})(?!\d)",
    own_form=True,
    evidence=Evidence(floor_at_zero=True, max_depth_m=0.05, instance_pictures="2d-instance-filt.zip"),
)
_TAKE = re.compile(r"_\d+$")


def space_of(scene_id: str, visit: str | None = None) -> str:
    """Return the physical space of a scan: scene0000_01 is the second scan of scene0000."""
    return _TAKE.sub("", scene_id)


def placed(path: Path) -> tuple[Path, ScanRef] | None:
    """Return root and scan of a folder that is one of the release's places for scans; None for any other folder."""
    parent = path.parent.name
    if parent not in RELEASE.folders:
        return None
    split = {"scans_test": "test", "scans_val": "val"}.get(parent, "train")
    return path.parents[1], ScanRef(path.name, space_of(path.name), split)


def list_scans(root: Path, splits: list[str], lists: Path | str | None = None) -> list[ScanRef]:
    """Return the scans of the splits, in the order of the split lists. Raises `MissingData` without release or list."""
    require(RELEASE, root)
    found = []
    files = list_files(RELEASE, root, splits, lists, note)
    for split, scene_id in read_splits(files, splits, "it comes with the download (github.com/ScanNet/ScanNet)"):
        present = _folder(root, ScanRef(scene_id, "", split)).is_dir()
        found.append(ScanRef(scene_id, space_of(scene_id), split, present))
    return found


def on_disk(root: Path) -> list[ScanRef]:
    """Return the scans that have a folder, listed or not, sorted by name."""
    found: dict[str, ScanRef] = {}
    for split, name in [*(("train", name) for name in PLACES["train"]), ("test", PLACES["test"][0])]:
        for path in sorted((root / name).glob("scene*")):
            found.setdefault(path.name, ScanRef(path.name, space_of(path.name), split))
    return sorted(found.values(), key=lambda ref: ref.scene_id)


def folders(root: Path, ref: ScanRef) -> list[Path]:
    """Return the folder of a scan, or its first place if it is not there."""
    return [_folder(root, ref)]


def assets(root: Path, ref: ScanRef) -> list[Asset]:
    """Return the assets of a scan, in the order in which they are read: meta, mesh, video."""
    folder, scene_id = _folder(root, ref), ref.scene_id

    def file(suffix: str) -> Path:
        return folder / f"{scene_id}{suffix}"

    clean, full = [file("_vh_clean_2.ply")], [file("_vh_clean.ply")]
    if ref.annotated and (ref.split != "test" or note(file(".aggregation.json")).exists()):
        clean += [file(".aggregation.json"), file("_vh_clean_2.0.010000.segs.json")]
        full += [file("_vh_clean.aggregation.json"), file("_vh_clean.segs.json")]
    exports = [
        Candidate("exported", (place / "color", place / "pose"), check=partial(_check_export, ref, folder, place))
        for place in _export_folders(folder)
    ]
    return [
        Asset("meta", (Candidate("txt", (file(".txt"),)),), f"download {scene_id}.txt"),
        Asset(
            "mesh",
            (Candidate("vh_clean_2", tuple(clean)), Candidate("vh_clean", tuple(full))),
            "",
        ),
        Asset(
            "video",
            (Candidate("sens", (file(".sens"),)), *exports),
            f"download {scene_id}.sens, or its export by the release's SensReader: color/, depth/, pose/, intrinsic/",
        ),
    ]


def read_room(root: Path, ref: ScanRef) -> Room:
    """Read mesh and objects of a scan. Raises `ScanError`, or `MissingData` without the label table."""
    from rollout3d.scenes.datasets import _scannet_room

    return _scannet_room.read_room(root, ref)


def open_video(root: Path, ref: ScanRef, to_aligned: np.ndarray) -> tuple[FrameSource, list[str]]:
    """Return the video of a scan, moved by `to_aligned` (4,4), and flags of the choice of files and of oddities.

    Raises `ScanError`.
    """
    from rollout3d.scenes.datasets import _scannet_video

    return _scannet_video.open_video(root, ref, to_aligned)


def _check_export(ref: ScanRef, folder: Path, place: Path) -> None:
    """Read names, headers and intrinsics of the export at `place`. Raises `ScanError`."""
    from rollout3d.scenes.datasets import _scannet_video

    _scannet_video.open_export(ref, folder, place)


def _folder(root: Path, ref: ScanRef) -> Path:
    if ref.folder is not None:
        return ref.folder
    places = [root / name / ref.scene_id for name in PLACES["test" if ref.split == "test" else "train"]]
    return next((place for place in places if note(place).is_dir()), places[0])


def _export_folders(folder: Path) -> list[Path]:
    """Return the places of an export of the scan in `folder`, the likeliest first."""
    below = [folder / name if name != "." else folder for name in (*EXPORTS, folder.name)]
    return [*below, *(folder.parent.parent / name / folder.name for name in EXPORTS_OUTSIDE)]
