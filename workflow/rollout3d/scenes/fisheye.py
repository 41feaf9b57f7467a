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
from rollout3d.scenes.dslr import VIDEO_FPS, DslrSource
from rollout3d.scenes.pictures import MAX_PIXELS, decode_picture
from rollout3d.scenes.registered import cross_check, read_nerfstudio
from rollout3d.scenes.scan import ScanError, intrinsics, read_json, reading

_MODEL = "OPENCV_FISHEYE"


class FisheyeSource(DslrSource):
    """The pictures dslr/resized_images/ that train_test_lists.json names as "train", sorted and undistorted.

    Lens and poses are those of nerfstudio/transforms.json. Otherwise as `DslrSource`. Raises `ScanError`.
    """

    fps = VIDEO_FPS

    def __init__(self, folder: Path):
        self._images = folder / "resized_images"
        lists, cameras = folder / "train_test_lists.json", folder / "nerfstudio" / "transforms.json"
        self.poses_path = cameras
        content = read_json(lists)
        with reading(lists):
            self._names = sorted(str(name) for name in content["train"])
        if not self._names:
            raise ScanError(lists, "names no training images")
        self.n_frames = len(self._names)
        content = read_json(cameras)
        with reading(cameras):
            if content.get("camera_model") != _MODEL:
                raise ScanError(
                    cameras, f"camera model {content.get('camera_model')}: distorted pictures have {_MODEL}"
                )
            self.width, self.height = int(content["w"]), int(content["h"])
            if not 0 < self.width * self.height <= MAX_PIXELS:
                raise ScanError(cameras, f"claims pictures of {self.width}x{self.height} pixels")
            fx, fy, cx, cy = (float(content[key]) for key in ("fl_x", "fl_y", "cx", "cy"))
            # As in COLMAP the first pixel's centre is at 0.5 there, at 0 here.
            self._lens = intrinsics([fx, 0.0, cx - 0.5, 0.0, fy, cy - 0.5, 0.0, 0.0, 1.0])
            self._distortion = np.array([float(content[f"k{i}"]) for i in range(1, 5)])
            self._K = pinhole(self._lens, self._distortion, (self.width, self.height))
        self._poses = {image: pose for image, pose in read_nerfstudio(cameras).items() if valid_pose(pose)}
        self.flags = ["undistorted_here", *cross_check(cameras, self._poses, folder / "colmap" / "images.txt")]

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


def pinhole(K: np.ndarray, distortion: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """K (3,3) of the undistorted pictures. Raises ValueError for a lens that cannot be undistorted."""
    straight = cv2.fisheye.estimateNewCameraMatrixForUndistortRectify(K, distortion, size, np.eye(3), balance=0.0)
    straight[:2, 2] = (np.array(size) - 1) / 2
    return intrinsics(straight)
