"""Draw floor plans: a rectangle, an L, a T, or a flat of two to four rooms with openings between them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from toyworld.rooms import free_space

SHAPES = ("rectangle", "l", "t", "flat")
SMALLEST = {"rectangle": 12.0, "l": 17.0, "t": 20.0, "flat": 24.0}
"""Smallest floor area, square metres: narrower arms could not be furnished."""

OPENING_WIDTH, OPENING_HEIGHT = 1.05, 2.1
"""Size of an opening, metres."""
CELL = 0.1
"""Side of a cell of the clearance grid, metres."""

Point = tuple[float, float]
Polygon = tuple[Point, ...]
Opening = tuple[Point, Point]


def draw_rooms(rng: np.random.Generator, shape: str, area: float) -> tuple[list[Polygon], list[Opening]]:
    """Draw rooms of about `area` square metres in all; return their polygons and the openings between them.

    Polygons are counter-clockwise, in whole centimetres.
    """
    area = max(area, SMALLEST[shape])
    aspect = rng.uniform(1.0, 1.55) ** (1 if rng.random() < 0.5 else -1)
    if shape == "flat":
        return _flat(rng, area, aspect)
    a, b = rng.uniform(0.36, 0.48, 2)
    if shape == "rectangle":
        unit, share = [(0, 0), (1, 0), (1, 1), (0, 1)], 1.0
    elif shape == "l":
        unit, share = [(0, 0), (1, 0), (1, 1 - b), (1 - a, 1 - b), (1 - a, 1), (0, 1)], 1 - a * b
    else:
        left = rng.uniform(0.15, 0.4)
        unit = [(left, 0), (left + a, 0), (left + a, 1 - b), (1, 1 - b), (1, 1), (0, 1), (0, 1 - b), (left, 1 - b)]
        share = b + a * (1 - b)
    width = np.sqrt(area * aspect / share)
    corners = np.array(unit) * (width, area / share / width)
    if rng.random() < 0.5:
        corners = corners[:, ::-1][::-1]
    if rng.random() < 0.5:
        corners = (corners.max(axis=0) * (1, 0) + corners * (-1, 1))[::-1]
    return [_rounded(corners)], []


def _rounded(corners: np.ndarray) -> Polygon:
    return tuple((round(float(x), 2), round(float(y), 2)) for x, y in corners)


def _flat(rng: np.random.Generator, area: float, aspect: float) -> tuple[list[Polygon], list[Opening]]:
    """Cut a rectangle across, then one or both halves along; neighbours share walls and openings."""
    n = 2 if area < 32 else 3 if area < 46 else 4
    width = float(np.round(np.sqrt(area * max(aspect, 1 / aspect)), 2))
    depth = float(np.round(area / width, 2))
    cut = round(width * rng.uniform(0.42, 0.58), 2)
    left, right = (0.0, cut), (cut, width)
    rooms = []
    sides = (left, right) if rng.random() < 0.5 else (right, left)
    for extra, (x0, x1) in zip((n > 3, n > 2), sides):
        if extra:
            y = round(depth * rng.uniform(0.42, 0.58), 2)
            rooms += [(x0, 0.0, x1, y), (x0, y, x1, depth)]
        else:
            rooms.append((x0, 0.0, x1, depth))
    linked = {0}
    openings: list[Opening] = []
    pairs = [(i, j) for i in range(n) for j in range(i + 1, n)]
    while len(linked) < n:
        for k in rng.permutation(len(pairs)):
            i, j = pairs[k]
            opening = _opening(rng, rooms[i], rooms[j]) if (i in linked) != (j in linked) else None
            if opening:
                linked |= {i, j}
                openings.append(opening)
                break
    polygons = [((x0, y0), (x1, y0), (x1, y1), (x0, y1)) for x0, y0, x1, y1 in rooms]
    return polygons, openings


def _opening(rng: np.random.Generator, a: tuple[float, ...], b: tuple[float, ...]) -> Opening | None:
    """Draw a doorway in the wall that two rectangles (x0, y0, x1, y1) share, 0.4 m from its ends; None if too short."""
    low, high = np.maximum(a[:2], b[:2]), np.minimum(a[2:], b[2:])
    span = high - low
    axis = int(np.argmax(span))
    if span[1 - axis] != 0 or span[axis] < OPENING_WIDTH + 0.8:
        return None
    start = low.copy()
    start[axis] = round(rng.uniform(low[axis] + 0.4, high[axis] - 0.4 - OPENING_WIDTH), 2)
    end = start.copy()
    end[axis] += OPENING_WIDTH
    return (float(start[0]), float(start[1])), (float(end[0]), round(float(end[1]), 2))


def wall_pieces(polygon: Polygon, openings: list[Opening]) -> list[tuple[Point, Point]]:
    """Return the solid stretches of a room's walls, in the polygon's direction: its edges minus the openings."""
    pieces = []
    for k, a in enumerate(polygon):
        start, end = np.array(a), np.array(polygon[(k + 1) % len(polygon)])
        length = float(np.hypot(*(end - start)))
        along = (end - start) / length
        gaps = []
        for opening in openings:
            points = np.array(opening) - start
            across = points @ (-along[1], along[0])
            t = np.sort(points @ along)
            if abs(across).max() < 1e-6 and t[0] > -1e-6 and t[1] < length + 1e-6:
                gaps.append((t[0], t[1]))
        at = 0.0
        for low, high in [*sorted(gaps), (length, length)]:
            if low - at > 1e-6:
                p, q = start + along * at, start + along * low
                pieces.append(((float(p[0]), float(p[1])), (float(q[0]), float(q[1]))))
            at = high
    return pieces


def area_of(polygon: Polygon) -> float:
    """Return the area of a simple polygon in square metres, positive if counter-clockwise (shoelace formula)."""
    x, y = np.array(polygon, dtype=float).T
    return float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y) / 2)


@dataclass
class Plan:
    """Rooms as arrays, with a grid of distances to the walls."""

    polygons: list[np.ndarray]
    openings: list[Opening]
    walls: np.ndarray
    """(S, 4) solid stretches of wall."""
    wall_room: np.ndarray
    """(S,) room of each stretch."""
    x0: float
    y0: float
    clearance: np.ndarray
    """(rows, cols) metres to the nearest wall; cell (j, i) is centred at (x0 + i CELL, y0 + j CELL)."""


def plan_of(rooms: list[Polygon] | tuple[Polygon, ...], openings: list[Opening]) -> Plan:
    """Return the walls of rooms without furniture, and their clearance grid."""
    polygons = [np.array(room, dtype=float) for room in rooms]
    pieces = [(r, *a, *b) for r, room in enumerate(rooms) for a, b in wall_pieces(room, openings)]
    table = np.array(pieces, dtype=float)
    points = np.concatenate(polygons)
    # Whole centimetres plus this offset: no cell centre lies on a wall, where "inside" has no answer.
    x0, y0 = points.min(axis=0) + 0.0537
    cols, rows = (int(n) for n in np.ceil((points.max(axis=0) - (x0, y0)) / CELL))
    starts = np.cumsum([0, *map(len, polygons)])
    walls = np.ascontiguousarray(table[:, 1:])
    grid = free_space.empty_clearance(walls, points, starts, x0, y0, CELL, rows, cols)
    return Plan(polygons, openings, walls, table[:, 0].astype(int), float(x0), float(y0), grid)
