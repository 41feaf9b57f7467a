"""Read ScanNet++'s DSLR pictures of a fisheye lens, as downloaded, and undistort them.

The release's toolbox makes its undistorted pictures from these, and users often lack them. The rule here is the
toolbox's: OpenCV's fisheye model with four coefficients, a pinhole camera without a border (balance 0), and the
principal point in the middle of the picture.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import cv2
import numpy as np

from rollout3d.scenes.datasets._scannetpp_dslr import DslrSource
from rollout3d.scenes.datasets._scannetpp_registered import read_lens
from rollout3d.scenes.formats.pictures import MAX_PIXELS
from rollout3d.scenes.reading import ScanError, read_json, reading
from rollout3d.scenes.scan import camera_matrix, intrinsics

_MODEL = "OPENCV_FISHEYE"


class FisheyeSource(DslrSource):
    """The pictures dslr/resized_images/ that train_test_lists.json names as "train", sorted and undistorted.

    Lens and poses are those of `cameras`: nerfstudio/transforms.json (default), or COLMAP's images.txt with cameras.txt
    beside it. A picture without a camera keeps its place, without a pose. There is no depth. Raises `ScanError`.
    """

    def __init__(self, folder: Path, cameras: Path | None = None):
        self._open(folder, "resized_images", cameras or folder / "nerfstudio" / "transforms.json")
        self.flags = ["undistorted_here", *self.flags]

    def _read_lens(self, cameras: Path) -> np.ndarray:
        of_colmap = cameras.name == "images.txt"
        path = cameras.with_name("cameras.txt") if of_colmap else cameras
        with reading(path):
            model, (self.width, self.height), values = read_lens(path, "DSLR") if of_colmap else _nerfstudio_lens(path)
            if model != _MODEL:
                raise ScanError(path, f"camera model {model}: distorted pictures have {_MODEL}")
            if len(values) != 8:
                raise ValueError(f"{len(values)} parameters of {_MODEL}, expected 8")
            if not 0 < self.width * self.height <= MAX_PIXELS:
                raise ScanError(path, f"claims pictures of {self.width}x{self.height} pixels")
            fx, fy, cx, cy, *distortion = values
            self._lens = camera_matrix(fx, fy, cx, cy, (self.width, self.height), first_pixel=0.5)
            self._distortion = np.array(distortion)
            return pinhole(self._lens, self._distortion, (self.width, self.height))

    @cached_property
    def _maps(self) -> tuple[np.ndarray, np.ndarray]:
        """Column and row of the distorted picture for each pixel of the undistorted one."""
        size = self.width, self.height
        return cv2.fisheye.initUndistortRectifyMap(self._lens, self._distortion, np.eye(3), self._K, size, cv2.CV_32FC1)

    def frame(self, index: int) -> np.ndarray:
        picture = super().frame(index)
        return cv2.remap(picture, *self._maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)


def _nerfstudio_lens(path: Path) -> tuple[str, tuple[int, int], list[float]]:
    """Return camera model, (width, height), and fx, fy, cx, cy, k1 to k4 of a transforms.json."""
    content = read_json(path)
    names = ("fl_x", "fl_y", "cx", "cy", "k1", "k2", "k3", "k4")
    model = str(content.get("camera_model"))
    values = [float(content[name]) for name in names] if model == _MODEL else []
    return model, (int(content["w"]), int(content["h"])), values


def pinhole(K: np.ndarray, distortion: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return K (3,3) of the undistorted pictures. Raises ValueError for a lens that cannot be undistorted."""
    if not np.isfinite(distortion).all():
        raise ValueError(f"coefficients of a lens that are not finite: {distortion.tolist()}")
    try:
        straight = cv2.fisheye.estimateNewCameraMatrixForUndistortRectify(K, distortion, size, np.eye(3), balance=0.0)
    except cv2.error as error:
        raise ValueError(f"a lens that cannot be undistorted ({error.err})") from error
    straight[:2, 2] = (np.array(size) - 1) / 2
    return intrinsics(straight, size)
