"""Oriented boxes, and the minimal box around points (VSI-Bench's boxes of ScanNet objects).

Letters in shapes: n points, t triangles of a convex hull.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, TypedDict

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial import ConvexHull, QhullError

if TYPE_CHECKING:
    from jaxtyping import Bool, Float64, Real

MIN_SIDE_M = 1e-3
"""Least side, metres: boxes around flat or single points are padded to it, so that every box has a volume."""

_FLAT_M = 1e-6
"""Thickness, metres, up to which points lie in a plane or on a line."""
_WORSE = 1.001
"""Factor by which Open3D's box may be larger than that of `_hull_axes`."""
_TRIANGLES = 256
"""Triangles of a hull that are tried at once."""
_APT = {
    "libusb-1.0.so.0": "libusb-1.0-0",
    "libGL.so.1": "libgl1",
    "libEGL.so.1": "libegl1",
    "libX11.so.6": "libx11-6",
    "libudev.so.1": "libudev1",
    "libidn2.so.0": "libidn2-0",
    "libgomp.so.1": "libgomp1",
}
"""System libraries that Open3D's wheel links to -> the Debian package that holds each."""

_SIGNS = np.array([[x, y, z] for x in (-1.0, 1.0) for y in (-1.0, 1.0) for z in (-1.0, 1.0)])


class BoxColumns(TypedDict):
    """The columns of the objects table that hold an oriented box."""

    centroid: list[float]
    axes_lengths: list[float]
    normalized_axes: list[float]


@dataclass(frozen=True, eq=False)
class OrientedBox:
    """An oriented box: centre, full side lengths, and axes whose *rows* are the unit axes (VSI-Bench).

    Raises ValueError for numbers that are not finite, for a negative side, and for axes that are not orthonormal.
    """

    centroid: Float64[np.ndarray, " 3"]
    """Centre, metres."""
    axes_lengths: Float64[np.ndarray, " 3"]
    """Full side lengths, metres."""
    normalized_axes: Float64[np.ndarray, "3 3"]
    """Unit axes as rows."""

    def __post_init__(self) -> None:
        for name, shape in (("centroid", (3,)), ("axes_lengths", (3,)), ("normalized_axes", (3, 3))):
            value = np.array(getattr(self, name), np.float64)
            if value.size != np.prod(shape) or not np.isfinite(value).all():
                raise ValueError(f"box with {name} {value.tolist()}: expected {np.prod(shape)} finite numbers")
            object.__setattr__(self, name, value.reshape(shape))
        if (self.axes_lengths < 0).any():
            raise ValueError(f"box with negative side: {self.axes_lengths.tolist()}")
        if not np.allclose(self.normalized_axes @ self.normalized_axes.T, np.eye(3), atol=1e-3):
            raise ValueError(f"box whose axes are not orthonormal: {self.normalized_axes.tolist()}")

    @classmethod
    def from_row(cls, row: BoxColumns) -> OrientedBox:
        """Return the box of a row that has the three box columns of the objects table (`BoxColumns`)."""
        axes = np.array(row["normalized_axes"], np.float64)
        return cls(np.array(row["centroid"], np.float64), np.array(row["axes_lengths"], np.float64), axes)

    def to_row(self) -> BoxColumns:
        """Return the three box columns of the objects table."""
        return {
            "centroid": self.centroid.tolist(),
            "axes_lengths": self.axes_lengths.tolist(),
            "normalized_axes": self.normalized_axes.ravel().tolist(),
        }

    def corners(self) -> Float64[np.ndarray, "8 3"]:
        """Return the corners; bit 2 of the index is the sign along axis 0, bit 1 along axis 1, bit 0 along axis 2."""
        return (_SIGNS * self.axes_lengths / 2) @ self.normalized_axes + self.centroid

    def edges(self) -> Float64[np.ndarray, "12 2 3"]:
        """Return the edges as pairs of corners."""
        return self.corners()[[(i, i | bit) for bit in (1, 2, 4) for i in range(8) if not i & bit]]

    def aabb(self) -> tuple[Float64[np.ndarray, " 3"], Float64[np.ndarray, " 3"]]:
        """Return the lowest and the highest corner of the axis-aligned box around this one."""
        corners = self.corners()
        return corners.min(axis=0), corners.max(axis=0)

    def contains(self, points: Real[ArrayLike, "n 3"], tol: float = 0.0) -> Bool[np.ndarray, " n"]:
        """Return which points lie inside or on the box that is grown by `tol` metres on every side."""
        local = (np.asarray(points, np.float64).reshape(-1, 3) - self.centroid) @ self.normalized_axes.T
        return np.all(np.abs(local) <= self.axes_lengths / 2 + tol, axis=1)

    def transformed(self, matrix: Real[ArrayLike, "4 4"]) -> OrientedBox:
        """Return the box moved by a rigid transform, such as raw world to aligned world."""
        matrix = np.asarray(matrix, np.float64)
        centroid = matrix[:3, :3] @ self.centroid + matrix[:3, 3]
        return OrientedBox(centroid, self.axes_lengths, self.normalized_axes @ matrix[:3, :3].T)


def axis_aligned_box(points: Real[ArrayLike, "n 3"]) -> OrientedBox:
    """Return the axis-aligned box around points as an `OrientedBox`. Raises ValueError without points."""
    points = _points(points)
    low, high = points.min(axis=0), points.max(axis=0)
    return OrientedBox((low + high) / 2, high - low, np.eye(3))


def minimal_oriented_box(points: Real[ArrayLike, "n 3"]) -> OrientedBox:
    """Return the box of smallest volume around points, by Open3D (VSI-Bench generator).

    The result is near minimal, not proven minimal. Open3D 0.20 computes in single precision, so only its axes are
    taken, and the sides are measured along them in double precision. Its search differs from that of the version that
    made the benchmark's boxes, and about one box in several hundred is far too large (by 29 % in one case). So the
    earlier search runs as well (`_hull_axes`), and its box is taken where Open3D's is larger by more than 0.1 %. Axes
    are made right-handed, longest side first.

    Points without volume get the smallest rectangle of their plane, with sides padded to `MIN_SIDE_M`: VSI-Bench has no
    rule. Without volume are fewer than four points, points in a plane, and points so thin that Open3D returns an empty
    box (below about 0.3 mm, some floors of a few millimetres).

    Raises ValueError without points, ImportError naming the system libraries that Open3D lacks.
    """
    points = _points(points)
    centre = points.mean(axis=0)
    local = points - centre
    axes = np.linalg.svd(local, full_matrices=len(points) < 3)[2]
    thickness = np.ptp(local @ axes.T, axis=0)
    if len(points) >= 4 and thickness[2] > _FLAT_M:
        open3d = import_open3d()
        cloud = open3d.geometry.PointCloud(open3d.utility.Vector3dVector(local))
        with open3d.utility.VerbosityContextManager(open3d.utility.VerbosityLevel.Error):  # it warns where it fails
            found = cloud.get_minimal_oriented_bounding_box()
        if np.min(found.extent) > 0:
            best, other = np.asarray(found.R).T, _hull_axes(local)
            if other is not None and _volume(local, best) > _WORSE * _volume(local, other):
                best = other
            return _measured(local, centre, _settled(local, best))
    return _measured(local, centre, axes if thickness[1] <= _FLAT_M else _rectangle_axes(local, axes))


def import_open3d() -> ModuleType:
    """Import Open3D with libusb preloaded: its wheel links to libusb, which bare machines lack.

    Raises ImportError naming every missing system library and the apt-get line that installs them.
    """
    _preload_libusb()
    try:
        import open3d
    except ModuleNotFoundError as error:
        raise ImportError("Open3D is not installed: pip install 'rollout3d[scenes]'") from error
    except (ImportError, OSError) as error:
        missing = [name for name in _APT if not _loads(name)] or [n for n in _APT if n in str(error)]
        remedy = f"apt-get install -y {' '.join(_APT[name] for name in missing)}" if missing else "see the cause above"
        raise ImportError(
            f"Open3D lacks the system libraries {', '.join(missing) or 'named here'}: {error}. Remedy: {remedy}"
        ) from error
    return open3d


def missing_packages() -> list[str]:
    """Return the Debian packages of those system libraries of Open3D that cannot be loaded."""
    _preload_libusb()
    return [package for name, package in _APT.items() if not _loads(name)]


def _preload_libusb() -> None:
    """Load the libusb of the package libusb_package; without it the system's own is used if there is one."""
    try:
        import libusb_package

        ctypes.CDLL(str(libusb_package.get_library_path()), mode=ctypes.RTLD_GLOBAL)
    except (ImportError, OSError):
        pass


def _loads(name: str) -> bool:
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True


def _points(points: Real[ArrayLike, "n 3"]) -> Float64[np.ndarray, "n 3"]:
    """Return points as an array. Raises ValueError for none, and for points that are not finite."""
    points = np.asarray(points, np.float64).reshape(-1, 3)
    if not len(points) or not np.isfinite(points).all():
        raise ValueError(f"a box needs finite points, at least one (got {len(points)})")
    return points


def _measured(
    local: Float64[np.ndarray, "n 3"], centre: Float64[np.ndarray, " 3"], axes: Float64[np.ndarray, "3 3"]
) -> OrientedBox:
    """Return the box with these axes, made right-handed, around points relative to `centre`; thin sides are padded."""
    if np.linalg.det(axes) < 0:
        axes = axes * np.array([[1.0], [1.0], [-1.0]])
    along = local @ axes.T
    low, high = along.min(axis=0), along.max(axis=0)
    return OrientedBox(centre + (low + high) / 2 @ axes, np.maximum(high - low, MIN_SIDE_M), axes)


def _volume(local: Float64[np.ndarray, "n 3"], axes: Float64[np.ndarray, "3 3"]) -> float:
    """Return the volume of the box with these axes around points."""
    return float(np.prod(np.ptp(local @ axes.T, axis=0)))


def _hull_axes(local: Float64[np.ndarray, "n 3"]) -> Float64[np.ndarray, "3 3"] | None:
    """Return the axes (rows) of the smallest box that lies on a triangle of the convex hull, one side along an edge.

    Open3D before 0.20 tried one edge of each triangle. Here all three are tried, so the box is never larger than that
    of the older Open3D. None for points without a hull.
    """
    try:
        hull = ConvexHull(local)
    except QhullError:
        return None
    points, corners = local[hull.vertices], local[hull.simplices]
    normals = hull.equations[:, :3]
    best, least = None, np.inf
    for start in range(0, len(corners), _TRIANGLES):
        some, up = corners[start : start + _TRIANGLES], normals[start : start + _TRIANGLES, None]
        along = np.roll(some, -1, axis=1) - some
        length = np.linalg.norm(along, axis=2, keepdims=True)
        along = np.divide(along, length, out=np.zeros_like(along), where=length > 0)
        height = np.ptp(up @ points.T, axis=2)
        volume = height * np.ptp(along @ points.T, axis=2) * np.ptp(np.cross(up, along) @ points.T, axis=2)
        volume[length[..., 0] <= 0] = np.inf
        t, e = np.unravel_index(np.argmin(volume), volume.shape)
        if volume[t, e] < least:
            least, best = volume[t, e], np.array([along[t, e], np.cross(up[t, 0], along[t, e]), up[t, 0]])
    return best


def _settled(local: Float64[np.ndarray, "n 3"], axes: Float64[np.ndarray, "3 3"]) -> Float64[np.ndarray, "3 3"]:
    """Return canonical orthonormal axes (rows) of a box: longest side first, largest component of each positive.

    Open3D searches in parallel and returns any of the boxes that tie, which differ in order, signs and last bits.
    """
    axes = np.round(axes, 7) + 0.0
    largest = np.argmax(np.round(np.abs(axes), 4), axis=1)
    axes *= np.sign(axes[np.arange(3), largest])[:, None]
    sides = np.round(np.ptp(local @ axes.T, axis=0), 5)
    order = np.lexsort((*np.round(-axes.T[::-1], 4), -sides))
    left, _, right = np.linalg.svd(axes[order] + 0.0)
    return left @ right


def _rectangle_axes(local: Float64[np.ndarray, "n 3"], axes: Float64[np.ndarray, "3 3"]) -> Float64[np.ndarray, "3 3"]:
    """Return the axes of the smallest rectangle around points in a plane.

    Rows of `axes` and of the result: two directions in the plane, then its normal.
    """
    flat = local @ axes[:2].T
    hull = flat[ConvexHull(flat).vertices]
    # The smallest rectangle shares a side with the hull.
    along = np.roll(hull, -1, axis=0) - hull
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    across = np.stack([-along[:, 1], along[:, 0]], axis=1)
    k = int(np.argmin(np.ptp(hull @ along.T, axis=0) * np.ptp(hull @ across.T, axis=0)))
    return np.stack([along[k] @ axes[:2], across[k] @ axes[:2], axes[2]])
