"""How well the pictures, depths and poses of a video agree with a mesh: figures that a wrong convention cannot pass."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import ArrayLike

FEWEST_PIXELS = 0.02
"""Pairs of pictures that share a smaller share of the picture say nothing."""
FLAT = 1.0
"""Grey levels: a picture whose colours deviate by less from their mean shows nothing."""
ALIKE = 0.1
"""Pictures that differ by less, 1 - r, cannot tell two poses apart."""
STILL_M = 0.1
"""A camera whose frames are this near to each other does not move."""


def color_differences(
    pictures: Sequence[np.ndarray], drawings: Sequence[np.ndarray], drawn: Sequence[np.ndarray]
) -> np.ndarray:
    """How much each picture differs from each drawing of the mesh: 1 - R^2 (P,D), 0 = alike, 1 = unrelated.

    Pictures and drawings (H,W,3), drawn pixels (H,W) bool, all of one size. R^2 is the share of the variance of the
    picture's colours, over the drawing's pixels, that a linear function of the drawing's colours explains: exposure,
    the colour of the light and how the mesh is painted do not count, only where colours change. NaN where the drawing
    shows less than `FEWEST_PIXELS` of the mesh, and where either of the two has one colour only.
    """
    seen = np.stack(drawn).reshape(len(drawn), -1)
    count = seen.sum(axis=1)
    flat = np.stack(pictures).reshape(len(pictures), -1, 3).astype(np.float64)
    flat -= flat.mean(axis=1, keepdims=True)  # sums of squares of small numbers lose no digits
    sums = np.stack([flat[..., c] @ seen.T.astype(np.float64) for c in range(3)], axis=-1)
    spread = (flat**2).sum(axis=2) @ seen.T - (sums**2).sum(axis=2) / np.maximum(count, 1)
    differences = np.full(spread.shape, np.nan)
    for j, (drawing, pixels) in enumerate(zip(drawings, drawn)):
        basis = _directions(drawing[pixels]) if pixels.mean() >= FEWEST_PIXELS else None
        if basis is None:
            continue
        explained = np.einsum("ipc,pk->ikc", flat[:, seen[j]], basis, optimize=True)
        some = spread[:, j] >= FLAT**2 * count[j]
        differences[some, j] = 1.0 - (explained[some] ** 2).sum(axis=(1, 2)) / spread[some, j]
    return differences


def _directions(colors: np.ndarray) -> np.ndarray | None:
    """Orthonormal columns (N,k), k <= 3, that span what colours (N,3) do besides their mean; None for one colour."""
    centred = colors - colors.mean(axis=0, dtype=np.float64)
    values, axes = np.linalg.eigh(centred.T @ centred)
    kept = values >= FLAT**2 * len(colors)
    return centred @ axes[:, kept] / np.sqrt(values[kept]) if kept.any() else None


def look_alike(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """Which pairs of pictures (H,W,3) are too similar to tell two poses apart (P,P) bool, each with itself included."""
    whole = np.ones(np.shape(pictures[0])[:2], bool)
    return color_differences(pictures, pictures, [whole] * len(pictures)) < ALIKE


def photometric_ratio(differences: np.ndarray, alike: np.ndarray) -> float:
    """How much more frames look like the mesh seen from their own poses than from each other's; 0 = alike, 1 = no more.

    `differences` (P,P): of frames (rows) from the drawings at the frames' poses (columns), see `color_differences`;
    `alike` (P,P): pairs of frames that look alike anyway, which do not count. The ratio is the median difference of
    frames from their own drawings, over that from all others. NaN where fewer than two poses show enough of the mesh,
    and for a camera that sees the same all the time.
    """
    own = _known(np.diagonal(differences))
    other = _known(differences[~(alike | np.eye(len(differences), dtype=bool))])
    return float(np.median(own) / np.median(other)) if len(own) > 1 and len(other) else float("nan")


def misfits(differences: np.ndarray, alike: np.ndarray) -> np.ndarray:
    """For each frame the share (P,) of the other poses whose drawing it fits better than its own; of a tie, half.

    0 where poses are right, 0.5 on average where they are unrelated to the frames. Arguments of `photometric_ratio`.
    NaN for frames without a drawing of their own or others to compare.
    """
    own = np.diagonal(differences)[:, None]
    counts = ~(alike | np.eye(len(differences), dtype=bool)) & np.isfinite(differences) & np.isfinite(own)
    better = np.where(differences < own, 1.0, np.where(differences == own, 0.5, 0.0))
    n = counts.sum(axis=1)
    return np.divide((better * counts).sum(axis=1), n, out=np.full(len(n), np.nan), where=n > 0)


def _known(values: np.ndarray) -> np.ndarray:
    return values[np.isfinite(values)]


def depth_error(measured: Sequence[np.ndarray], drawn: Sequence[np.ndarray]) -> float:
    """Median |measured - drawn|, metres, over all pixels of pairs of depth pictures (H,W) that both know (not 0).

    NaN where the pairs share less than `FEWEST_PIXELS` of their pixels.
    """
    pairs = _shared(measured, drawn)
    return float(np.median(np.abs(pairs[0] - pairs[1]))) if pairs is not None else float("nan")


def depth_scale(measured: Sequence[np.ndarray], drawn: Sequence[np.ndarray]) -> float:
    """Median measured / drawn over the pixels of `depth_error`: 1 where both are in metres."""
    pairs = _shared(measured, drawn)
    return float(np.median(pairs[0] / pairs[1])) if pairs is not None else float("nan")


def _shared(measured: Sequence[np.ndarray], drawn: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray] | None:
    """The depths of all pixels that both pictures of a pair know; None where there are too few."""
    both = [(a > 0) & (b > 0) for a, b in zip(measured, drawn)]
    n = sum(int(known.sum()) for known in both)
    if n < FEWEST_PIXELS * sum(a.size for a in measured) or not n:
        return None
    return tuple(np.concatenate([p[known] for p, known in zip(some, both)]) for some in (measured, drawn))


def depth_differences(measured: Sequence[np.ndarray], drawn: Sequence[np.ndarray]) -> np.ndarray:
    """Median |measured - drawn|, metres, of each measured depth picture and each drawn one (P,D), all of one size.

    Whatever unit or noise the sensor has, a picture is nearest to the drawing from its own pose. NaN where two
    pictures share less than `FEWEST_PIXELS` of their pixels.
    """
    return np.array([[depth_error([a], [b]) for b in drawn] for a in measured]).reshape(len(measured), len(drawn))


def upright_share(poses: ArrayLike) -> float:
    """Share of poses (N,4,4) in whose pictures the world's up points upward rather than left, right or down."""
    up = np.asarray(poses, np.float64)[:, 2, :3]
    return float(np.mean(-up[:, 1] >= np.abs(up[:, 0])))


def gravity(poses: ArrayLike) -> float:
    """Mean cosine between the world's up and the up of pictures, after the quarter turn that makes most of it.

    About 0.95 for a camera held level, however it is turned about its axis; about 0 where the world's z is horizontal
    in truth, since the camera then sees it from all sides.
    """
    up = np.asarray(poses, np.float64)[:, 2, :2].mean(axis=0)
    return float(np.abs(up).max())


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
