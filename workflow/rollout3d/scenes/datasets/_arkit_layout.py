"""Places of the assets of an ARKitScenes video: raw and 3dod downloads, archives, names of the first release.

Raw: <video>/<asset>/ or <asset>.zip, each asset with <asset>_intrinsics/; 3dod: <video>/<video>_frames/<asset>/, or
<video>.zip. The first release named the pictures color/, the trajectory color.traj and the depth depth_densified/.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rollout3d.scenes.assets import Asset, Candidate
from rollout3d.scenes.formats.packed import PackedPath, unpacked
from rollout3d.scenes.reading import ScanError, read_json

VIDEOS = (("vga_wide", "lowres_wide"), ("wide",), ("color",))
"""Groups of assets that can be the video: all places are searched for the first group, then for the next."""
TRAJECTORIES = ("lowres_wide.traj", "color.traj")
DEPTHS = (("lowres_depth", "lowres_wide_intrinsics"), ("depth_densified", "color_intrinsics"))
"""Folders of depth, and of the intrinsics of their camera."""

Folder = Path | PackedPath


def places(folders: Sequence[Folder], video: str) -> list[Folder]:
    """Return the folders that may hold assets of a video, in order: each of its folders, and <video>_frames below."""
    return [place for folder in folders for place in (folder, folder / f"{video}_frames")]


def read_annotation(path: Folder) -> dict[str, Any]:
    """Read the annotation of a video. Raises `ScanError`, expected for a video that the annotators skipped."""
    content = read_json(path)
    if content.get("skipped"):
        raise ScanError(Path(path), "the annotators skipped this video", expected=True)
    return content


def assets(folders: Sequence[Folder], video: str, annotated: bool = True, released: bool = True) -> list[Asset]:
    """Return the assets of a video, in the order in which they are read.

    Annotation if `annotated`, mesh, trajectory, video, depth. `folders`: folders that are searched for its files, raw
    first. `released`: false for a video of which the release itself lacks files.
    """
    files = [
        (f"{video}_3dod_annotation.json", "annotation", lambda path: partial(read_annotation, path)),
        (f"{video}_3dod_mesh.ply", "mesh", lambda path: None),
    ]
    found = [
        Asset(
            what,
            tuple(Candidate(name, (folder / name,), usual=True, check=check(folder / name)) for folder in folders),
            f"download {name} with the release's script",
            released=released,
        )
        for name, what, check in files[0 if annotated else 1 :]
    ]
    bases = places(folders, video)
    trajectories = [
        Candidate(name, (base / name,), usual=name == TRAJECTORIES[0]) for name in TRAJECTORIES for base in bases
    ]
    remedy = "download the asset lowres_wide.traj of raw, or the video of 3dod"
    found.append(Asset("trajectory", tuple(trajectories), remedy, released=released))
    videos = [
        Candidate(name, (unpacked(base / name), unpacked(base / f"{name}_intrinsics")), usual=name in VIDEOS[0])
        for group in VIDEOS
        for base in bases
        for name in group
    ]
    remedy = "download vga_wide and vga_wide_intrinsics, or lowres_wide and lowres_wide_intrinsics"
    found.append(Asset("video", tuple(videos), remedy, released=released))
    depths = [
        Candidate(name, (unpacked(base / name),), usual=name == DEPTHS[0][0]) for name, _ in DEPTHS for base in bases
    ]
    return [*found, Asset("depth", tuple(depths), "download lowres_depth", needed=False)]
