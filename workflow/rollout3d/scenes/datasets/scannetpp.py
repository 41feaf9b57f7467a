"""ScanNet++: the iPhone video with ARKit poses aligned to the laser scan, and the annotated mesh.

Root: data/<id>/{iphone,scans}/, splits/, metadata/. The world is that of mesh_aligned_0.05 (metres, +z up), so nothing
is moved. Frames are every second one of the 60 fps video, as in VSI-Bench's 30 fps copies. Of rgb.mkv and rgb.mp4 the
first whole one is read. Without pose_intrinsic_imu.json, COLMAP's cameras are read (`_scannetpp_colmap`). Without
either, the DSLR pictures are the video (`_scannetpp_dslr`; undistorted here if the release's undistorted ones are
missing, `_scannetpp_fisheye`). Each of these is flagged. Poses are compared with the release's COLMAP and nerfstudio
files if these are there (`_scannetpp_registered`). Boxes are the release's own (`obb`, rows are the axes). A vertex in
several instances belongs to the one with the fewest vertices (official rule).

The released mesh keeps 5 % of its faces, so its vertices are far apart on flat surfaces. Points sampled on the faces
are added after the mesh vertices, and belong to the instance of the nearest corner; `n_points` counts mesh vertices.

Tested with files written from the published description, not with a released scan, which the licence keeps private.
"""

from __future__ import annotations

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

NAME = "scannetpp"
RELEASE = Release(
    name=NAME,
    title="ScanNet++",
    folders=("data",),
    scan_folder="ROOT/data/<scene>",
    how="apply for ScanNet++ (https://kaldir.vc.in.tum.de/scannetpp), then download the iphone and scans assets into "
    "data/, with splits/ and metadata/ beside it",
    terms="ScanNet++ (ScanNet++ Terms of Use: non-commercial, no redistribution)",
    n_scans=1006,
    lists=({"train": "nvs_sem_train.txt", "val": "nvs_sem_val.txt", "test": "sem_test.txt"},),
    list_folders=("splits", ".", "../splits"),
    telltale_files=(
        *("scans/mesh_aligned_0.05.ply", "scans/mesh_aligned_0.05_semantic.ply"),
        "scans/segments_anno.json",
    ),
    # SpatialEvo names the scans of all datasets as ScanNet's: scene410c470782_00.
    scan_form=r"(?<![a-z0-9])(?:scene(?=[0-9a-f]{10}_\d\d(?!\d)))?([0-9a-f]{10})(?![a-z0-9])",
    # Ten digits without a letter may as well be a time.
    scan_form_alone=r"(?<![a-z0-9])(?:scene(?=[0-9a-f]{10}_\d\d(?!\d)))?((?!\d{10})[0-9a-f]{10})(?![a-z0-9])",
    evidence=Evidence(states_corners=True),
)

COLMAP = ("images.txt", "cameras.txt")


def space_of(scene_id: str, visit: str | None = None) -> str:
    """Return the physical space of a scan: each scan is its own space."""
    return scene_id


def placed(path: Path) -> tuple[Path, ScanRef] | None:
    """Return root and scan of a folder that is one of the release's places for scans; None for any other folder."""
    return (path.parents[1], ScanRef(path.name, space_of(path.name), "train")) if path.parent.name == "data" else None


def list_scans(root: Path, splits: list[str], lists: Path | str | None = None) -> list[ScanRef]:
    """Return the scans of the splits, in the order of the split lists. Raises `MissingData` without release or list."""
    require(RELEASE, root)
    files = list_files(RELEASE, root, splits, lists, note)
    return [
        ScanRef(scene_id, space_of(scene_id), split, (root / "data" / scene_id).is_dir())
        for split, scene_id in read_splits(files, splits, "the download script has it among the metadata")
    ]


def on_disk(root: Path) -> list[ScanRef]:
    """Return the scans that have a folder, listed or not, sorted by name."""
    paths = sorted(path for path in (root / "data").iterdir() if path.is_dir() and not path.name.startswith("."))
    return [ScanRef(path.name, space_of(path.name), "train") for path in paths]


def folders(root: Path, ref: ScanRef) -> list[Path]:
    """Return the folder of a scan."""
    return [ref.folder or root / "data" / ref.scene_id]


def assets(root: Path, ref: ScanRef) -> list[Asset]:
    """Return the assets of a scan, in the order in which they are read: mesh, annotation if it has one, video."""
    (folder,) = folders(root, ref)
    scans, phone, dslr = folder / "scans", folder / "iphone", folder / "dslr"
    meshes = [Candidate(name, (scans / f"{name}.ply",)) for name in ("mesh_aligned_0.05", "mesh_aligned_0.05_semantic")]
    found = [Asset("mesh", tuple(meshes), "download the scans asset")]
    annotation = scans / "segments_anno.json"
    if ref.annotated and (ref.split != "test" or note(annotation).exists()):
        files = (scans / "segments.json", annotation)
        found.append(Asset("annotation", (Candidate("segments_anno", files),), "download the scans asset"))
    own, registered = (
        (phone / "pose_intrinsic_imu.json",),
        tuple(phone / "colmap" / name for name in COLMAP),
    )
    videos = [
        Candidate(name + suffix, (phone / name, *poses))
        for suffix, poses in (("", own), ("+colmap", registered))
        for name in ("rgb.mkv", "rgb.mp4")
    ]
    lists = dslr / "train_test_lists.json"
    pictures = [
        Candidate(name, (dslr / images, lists, *cameras), check=partial(_check_pictures, dslr / images, lists))
        for name, images, cameras in (
            ("dslr", "resized_undistorted_images", [dslr / "nerfstudio" / "transforms_undistorted.json"]),
            ("dslr_fisheye", "resized_images", [dslr / "nerfstudio" / "transforms.json"]),
            ("dslr_fisheye+colmap", "resized_images", [dslr / "colmap" / name for name in COLMAP]),
        )
    ]
    remedy = (
        "download iphone/rgb.mkv and iphone/pose_intrinsic_imu.json (or iphone/colmap), or of the dslr asset "
        "resized_undistorted_images or resized_images with train_test_lists.json and nerfstudio"
    )
    return [*found, Asset("video", (*videos, *pictures), remedy)]


def read_room(root: Path, ref: ScanRef) -> Room:
    """Read mesh, added surface points and objects of a scan. Raises `ScanError`."""
    from rollout3d.scenes.datasets import _scannetpp_room

    return _scannetpp_room.read_room(root, ref)


def open_video(root: Path, ref: ScanRef, to_aligned: np.ndarray) -> tuple[FrameSource, list[str]]:
    """Return the video of a scan, and flags of the choice of files and of oddities. Raises `ScanError`."""
    from rollout3d.scenes.datasets import _scannetpp_video

    return _scannetpp_video.open_video(root, ref)


def _check_pictures(images: Path, lists: Path) -> None:
    """Check that every picture in a list of DSLR pictures is there. Raises `ScanError`."""
    from rollout3d.scenes.datasets._scannetpp_dslr import listed_pictures

    listed_pictures(images, lists)
