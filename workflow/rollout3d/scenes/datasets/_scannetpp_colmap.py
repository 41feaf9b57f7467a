"""Cameras of ScanNet++'s phone video from its COLMAP model alone, for scenes without pose_intrinsic_imu.json.

COLMAP registers about every tenth frame; frames between two of them get an interpolated pose, which at 60 frames per
second is within centimetres of a hand-held camera's. The world is the mesh's.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from rollout3d.geometry.camera import resize_intrinsics, valid_pose
from rollout3d.scenes.datasets._arkit_frames import poses_at
from rollout3d.scenes.datasets._scannetpp_registered import read_colmap
from rollout3d.scenes.reading import ScanError, read_text, reading
from rollout3d.scenes.scan import intrinsics

MAX_GAP_S = 0.5
"""Between registered frames further apart the pose is lost. [assumed]"""
_MODELS = {
    "SIMPLE_PINHOLE": (0, 0, 1, 2),
    "PINHOLE": (0, 1, 2, 3),
    "OPENCV": (0, 1, 2, 3),
    "SIMPLE_RADIAL": (0, 0, 1, 2),
}
"""Where fx, fy, cx, cy stand among the parameters of a camera model; what distorts is left out, as ARKit's K does."""
_ASPECT = 0.02
"""How far width over height of the camera may be from that of the pictures, as a share."""
_FRAME = re.compile(r"frame_(\d{1,8})")


def read_cameras(path: Path, size: tuple[int, int], n_frames: int, fps: float) -> tuple[np.ndarray, ...]:
    """Frame numbers (N,), K (N,3,3) of pictures of `size` (width, height), and camera-to-world poses (N,4,4).

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
    kept = [k for k, pose in enumerate(poses) if pose is not None]
    return between[kept], np.tile(K, (len(kept), 1, 1)), np.stack([poses[k] for k in kept])


def _intrinsics(path: Path, size: tuple[int, int]) -> np.ndarray:
    """K (3,3) of the model's only camera, with integer pixel centres, for pictures of `size`."""
    with reading(path):
        lines = [line.split() for line in read_text(path).splitlines() if line.strip() and not line.startswith("#")]
        if len(lines) != 1:
            raise ScanError(path, f"states {len(lines)} cameras, expected the phone's one")
        _, model, width, height, *values = lines[0]
        if model not in _MODELS:
            raise ScanError(path, f"camera model {model}: known are {', '.join(_MODELS)}")
        fx, fy, cx, cy = (float(values[k]) for k in _MODELS[model])
        own = int(width), int(height)
        if min(own) < 1 or abs(own[0] * size[1] / (own[1] * size[0]) - 1) > _ASPECT:
            raise ScanError(path, f"a camera of {own[0]}x{own[1]} pixels, for pictures of {size[0]}x{size[1]}")
        # COLMAP puts the first pixel's centre at 0.5.
        K = intrinsics([fx, 0.0, cx - 0.5, 0.0, fy, cy - 0.5, 0.0, 0.0, 1.0], own)
        return resize_intrinsics(K, own, size)
