"""Views from above: the BEV picture, the floor's rectangle, the walkable grid.

Letters in shapes: v vertices and f faces of a mesh, n points, y and x rows and columns of a grid.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numba
import numpy as np
from numpy.typing import ArrayLike
from scipy import ndimage

from rollout3d.geometry.raster import mesh_arrays, rasterise_top

if TYPE_CHECKING:
    from jaxtyping import Bool, Float64, Int, Int64, Real, UInt8

FLOOR_BAND_M = 0.1
"""Distance from the floor's level, metres, within which surfaces are floor; higher surfaces block."""
BODY_M = 1.6
"""Height of the column that must be free for walking, metres: the height at which hand-held cameras are carried."""
CEILING_M = 2.2
"""Height above the floor, metres, from which surfaces are left out of the BEV picture."""
BEV_SIZE = 432
"""Side of the BEV picture, pixels. [Ross3D]"""
WALKABLE_CELL_M = 0.05
"""Cell of the walkable grid, metres. [assumed]"""
BEV_FILL = 0.95
"""Share of the BEV picture that the longer side of the room takes."""

_BIN_M = 0.05
"""Height of a bin of surface, metres."""
_FLAT = 0.9
"""Cosine between a face's normal and the vertical from which the face is horizontal."""
_FLOOR_SHARE = 0.2
"""Least surface of the floor's lowest bin, as a share of the fullest bin's."""
_RECT_CELL_M = 0.25
"""Side of the cells that form the floor's patches, metres."""
_STRAY_SHARE = 0.1
"""Area of a patch below which it is left out, as a share of the largest patch."""
_LOWEST_CUT_M = 1.5
"""Least height of the ceiling cut above the floor, metres."""


class Bev(NamedTuple):
    """A BEV picture with its place in the world."""

    rgb: UInt8[np.ndarray, "size size 3"]
    """Picture, RGB."""
    m_per_px: float
    """Metres per pixel."""
    x0: float
    """World x of the centre of column 0, metres."""
    y0: float
    """World y of the centre of row 0, metres."""


class Walkable(NamedTuple):
    """A grid of walkable cells; row 0 is at the lowest y."""

    grid: Bool[np.ndarray, "y x"]
    """True where one can walk."""
    origin: Float64[np.ndarray, " 2"]
    """World x, y of the lower corner of cell (0, 0), metres."""
    cell_m: float
    """Side of a cell, metres."""


def floor_level(vertices: Real[ArrayLike, "v 3"], faces: Int[ArrayLike, "f 3"] | None = None) -> float:
    """Return the world z of the floor, metres: the lowest level with much horizontal surface.

    Surface is the area of faces within 26 degrees of horizontal, per 5 cm of height. Without faces it is the number of
    10 cm cells, seen from above, that hold points. The lowest bin with a fifth of the fullest bin's surface is the foot
    of the floor, and the peak within 15 cm above it is the floor. Strays below it, such as reflections, have less
    surface.
    """
    vertices = _vertices(vertices)
    z, weight = _level_surface(vertices, faces)
    bins = np.floor(z / _BIN_M).astype(np.int64)
    levels, where = np.unique(bins, return_inverse=True)
    mass = np.bincount(where, weights=weight)
    below, here, above = (_at(levels + k, levels, mass) for k in (-1, 0, 1))
    smooth = below + here + above
    foot = int(np.argmax(smooth >= _FLOOR_SHARE * smooth.max()))
    near = (levels >= levels[foot]) & (levels <= levels[foot] + 3)
    peak = levels[near][np.argmax(smooth[near])]
    chosen = np.abs(bins - peak) <= 1
    order = np.argsort(z[chosen], kind="stable")
    share = np.cumsum(weight[chosen][order])
    return float(z[chosen][order][np.searchsorted(share, share[-1] / 2)])


def bev(
    vertices: Real[ArrayLike, "v 3"],
    faces: Int[ArrayLike, "f 3"],
    colors: UInt8[ArrayLike, "v 3"] | None,
    size: int = BEV_SIZE,
) -> Bev:
    """Draw the room from above: orthographic, +x right, +y up, black where there is nothing.

    It replaces Ross3D's pictures, which are released without their generator, and follows their known properties:
    432x432, top view, black background. Each pixel shows the highest surface at or below the ceiling cut. The cut is
    the lower of two heights: 0.3 m below the 95th percentile of the surface's z, and 2.2 m above the floor. It is at
    least 1.5 m above the floor, so that low scans keep their furniture. The percentile weights surface by its area, so
    that the density of the mesh does not move the cut. The longer side of the remaining mesh takes 95 % of the picture,
    centred. `colors` are interpolated over the faces; without colours brightness is height. Raises ValueError for a
    mesh without faces below the cut.
    """
    vertices, faces = mesh_arrays(_vertices(vertices), faces)
    level = floor_level(vertices, faces)
    cut = max(min(_high_surface(vertices, faces) - 0.3, level + CEILING_M), level + _LOWEST_CUT_M)
    used = vertices[np.unique(faces)]
    used = used[used[:, 2] <= cut, :2]
    if len(used) < 3 or not np.ptp(used, axis=0).max() > 0:
        raise ValueError(f"the mesh of {len(faces)} faces has nothing to see from above below z = {cut:.2f} m")
    low, high = used.min(axis=0), used.max(axis=0)
    m_per_px = float((high - low).max() / (BEV_FILL * size))
    centre = (low + high) / 2
    x0, y0 = float(centre[0] - (size - 1) / 2 * m_per_px), float(centre[1] + (size - 1) / 2 * m_per_px)
    height, owner = rasterise_top(vertices, faces, x0, y0, m_per_px, size, size, ceiling=cut)
    rows, cols = np.nonzero(owner >= 0)
    rgb = np.zeros((size, size, 3), np.uint8)
    if colors is None:
        brightness = np.clip((height[rows, cols] - level) / (cut - level), 0, 1)
        rgb[rows, cols] = np.rint(60 + 195 * brightness).astype(np.uint8)[:, None]
    else:
        drawn = faces[owner[rows, cols]]
        weights = _barycentric(vertices[drawn][:, :, :2], np.stack([x0 + cols * m_per_px, y0 - rows * m_per_px], 1))
        mixed = np.einsum("nk,nkc->nc", weights, np.asarray(colors)[drawn][..., :3].astype(np.float64))
        rgb[rows, cols] = np.clip(np.rint(mixed), 0, 255).astype(np.uint8)
    return Bev(rgb, m_per_px, x0, y0)


def floor_rect(
    vertices: Real[ArrayLike, "v 3"], faces: Int[ArrayLike, "f 3"] | None = None, level: float | None = None
) -> tuple[float, float, float, float]:
    """Return x_min, y_min, x_max, y_max of the floor, metres: the border of the cognitive map (SpaceR, appendix A).

    The floor is the surface within 0.1 m of its level (`floor_level` by default). Its 25 cm cells form patches. Patches
    below a tenth of the largest are strays, seen through windows or in mirrors, and are left out. Raises ValueError
    without a vertex on the floor.
    """
    vertices = _vertices(vertices)
    level = floor_level(vertices, faces) if level is None else level
    floor = vertices[np.abs(vertices[:, 2] - level) <= FLOOR_BAND_M]
    if not len(floor):
        raise ValueError(f"no vertex within {FLOOR_BAND_M} m of the floor at z = {level:.2f} m")
    origin, shape = _grid(*_bounds(floor), _RECT_CELL_M)
    seen = _columns(vertices, faces, level, origin, shape, _RECT_CELL_M)[0]
    patches, n = _patches(seen, np.ones((3, 3)))
    areas = np.bincount(patches.ravel(), minlength=n + 1)
    areas[0] = 0
    kept = np.isin(patches, np.flatnonzero(areas >= _STRAY_SHARE * areas.max())) & (patches > 0)
    col, row = np.minimum((floor[:, :2] - origin) / _RECT_CELL_M, np.array(shape[::-1]) - 1).astype(np.int64).T
    return _bounds(floor[kept[row, col]])


def walkable_grid(
    vertices: Real[ArrayLike, "v 3"],
    faces: Int[ArrayLike, "f 3"] | None = None,
    cell_m: float = 0.05,
    level: float | None = None,
) -> Walkable:
    """Return the walkable cells: those with floor and with nothing between 0.1 and 1.6 m above it; over `floor_rect`.

    Faces are sampled at half a cell, so that walls block although they have no extent from above, and coarse floors
    have no holes. Without faces the vertices themselves count and must be denser than the cells. The grid's corner lies
    on a multiple of the cell. Free patches that are mostly under a surface lower than 2.2 m are the insides of tall
    furniture, not rooms, and are left out.
    """
    vertices = _vertices(vertices)
    level = floor_level(vertices, faces) if level is None else level
    origin, shape = _grid(*floor_rect(vertices, faces, level), cell_m)
    seen, blocked, roofed = _columns(vertices, faces, level, origin, shape, cell_m)
    grid = seen & ~blocked
    patches, n = _patches(grid)
    if n:
        areas = np.bincount(patches.ravel(), minlength=n + 1)
        under = np.bincount(patches.ravel(), weights=roofed.ravel(), minlength=n + 1)
        grid &= ~np.isin(patches, np.flatnonzero(2 * under > areas))
    return Walkable(grid, origin, cell_m)


def pack_grid(grid: Bool[ArrayLike, "y x"]) -> bytes:
    """Return a grid as bits, row-major, most significant bit first, the last byte padded with zeros."""
    return np.packbits(np.asarray(grid, np.bool_).ravel()).tobytes()


def unpack_grid(data: bytes, cols: int, rows: int) -> Bool[np.ndarray, "{rows} {cols}"]:
    """Return the grid of `pack_grid`. Raises ValueError if the number of bytes is not that of so many cells."""
    if len(data) != -(-cols * rows // 8):
        raise ValueError(f"a bit grid of {len(data)} bytes does not have {cols} columns x {rows} rows")
    return np.unpackbits(np.frombuffer(data, np.uint8), count=cols * rows).reshape(rows, cols).astype(np.bool_)


def _vertices(vertices: Real[ArrayLike, "v 3"]) -> Float64[np.ndarray, "v 3"]:
    """Return vertices as a contiguous array. Raises ValueError for none, and for vertices that are not finite."""
    vertices = np.ascontiguousarray(vertices, np.float64).reshape(-1, 3)
    if not len(vertices) or not np.isfinite(vertices).all():
        raise ValueError(f"a view from above needs finite vertices, at least one (got {len(vertices)})")
    return vertices


def _bounds(points: Float64[np.ndarray, "n _"]) -> tuple[float, float, float, float]:
    """Return x_min, y_min, x_max, y_max of points."""
    low, high = points[:, :2].min(axis=0), points[:, :2].max(axis=0)
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def _patches(
    mask: Bool[np.ndarray, "y x"], neighbours: Float64[np.ndarray, "3 3"] | None = None
) -> tuple[Int[np.ndarray, "y x"], int]:
    """Return the patch of each cell, 0 where the mask is not set, and the number of patches.

    `neighbours`: which cells around a cell (the middle) belong to its patch; None = those that share a side.
    """
    patches = np.zeros(mask.shape, np.int32)
    ndimage.label(mask, neighbours, output=patches)
    return patches, int(patches.max(initial=0))


def _grid(
    x_min: float, y_min: float, x_max: float, y_max: float, cell: float
) -> tuple[Float64[np.ndarray, " 2"], tuple[int, int]]:
    """Return the lower corner, on a multiple of the cell, and (rows, cols) of the grid over a rectangle."""
    # A small tolerance, so that 6.0 / 0.05 = 119.99999 does not add a cell.
    first = np.floor(np.array([x_min, y_min]) / cell + 1e-6)
    last = np.ceil(np.array([x_max, y_max]) / cell - 1e-6)
    cols, rows = np.maximum(last - first, 1).astype(int)
    return first * cell, (int(rows), int(cols))


def _level_surface(
    vertices: Float64[np.ndarray, "v 3"], faces: Int[ArrayLike, "f 3"] | None
) -> tuple[Float64[np.ndarray, " n"], Float64[np.ndarray, " n"]]:
    """Return heights of pieces of horizontal surface, metres, and the amount of surface of each."""
    if faces is not None and len(np.asarray(faces)):
        vertices, faces = mesh_arrays(vertices, faces)
        a, b, c = vertices[faces].transpose(1, 0, 2)
        normal = np.cross(b - a, c - a)
        flat = np.abs(normal[:, 2]) > _FLAT * np.linalg.norm(normal, axis=1)
        if flat.any():
            return ((a + b + c)[:, 2] / 3)[flat], np.abs(normal[flat, 2]) / 2
    cells = np.floor(vertices / (2 * _BIN_M, 2 * _BIN_M, _BIN_M)).astype(np.int64)
    z = vertices[np.unique(cells, axis=0, return_index=True)[1], 2]
    return z, np.ones(len(z))


def _high_surface(vertices: Float64[np.ndarray, "v 3"], faces: Int64[np.ndarray, "f 3"]) -> float:
    """Return the height with 95 % of the surface at or below it, each face at its middle.

    Without surface, 95 % of the vertices are at or below it.
    """
    a, b, c = vertices[faces].transpose(1, 0, 2)
    area, z = np.linalg.norm(np.cross(b - a, c - a), axis=1), (a + b + c)[:, 2] / 3
    if not area.sum() > 0:
        return float(np.percentile(vertices[:, 2], 95))
    order = np.argsort(z, kind="stable")
    share = np.cumsum(area[order])
    return float(z[order][np.searchsorted(share, 0.95 * share[-1])])


def _at(
    wanted: Int[np.ndarray, " n"], keys: Int[np.ndarray, " m"], values: Float64[np.ndarray, " m"]
) -> Float64[np.ndarray, " n"]:
    """Return the `values` of sorted `keys` at the wanted keys, 0 for a wanted key that is not among them."""
    where = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[where] == wanted, values[where], 0.0)


def _barycentric(
    corners: Float64[np.ndarray, "n 3 2"], points: Float64[np.ndarray, "n 2"]
) -> Float64[np.ndarray, "n 3"]:
    """Return the weights of the corners at points in their triangles, not negative except for rounding."""
    a, b, c = corners.transpose(1, 0, 2)
    u, v, w = b - a, c - a, points - a
    area = u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]
    wb = (w[:, 0] * v[:, 1] - w[:, 1] * v[:, 0]) / area
    wc = (u[:, 0] * w[:, 1] - u[:, 1] * w[:, 0]) / area
    return np.stack([1 - wb - wc, wb, wc], axis=1)


def _columns(
    vertices: Float64[np.ndarray, "v 3"],
    faces: Int[ArrayLike, "f 3"] | None,
    level: float,
    origin: Float64[np.ndarray, " 2"],
    shape: tuple[int, int],
    cell: float,
) -> tuple[Bool[np.ndarray, "y x"], Bool[np.ndarray, "y x"], Bool[np.ndarray, "y x"]]:
    """Return the cells with floor, with surface at the height of the body, and with surface above the body."""
    seen, blocked, roofed = (np.zeros(shape, np.bool_) for _ in range(3))
    if faces is None or not len(np.asarray(faces)):
        faces = np.repeat(np.arange(len(vertices))[:, None], 3, axis=1)
    vertices, faces = mesh_arrays(vertices, faces)
    bands = np.array([-FLOOR_BAND_M, FLOOR_BAND_M, BODY_M, CEILING_M]) + level
    _sample_columns(vertices, faces, bands, origin, cell, seen, blocked, roofed)
    return seen, blocked, roofed


@numba.njit(cache=True)
def _sample_columns(vertices, faces, bands, origin, cell, seen, blocked, roofed):
    rows, cols = seen.shape
    for f in range(len(faces)):
        a, b, c = vertices[faces[f, 0]], vertices[faces[f, 1]], vertices[faces[f, 2]]
        if min(a[2], b[2], c[2]) > bands[3] or max(a[2], b[2], c[2]) < bands[0]:
            continue
        longest = 0.0
        for k in range(3):
            p, q = vertices[faces[f, k]], vertices[faces[f, (k + 1) % 3]]
            longest = max(longest, (p[0] - q[0]) ** 2 + (p[1] - q[1]) ** 2 + (p[2] - q[2]) ** 2)
        n = max(int(np.ceil(2 * np.sqrt(longest) / cell)), 1)
        for i in range(n + 1):
            for j in range(n + 1 - i):
                s, t = i / n, j / n
                x = (a[0] + s * (b[0] - a[0]) + t * (c[0] - a[0]) - origin[0]) / cell
                y = (a[1] + s * (b[1] - a[1]) + t * (c[1] - a[1]) - origin[1]) / cell
                # The far border belongs to the last cell.
                if not (x >= -1e-6 and y >= -1e-6 and x <= cols + 1e-6 and y <= rows + 1e-6):
                    continue
                col, row = min(max(int(np.floor(x)), 0), cols - 1), min(max(int(np.floor(y)), 0), rows - 1)
                z = a[2] + s * (b[2] - a[2]) + t * (c[2] - a[2])
                if z < bands[0] or z > bands[3]:
                    continue
                if z <= bands[1]:
                    seen[row, col] = True
                elif z <= bands[2]:
                    blocked[row, col] = True
                else:
                    roofed[row, col] = True
