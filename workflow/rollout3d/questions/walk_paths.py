"""Shortest paths over the free cells of a grid, and walks along them: the compiled part of `walk`."""

from __future__ import annotations

from heapq import heappop, heappush

import numba
import numpy as np

ARRIVED, NO_WAY, NOT_STRAIGHT, THERE = range(4)
"""How a walk ends: at the landmark, nowhere, after a way that does not lead forward, or before it has begun."""


@numba.njit(cache=True)
def spread(free, sources, limit):
    """Path lengths, in cells, from the nearest source over free cells, and the next cell on the way to it.

    Eight neighbours, no cut corners. Beyond `limit`: inf and -1.
    """
    rows, cols = free.shape
    far = np.full((rows, cols), np.inf)
    parent = np.full((rows, cols), -1, np.int32)
    heap = [(0.0, np.int64(0)) for _ in range(0)]
    for s in sources:
        far[s // cols, s % cols] = 0.0
        parent[s // cols, s % cols] = s
        heappush(heap, (0.0, np.int64(s)))
    while len(heap):
        d, here = heappop(heap)
        r, c = here // cols, here % cols
        if d > far[r, c]:
            continue
        for dr in range(-1, 2):
            for dc in range(-1, 2):
                i, j = r + dr, c + dc
                if i < 0 or j < 0 or i >= rows or j >= cols or not (free[i, j] and free[r, j] and free[i, c]):
                    continue
                new = d + np.sqrt(dr * dr + dc * dc)
                if new < far[i, j] - 1e-9 and new <= limit:
                    far[i, j] = new
                    parent[i, j] = here
                    heappush(heap, (new, np.int64(i * cols + j)))
    return far, parent


@numba.njit(cache=True)
def stops(away, cells, enough):
    """Of `cells`, those within `enough` of the object, and those with no neighbour nearer to it (`away`, inf: not
    beside it)."""
    rows, cols = away.shape
    stop = np.zeros(len(cells), np.bool_)
    for k in range(len(cells)):
        r, c = cells[k] // cols, cells[k] % cols
        nearest = away[r, c]
        for i in range(max(r - 1, 0), min(r + 2, rows)):
            for j in range(max(c - 1, 0), min(c + 2, cols)):
                nearest = min(nearest, away[i, j])
        stop[k] = away[r, c] <= enough or nearest >= away[r, c] - 1e-9
    return stop


@numba.njit(cache=True)
def _clear_line(free, r0, c0, r1, c1):
    """Return whether all cells under the line between two cells' middles are free."""
    n = int(np.ceil(2 * max(abs(r1 - r0), abs(c1 - c0))))
    for k in range(1, n):
        t = k / n
        if not free[int(np.floor(r0 + 0.5 + t * (r1 - r0))), int(np.floor(c0 + 0.5 + t * (c1 - c0)))]:
            return False
    return True


@numba.njit(cache=True)
def trace(free, near, cells, centre, limits, parent, goals, state, end, towards, travel, passed):
    """Walk from each cell to where the way ends, and judge the walk; fills in the columns of `_Legs`.

    The path over cells is pulled straight: from each corner to the farthest cell of the path in a free line.
    """
    cols = free.shape[1]
    detour, detour_cells, aside, back, least = limits
    path = np.empty(free.size, np.int64)
    for start in cells:
        x0, y0 = start % cols + 0.5, start // cols + 0.5
        towards[start] = np.degrees(np.arctan2(centre[1] - y0, centre[0] - x0))
        travel[start] = towards[start]
        if parent[start] < 0:
            state[start] = NO_WAY
            continue
        n, here = 0, np.int64(start)
        while True:
            path[n] = here
            n += 1
            for w in range(near.shape[1]):
                passed[start, w] |= near[here, w]
            if goals[here]:
                break
            here = np.int64(parent[here])
        end[start] = here
        dx, dy = here % cols + 0.5 - x0, here // cols + 0.5 - y0
        straight = np.sqrt(dx * dx + dy * dy)
        travel[start] = np.degrees(np.arctan2(dy, dx))
        if straight < least:
            state[start] = THERE
            continue
        dx, dy = dx / straight, dy / straight
        k, length, backward, astray = 0, 0.0, 0.0, 0.0
        while k < n - 1:
            r, c = path[k] // cols, path[k] % cols
            nxt = k + 1
            step = n - 1 - k
            # The farthest in sight, by halves: not always the very farthest, but a free line.
            while step > 0:
                there = nxt + step
                if there < n and _clear_line(free, r, c, path[there] // cols, path[there] % cols):
                    nxt = there
                else:
                    step //= 2
            i, j = path[nxt] // cols, path[nxt] % cols
            length += np.sqrt((i - r) ** 2 + (j - c) ** 2)
            backward += max(-((j - c) * dx + (i - r) * dy), 0.0)
            astray = max(astray, abs((i + 0.5 - y0) * dx - (j + 0.5 - x0) * dy))
            k = nxt
        good = length <= detour * straight + detour_cells and astray <= aside and backward <= back
        state[start] = ARRIVED if good else NOT_STRAIGHT
