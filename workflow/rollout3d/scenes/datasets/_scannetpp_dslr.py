"""Read ScanNet++'s DSLR pictures as a video: the undistorted training images, sorted by name, as in VLM-3R.

Tested with files written from the published description, not with a released scan, which the licence keeps private.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np

from rollout3d.fingerprint import note
from rollout3d.geometry.camera import valid_pose
from rollout3d.scenes.datasets._scannetpp_registered import cross_check, read_colmap, read_nerfstudio
from rollout3d.scenes.formats.pictures import read_color
from rollout3d.scenes.lists import file_name
from rollout3d.scenes.reading import ScanError, read_json, reading
from rollout3d.scenes.scan import camera_matrix

VIDEO_FPS = 3.0
"""Frame rate of the pictures in VLM-3R."""


class DslrSource:
    """The pictures dslr/resized_undistorted_images/ that train_test_lists.json names as "train", sorted.

    K and poses are those of nerfstudio/transforms_undistorted.json, compared with COLMAP's. A picture without a camera,
    or with one marked as bad, keeps its place, without a pose. There is no depth. `flags` are oddities of the poses.
    Raises `ScanError`.
    """

    fps = VIDEO_FPS
    rotation_deg = 0

    def __init__(self, folder: Path):
        self._open(folder, "resized_undistorted_images", folder / "nerfstudio" / "transforms_undistorted.json")

    def _open(self, folder: Path, images: str, cameras: Path) -> None:
        """Read names, cameras and poses of the pictures in a folder. `cameras`: transforms.json or images.txt."""
        self._images = folder / images
        self.poses_path = cameras
        self._names = listed_pictures(self._images, folder / "train_test_lists.json")
        self.n_frames = len(self._names)
        self._K = self._read_lens(cameras)
        of_colmap = cameras.name == "images.txt"
        poses = read_colmap(cameras) if of_colmap else read_nerfstudio(cameras)
        self._poses = {image: pose for image, pose in poses.items() if valid_pose(pose)}
        self.flags = [] if of_colmap else cross_check(cameras, self._poses, folder / "colmap" / "images.txt")

    def _read_lens(self, cameras: Path) -> np.ndarray:
        """Set the size of the pictures; return their K (3,3). Raises `ScanError`."""
        content = read_json(cameras)
        with reading(cameras):
            if content.get("camera_model", "PINHOLE") != "PINHOLE":
                raise ScanError(cameras, f"camera model {content['camera_model']}: undistorted pictures have a PINHOLE")
            self.width, self.height = int(content["w"]), int(content["h"])
            fx, fy, cx, cy = (float(content[key]) for key in ("fl_x", "fl_y", "cx", "cy"))
            return camera_matrix(fx, fy, cx, cy, (self.width, self.height), first_pixel=0.5)

    def camera(self, index: int) -> tuple[np.ndarray, np.ndarray | None]:
        return self._K, self._poses.get(Path(self._names[index]).stem)

    def frame(self, index: int) -> np.ndarray:
        return read_color(self._images / self._names[index], (self.width, self.height))

    def depth_K(self, index: int) -> None:
        return None

    def depth(self, index: int) -> None:
        return None

    def close(self) -> None:
        """Do nothing: no file is held open."""


def listed_pictures(images: Path, lists: Path) -> list[str]:
    """Return the names of `training_pictures`, all of which are files of the folder `images`. Raises `ScanError`."""
    names = training_pictures(lists)
    absent = [name for name in names if not (images / name).is_file()]
    if absent:
        raise ScanError(
            note(images / absent[0]),
            f"no such file: {len(absent)} of {len(names)} listed pictures are missing; download them again",
        )
    return names


def training_pictures(lists: Path) -> list[str]:
    """Return the names under "train" in train_test_lists.json, sorted: plain names of files, each once.

    Raises `ScanError`.
    """
    content = read_json(lists)
    with reading(lists):
        if not isinstance(content["train"], list):
            raise ScanError(lists, "names no list of training images")
        names = sorted(map(file_name, content["train"]))
    if not names:
        raise ScanError(lists, "names no training images")
    twice = next((a for a, b in pairwise(names) if a == b), None)
    if twice is not None:
        raise ScanError(lists, f"names the image {twice} twice: remove one")
    return names
