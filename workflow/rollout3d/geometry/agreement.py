"""Measure how well the pictures, depths and poses of a video agree with a mesh: a wrong convention fails a figure.

Letters in shapes: p pictures, d drawings of the mesh, n points or poses, h and w height and width of a picture.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import ArrayLike

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Float64, Int, Real

FEWEST_PIXELS = 0.02
"""Share of the picture below which the overlap of two pictures is too small to compare them."""
FLAT = 1.0
"""Grey levels: a picture whose colours deviate by less from their mean has one colour only."""
ALIKE = 0.1
"""Difference 1 - R^2 below which two pictures are too similar to distinguish their poses."""
STILL_M = 0.1
"""Mean distance between frames, metres, up to which a camera counts as standing still."""


def color_differences(
    pictures: Sequence[Real[np.ndarray, "h w 3"]],
    drawings: Sequence[Real[np.ndarray, "h w 3"]],
    drawn: Sequence[Bool[np.ndarray, "h w"]],
) -> Float64[np.ndarray, "p d"]:
    """Return the difference 1 - R^2 of each picture from each drawing of the mesh: 0 = alike, 1 = unrelated.

    `drawn`: which pixels of each drawing show the mesh. R^2 is the share of the variance of the picture's colours, over
    the drawing's pixels, that a linear function of the drawing's colours explains. Exposure, the colour of the light
    and the mesh's own colours therefore do not count, only where colours change. NaN where the drawing shows less than
    `FEWEST_PIXELS` of the mesh, and where picture or drawing has one colour only.
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


def _directions(colors: Real[np.ndarray, "n 3"]) -> Float64[np.ndarray, "n k"] | None:
    """Return k <= 3 orthonormal columns that span the colours minus their mean; None for one colour."""
    centred = colors - colors.mean(axis=0, dtype=np.float64)
    values, axes = np.linalg.eigh(centred.T @ centred)
    kept = values >= FLAT**2 * len(colors)
    return centred @ axes[:, kept] / np.sqrt(values[kept]) if kept.any() else None


def look_alike(pictures: Sequence[Real[np.ndarray, "h w 3"]]) -> Bool[np.ndarray, "p p"]:
    """Return which pairs of pictures are too similar to distinguish their poses; each picture is similar to itself."""
    whole = np.ones(np.shape(pictures[0])[:2], bool)
    return color_differences(pictures, pictures, [whole] * len(pictures)) < ALIKE


def photometric_ratio(differences: Float[np.ndarray, "p p"], alike: Bool[np.ndarray, "p p"]) -> float:
    """Return the median difference of frames from the mesh at their own poses, over that at each other's poses.

    0: frames equal their own drawings. 1: they fit the drawings at other poses equally well. `differences`: of frames
    (rows) from the drawings at the frames' poses (columns), see `color_differences`. `alike`: pairs of similar frames
    (`look_alike`), which do not count. NaN where fewer than two poses show enough of the mesh, and where all frames
    look alike.
    """
    own = _known(np.diagonal(differences))
    other = _known(differences[~(alike | np.eye(len(differences), dtype=bool))])
    return float(np.median(own) / np.median(other)) if len(own) > 1 and len(other) else float("nan")


def misfits(differences: Float[np.ndarray, "p p"], alike: Bool[np.ndarray, "p p"]) -> Float64[np.ndarray, " p"]:
    """Return for each frame the share of other poses whose drawing it fits better than its own; a tie counts half.

    0 where poses are right, 0.5 on average where they are unrelated to the frames. `differences`: of frames (rows) from
    the drawings at the frames' poses (columns). `alike`: pairs of similar frames, which do not count. NaN for a frame
    without a drawing at its own pose or at any other pose.
    """
    own = np.diagonal(differences)[:, None]
    counts = ~(alike | np.eye(len(differences), dtype=bool)) & np.isfinite(differences) & np.isfinite(own)
    better = np.where(differences < own, 1.0, np.where(differences == own, 0.5, 0.0))
    n = counts.sum(axis=1)
    return np.divide((better * counts).sum(axis=1), n, out=np.full(len(n), np.nan), where=n > 0)


def _known(values: Float[np.ndarray, " n"]) -> Float[np.ndarray, " m"]:
    """Return the values that are finite."""
    return values[np.isfinite(values)]


def depth_error(measured: Sequence[Float[np.ndarray, "_ _"]], drawn: Sequence[Float[np.ndarray, "_ _"]]) -> float:
    """Return the median |measured - drawn|, metres, over the pixels that are known (not 0) in both pictures of a pair.

    The two depth pictures of a pair have one size. NaN where the pairs share less than `FEWEST_PIXELS` of their pixels.
    """
    pairs = _shared(measured, drawn)
    return float(np.median(np.abs(pairs[0] - pairs[1]))) if pairs is not None else float("nan")


def depth_scale(measured: Sequence[Float[np.ndarray, "_ _"]], drawn: Sequence[Float[np.ndarray, "_ _"]]) -> float:
    """Return the median measured / drawn over the pixels that are known (not 0) in both: 1 where both are in metres.

    NaN where the pairs share less than `FEWEST_PIXELS` of their pixels.
    """
    pairs = _shared(measured, drawn)
    return float(np.median(pairs[0] / pairs[1])) if pairs is not None else float("nan")


def _shared(
    measured: Sequence[Float[np.ndarray, "_ _"]], drawn: Sequence[Float[np.ndarray, "_ _"]]
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]] | None:
    """Return both depths of all pixels that are known in both pictures of a pair; None where there are too few."""
    both = [(a > 0) & (b > 0) for a, b in zip(measured, drawn)]
    n = sum(int(known.sum()) for known in both)
    if n < FEWEST_PIXELS * sum(a.size for a in measured) or not n:
        return None
    first, second = (np.concatenate([p[known] for p, known in zip(some, both)]) for some in (measured, drawn))
    return first, second


def depth_differences(
    measured: Sequence[Float[np.ndarray, "h w"]], drawn: Sequence[Float[np.ndarray, "h w"]]
) -> Float64[np.ndarray, "p d"]:
    """Return the median |measured - drawn|, metres, of each measured depth picture and each drawn one.

    With any unit and any noise of the sensor, a picture is nearest to the drawing from its own pose. NaN where two
    pictures share less than `FEWEST_PIXELS` of their pixels.
    """
    return np.array([[depth_error([a], [b]) for b in drawn] for a in measured]).reshape(len(measured), len(drawn))


def upright_share(poses: Float[ArrayLike, "n 4 4"]) -> float:
    """Return the share of poses in whose pictures the world's up points upward rather than left, right or down."""
    up = np.asarray(poses, np.float64)[:, 2, :3]
    return float(np.mean(-up[:, 1] >= np.abs(up[:, 0])))


def gravity(poses: Float[ArrayLike, "n 4 4"]) -> float:
    """Return the mean cosine between the world's up and the up of pictures, after the quarter turn that maximises it.

    About 0.95 for a camera held level, however it is turned about its axis. About 0 where the true up is not the
    world's z but horizontal, because the camera then sees z from all sides.
    """
    up = np.asarray(poses, np.float64)[:, 2, :2].mean(axis=0)
    return float(np.abs(up).max())


def path_roughness(positions: Float[ArrayLike, "n 3"]) -> float:
    """Return the mean step of a camera between neighbouring frames, over the mean distance of two random frames.

    `positions`: one per frame, NaN for lost frames. Small for a camera that walks, about 1 for poses in a wrong order,
    at any frame rate. NaN without neighbouring frames, and for a camera that moves less than `STILL_M`.
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


def share_within(
    points: Real[ArrayLike, "n 3"], low: Real[ArrayLike, " 3"], high: Real[ArrayLike, " 3"], margin: float
) -> float:
    """Return the share of points inside an axis-aligned box that is grown by `margin` metres on every side."""
    points = np.asarray(points, np.float64)
    inside = (points >= np.asarray(low) - margin) & (points <= np.asarray(high) + margin)
    return float(inside.all(axis=1).mean())


def label_overlap(
    instances: Int[np.ndarray, "H W"],
    owner: Int[np.ndarray, "h w"],
    faces: Int[np.ndarray, "f 3"],
    members: Mapping[int, Int[np.ndarray, " _"]],
    share: float,
) -> list[float]:
    """Return the IoU of each large object's pixels in a picture of instances and in a drawing of the mesh.

    `instances`: objectId per pixel, scaled to the size of `owner`. `owner`: face per pixel (`raster.rasterise`).
    `members`: indices of the vertices of each objectId. Objects are large with at least `share` of the drawing.
    """
    height, width = owner.shape
    ids = cv2.resize(instances.astype(np.float32), (width, height), interpolation=cv2.INTER_NEAREST).astype(np.int64)
    of_vertex = np.full(int(faces.max()) + 1, -1)
    for object_id, index in members.items():
        of_vertex[index[index < len(of_vertex)]] = object_id
    drawn = np.where(owner >= 0, of_vertex[faces[owner.clip(0), 0]], -1)
    found, counts = np.unique(drawn, return_counts=True)
    large = found[(found >= 0) & (counts >= share * owner.size)]
    return [float(((drawn == k) & (ids == k)).sum() / ((drawn == k) | (ids == k)).sum()) for k in large]
