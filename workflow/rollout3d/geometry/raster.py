"""Z-buffer for meshes: perspective (depth pictures) and orthographic (views from above)."""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import ArrayLike

from rollout3d.geometry.camera import NEAR_M, unproject


def rasterise(
    vertices: ArrayLike, faces: ArrayLike, K: ArrayLike, pose: ArrayLike, width: int, height: int
) -> tuple[np.ndarray, np.ndarray]:
    """What a camera sees of a mesh: depth (H,W) f32, metres along the viewing axis, 0 = nothing; face (H,W) i32, -1.

    `vertices` (V,3) metres, `faces` (F,3) indices, both sides visible. A pixel shows the nearest face at its integer
    centre, with the face's exact depth there. A centre on an edge belongs to one face only, so neighbours neither
    overlap nor leave gaps. Faces are cut at `camera.NEAR_M`. Raises ValueError for indices beyond the vertices.
    """
    vertices, faces = mesh_arrays(vertices, faces)
    K, inverse = np.asarray(K, np.float64), np.linalg.inv(np.asarray(pose, np.float64))
    camera = vertices @ inverse[:3, :3].T + inverse[:3, 3]
    best = np.zeros((height, width))
    owner = np.full((height, width), -1, np.int32)
    picture = np.empty_like(camera)
    with np.errstate(divide="ignore", invalid="ignore"):
        # 1/z is linear over the picture, depth is not.
        picture[:, 2] = 1.0 / camera[:, 2]
        picture[:, :2] = camera[:, :2] @ K[:2, :2].T * picture[:, 2:] + K[:2, 2]
    _perspective(camera, picture, faces, np.ascontiguousarray(K[:2]), NEAR_M, best, owner)
    depth = np.zeros((height, width), np.float32)
    np.divide(1.0, best, out=depth, where=owner >= 0, casting="same_kind")
    return depth, owner


def surface_colors(
    vertices: ArrayLike,
    faces: ArrayLike,
    colors: ArrayLike,
    K: ArrayLike,
    pose: ArrayLike,
    depth: np.ndarray,
    owner: np.ndarray,
) -> np.ndarray:
    """Colours (H,W,3) u8 of a `rasterise`d mesh, black where there is nothing.

    The colours of vertices (V,3) are interpolated over the faces, in the world and not in the picture.
    """
    rgb = np.zeros((*depth.shape, 3), np.uint8)
    rows, cols = np.nonzero(owner >= 0)
    points = unproject(K, pose, np.stack([cols, rows], axis=1), depth[rows, cols])
    corners = np.asarray(faces)[owner[rows, cols]]
    a, b, c = np.asarray(vertices, np.float64)[corners].transpose(1, 0, 2)
    normal = np.cross(b - a, c - a)
    area = np.maximum((normal**2).sum(axis=1), 1e-30)
    wb = (np.cross(points - a, c - a) * normal).sum(axis=1) / area
    wc = (np.cross(b - a, points - a) * normal).sum(axis=1) / area
    weights = np.clip(np.stack([1 - wb - wc, wb, wc], axis=1), 0, 1)
    mixed = np.einsum("nk,nkc->nc", weights, np.asarray(colors)[corners].astype(np.float64))
    rgb[rows, cols] = np.clip(np.rint(mixed / np.maximum(weights.sum(axis=1, keepdims=True), 1e-12)), 0, 255)
    return rgb


def rasterise_top(
    vertices: ArrayLike,
    faces: ArrayLike,
    x0: float,
    y0: float,
    m_per_px: float,
    width: int,
    height: int,
    ceiling: float = np.inf,
) -> tuple[np.ndarray, np.ndarray]:
    """A mesh seen from straight above: height z (H,W) f32, NaN = nothing; face (H,W) i32, -1.

    Column c is world x = x0 + c m_per_px, row r is world y = y0 - r m_per_px (+x right, +y up). A pixel shows the
    highest surface at or below world z = `ceiling`, so faces that cross it are cut there and not dropped.
    """
    vertices, faces = mesh_arrays(vertices, faces)
    picture = np.empty_like(vertices)
    picture[:, 0] = (vertices[:, 0] - x0) / m_per_px
    picture[:, 1] = (y0 - vertices[:, 1]) / m_per_px
    picture[:, 2] = vertices[:, 2]
    best = np.full((height, width), -np.inf)
    owner = np.full((height, width), -1, np.int32)
    _orthographic(picture, faces, float(ceiling), best, owner)
    return np.where(owner >= 0, best, np.nan).astype(np.float32), owner


def mesh_arrays(vertices: ArrayLike, faces: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (V,3) f64 and faces (F,3) i64, contiguous, checked: the kernels do not look where they read."""
    vertices = np.ascontiguousarray(vertices, np.float64).reshape(-1, 3)
    faces = np.ascontiguousarray(faces, np.int64).reshape(-1, 3)
    if len(faces) and (faces.min() < 0 or faces.max() >= len(vertices)):
        raise ValueError(f"mesh faces name vertices {faces.min()}..{faces.max()}, but there are {len(vertices)}")
    return vertices, faces


@numba.njit(cache=True)
def _perspective(camera, picture, faces, K, near, best, owner):
    corner = np.empty((4, 3))
    for f in range(len(faces)):
        i, j, k = faces[f]
        if camera[i, 2] >= near and camera[j, 2] >= near and camera[k, 2] >= near:
            _fill(picture, i, j, k, f, np.inf, best, owner)
            continue
        count = _clip_near(camera, faces[f], near, corner)
        for n in range(count):
            x, y, z = corner[n]
            corner[n, 2] = 1.0 / z
            corner[n, 0] = (K[0, 0] * x + K[0, 1] * y) * corner[n, 2] + K[0, 2]
            corner[n, 1] = (K[1, 0] * x + K[1, 1] * y) * corner[n, 2] + K[1, 2]
        for n in range(2, count):
            _fill(corner, 0, n - 1, n, f, np.inf, best, owner)


@numba.njit(cache=True)
def _orthographic(picture, faces, ceiling, best, owner):
    for f in range(len(faces)):
        i, j, k = faces[f]
        if min(picture[i, 2], picture[j, 2], picture[k, 2]) <= ceiling:
            _fill(picture, i, j, k, f, ceiling, best, owner)


@numba.njit(cache=True)
def _clip_near(camera, face, near, out):
    """Corners of the part of a face at depth >= near: 0, 3 or 4 of them."""
    count = 0
    for k in range(3):
        a, b = camera[face[k]], camera[face[(k + 1) % 3]]
        if a[2] >= near:
            out[count] = a
            count += 1
        if (a[2] >= near) != (b[2] >= near):
            # From the inner end, whichever face asks: neighbours then share the new corner exactly.
            inner, outer = (a, b) if a[2] >= near else (b, a)
            s = (inner[2] - near) / (inner[2] - outer[2])
            for c in range(2):
                out[count, c] = inner[c] + s * (outer[c] - inner[c])
            out[count, 2] = near
            count += 1
    return count


@numba.njit(cache=True, inline="always")
def _side(ax, ay, bx, by, x, y):
    """Twice the signed area of (a, b, point), bitwise opposite when a and b change places."""
    if ax < bx or (ax == bx and ay < by):
        return (bx - ax) * (y - ay) - (by - ay) * (x - ax)
    return -((ax - bx) * (y - by) - (ay - by) * (x - bx))


@numba.njit(cache=True, inline="always")
def _owns(dx, dy):
    """Whether a pixel centre on this edge belongs to the face: one direction of every line does, the other not."""
    return dy > 0 or (dy == 0 and dx < 0)


@numba.njit(cache=True)
def _fill(corner, i, j, k, face, ceiling, best, owner):
    """Write a face where its value (1/depth or height) beats the picture's and stays at or below the ceiling."""
    height, width = best.shape
    ax, ay, av = corner[i]
    bx, by, bv = corner[j]
    cx, cy, cv = corner[k]
    left = max(np.ceil(min(ax, bx, cx)), 0.0)
    right = min(np.floor(max(ax, bx, cx)), width - 1.0)
    top = max(np.ceil(min(ay, by, cy)), 0.0)
    bottom = min(np.floor(max(ay, by, cy)), height - 1.0)
    if not (left <= right and top <= bottom):
        return
    area = _side(ax, ay, bx, by, cx, cy)
    if area == 0 or not np.isfinite(area):
        return
    if area < 0:
        bx, by, bv, cx, cy, cv = cx, cy, cv, bx, by, bv
    low, high = min(av, bv, cv), max(av, bv, cv)
    own_a, own_b, own_c = _owns(cx - bx, cy - by), _owns(ax - cx, ay - cy), _owns(bx - ax, by - ay)
    for row in range(int(top), int(bottom) + 1):
        for col in range(int(left), int(right) + 1):
            wa = _side(bx, by, cx, cy, col, row)
            wb = _side(cx, cy, ax, ay, col, row)
            wc = _side(ax, ay, bx, by, col, row)
            if not (
                (wa > 0 or (wa == 0 and own_a)) and (wb > 0 or (wb == 0 and own_b)) and (wc > 0 or (wc == 0 and own_c))
            ):
                continue
            value = (wa * av + wb * bv + wc * cv) / (wa + wb + wc)
            value = min(max(value, low), high)
            if best[row, col] < value <= ceiling:
                best[row, col] = value
                owner[row, col] = face
