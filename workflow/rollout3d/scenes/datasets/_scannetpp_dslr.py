"""ScanNet++'s DSLR pictures as a video: the undistorted training images by name, as VLM-3R shows them.

Checked against files written from the published description, not against a released scan, which the licence keeps
private.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np

from rollout3d.fingerprint import note
from rollout3d.geometry.camera import valid_pose
from rollout3d.scenes.datasets._scannetpp_registered import cross_check, read_nerfstudio
from rollout3d.scenes.formats.pictures import decode_picture
from rollout3d.scenes.lists import file_name
from rollout3d.scenes.reading import ScanError, read_json, reading
from rollout3d.scenes.scan import intrinsics

VIDEO_FPS = 3.0
"""VLM-3R shows the pictures at this rate."""


class DslrSource:
    """The pictures dslr/resized_undistorted_images/ that train_test_lists.json names as "train", sorted.

    K and poses are those of nerfstudio/transforms_undistorted.json, compared with COLMAP's. A picture that it lacks or
    marks as bad keeps its place, without a pose. There is no depth. `flags` are oddities of the poses.
    Raises `ScanError`.
    """

    fps = VIDEO_FPS
    rotation_deg = 0

    def __init__(self, folder: Path):
        self._images = folder / "resized_undistorted_images"
        lists, cameras = folder / "train_test_lists.json", folder / "nerfstudio" / "transforms_undistorted.json"
        self.poses_path = cameras
        self._names = listed_pictures(self._images, lists)
        self.n_frames = len(self._names)
        content = read_json(cameras)
        with reading(cameras):
            if content.get("camera_model", "PINHOLE") != "PINHOLE":
                raise ScanError(cameras, f"camera model {content['camera_model']}: undistorted pictures have a PINHOLE")
            self.width, self.height = int(content["w"]), int(content["h"])
            fx, fy, cx, cy = (float(content[key]) for key in ("fl_x", "fl_y", "cx", "cy"))
            # As in COLMAP the first pixel's centre is at 0.5 there, at 0 here.
            K = [fx, 0.0, cx - 0.5, 0.0, fy, cy - 0.5, 0.0, 0.0, 1.0]
            self._K = intrinsics(K, (self.width, self.height))
        self._poses = {image: pose for image, pose in read_nerfstudio(cameras).items() if valid_pose(pose)}
        self.flags = cross_check(cameras, self._poses, folder / "colmap" / "images.txt")

    def camera(self, index: int) -> tuple[np.ndarray, np.ndarray | None]:
        return self._K, self._poses.get(Path(self._names[index]).stem)

    def frame(self, index: int) -> np.ndarray:
        path = self._images / self._names[index]
        with reading(path):
            picture = decode_picture(path.read_bytes(), cv2.IMREAD_COLOR, (self.width, self.height))
        return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)

    def depth_K(self, index: int) -> None:
        return None

    def depth(self, index: int) -> None:
        return None

    def close(self) -> None:
        """Nothing is held open."""


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
    """The names that train_test_lists.json has under "train", sorted: plain names of files, each once.

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
