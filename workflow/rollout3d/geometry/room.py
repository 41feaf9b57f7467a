"""Room size and centre as VSI-Bench derives them."""

from __future__ import annotations

import numpy as np
import shapely
from numpy.typing import ArrayLike
from scipy.spatial import Delaunay, QhullError

from rollout3d.geometry.boxes import minimal_oriented_box

POINTS = 10_000
"""Points drawn, with replacement, for the alpha shape. [VSI-Bench generator]"""
ALPHA = 5.0
"""Alpha of the alpha shape, 1/m: triangles of circumradius below 1/alpha stay. [VSI-Bench generator]"""


def room_area(points: ArrayLike, n_points: int, alpha: float, rng: np.random.Generator) -> float:
    """Floor area in m2: the alpha shape of the points (N,2 or 3) seen from above, holes filled (VSI-Bench generator).

    Draws `n_points` of them with replacement, keeps the Delaunay triangles with circumradius < 1/alpha metres, and
    takes the area that their outline encloses: holes count, separate parts add up. Alpha is absolute, so points must
    be dense (thinner than 1/alpha after drawing): sample the surface of coarse meshes first. No point is left out by
    height. 0 where nothing is that dense. Raises ValueError without points.
    """
    points = np.asarray(points, np.float64)
    if points.ndim != 2 or not len(points):
        raise ValueError(f"room area needs points (N,2 or 3), got shape {points.shape}")
    drawn = np.unique(points[rng.integers(0, len(points), n_points), :2], axis=0)
    triangles = _alpha_triangles(drawn, alpha)
    edges = np.sort(triangles[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    keys, counts = np.unique(edges[:, 0] * len(drawn) + edges[:, 1], return_counts=True)
    outline = keys[counts == 1]
    ends = drawn[np.stack([outline // len(drawn), outline % len(drawn)], axis=1)]
    # A ring with holes polygonises into the ring and its holes: their union has no holes.
    parts = shapely.get_parts(shapely.polygonize(shapely.linestrings(ends)))
    return float(shapely.union_all(parts).area)


def room_center(points: ArrayLike) -> np.ndarray:
    """Centre (3,) of the minimal oriented box around points (N,3) (VSI-Bench generator). Errors as that box's."""
    return minimal_oriented_box(points).centroid


def _alpha_triangles(points: np.ndarray, alpha: float) -> np.ndarray:
    """Delaunay triangles (M,3) of points (N,2) whose circumradius is below 1/alpha."""
    if len(points) < 3:
        return np.empty((0, 3), np.intp)
    try:
        triangles = Delaunay(points).simplices.astype(np.intp)
    except QhullError:  # all on one line
        return np.empty((0, 3), np.intp)
    a, b, c = points[triangles].transpose(1, 0, 2)
    sides = [np.hypot(*(p - q).T) for p, q in ((a, b), (b, c), (c, a))]
    double_area = np.abs((b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0]))
    # circumradius = abc / (4 area) < 1/alpha, without dividing by the area of slivers
    return triangles[sides[0] * sides[1] * sides[2] * alpha < 2 * double_area]
