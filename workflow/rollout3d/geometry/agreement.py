"""How well the pictures, depths and poses of a video agree with a mesh: figures that a wrong convention cannot pass."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import ArrayLike

FEWEST_PIXELS = 0.02
"""Pairs of pictures that share a smaller share of the picture say nothing."""
STILL_M = 0.1
"""A camera whose frames are this near to each other does not move."""


def photometric_ratio(
    pictures: Sequence[np.ndarray], drawings: Sequence[np.ndarray], drawn: Sequence[np.ndarray]
) -> float:
    """How much more frames look like the mesh seen from their own poses than from each other's; 0 = alike, 1 = no more.

    Frames and drawings of the mesh (H,W,3), drawn pixels (H,W) bool, one each per pose. A frame and a drawing differ
    by 1 - r, where r is the correlation of their colours over the drawn pixels, each channel less its mean: exposure
    and the colour of the light do not count. The ratio is the median difference of frames from their own drawings,
    over that from all others. NaN where fewer than two poses show enough of the mesh.
    """
    own, other = [], []
    for j, pixels in enumerate(drawn):
        if pixels.mean() < FEWEST_PIXELS:
            continue
        shown = _unit(drawings[j][pixels])
        for i, picture in enumerate(pictures):
            (own if i == j else other).append(1.0 - float((_unit(picture[pixels]) * shown).sum()))
    return float(np.median(own) / np.median(other)) if len(own) > 1 else float("nan")


def _unit(colors: np.ndarray) -> np.ndarray:
    """Colours (N,3) without their mean, as a vector of length 1; zeros for one colour."""
    centred = colors - colors.mean(axis=0, dtype=np.float64)
    return centred / max(float(np.linalg.norm(centred)), 1e-9)


def depth_error(measured: Sequence[np.ndarray], drawn: Sequence[np.ndarray]) -> float:
    """Median |measured - drawn|, metres, over all pixels of pairs of depth pictures (H,W) that both know (not 0).

    NaN where the pairs share less than `FEWEST_PIXELS` of their pixels.
    """
    errors = [np.abs(a - b)[(a > 0) & (b > 0)] for a, b in zip(measured, drawn)]
    shared = sum(len(e) for e in errors)
    if shared < FEWEST_PIXELS * sum(a.size for a in measured) or not shared:
        return float("nan")
    return float(np.median(np.concatenate(errors)))


def upright_share(poses: ArrayLike) -> float:
    """Share of poses (N,4,4) in whose pictures the world's up points upward rather than left, right or down."""
    up = np.asarray(poses, np.float64)[:, 2, :3]
    return float(np.mean(-up[:, 1] >= np.abs(up[:, 0])))


def path_roughness(positions: ArrayLike) -> float:
    """Mean step of a camera at positions (N,3), one a frame, over the mean distance of two frames at random.

    Small for a camera that walks, about 1 for poses in a wrong order, whatever the frame rate. NaN rows are lost
    frames. NaN without neighbours, and for a camera that stays within a hand's breadth.
    """
    positions = np.asarray(positions, np.float64)
    steps = np.linalg.norm(np.diff(positions, axis=0), axis=1)
    steps = steps[np.isfinite(steps)]
    known = positions[np.isfinite(positions).all(axis=1)]
    if not len(steps):
        return float("nan")
    some = known[:: max(1, len(known) // 300)]
    spread = np.linalg.norm(some[:, None] - some[None], axis=2).sum() / max(len(some) * (len(some) - 1), 1)
    return float(steps.mean() / spread) if spread > STILL_M else float("nan")


def share_within(points: ArrayLike, low: ArrayLike, high: ArrayLike, margin: float) -> float:
    """Share of points (N,3) inside an axis-aligned box grown by `margin` metres on every side."""
    points = np.asarray(points, np.float64)
    inside = (points >= np.asarray(low) - margin) & (points <= np.asarray(high) + margin)
    return float(inside.all(axis=1).mean())


def label_overlap(
    instances: np.ndarray, owner: np.ndarray, faces: np.ndarray, members: dict[int, np.ndarray], share: float
) -> list[float]:
    """IoU of each object's pixels in an instance picture (H,W) and in what the mesh shows, `raster.rasterise`'s owner
    (h,w), scaled to it; of objects with at least `share` of the mesh's picture. `members`: vertices by objectId."""
    height, width = owner.shape
    ids = cv2.resize(instances.astype(np.float32), (width, height), interpolation=cv2.INTER_NEAREST).astype(np.int64)
    of_vertex = np.full(int(faces.max()) + 1, -1)
    for object_id, index in members.items():
        of_vertex[index[index < len(of_vertex)]] = object_id
    shown = np.where(owner >= 0, of_vertex[faces[owner.clip(0), 0]], -1)
    found, counts = np.unique(shown, return_counts=True)
    large = found[(found >= 0) & (counts >= share * owner.size)]
    return [float(((shown == k) & (ids == k)).sum() / ((shown == k) | (ids == k)).sum()) for k in large]
