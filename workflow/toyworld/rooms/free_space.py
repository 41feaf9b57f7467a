"""Compiled kernels on free space in plan: overlap of boxes, distance to walls and furniture, connected free floor.

A box is a row (cx, cy, half width, half depth, cos yaw, sin yaw, bottom, top); a
wall is a row (ax, ay, bx, by); all in metres. A grid has its cell (row j, column i) centred at
(x0 + i * cell, y0 + j * cell).
"""

from __future__ import annotations

import numpy as np
from numba import njit

EPS = 1e-6


def box_row(center: tuple[float, ...], size: tuple[float, ...], yaw_deg: float) -> np.ndarray:
    """Return a box (8,) from centre (x, y, z), size (width, depth, height) and yaw in degrees; metres."""
    yaw = np.radians(yaw_deg)
    half = size[2] / 2
    return np.array(
        [center[0], center[1], size[0] / 2, size[1] / 2, np.cos(yaw), np.sin(yaw), center[2] - half, center[2] + half]
    )


@njit(cache=True)
def apart(ax, ay, ahx, ahy, ac, as_, bx, by, bhx, bhy, bc, bs, gap):
    """Return whether two rectangles keep `gap` metres along one of their four axes (separating axis theorem)."""
    dx, dy = bx - ax, by - ay
    c, s = abs(ac * bc + as_ * bs), abs(as_ * bc - ac * bs)
    if abs(dx * ac + dy * as_) > ahx + bhx * c + bhy * s + gap:
        return True
    if abs(dy * ac - dx * as_) > ahy + bhx * s + bhy * c + gap:
        return True
    if abs(dx * bc + dy * bs) > bhx + ahx * c + ahy * s + gap:
        return True
    return abs(dy * bc - dx * bs) > bhy + ahx * s + ahy * c + gap


@njit(cache=True)
def hits(box, boxes, n, gap):
    """Return whether `box` is nearer than `gap` metres in plan to one of the first `n` boxes at the same height."""
    for k in range(n):
        o = boxes[k]
        if box[6] >= o[7] - EPS or o[6] >= box[7] - EPS:
            continue
        if not apart(box[0], box[1], box[2], box[3], box[4], box[5], o[0], o[1], o[2], o[3], o[4], o[5], gap):
            return True
    return False


@njit(cache=True)
def inside(polygon, x, y):
    """Return whether a point lies in a simple polygon (k, 2) (even-odd rule)."""
    odd = False
    j = len(polygon) - 1
    for i in range(len(polygon)):
        if (polygon[i, 1] > y) != (polygon[j, 1] > y):
            t = (y - polygon[i, 1]) / (polygon[j, 1] - polygon[i, 1])
            if x < polygon[i, 0] + t * (polygon[j, 0] - polygon[i, 0]):
                odd = not odd
        j = i
    return odd


@njit(cache=True)
def fits(box, polygon, gap):
    """Return whether a box lies in a room (k, 2), `gap` metres from its walls."""
    for a in (-1.0, 1.0):
        for b in (-1.0, 1.0):
            x = box[0] + a * box[2] * box[4] - b * box[3] * box[5]
            y = box[1] + a * box[2] * box[5] + b * box[3] * box[4]
            if not inside(polygon, x, y):
                return False
    j = len(polygon) - 1
    for i in range(len(polygon)):
        dx, dy = polygon[i, 0] - polygon[j, 0], polygon[i, 1] - polygon[j, 1]
        long = np.hypot(dx, dy)
        mx, my = (polygon[i, 0] + polygon[j, 0]) / 2, (polygon[i, 1] + polygon[j, 1]) / 2
        if not apart(
            box[0], box[1], box[2], box[3], box[4], box[5], mx, my, long / 2, 0.0, dx / long, dy / long, gap
        ):  # fmt: skip
            return False
        j = i
    return True


@njit(cache=True)
def wall_distance(x, y, walls):
    """Return the metres from a point to the nearest wall."""
    best = 1e9
    for k in range(len(walls)):
        ax, ay = walls[k, 0], walls[k, 1]
        dx, dy = walls[k, 2] - ax, walls[k, 3] - ay
        t = min(1.0, max(0.0, ((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy)))
        best = min(best, (ax + t * dx - x) ** 2 + (ay + t * dy - y) ** 2)
    return np.sqrt(best)


@njit(cache=True)
def box_distance(x, y, box):
    """Return the metres in plan from a point to a box; 0 inside."""
    dx, dy = x - box[0], y - box[1]
    u = max(abs(dx * box[4] + dy * box[5]) - box[2], 0.0)
    v = max(abs(dy * box[4] - dx * box[5]) - box[3], 0.0)
    return np.sqrt(u * u + v * v)


@njit(cache=True)
def clearance_at(x, y, walls, boxes):
    """Return the metres in plan from a point to the nearest wall or box."""
    best = wall_distance(x, y, walls)
    for k in range(len(boxes)):
        best = min(best, box_distance(x, y, boxes[k]))
    return best


@njit(cache=True)
def empty_clearance(walls, polygons, starts, x0, y0, cell, rows, cols):
    """Return a (rows, cols) grid of metres to the walls, 0 outside every room.

    Room r is `polygons[starts[r]:starts[r + 1]]`.
    """
    grid = np.zeros((rows, cols))
    for j in range(rows):
        for i in range(cols):
            x, y = x0 + i * cell, y0 + j * cell
            for r in range(len(starts) - 1):
                if inside(polygons[starts[r] : starts[r + 1]], x, y):
                    grid[j, i] = wall_distance(x, y, walls)
                    break
    return grid


@njit(cache=True)
def add_obstacle(grid, box, x0, y0, cell):
    """Return a copy of a clearance grid with a box as a further obstacle."""
    out = grid.copy()
    for j in range(grid.shape[0]):
        for i in range(grid.shape[1]):
            if out[j, i] > 0:
                out[j, i] = min(out[j, i], box_distance(x0 + i * cell, y0 + j * cell, box))
    return out


@njit(cache=True)
def free_regions(grid, radius):
    """Return the number of cells free for a disc of `radius`, that of the largest 4-connected region, and a cell of it.

    The cell is (row, column); (-1, -1) if no cell is free.
    """
    rows, cols = grid.shape
    seen = np.zeros((rows, cols), dtype=np.bool_)
    stack = np.empty(rows * cols, dtype=np.int64)
    total, largest, at_j, at_i = 0, 0, -1, -1
    for j in range(rows):
        for i in range(cols):
            if seen[j, i] or grid[j, i] < radius:
                continue
            seen[j, i] = True
            stack[0] = j * cols + i
            top, size = 1, 0
            while top > 0:
                top -= 1
                b, a = divmod(stack[top], cols)
                size += 1
                for step in range(4):
                    q = b + (step == 0) - (step == 1)
                    p = a + (step == 2) - (step == 3)
                    if 0 <= q < rows and 0 <= p < cols and not seen[q, p] and grid[q, p] >= radius:
                        seen[q, p] = True
                        stack[top] = q * cols + p
                        top += 1
            total += size
            if size > largest:
                largest, at_j, at_i = size, j, i
    return total, largest, at_j, at_i
