"""ScanNet++'s DSLR pictures as downloaded, from a fisheye lens, undistorted while they are read.

The undistorted pictures of the release are made by its toolbox from these and are often not downloaded. The rule here
is the toolbox's: OpenCV's fisheye model with four coefficients, a pinhole camera that shows no border (balance 0), and
the principal point in the middle of the picture.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import cv2
import numpy as np

from rollout3d.geometry.camera import valid_pose
from rollout3d.scenes.datasets._scannetpp_dslr import VIDEO_FPS, DslrSource, listed_pictures
from rollout3d.scenes.datasets._scannetpp_registered import cross_check, read_colmap, read_nerfstudio
from rollout3d.scenes.formats.pictures import MAX_PIXELS, decode_picture
from rollout3d.scenes.reading import ScanError, read_json, read_text, reading
from rollout3d.scenes.scan import intrinsics

_MODEL = "OPENCV_FISHEYE"


class FisheyeSource(DslrSource):
    """The pictures dslr/resized_images/ that train_test_lists.json names as "train", sorted and undistorted.

    Lens and poses are those of `cameras`: nerfstudio/transforms.json (default), or COLMAP's images.txt with cameras.txt
    beside it. Otherwise as `DslrSource`. Raises `ScanError`.
    """

    fps = VIDEO_FPS

    def __init__(self, folder: Path, cameras: Path | None = None):
        self._images = folder / "resized_images"
        lists, cameras = folder / "train_test_lists.json", cameras or folder / "nerfstudio" / "transforms.json"
        self.poses_path = cameras
        self._names = listed_pictures(self._images, lists)
        self.n_frames = len(self._names)
        of_colmap = cameras.name == "images.txt"
        lens = cameras.with_name("cameras.txt") if of_colmap else cameras
        with reading(lens):
            model, (self.width, self.height), values = _colmap_lens(lens) if of_colmap else _nerfstudio_lens(lens)
            if model != _MODEL:
                raise ScanError(lens, f"camera model {model}: distorted pictures have {_MODEL}")
            if not 0 < self.width * self.height <= MAX_PIXELS:
                raise ScanError(lens, f"claims pictures of {self.width}x{self.height} pixels")
            fx, fy, cx, cy, *distortion = values
            # In both files the first pixel's centre is at 0.5, at 0 here.
            K = [fx, 0.0, cx - 0.5, 0.0, fy, cy - 0.5, 0.0, 0.0, 1.0]
            self._lens = intrinsics(K, (self.width, self.height))
            self._distortion = np.array(distortion)
            self._K = pinhole(self._lens, self._distortion, (self.width, self.height))
        poses = read_colmap(cameras) if of_colmap else read_nerfstudio(cameras)
        self._poses = {image: pose for image, pose in poses.items() if valid_pose(pose)}
        self.flags = ["undistorted_here"]
        if not of_colmap:
            self.flags += cross_check(cameras, self._poses, folder / "colmap" / "images.txt")

    @cached_property
    def _maps(self) -> tuple[np.ndarray, np.ndarray]:
        size = self.width, self.height
        return cv2.fisheye.initUndistortRectifyMap(self._lens, self._distortion, np.eye(3), self._K, size, cv2.CV_32FC1)

    def frame(self, index: int) -> np.ndarray:
        path = self._images / self._names[index]
        with reading(path):
            picture = decode_picture(path.read_bytes(), cv2.IMREAD_COLOR, (self.width, self.height))
        straight = cv2.remap(picture, *self._maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
        return cv2.cvtColor(straight, cv2.COLOR_BGR2RGB)


def _nerfstudio_lens(path: Path) -> tuple[str, tuple[int, int], list[float]]:
    """Camera model, (width, height), and fx, fy, cx, cy, k1 to k4 of a transforms.json."""
    content = read_json(path)
    names = ("fl_x", "fl_y", "cx", "cy", "k1", "k2", "k3", "k4")
    model = str(content.get("camera_model"))
    values = [float(content[name]) for name in names] if model == _MODEL else []
    return model, (int(content["w"]), int(content["h"])), values


def _colmap_lens(path: Path) -> tuple[str, tuple[int, int], list[float]]:
    """Camera model, (width, height) and parameters of the only camera of a cameras.txt."""
    lines = [line.split() for line in read_text(path).splitlines() if line.strip() and not line.startswith("#")]
    if len(lines) != 1:
        raise ScanError(path, f"states {len(lines)} cameras, expected the DSLR's one")
    _, model, width, height, *values = lines[0]
    if model == _MODEL and len(values) != 8:
        raise ValueError(f"{len(values)} parameters of {_MODEL}, expected 8")
    return model, (int(width), int(height)), [float(value) for value in values]


def pinhole(K: np.ndarray, distortion: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """K (3,3) of the undistorted pictures. Raises ValueError for a lens that cannot be undistorted."""
    if not np.isfinite(distortion).all():
        raise ValueError(f"coefficients of a lens that are not finite: {distortion.tolist()}")
    try:
        straight = cv2.fisheye.estimateNewCameraMatrixForUndistortRectify(K, distortion, size, np.eye(3), balance=0.0)
    except cv2.error as error:
        raise ValueError(f"a lens that cannot be undistorted ({error.err})") from error
    straight[:2, 2] = (np.array(size) - 1) / 2
    return intrinsics(straight, size)
