"""Rigid motions between a world's own frame and the frame that a release is written in."""

from __future__ import annotations

import numpy as np


def yaw_matrix(yaw_deg: float, translation: np.ndarray | tuple[float, ...] = (0.0, 0.0, 0.0)) -> np.ndarray:
    """Return the 4x4 that turns by `yaw_deg` about +z (counter-clockwise seen from above), then moves by metres."""
    angle = np.deg2rad(yaw_deg)
    matrix = np.eye(4)
    matrix[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    matrix[:3, 3] = translation
    return matrix


def moved(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return points (N, 3) moved by a 4x4 motion."""
    return points @ matrix[:3, :3].T + matrix[:3, 3]


def sideways(
    K: np.ndarray, pose: np.ndarray, width: int, height: int, clockwise_deg: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return K (3, 3) and pose (4, 4) of the stored picture that is upright once turned clockwise by `clockwise_deg`.

    `K`, `pose` (camera-to-world) and the size belong to the upright picture. The stored picture is
    `held_sideways(image, clockwise_deg)`, and the returned camera projects onto exactly its pixels (integer centres).
    Raises ValueError for an angle other than 0, 90, 180 and 270 degrees.
    """
    fx, fy, cx, cy = K[0, 0], K[1, 1], K[0, 2], K[1, 2]
    x, y, z = pose[:3, 0], pose[:3, 1], pose[:3, 2]
    if clockwise_deg == 0:
        axes, new = (x, y), (fx, fy, cx, cy)
    elif clockwise_deg == 90:  # stored (u', v') = (v, W - 1 - u)
        axes, new = (y, -x), (fy, fx, cy, width - 1 - cx)
    elif clockwise_deg == 180:  # stored (u', v') = (W - 1 - u, H - 1 - v)
        axes, new = (-x, -y), (fx, fy, width - 1 - cx, height - 1 - cy)
    elif clockwise_deg == 270:  # stored (u', v') = (H - 1 - v, u)
        axes, new = (-y, x), (fy, fx, height - 1 - cy, cx)
    else:
        raise ValueError(f"a picture turns by 0, 90, 180 or 270 degrees, not by {clockwise_deg}")
    turned = pose.copy()
    turned[:3, :3] = np.stack([*axes, z], axis=1)
    return np.array([[new[0], 0.0, new[2]], [0.0, new[1], new[3]], [0.0, 0.0, 1.0]]), turned


def held_sideways(image: np.ndarray, clockwise_deg: int) -> np.ndarray:
    """Return the stored pixels (H', W', ...) that become `image` (H, W, ...) if turned clockwise by the angle."""
    return np.ascontiguousarray(np.rot90(image, clockwise_deg // 90))


def nearest(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """Resize (H, W) by taking the nearest pixel, so that depths of two surfaces are not mixed."""
    rows = np.floor((np.arange(height) + 0.5) * image.shape[0] / height).astype(int)
    columns = np.floor((np.arange(width) + 0.5) * image.shape[1] / width).astype(int)
    return image[rows[:, None], columns[None, :]]


def millimetres(depth: np.ndarray) -> np.ndarray:
    """Return depth in metres (0 = none) as uint16 millimetres; depths beyond 65 m become none."""
    rounded = np.round(depth * 1000.0)
    return np.where(rounded <= np.iinfo(np.uint16).max, rounded, 0).astype(np.uint16)
