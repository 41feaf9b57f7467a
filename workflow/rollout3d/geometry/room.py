"""Room size and centre as VSI-Bench derives them, and the floor's size as Spatial-R1 does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import shapely
from numpy.typing import ArrayLike
from scipy.spatial import Delaunay, QhullError

from rollout3d.geometry.boxes import minimal_oriented_box

if TYPE_CHECKING:
    from jaxtyping import Float64, Int, Real

POINTS = 10_000
"""Points drawn, with replacement, for the alpha shape. [VSI-Bench generator]"""
ALPHA = 5.0
"""Alpha of the alpha shape, 1/m: triangles of circumradius below 1/alpha stay. [VSI-Bench generator]"""
FLOOR_M = 0.1
"""Height above the lowest point up to which points are floor. [assumed; Spatial-R1, section 2.2: no number]"""


def room_area(points: Real[ArrayLike, "n _"], n_points: int, alpha: float, rng: np.random.Generator) -> float:
    """Return the floor area, m2: the alpha shape of points seen from above, holes filled (VSI-Bench generator).

    `points` have two or three coordinates; no point is left out by height. `n_points` of them are drawn with
    replacement, and the Delaunay triangles with circumradius < 1/alpha metres are kept. The area is what their outline
    encloses: holes count, separate parts add up. Alpha is absolute, so the drawn points must be closer than 1/alpha:
    sample the surface of coarse meshes first. 0 where no points are that close. Raises ValueError without points.
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
    parts = shapely.get_parts(shapely.polygonize(np.asarray(shapely.linestrings(ends))))
    return float(shapely.union_all(parts).area)


def floor_area(
    points: Real[ArrayLike, "n 3"], height_m: float, n_points: int, alpha: float, rng: np.random.Generator
) -> float:
    """Return the floor area, m2: the summed triangles of the alpha shape of floor points (Spatial-R1, section 2.2).

    Floor points are those at most `height_m` above the lowest one. `n_points` of them are drawn with replacement, and
    the Delaunay triangles with circumradius < 1/alpha metres are kept, as in `room_area`. Unlike there, holes under
    furniture do not count. Draw and alpha are `room_area`'s: the paper names neither. 0 where no floor points are that
    close. Raises ValueError without points.
    """
    points = np.asarray(points, np.float64)
    if points.ndim != 2 or not len(points):
        raise ValueError(f"floor area needs points (N,3), got shape {points.shape}")
    floor = points[points[:, 2] <= points[:, 2].min() + height_m, :2]
    drawn = np.unique(floor[rng.integers(0, len(floor), n_points)], axis=0)
    a, b, c = drawn[_alpha_triangles(drawn, alpha)].transpose(1, 0, 2)
    return float(
        np.abs((b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])).sum() / 2
    )


def room_center(points: Real[ArrayLike, "n 3"]) -> Float64[np.ndarray, " 3"]:
    """Return the centre of the minimal oriented box around points (VSI-Bench generator).

    Raises ValueError without points, ImportError naming the system libraries that Open3D lacks.
    """
    return minimal_oriented_box(points).centroid


def _alpha_triangles(points: Float64[np.ndarray, "n 2"], alpha: float) -> Int[np.ndarray, "m 3"]:
    """Return the Delaunay triangles of points whose circumradius is below 1/alpha."""
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
