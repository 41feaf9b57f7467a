"""Distance between oriented boxes: VSI-Bench's sampled distance, that of uniformly drawn points, and the exact one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from itertools import combinations
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy.spatial import KDTree

from rollout3d.geometry.boxes import OrientedBox, axis_aligned_box
from rollout3d.seeding import generator

if TYPE_CHECKING:
    from jaxtyping import Float64, Real

Method = Literal["vsibench", "uniform", "exact"]
"""How a distance is measured: between the benchmark's sampled points, between drawn ones, or between solids."""

STEP_M = 0.05
"""Spacing of VSI-Bench's sampling grid."""
DRAWN = 1000
"""Points that `uniform_points` draws in a box. [assumed; SpaceR, section 3, and Spatial-R1, section 2.2: no number]"""

_CHUNK = 8
"""Points of the first query to the tree."""
_EDGES = [(i, i | bit) for i in range(8) for bit in (1, 2, 4) if not i & bit]
"""Corner pairs of `OrientedBox.corners` that differ in one sign."""
_PARALLEL = 1e-12
"""Squared sine of an angle below which two directions count as parallel."""


class BoxPoints:
    """A box with its sampled points and their KD-tree, computed on first use: keep one per object for all pairs."""

    def __init__(self, box: OrientedBox):
        self.box = box

    @cached_property
    def drawn(self) -> BoxPoints:
        """The same box with the points of `uniform_points`."""
        other = BoxPoints(self.box)
        other.points = uniform_points(self.box)
        return other

    @cached_property
    def points(self) -> Float64[np.ndarray, "n 3"]:
        """The sampled points of the box (`vsibench_points`)."""
        return vsibench_points(self.box)

    @cached_property
    def tree(self) -> KDTree:
        """KD-tree of the sampled points."""
        # Few queries follow, so a tree that is quick to build beats one that is quick to search.
        return KDTree(self.points, leafsize=16, balanced_tree=False, compact_nodes=False)

    @cached_property
    def corners(self) -> Float64[np.ndarray, "8 3"]:
        """Corners of the box."""
        return self.box.corners()


def vsibench_points(box: OrientedBox, step: float = STEP_M) -> Float64[np.ndarray, "n 3"]:
    """Return the points, at least one, whose smallest pairwise distance is VSI-Bench's distance of two boxes.

    They are a grid over the box without the inner half of the box, turned, moved, and cropped by the box itself. The
    grid has ceil(side / step) values per axis with both faces included; a single value is the lower face. The crop runs
    in floating point and so drops part of the face points, which makes the benchmark's distances a few centimetres too
    long. The operations here, in this order, reproduce its points to the bit (`P @ R.T`, then `+= c`; the crop's dot
    product as x ax + y ay + z az). If the crop drops everything, the step is halved. A side of zero gives one value
    (the benchmark gives none).
    """
    sides, rotation = box.axes_lengths, box.normalized_axes.T
    while True:
        counts = np.maximum(np.ceil(sides / step).astype(int), 1)
        grid = np.meshgrid(*(np.linspace(-side / 2, side / 2, n) for side, n in zip(sides, counts)))
        points = np.vstack([axis.ravel() for axis in grid]).T
        points = points[np.any(np.abs(points) > sides / 4, axis=1) | (sides.max() == 0)]
        points = np.dot(points, rotation.T)
        points += box.centroid
        x, y, z = (points - box.centroid).T
        kept = np.ones(len(points), bool)
        for axis, side in zip(box.normalized_axes, sides):
            kept &= np.abs((x * axis[0] + y * axis[1]) + z * axis[2]) <= side / 2
        if kept.any():
            return points[kept]
        step /= 2


def uniform_points(box: OrientedBox, n: int = DRAWN) -> Float64[np.ndarray, "n 3"]:
    """Return `n` points drawn uniformly inside a box (SpaceR, section 3; Spatial-R1, section 2.2: absolute distance).

    The box seeds the draw, so that one box has the same points in every question, on every machine and under every
    `seed` of the study.
    """
    rng = generator("points in a box", *np.round(np.concatenate([box.centroid, box.axes_lengths]), 6).tolist())
    return (rng.uniform(-0.5, 0.5, (n, 3)) * box.axes_lengths) @ box.normalized_axes + box.centroid


def box_distance(a: OrientedBox | BoxPoints, b: OrientedBox | BoxPoints, method: Method = "vsibench") -> float:
    """Return the distance between two boxes, metres.

    "vsibench": the smallest distance between their `vsibench_points`, above 0 even for boxes that overlap. "uniform":
    that between their `uniform_points`, never below the exact distance. "exact": the distance of the boxes as solids, 0
    where they touch or overlap. Pass `BoxPoints` to share work between pairs. Raises ValueError for another method.
    """
    a, b = _measured(a), _measured(b)
    if method == "exact":
        return _exact(a, b)
    if method == "vsibench":
        return _sampled(a, b)
    if method == "uniform":
        return _sampled(a.drawn, b.drawn)
    raise ValueError(f"unknown distance method '{method}': use vsibench, uniform or exact")


def min_distance(
    boxes_a: Iterable[OrientedBox | BoxPoints], boxes_b: Iterable[OrientedBox | BoxPoints], method: Method = "vsibench"
) -> float:
    """Return the smallest distance between any box of one group and any of the other, metres.

    Raises ValueError for an empty group.
    """
    group_a, group_b = [_measured(a) for a in boxes_a], [_measured(b) for b in boxes_b]
    if not group_a or not group_b:
        raise ValueError("an empty group of boxes has no distance: both groups need at least one box")
    return min(box_distance(a, b, method) for a in group_a for b in group_b)


def cloud_distances(clouds: Mapping[int, Real[np.ndarray, "_ 3"]]) -> dict[tuple[int, int], float]:
    """Return the distance, metres, of the nearest points of every two clouds (Spatial-R1, section 2.2).

    Keys of `clouds` are the objects' ids; those of the result are pairs, smaller id first. Raises ValueError for a
    cloud without points.
    """
    known = {}
    for object_id, cloud in clouds.items():
        known[object_id] = BoxPoints(axis_aligned_box(cloud))
        known[object_id].points = np.asarray(cloud, np.float64)
    return {(a, b): _sampled(known[a], known[b]) for a, b in combinations(sorted(known), 2)}


def _measured(box: OrientedBox | BoxPoints) -> BoxPoints:
    return box if isinstance(box, BoxPoints) else BoxPoints(box)


def _sampled(a: BoxPoints, b: BoxPoints) -> float:
    """Return the smallest distance between the points of a and b, with few queries to the tree.

    The points of b lie in the box of b, so a point's distance to that box is a lower bound of its distance to them.
    Points nearest to the box come first, and the search ends where the bound exceeds the best distance so far. The
    first few points nearly always give a distance that rules out most others, so each chunk is eight times as large as
    the previous one.
    """
    if len(a.points) > len(b.points):
        a, b = b, a
    bounds = _to_box(a.points, b.box)
    best, done, slack, chunk = np.inf, 0, 1e-9, _CHUNK
    while True:
        # Only points that can still win; the rounding of the bound is far below the slack.
        left = np.flatnonzero(bounds < best + slack)
        if not len(left):
            return float(best)
        if len(left) > chunk:
            left = left[np.argpartition(bounds[left], chunk)[:chunk]]
        found, _ = b.tree.query(a.points[left], distance_upper_bound=np.nextafter(best, np.inf))
        best = min(best, float(found.min()))
        bounds[left] = np.inf
        done += len(left)
        chunk *= 8
        if done == len(bounds):
            return float(best)


def _to_box(points: Float64[np.ndarray, "n 3"], box: OrientedBox) -> Float64[np.ndarray, " n"]:
    """Return the distance of each point to the solid box, metres."""
    local = (points - box.centroid) @ box.normalized_axes.T
    return np.linalg.norm(np.maximum(np.abs(local) - box.axes_lengths / 2, 0.0), axis=1)


def _exact(a: BoxPoints, b: BoxPoints) -> float:
    """Return the distance of two solids: 0 unless an axis separates them, else the least at corners and edges."""
    if not _separated(a, b):
        return 0.0
    nearest = min(_to_box(a.corners, b.box).min(), _to_box(b.corners, a.box).min())
    return float(min(nearest, _between_edges(a.corners, b.corners)))


def _separated(a: BoxPoints, b: BoxPoints) -> bool:
    """Return whether an axis separates two boxes: face normals of both and cross products of their edges are tried."""
    axes_a, axes_b = a.box.normalized_axes, b.box.normalized_axes
    crossed = np.cross(axes_a[:, None], axes_b[None]).reshape(9, 3)
    # The cross product of nearly parallel edges is noise; the face normals cover them.
    crossed = crossed[np.einsum("ij,ij->i", crossed, crossed) > _PARALLEL]
    axes = np.vstack([axes_a, axes_b, crossed])
    on_a, on_b = a.corners @ axes.T, b.corners @ axes.T
    return bool(((on_a.min(0) > on_b.max(0)) | (on_b.min(0) > on_a.max(0))).any())


def _between_edges(corners_a: Float64[np.ndarray, "8 3"], corners_b: Float64[np.ndarray, "8 3"]) -> float:
    """Return the smallest distance between the lines' nearest points, clipped to the edges, over all 144 edge pairs.

    Clipped points lie on the edges, so the result is an upper bound. Where the minimum is inside both edges, it is
    exact. Where the minimum is at an end of an edge, the distance from corners to boxes gives it (`_exact`).
    """
    start, end = np.array(_EDGES).T
    p, u = corners_a[start][:, None], (corners_a[end] - corners_a[start])[:, None]
    q, v = corners_b[start][None], (corners_b[end] - corners_b[start])[None]
    w = p - q
    uu, vv, uv = (u * u).sum(-1), (v * v).sum(-1), (u * v).sum(-1)
    uw, vw = (u * w).sum(-1), (v * w).sum(-1)
    det = uu * vv - uv * uv
    skew = det > _PARALLEL * uu * vv
    det = np.where(skew, det, 1.0)
    s = np.where(skew, np.clip((uv * vw - vv * uw) / det, 0.0, 1.0), 0.0)
    t = np.where(skew, np.clip((uu * vw - uv * uw) / det, 0.0, 1.0), 0.0)
    return float(np.linalg.norm(w + s[..., None] * u - t[..., None] * v, axis=-1).min())
