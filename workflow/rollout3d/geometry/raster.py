"""Z-buffer for meshes: perspective (depth pictures) and orthographic (views from above).

Letters in shapes: v vertices and f faces of a mesh, h and w height and width of what is drawn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numba
import numpy as np
from numpy.typing import ArrayLike

from rollout3d.geometry.camera import NEAR_M, unproject

if TYPE_CHECKING:
    from jaxtyping import Float, Float32, Float64, Int, Int32, Int64, Real, UInt8

Window = tuple[int, int, int, int]
"""Part of a picture: first column, first row, and the column and row behind its last ones."""

_BLOCK_M = 0.5
"""Side, metres, of the cells that divide the faces of a `BlockedMesh` into blocks, by their centres."""


def rasterise(
    vertices: Real[ArrayLike, "v 3"],
    faces: Int[ArrayLike, "f 3"],
    K: Real[ArrayLike, "3 3"],
    pose: Real[ArrayLike, "4 4"],
    width: int,
    height: int,
    window: Window | None = None,
) -> tuple[Float32[np.ndarray, "h w"], Int32[np.ndarray, "h w"]]:
    """Draw a mesh as a camera sees it; return depth and face of each pixel.

    Depth is in metres along the viewing axis, 0 where there is nothing; the face is then -1. `vertices` are in metres,
    `faces` are indices, and both sides of a face are visible. A pixel shows the nearest face at its integer centre,
    with the face's exact depth there. A centre on an edge belongs to one face only, so neighbours neither overlap nor
    leave gaps. Faces are cut at `camera.NEAR_M`. With a `window`, only that part of the picture is drawn and returned,
    equal to the bit to that part of the whole picture. Raises ValueError for indices beyond the vertices.
    """
    vertices, faces = mesh_arrays(vertices, faces)
    camera, picture, K = _seen_from(vertices, K, pose)
    left, top, right, bottom = window or (0, 0, width, height)
    best = np.zeros((bottom - top, right - left))
    owner = np.full(best.shape, -1, np.int32)
    _perspective(camera, picture, faces, K, NEAR_M, left, top, best, owner)
    depth = np.zeros(best.shape, np.float32)
    np.divide(1.0, best, out=depth, where=owner >= 0, casting="same_kind")
    return depth, owner


class BlockedMesh:
    """A mesh for many small pictures: faces lie in blocks, and blocks outside of a picture are skipped.

    `vertices` are in metres, `faces` are indices. Raises ValueError for indices beyond the vertices.
    """

    def __init__(self, vertices: Real[ArrayLike, "v 3"], faces: Int[ArrayLike, "f 3"]):
        self._vertices, faces = mesh_arrays(vertices, faces)
        corners = self._vertices[faces]
        cells = np.floor(corners.mean(axis=1) / _BLOCK_M).astype(np.int64)
        self._order = np.lexsort(cells.T)
        self._faces = faces[self._order]
        cells = cells[self._order]
        first = np.ones(len(cells), bool)
        first[1:] = (cells[1:] != cells[:-1]).any(axis=1)
        starts = np.flatnonzero(first)
        self._bounds = np.append(starts, len(faces))
        low, high = (pick(corners[self._order], axis=1) for pick in (np.min, np.max))
        self._low, self._high = low, high
        if len(starts):
            self._low, self._high = np.minimum.reduceat(low, starts), np.maximum.reduceat(high, starts)

    def draw(
        self, K: Real[ArrayLike, "3 3"], pose: Real[ArrayLike, "4 4"], width: int, height: int
    ) -> tuple[Float32[np.ndarray, "{height} {width}"], Int32[np.ndarray, "{height} {width}"]]:
        """Return depth, metres, 0 = nothing, and face, -1 = none, of each pixel, equal to those of `rasterise`.

        Where two faces have equal depth, the two functions may return different ones.
        """
        K, inverse = np.asarray(K, np.float64), np.linalg.inv(np.asarray(pose, np.float64))
        move = np.ascontiguousarray(inverse[:3])
        x, y, z = move
        u, v = K[0, 0] * x + K[0, 1] * y + K[0, 2] * z, K[1, 0] * x + K[1, 1] * y + K[1, 2] * z
        # A point on the picture is on the positive side of each; multiplied by depth, all are linear in the point.
        sides = np.stack([z, u + 0.5 * z, (width - 0.5) * z - u, v + 0.5 * z, (height - 0.5) * z - v])
        best = np.zeros((height, width))
        owner = np.full(best.shape, -1, np.int32)
        blocks = self._low, self._high, self._bounds
        _perspective_blocks(
            self._vertices,
            self._faces,
            self._order,
            *blocks,
            move,
            sides,
            np.ascontiguousarray(K[:2]),
            NEAR_M,
            best,
            owner,
        )
        depth = np.zeros(best.shape, np.float32)
        np.divide(1.0, best, out=depth, where=owner >= 0, casting="same_kind")
        return depth, owner


def window_of(
    vertices: Real[ArrayLike, "v 3"],
    faces: Int[ArrayLike, "f 3"],
    K: Real[ArrayLike, "3 3"],
    pose: Real[ArrayLike, "4 4"],
    width: int,
    height: int,
) -> Window | None:
    """Return the smallest part of the picture that holds every pixel of these faces; None if there is no such pixel."""
    vertices, faces = mesh_arrays(vertices, faces)
    low_u, low_v, high_u, high_v = _extent(*_seen_from(vertices, K, pose), faces, NEAR_M)
    left, top = max(np.ceil(low_u), 0.0), max(np.ceil(low_v), 0.0)
    right, bottom = min(np.floor(high_u), width - 1.0), min(np.floor(high_v), height - 1.0)
    if not (left <= right and top <= bottom):
        return None
    return int(left), int(top), int(right) + 1, int(bottom) + 1


def _seen_from(
    vertices: Float64[np.ndarray, "v 3"], K: Real[ArrayLike, "3 3"], pose: Real[ArrayLike, "4 4"]
) -> tuple[Float64[np.ndarray, "v 3"], Float64[np.ndarray, "v 3"], Float64[np.ndarray, "2 3"]]:
    """Return vertices in camera axes, metres; vertices on the picture as u, v, 1/depth; and the upper rows of K."""
    K, inverse = np.asarray(K, np.float64), np.linalg.inv(np.asarray(pose, np.float64))
    camera = vertices @ inverse[:3, :3].T + inverse[:3, 3]
    picture = np.empty_like(camera)
    with np.errstate(divide="ignore", invalid="ignore"):
        # 1/z is linear over the picture, depth is not.
        picture[:, 2] = 1.0 / camera[:, 2]
        picture[:, :2] = camera[:, :2] @ K[:2, :2].T * picture[:, 2:] + K[:2, 2]
    return camera, picture, np.ascontiguousarray(K[:2])


def surface_colors(
    vertices: Real[ArrayLike, "v 3"],
    faces: Int[ArrayLike, "f 3"],
    colors: Real[ArrayLike, "v 3"],
    K: Real[ArrayLike, "3 3"],
    pose: Real[ArrayLike, "4 4"],
    depth: Float[np.ndarray, "h w"],
    owner: Int[np.ndarray, "h w"],
) -> UInt8[np.ndarray, "h w 3"]:
    """Return the colours of a mesh that `rasterise` has drawn, black where there is nothing.

    `depth`, `owner`: results of `rasterise`. The colours of vertices are interpolated over the faces, in the world and
    not in the picture.
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
    vertices: Real[ArrayLike, "v 3"],
    faces: Int[ArrayLike, "f 3"],
    x0: float,
    y0: float,
    m_per_px: float,
    width: int,
    height: int,
    ceiling: float = np.inf,
) -> tuple[Float32[np.ndarray, "{height} {width}"], Int32[np.ndarray, "{height} {width}"]]:
    """Draw a mesh from straight above; return world z, NaN = nothing, and face, -1 = none, of each pixel.

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


def mesh_arrays(
    vertices: Real[ArrayLike, "v 3"], faces: Int[ArrayLike, "f 3"]
) -> tuple[Float64[np.ndarray, "v 3"], Int64[np.ndarray, "f 3"]]:
    """Return vertices and faces as contiguous arrays with checked indices: the compiled kernels check no bounds.

    Raises ValueError for indices beyond the vertices.
    """
    vertices = np.ascontiguousarray(vertices, np.float64).reshape(-1, 3)
    faces = np.ascontiguousarray(faces, np.int64).reshape(-1, 3)
    if len(faces) and (faces.min() < 0 or faces.max() >= len(vertices)):
        raise ValueError(f"mesh faces name vertices {faces.min()}..{faces.max()}, but there are {len(vertices)}")
    return vertices, faces


@numba.njit(cache=True)
def _perspective(camera, picture, faces, K, near, left, top, best, owner):
    corner = np.empty((4, 3))
    for f in range(len(faces)):
        i, j, k = faces[f, 0], faces[f, 1], faces[f, 2]
        ahead = (camera[i, 2] >= near) + (camera[j, 2] >= near) + (camera[k, 2] >= near)
        if ahead == 3:
            _fill(picture, i, j, k, f, np.inf, left, top, best, owner)
        elif ahead:
            count = _cut_near(camera, faces[f], K, near, corner)
            for n in range(2, count):
                _fill(corner, 0, n - 1, n, f, np.inf, left, top, best, owner)


@numba.njit(cache=True, error_model="numpy")
def _perspective_blocks(vertices, faces, order, lows, highs, bounds, move, sides, K, near, best, owner):
    camera, picture, cut = np.empty((3, 3)), np.empty((3, 3)), np.empty((4, 3))
    every = np.array([0, 1, 2])
    for block in range(len(bounds) - 1):
        outside = False
        for s in range(len(sides)):
            farthest = sides[s, 3] - (near if s == 0 else 0.0) + 1e-6
            for c in range(3):
                farthest += max(sides[s, c] * lows[block, c], sides[s, c] * highs[block, c])
            outside = outside or farthest < 0
        if outside:
            continue
        for f in range(bounds[block], bounds[block + 1]):
            ahead = 0
            for k in range(3):
                i = faces[f, k]
                px, py, pz = vertices[i, 0], vertices[i, 1], vertices[i, 2]
                x = move[0, 0] * px + move[0, 1] * py + move[0, 2] * pz + move[0, 3]
                y = move[1, 0] * px + move[1, 1] * py + move[1, 2] * pz + move[1, 3]
                z = move[2, 0] * px + move[2, 1] * py + move[2, 2] * pz + move[2, 3]
                camera[k, 0], camera[k, 1], camera[k, 2] = x, y, z
                if z >= near:
                    ahead += 1
                    inverse = 1.0 / z
                    picture[k, 0] = (K[0, 0] * x + K[0, 1] * y) * inverse + K[0, 2]
                    picture[k, 1] = (K[1, 0] * x + K[1, 1] * y) * inverse + K[1, 2]
                    picture[k, 2] = inverse
            if ahead == 3:
                _fill(picture, 0, 1, 2, order[f], np.inf, 0, 0, best, owner)
            elif ahead:
                count = _cut_near(camera, every, K, near, cut)
                for n in range(2, count):
                    _fill(cut, 0, n - 1, n, order[f], np.inf, 0, 0, best, owner)


@numba.njit(cache=True)
def _extent(camera, picture, K, faces, near):
    """Return the least u and v and the greatest u and v of the faces' visible parts on the picture."""
    corner = np.empty((4, 3))
    out = np.array([np.inf, np.inf, -np.inf, -np.inf])
    for f in range(len(faces)):
        i, j, k = faces[f, 0], faces[f, 1], faces[f, 2]
        ahead = (camera[i, 2] >= near) + (camera[j, 2] >= near) + (camera[k, 2] >= near)
        count = 0
        if ahead == 3:
            corner[0], corner[1], corner[2], count = picture[i], picture[j], picture[k], 3
        elif ahead:
            count = _cut_near(camera, faces[f], K, near, corner)
        for n in range(count):
            for c in range(2):
                out[c] = min(out[c], corner[n, c])
                out[2 + c] = max(out[2 + c], corner[n, c])
    return out


@numba.njit(cache=True)
def _orthographic(picture, faces, ceiling, best, owner):
    for f in range(len(faces)):
        i, j, k = faces[f, 0], faces[f, 1], faces[f, 2]
        if min(picture[i, 2], picture[j, 2], picture[k, 2]) <= ceiling:
            _fill(picture, i, j, k, f, ceiling, 0, 0, best, owner)


@numba.njit(cache=True)
def _cut_near(camera, face, K, near, out):
    """Write the corners u, v, 1/depth of the part of a face at depth >= near to `out`; return their number: 0, 3, 4."""
    count = 0
    for k in range(3):
        a, b = camera[face[k]], camera[face[(k + 1) % 3]]
        if a[2] >= near:
            out[count] = a
            count += 1
        if (a[2] >= near) != (b[2] >= near):
            # Always from the inner end: neighbours then share the new corner exactly.
            inner, outer = (a, b) if a[2] >= near else (b, a)
            s = (inner[2] - near) / (inner[2] - outer[2])
            for c in range(2):
                out[count, c] = inner[c] + s * (outer[c] - inner[c])
            out[count, 2] = near
            count += 1
    for n in range(count):
        x, y, z = out[n]
        out[n, 2] = 1.0 / z
        out[n, 0] = (K[0, 0] * x + K[0, 1] * y) * out[n, 2] + K[0, 2]
        out[n, 1] = (K[1, 0] * x + K[1, 1] * y) * out[n, 2] + K[1, 2]
    return count


@numba.njit(cache=True, inline="always")
def _edge(ax, ay, bx, by):
    """Return an edge from its lower end as x, y, dx, dy, sign of its direction: equal numbers for both neighbours."""
    if ax < bx or (ax == bx and ay < by):
        return ax, ay, bx - ax, by - ay, 1.0
    return bx, by, ax - bx, ay - by, -1.0


@numba.njit(cache=True, inline="always")
def _side(edge, x, y):
    """Return twice the signed area of the edge and a point, bitwise opposite for the edge in the other direction."""
    return edge[4] * (edge[2] * (y - edge[1]) - edge[3] * (x - edge[0]))


@numba.njit(cache=True, inline="always")
def _owns(dx, dy):
    """Return whether a pixel centre on this edge belongs to the face: true for one of the two directions of a line."""
    return dy > 0 or (dy == 0 and dx < 0)


@numba.njit(cache=True)
def _fill(corner, i, j, k, face, ceiling, left, top, best, owner):
    """Write a face where its value (1/depth or height) exceeds the picture's and is at or below the ceiling.

    `best` and `owner` are the part of the picture that starts at column `left`, row `top`.
    """
    height, width = best.shape
    ax, ay, av = corner[i, 0], corner[i, 1], corner[i, 2]
    bx, by, bv = corner[j, 0], corner[j, 1], corner[j, 2]
    cx, cy, cv = corner[k, 0], corner[k, 1], corner[k, 2]
    first_col = max(np.ceil(min(ax, bx, cx)), left + 0.0)
    last_col = min(np.floor(max(ax, bx, cx)), left + width - 1.0)
    first_row = max(np.ceil(min(ay, by, cy)), top + 0.0)
    last_row = min(np.floor(max(ay, by, cy)), top + height - 1.0)
    if not (first_col <= last_col and first_row <= last_row):
        return
    area = _side(_edge(ax, ay, bx, by), cx, cy)
    if area == 0 or not np.isfinite(area):
        return
    if area < 0:
        bx, by, bv, cx, cy, cv = cx, cy, cv, bx, by, bv
    low, high = min(av, bv, cv), max(av, bv, cv)
    a, b, c = _edge(bx, by, cx, cy), _edge(cx, cy, ax, ay), _edge(ax, ay, bx, by)
    own_a, own_b, own_c = _owns(cx - bx, cy - by), _owns(ax - cx, ay - cy), _owns(bx - ax, by - ay)
    for row in range(int(first_row), int(last_row) + 1):
        met = False
        for col in range(int(first_col), int(last_col) + 1):
            if best[row - top, col - left] >= high:
                continue
            wa, wb, wc = _side(a, col, row), _side(b, col, row), _side(c, col, row)
            if not (
                (wa > 0 or (wa == 0 and own_a)) and (wb > 0 or (wb == 0 and own_b)) and (wc > 0 or (wc == 0 and own_c))
            ):
                if met:  # each side is monotonic along the row, rounding included: no later pixel is on the face
                    break
                continue
            met = True
            value = (wa * av + wb * bv + wc * cv) / (wa + wb + wc)
            value = min(max(value, low), high)
            if best[row - top, col - left] < value <= ceiling:
                best[row - top, col - left] = value
                owner[row - top, col - left] = face
