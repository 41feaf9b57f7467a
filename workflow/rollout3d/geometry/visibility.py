"""First appearance of each category in a video.

Letters in shapes: n points, f faces of a mesh, b boxes, h and w height and width of the depth picture.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numba
import numpy as np
from numpy.typing import ArrayLike

from rollout3d.geometry.camera import NEAR_M
from rollout3d.geometry.raster import mesh_arrays, rasterise, window_of

if TYPE_CHECKING:
    from jaxtyping import Bool, Float32, Float64, Int, Real

Camera = tuple[np.ndarray, np.ndarray]
"""K (3, 3) of a picture, and camera-to-world pose (4, 4)."""

Mesh = tuple[ArrayLike, ArrayLike]
"""Vertices (v, 3), metres, and faces (f, 3)."""

_MAX_PATCH_PX = 32.0
_RUN = 256
"""Number of points that share a box when frames are ruled out."""
_EVERYTHING = np.iinfo(np.int64).max

MIN_POINTS = 21
"""Visible pixels from which a category is visible in a frame. [VSI-Bench: more than 20 points on ARKitScenes]"""
MIN_SHARE = 0.001
"""Least share of the depth picture's pixels, if that is more than `MIN_POINTS`. [assumed]"""
DEPTH_TOLERANCE = 0.2
"""Tolerance of the depth test: a point is visible if |depth - z| <= tolerance * depth. [VSI-Bench generator]"""


def first_appearances(
    n_frames: int,
    camera_at: Callable[[int], Camera | None],
    depth_at: Callable[[int], np.ndarray | None],
    timestamp_at: Callable[[int], float],
    points_by_category: Mapping[str, Real[np.ndarray, "_ 3"]],
    min_points: int = MIN_POINTS,
    min_share: float = MIN_SHARE,
    tolerance: float = DEPTH_TOLERANCE,
    spacing_m: float = 0.05,
    mesh: Mesh | None = None,
    faces_by_category: Mapping[str, Bool[np.ndarray, " f"]] | None = None,
) -> dict[str, float]:
    """Return the time, seconds, at which each category is first visible; categories that are never visible are absent.

    A category is visible in a frame that shows at least max(min_points, min_share * pixels of the depth picture) of
    its pixels, counted by `visible_pixels`. VSI-Bench's generator counts points and does not publish its threshold. We
    count pixels, so that the result does not depend on the density of the mesh.

    The generator has the depth test alone, which accepts objects behind thin walls: at 3 m it tolerates 0.6 m. With a
    `mesh` and `faces_by_category` (the faces that are the category's), a frame must also pass a second count, which is
    ours: pixels where the mesh's nearest face is the category's and its depth passes the depth test.

    Frame i of 0..n_frames-1: `camera_at` returns K of the depth picture and the pose, None where tracking was lost;
    `depth_at` returns the depth picture (h, w), metres, 0 = unknown, or None. A frame without either shows nothing.
    `points_by_category`: the labelled points of all objects of a category, in the world of the poses.

    The result equals that of a full scan with less work. `depth_at` is called only for frames that may show a category
    not yet visible. The mesh is drawn only for frames that pass the first count, and only where the category's faces
    are. The scan ends with the last category. The order of the result is that of `points_by_category`. Raises
    ValueError if the depth pictures differ in size.
    """
    waiting = {name: np.ascontiguousarray(p, np.float64).reshape(-1, 3) for name, p in points_by_category.items()}
    waiting = {name: points for name, points in waiting.items() if len(points)}
    boxes = {name: _box_corners(points) for name, points in waiting.items()}
    surface = _Surface(mesh, faces_by_category) if mesh is not None and faces_by_category is not None else None
    found: dict[str, float] = {}
    counter: _Counter | None = None
    for i in range(n_frames):
        if not waiting:
            break
        camera = camera_at(i)
        if camera is None:
            continue
        K, pose = np.asarray(camera[0], np.float64), np.asarray(camera[1], np.float64)
        world_to_camera = np.linalg.inv(pose)
        names = _in_view({name: boxes[name] for name in waiting}, K, world_to_camera, counter and counter.shape)
        depth = depth_at(i) if names else None
        if depth is None:
            continue
        counter = counter or _Counter(depth.shape)
        if depth.shape != counter.shape:
            raise ValueError(f"depth picture {i} has shape {depth.shape}, earlier ones have {counter.shape}")
        depth = np.ascontiguousarray(depth, np.float32)
        enough = max(min_points, math.ceil(min_share * depth.size))
        names = [
            name
            for name in names
            if counter.count(waiting[name], K, world_to_camera, depth, tolerance, spacing_m, enough) >= enough
        ]
        if surface is not None:
            names = [name for name, n in surface.count(names, K, pose, depth, tolerance).items() if n >= enough]
        for name in names:
            found[name] = float(timestamp_at(i))
            del waiting[name]
    return {name: found[name] for name in points_by_category if name in found}


def visible_pixels(
    points: Real[ArrayLike, "n 3"],
    K: Real[ArrayLike, "3 3"],
    pose: Real[ArrayLike, "4 4"],
    depth: Real[np.ndarray, "h w"],
    tolerance: float,
    spacing_m: float,
) -> int:
    """Return the number of distinct pixels of a depth picture, metres, on which points are visible.

    A point is visible if its pixel, floor(u + 0.5), is on the picture, the depth d there is known (not 0) and
    |d - z| <= tolerance * d (VSI-Bench generator). It then stands for a patch `spacing_m` wide that faces the camera
    (at most 32 px): the pixels whose centres the patch covers and whose depth passes the same test count, each once.
    With `spacing_m` at or above the true spacing, the count is that of the surface's pixels at any density of points.
    """
    depth = np.ascontiguousarray(depth, np.float32)
    world_to_camera = np.linalg.inv(np.asarray(pose, np.float64))
    points = np.ascontiguousarray(points, np.float64).reshape(-1, 3)
    K = np.asarray(K, np.float64)
    return _Counter(depth.shape).count(points, K, world_to_camera, depth, tolerance, spacing_m, _EVERYTHING)


class _Surface:
    """A mesh with the faces of each category."""

    def __init__(self, mesh: Mesh, faces_by_category: Mapping[str, Bool[np.ndarray, " f"]]):
        self._vertices, self._faces = mesh_arrays(*mesh)
        self._mine = {name: np.asarray(faces, np.bool_) for name, faces in faces_by_category.items()}
        self._alone = {name: _compact(self._vertices, self._faces[mine]) for name, mine in self._mine.items()}

    def count(
        self,
        names: list[str],
        K: Float64[np.ndarray, "3 3"],
        pose: Float64[np.ndarray, "4 4"],
        depth: Float32[np.ndarray, "h w"],
        tolerance: float,
    ) -> dict[str, int]:
        """Return for each category the pixels that show one of its faces at a depth that passes the depth test."""
        height, width = depth.shape
        windows = [window_of(*self._alone[name], K, pose, width, height) for name in names]
        windows = [window for window in windows if window is not None]
        if not windows:
            return dict.fromkeys(names, 0)
        left, top, right, bottom = zip(*windows)
        window = min(left), min(top), max(right), max(bottom)
        z, face = rasterise(self._vertices, self._faces, K, pose, width, height, window)
        depth = depth[window[1] : window[3], window[0] : window[2]]
        agrees = (face >= 0) & (np.abs(depth - z) <= tolerance * depth)
        owners = face[agrees]
        return {name: int(np.count_nonzero(self._mine[name][owners])) for name in names}


class _Counter:
    """Count pixels, each once per count, without clearing a picture: a pixel stores the number of its last count."""

    def __init__(self, shape: tuple[int, ...]):
        self.shape = shape
        self._taken = np.zeros(shape, np.int64)
        self._round = 0

    def count(
        self,
        points: Float64[np.ndarray, "n 3"],
        K: Float64[np.ndarray, "3 3"],
        world_to_camera: Float64[np.ndarray, "4 4"],
        depth: Float32[np.ndarray, "h w"],
        tolerance: float,
        spacing_m: float,
        enough: int,
    ) -> int:
        """Return the pixels on which points are visible (`visible_pixels`); counting ends at `enough`."""
        self._round += 1
        patch = spacing_m * np.linalg.norm(K[:2, :2], axis=1)
        K, move = np.ascontiguousarray(K[:2]), np.ascontiguousarray(world_to_camera[:3])
        return _count(points, K, move, NEAR_M, depth, tolerance, patch[0], patch[1], enough, self._taken, self._round)


def _compact(vertices: Float64[np.ndarray, "v 3"], faces: Int[np.ndarray, "f 3"]) -> Mesh:
    """Return the mesh of these faces alone, without unused vertices."""
    used, places = np.unique(faces, return_inverse=True)
    return vertices[used], places.reshape(-1, 3)


def _box_corners(points: Float64[np.ndarray, "n 3"]) -> Float64[np.ndarray, "b 8 3"]:
    """Return the corners of boxes that together hold all points: one per run of consecutive points."""
    starts = np.arange(0, len(points), _RUN)
    bounds = np.stack([np.minimum.reduceat(points, starts), np.maximum.reduceat(points, starts)])
    x, y, z = np.meshgrid([0, 1], [0, 1], [0, 1], indexing="ij")
    return np.stack([bounds[pick.ravel(), :, axis].T for axis, pick in enumerate((x, y, z))], axis=-1)


def _in_view(
    boxes: Mapping[str, Float64[np.ndarray, "_ 8 3"]],
    K: Float64[np.ndarray, "3 3"],
    world_to_camera: Float64[np.ndarray, "4 4"],
    shape: tuple[int, ...] | None,
) -> list[str]:
    """Return the categories of which a box may be on the picture: not beyond one side of the view as a whole."""
    if shape is None:
        return list(boxes)
    camera = np.concatenate(list(boxes.values())) @ world_to_camera[:3, :3].T + world_to_camera[:3, 3]
    z = camera[..., 2]
    # Compare u z with bounds times z: this is linear in the point and so also holds behind the camera.
    uz, vz = np.moveaxis(camera @ K[:2].T, -1, 0)
    slack = 1e-6 * (1 + np.abs(camera).sum(axis=-1))
    beyond = (
        z < NEAR_M - slack,
        uz < -0.5 * z - slack,
        uz > (shape[1] - 0.5) * z + slack,
        vz < -0.5 * z - slack,
        vz > (shape[0] - 0.5) * z + slack,
    )
    may_see = ~np.any([side.all(axis=1) for side in beyond], axis=0)
    ends = np.cumsum([len(corners) for corners in boxes.values()])
    return [name for name, seen in zip(boxes, np.split(may_see, ends[:-1])) if seen.any()]


@numba.njit(cache=True)
def _count(points, K, move, near, depth, tolerance, patch_u, patch_v, enough, taken, now):
    height, width = depth.shape
    count = 0
    for i in range(len(points)):
        px, py, pz = points[i]
        z = move[2, 0] * px + move[2, 1] * py + move[2, 2] * pz + move[2, 3]
        if not z >= near:
            continue
        x = move[0, 0] * px + move[0, 1] * py + move[0, 2] * pz + move[0, 3]
        y = move[1, 0] * px + move[1, 1] * py + move[1, 2] * pz + move[1, 3]
        u = (K[0, 0] * x + K[0, 1] * y) / z + K[0, 2]
        v = (K[1, 0] * x + K[1, 1] * y) / z + K[1, 2]
        if not (u >= -0.5 and u < width - 0.5 and v >= -0.5 and v < height - 0.5):
            continue
        cu, cv = min(int(np.floor(u + 0.5)), width - 1), min(int(np.floor(v + 0.5)), height - 1)
        d = depth[cv, cu]
        if not (d > 0 and abs(d - z) <= tolerance * d):
            continue
        ru, rv = min(patch_u / z, _MAX_PATCH_PX) / 2, min(patch_v / z, _MAX_PATCH_PX) / 2
        left, right = max(min(int(np.ceil(u - ru)), cu), 0), min(max(int(np.floor(u + ru)), cu), width - 1)
        top, bottom = max(min(int(np.ceil(v - rv)), cv), 0), min(max(int(np.floor(v + rv)), cv), height - 1)
        for row in range(top, bottom + 1):
            for col in range(left, right + 1):
                d = depth[row, col]
                if taken[row, col] != now and d > 0 and abs(d - z) <= tolerance * d:
                    taken[row, col] = now
                    count += 1
        if count >= enough:
            break
    return count
