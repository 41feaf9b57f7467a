"""Read the cameras of ScanNet++'s phone video from its COLMAP model, for scans without pose_intrinsic_imu.json.

COLMAP registers about every tenth frame. Frames between two of them get an interpolated pose, which at 60 frames per
second is within centimetres of a hand-held camera's. The world is the mesh's.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from rollout3d.geometry.camera import resize_intrinsics, valid_pose
from rollout3d.scenes.datasets._arkit_frames import poses_at
from rollout3d.scenes.datasets._scannetpp_registered import read_colmap, read_lens
from rollout3d.scenes.reading import ScanError, reading
from rollout3d.scenes.scan import camera_matrix

MAX_GAP_S = 0.5
"""Longest gap, seconds, between registered frames over which poses are interpolated. [assumed]"""
_MODELS = {
    "SIMPLE_PINHOLE": (0, 0, 1, 2),
    "PINHOLE": (0, 1, 2, 3),
    "OPENCV": (0, 1, 2, 3),
    "SIMPLE_RADIAL": (0, 0, 1, 2),
}
"""Places of fx, fy, cx, cy among the parameters of a camera model; distortion is left out, as in ARKit's K."""
_ASPECT = 0.02
"""Largest relative difference between the aspect ratios of the camera and of the pictures."""
_FRAME = re.compile(r"frame_(\d{1,8})")


def read_cameras(
    path: Path, size: tuple[int, int], n_frames: int, fps: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return frame numbers (N,), K (N,3,3) of pictures of `size` (width, height), and camera-to-world poses (N,4,4).

    `path`: images.txt, with cameras.txt beside it; `n_frames`, `fps`: of the video file. Raises `ScanError`.
    """
    K = _intrinsics(path.with_name("cameras.txt"), size)
    registered = {
        int(match[1]): pose
        for image, pose in read_colmap(path).items()
        if (match := _FRAME.fullmatch(image)) and valid_pose(pose)
    }
    if not registered:
        raise ScanError(path, "registers no frame_<number> of the video")
    if max(registered) > n_frames + fps:
        raise ScanError(path, f"registers frame {max(registered)} of a video of {n_frames} frames: of another scan?")
    numbers = np.array(sorted(registered))
    between = np.arange(numbers[0], numbers[-1] + 1)
    poses = poses_at(between / fps, numbers / fps, np.stack([registered[n] for n in numbers]), MAX_GAP_S)
    kept = {number: pose for number, pose in zip(between, poses) if pose is not None}
    return np.array(list(kept)), np.tile(K, (len(kept), 1, 1)), np.stack(list(kept.values()))


def _intrinsics(path: Path, size: tuple[int, int]) -> np.ndarray:
    """Return K (3,3) of the model's only camera, with integer pixel centres, for pictures of `size`."""
    model, own, values = read_lens(path, "phone")
    if model not in _MODELS:
        raise ScanError(path, f"camera model {model}: known are {', '.join(_MODELS)}")
    with reading(path):
        fx, fy, cx, cy = (values[k] for k in _MODELS[model])
        if min(own) < 1 or abs(own[0] * size[1] / (own[1] * size[0]) - 1) > _ASPECT:
            raise ScanError(path, f"a camera of {own[0]}x{own[1]} pixels, for pictures of {size[0]}x{size[1]}")
        return resize_intrinsics(camera_matrix(fx, fy, cx, cy, own, first_pixel=0.5), own, size)
