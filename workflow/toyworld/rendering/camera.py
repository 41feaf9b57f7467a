"""Plan the walk of a hand-held camera through a world: poses that show most things and stay clear of obstacles.

The walk is planned in three steps. First, spots are chosen that together show most things. Then a shortest tour joins
them on the free floor and is smoothed. Last, directions of view are found along it (`sight`). The walk is a function of
time: a higher frame rate samples the same walk more often.
"""

from __future__ import annotations

import itertools

import numpy as np
from numba import njit

from rollout3d.errors import InvalidInput
from rollout3d.seeding import generator
from toyworld.rendering import sight
from toyworld.rooms import free_space
from toyworld.rooms.floorplan import CELL, plan_of
from toyworld.rooms.furnishing import BODY_RADIUS, HEAD
from toyworld.rooms.world import World

FOCAL = 0.6
"""Focal length divided by the width of the picture: 80 degrees across, 64 high at 4:3."""
SPEED = 1.6
"""Largest speed, metres per second."""
TURN = 90.0
"""Largest yaw rate, degrees per second."""
CLEAR = 0.004
"""Solid angle from which a thing is clearly seen, steradians: 37 pixels of a 160 x 120 picture."""
MOMENT = 0.2
"""Seconds between planned directions of view; directions between them are interpolated."""
BENDS = 1200
"""Number of random changes to the directions of view that are tried."""


def intrinsics(width: int, height: int) -> np.ndarray:
    """Return (3, 3) K of square pixels with integer centres and a focal length of FOCAL times the width."""
    return np.array([[FOCAL * width, 0.0, (width - 1) / 2], [0.0, FOCAL * width, (height - 1) / 2], [0.0, 0.0, 1.0]])


def camera_path(world: World, seconds: float, fps: float) -> np.ndarray:
    """Return (N, 4, 4) camera-to-world poses of a walk, N = round(seconds * fps); frame i is taken at i / fps seconds.

    The camera has OpenCV axes, is 1.4 to 1.6 m high, rolls within two degrees, turns at most TURN degrees and moves at
    most SPEED metres per second. It stays 0.25 m from walls, furniture and what hangs below head height. Raises
    InvalidInput for a recording without frames.
    """
    n = round(seconds * fps)
    if n < 1:
        raise InvalidInput(f"{seconds} s at {fps} frames per second is no frame: ask for more seconds")
    rng = generator(world.seed, "path")
    height = rng.uniform(1.45, 1.55)
    phases = rng.uniform(0, 2 * np.pi, 6)
    plan = plan_of(world.rooms, [(d.start, d.end) for d in world.doorways])
    boxes = np.array([free_space.box_row(t.center, t.size, t.yaw_deg) for t in world.things]).reshape(-1, 8)
    grid = plan.clearance
    for row in boxes[boxes[:, 6] < HEAD]:
        grid = free_space.add_obstacle(grid, row, plan.x0, plan.y0, CELL)

    band = _route(rng, grid, plan, boxes, height, seconds * SPEED, 3 + len(world.rooms))
    moments = np.linspace(0, seconds, max(round(seconds / MOMENT), 1) + 1)
    yaw = _directions(rng, _along(band, moments / seconds), height, moments, seconds, phases, plan.walls, boxes)

    t = np.arange(n) / fps
    xy = _along(band, t / seconds)
    turn = _spline(yaw, t / (moments[1] - moments[0]))
    # Slow sway of a hand-held camera: a few centimetres and up to two degrees.
    eye = np.column_stack([xy, height + 0.025 * np.sin(2 * np.pi * t / 1.1 + phases[0])])
    pitch = _pitch(t, seconds, phases) + np.radians(0.8) * np.sin(2 * np.pi * t / 1.3 + phases[1])
    roll = np.radians(1.5) * np.sin(2 * np.pi * t / 2.1 + phases[2])
    return _poses(eye, turn, pitch, roll)


def _pitch(t: np.ndarray, seconds: float, phases: np.ndarray) -> np.ndarray:
    """Return the pitch in radians above the horizon: a slow nod, mostly downwards, where most things are."""
    return np.radians(-12.0 + 12.0 * np.sin(2 * np.pi * t / max(seconds / 2.5, 2.4) + phases[3]))


def _poses(eye: np.ndarray, yaw: np.ndarray, pitch: np.ndarray, roll: np.ndarray) -> np.ndarray:
    """Return (N, 4, 4) poses from eyes (N, 3) and angles (N,) in radians; yaw 0 looks along +x, positive pitch up."""
    forward = np.stack([np.cos(pitch) * np.cos(yaw), np.cos(pitch) * np.sin(yaw), np.sin(pitch)], axis=1)
    right = np.stack([np.sin(yaw), -np.cos(yaw), np.zeros_like(yaw)], axis=1)
    down = np.cross(forward, right)
    c, s = np.cos(roll)[:, None], np.sin(roll)[:, None]
    poses = np.tile(np.eye(4), (len(eye), 1, 1))
    poses[:, :3, 0] = c * right + s * down
    poses[:, :3, 1] = c * down - s * right
    poses[:, :3, 2] = forward
    poses[:, :3, 3] = eye
    return poses


def _route(rng, grid, plan, boxes, height, longest, most) -> np.ndarray:
    """Return (M, 2) points about a cell apart: a smooth tour of the spots that show most, `longest` metres at most."""
    spots = _spots(grid, plan)
    eyes = np.column_stack([spots, np.full(len(spots), height)])
    seen = np.minimum(sight.visible_angles(eyes, plan.walls, boxes, CLEAR / 4) / CLEAR, 3.0)
    chosen = sight.choose_spots(seen, spots, most, 0.8)
    cells = np.round((spots[chosen] - (plan.x0, plan.y0)) / CELL).astype(np.int64)[:, ::-1]
    free = grid >= BODY_RADIUS
    while True:
        hops = [_hops(free, *cell) for cell in cells]
        order = _shortest_order(hops, cells)
        path = [cells[order[0]]]
        for a, b in itertools.pairwise(order):
            path.extend(_descend(hops[a], *cells[b])[::-1][1:])
        band = _rubber_band(np.array(path)[:, ::-1] * CELL, grid, CELL, BODY_RADIUS)
        length = np.sum(np.hypot(*np.diff(band, axis=0).T)) if len(band) > 1 else 0.0
        if length <= longest or len(cells) == 1:
            break
        cells = cells[:-1]
    band = band + np.array([plan.x0, plan.y0])
    return band if rng.random() < 0.5 else band[::-1]


def _spots(grid: np.ndarray, plan) -> np.ndarray:
    """Return (E, 2) places to stand, some 0.5 m apart: the cell of largest clearance in each 5 x 5 block."""
    step = 5
    rows, cols = (-(-n // step) * step for n in grid.shape)
    padded = np.zeros((rows, cols))
    padded[: grid.shape[0], : grid.shape[1]] = grid
    blocks = padded.reshape(rows // step, step, cols // step, step).transpose(0, 2, 1, 3).reshape(-1, step * step)
    best = np.argmax(blocks, axis=1)
    j, i = np.divmod(np.arange(len(blocks)), cols // step)
    cells = np.column_stack([i * step + best % step, j * step + best // step])
    return cells[blocks.max(axis=1) >= BODY_RADIUS] * CELL + (plan.x0, plan.y0)


def _shortest_order(hops: list[np.ndarray], cells: np.ndarray) -> tuple[int, ...]:
    """Return the order of visits, open at both ends, with the fewest steps."""
    far = np.array([[hop[tuple(cell)] for cell in cells] for hop in hops])
    n = len(cells)
    orders = (order for order in itertools.permutations(range(n)) if order[0] <= order[-1])
    return min(orders, key=lambda order: sum(far[a, b] for a, b in itertools.pairwise(order)))


@njit(cache=True)
def _hops(free, j, i):
    """Return the number of steps from a cell to every free cell over four neighbours; -1 where there is no way."""
    rows, cols = free.shape
    out = np.full((rows, cols), -1, dtype=np.int64)
    queue = np.empty(rows * cols, dtype=np.int64)
    queue[0], head, tail = j * cols + i, 0, 1
    out[j, i] = 0
    while head < tail:
        b, a = divmod(queue[head], cols)
        head += 1
        for k in range(4):
            q, p = b + (k == 0) - (k == 1), a + (k == 2) - (k == 3)
            if 0 <= q < rows and 0 <= p < cols and free[q, p] and out[q, p] < 0:
                out[q, p] = out[b, a] + 1
                queue[tail] = q * cols + p
                tail += 1
    return out


@njit(cache=True)
def _descend(hops, j, i):
    """Return the cells (M, 2) of a shortest way from (j, i) to the cell with 0 steps."""
    path = np.empty((hops[j, i] + 1, 2), dtype=np.int64)
    for m in range(len(path)):
        path[m, 0], path[m, 1] = j, i
        for turn in range(4):
            # Steps alternate between the axes, so that ways run diagonally rather than along two sides.
            k = (turn + 2 * m) % 4
            q, p = j + (k == 0) - (k == 1), i + (k == 2) - (k == 3)
            if 0 <= q < hops.shape[0] and 0 <= p < hops.shape[1] and hops[q, p] == hops[j, i] - 1:
                j, i = q, p
                break
    return path


@njit(cache=True)
def _bilinear(grid, x, y):
    i, j = int(np.floor(x)), int(np.floor(y))
    if i < 0 or j < 0 or i + 1 >= grid.shape[1] or j + 1 >= grid.shape[0]:
        return 0.0
    a, b = x - i, y - j
    return (grid[j, i] * (1 - a) + grid[j, i + 1] * a) * (1 - b) + (
        grid[j + 1, i] * (1 - a) + grid[j + 1, i + 1] * a
    ) * b


@njit(cache=True)
def _rubber_band(points, grid, cell, radius):
    """Return points moved towards the mean of their neighbours while the grid keeps a clearance of `radius` there."""
    out = points.copy()
    for _ in range(90):
        for k in range(1, len(out) - 1):
            x = 0.25 * out[k - 1, 0] + 0.5 * out[k, 0] + 0.25 * out[k + 1, 0]
            y = 0.25 * out[k - 1, 1] + 0.5 * out[k, 1] + 0.25 * out[k + 1, 1]
            now = _bilinear(grid, out[k, 0] / cell, out[k, 1] / cell)
            if _bilinear(grid, x / cell, y / cell) >= min(radius + 0.02, now):
                out[k, 0], out[k, 1] = x, y
    return out


def _along(band: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Return (N, 2) points at shares (N,) of a line's length, so that even shares mean even speed."""
    if len(band) == 1:
        return np.repeat(band, len(share), axis=0)
    length = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(band, axis=0).T))])
    even = np.linspace(0, length[-1], len(band))
    knots = np.column_stack([np.interp(even, length, band[:, c]) for c in range(2)])
    at = np.clip(share, 0, 1) * (len(band) - 1)
    return np.column_stack([_spline(knots[:, c], at) for c in range(2)])


def _spline(values: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Evaluate a uniform cubic B-spline with controls `values` (K,) at indices 0..K-1; no steeper than the controls."""
    # Controls are reflected at both ends, so that the curve starts and ends at the outer ones.
    controls = np.concatenate([[2 * values[0] - values[min(1, len(values) - 1)]], values])
    tail = 2 * values[-1] - values[max(len(values) - 2, 0)]
    controls = np.concatenate([controls, [tail, tail]])
    k = np.clip(np.floor(at).astype(int), 0, len(values) - 1)
    f = at - k
    basis = ((1 - f) ** 3, 3 * f**3 - 6 * f**2 + 4, -3 * f**3 + 3 * f**2 + 3 * f + 1, f**3)
    return np.asarray(sum(w * controls[k + j] for j, w in enumerate(basis))) / 6


def _directions(rng, xy, height, moments, seconds, phases, walls, boxes) -> np.ndarray:
    """Return the yaw (T,) in radians at each moment."""
    eyes = np.column_stack([xy, np.full(len(xy), height)])
    clear = np.minimum(sight.visible_angles(eyes, walls, boxes, CLEAR / 4) / CLEAR, 1.0)
    centers = np.column_stack([boxes[:, :2], boxes[:, 6:].mean(axis=1)])
    away = centers[None] - eyes[:, None]
    bearing = np.arctan2(away[..., 1], away[..., 0])
    up = np.arctan2(away[..., 2], np.hypot(away[..., 0], away[..., 1]))
    level = np.abs(up - _pitch(moments, seconds, phases)[:, None]) < np.arctan(0.375 / FOCAL) - np.radians(3)
    clear[(clear < 0.6) | ~level] = 0.0
    half_width = np.arctan(0.5 / FOCAL) - np.radians(6)
    reach = np.radians(TURN) * (moments[1] - moments[0])
    return sight.turn_to_see(clear, bearing, half_width, reach, rng.random((BENDS, 4)))
