"""Where a robot can go: free floor, landmarks, straight walks and shortest paths."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import shapely
from scipy.ndimage import distance_transform_edt, label
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import dijkstra

from rollout3d.geometry.boxes import OrientedBox
from rollout3d.geometry.topdown import Walkable

ARRIVED_M = 0.3
"""A robot that comes this near to a landmark's outline, seen from above, has arrived and stops."""
REACH_M = 0.6
"""Blocked floor may stop it earlier: up to this far from the outline still counts as having arrived, if a robot could
step round the landmark from there to the place beside it without leaving that distance."""
MIN_LEG_M = 0.5
"""Shorter walks are no legs."""
MAX_SIDESTEP_M = 0.5
"""How far off the straight line a robot may pass what narrows its way and still have gone forward."""
MAX_LONGER, MAX_LONGER_M = 1.3, 0.2
"""How many times as long as the straight line its path may then be, and how much more."""
_CLEAR_CELLS = 1.2
"""A straight line over cells that are farther than this many cells from blocked ones (centre to centre) cuts none."""
_MOST_SIDES = 64
"""Places at a landmark's outline that are looked at, evenly chosen."""
_APART_M = 0.5
"""Several places beside a landmark are at least this far apart."""


class Leg(NamedTuple):
    """A walk: start and end (x, y), metres between them, direction in degrees counter-clockwise from +x.

    The direction is that of the landmark's centre from the start. `path`: points (N,2) from start to end, off the
    straight line where the robot steps aside.
    """

    start: tuple[float, float]
    end: tuple[float, float]
    metres: float
    heading_deg: float
    path: np.ndarray


class Floor:
    """The floor on which a round robot of some radius can stand, with named landmarks beside it.

    A cell of the walkable grid is free if no blocked cell and no border of the grid is nearer than the radius
    (centre to centre). Landmarks are given by their oriented boxes and act as outlines seen from above.
    """

    def __init__(self, walkable: Walkable, radius_m: float, landmarks: Mapping[str, OrientedBox]):
        self.cell_m = float(walkable.cell_m)
        self.origin = np.asarray(walkable.origin, float)
        self._to_blocked = np.asarray(distance_transform_edt(np.pad(walkable.grid, 1)))[1:-1, 1:-1] * self.cell_m
        self.free = self._to_blocked > radius_m
        self.centres = {name: box.centroid[:2] for name, box in landmarks.items()}
        self._outlines = {n: shapely.MultiPoint(box.corners()[:, :2]).convex_hull for n, box in landmarks.items()}
        self._around: dict[str, tuple[tuple[float, float] | None, np.ndarray]] = {}
        self._sides: dict[str, np.ndarray] = {}
        self._walks: dict[tuple[tuple[float, float], str], Leg | None] = {}
        self._paths: dict[tuple[float, float], np.ndarray] = {}

    def distance(self, points: np.ndarray, landmark: str) -> np.ndarray:
        """Metres from points (N,2) to the outline of a landmark, 0 inside: (N,)."""
        return np.asarray(shapely.distance(self._outlines[landmark], shapely.points(points)))

    def touch(self, a: str, b: str) -> bool:
        """Return whether two landmarks overlap, seen from above."""
        return bool(self._outlines[a].intersects(self._outlines[b]))

    def beside(self, landmark: str) -> tuple[float, float] | None:
        """Return where somebody stands who stands by a landmark: at its outline, in the open rather than in a gap.

        Places with `ARRIVED_M` of room around them count as equally open; of the most open the one nearest to the
        landmark's centre is taken. None if no free place is within reach.
        """
        return self._surroundings(landmark)[0]

    def _surroundings(self, landmark: str) -> tuple[tuple[float, float] | None, np.ndarray]:
        """Return the place beside a landmark, and the patch of floor from which it is reached.

        The patch holds, per cell, metres to the outline: inf where the cell is not free, farther than `REACH_M`, or
        not connected to the place by such cells. That leaves out the floor behind a wall that the landmark stands at.
        """
        if landmark not in self._around:
            x0, y0, x1, y1 = self._outlines[landmark].bounds
            low = np.floor((np.array([x0, y0]) - REACH_M - self.origin) / self.cell_m).astype(int)
            high = np.ceil((np.array([x1, y1]) + REACH_M - self.origin) / self.cell_m).astype(int)
            rows, columns = (slice(max(low[i], 0), max(high[i], 0)) for i in (1, 0))
            self._around[landmark] = self._look_around(landmark, (rows, columns))
        return self._around[landmark]

    def _look_around(self, landmark: str, window: tuple[slice, slice]) -> tuple[tuple[float, float] | None, np.ndarray]:
        patch = np.full(self.free.shape, np.inf)
        row, col = np.nonzero(self.free[window])
        row, col = row + window[0].start, col + window[1].start
        places = self.origin + (np.stack([col, row], axis=1) + 0.5) * self.cell_m
        away = self.distance(places, landmark)
        patch[row, col] = np.where(away <= REACH_M, away, np.inf)
        if not np.isfinite(patch).any():
            return None, patch
        at_outline = np.flatnonzero(away <= max(ARRIVED_M, float(away.min()) + self.cell_m))
        open_m = np.minimum(self._to_blocked[row, col], ARRIVED_M).round(6)
        to_centre = np.linalg.norm(places - self.centres[landmark], axis=1).round(6)
        best = min(at_outline, key=lambda k: (-open_m[k], to_centre[k]))
        labelled: Any = label(np.isfinite(patch), np.ones((3, 3)))
        parts = labelled[0]
        patch[parts != parts[row[best], col[best]]] = np.inf
        return (float(places[best, 0]), float(places[best, 1])), patch

    def places(self, landmark: str, most: int) -> list[tuple[float, float]]:
        """Where one may stand by a landmark: the place `beside` it, and up to `most` - 1 others on other sides."""
        first = self.beside(landmark)
        if first is None:
            return []
        sides, chosen = self._stops(landmark), [np.array(first)]
        while len(chosen) < most:
            away = np.min([np.linalg.norm(sides - place, axis=1) for place in chosen], axis=0).round(6)
            if away.max() < _APART_M:
                break
            chosen.append(sides[np.argmax(away)])
        return [(float(x), float(y)) for x, y in chosen]

    def walk(self, start: tuple[float, float], landmark: str) -> Leg | None:
        """Return the walk straight to a landmark: towards its centre until arrived, or else to a place at its outline.

        No blocked cell lies on the straight line. Where the way is narrow, the robot may step aside, by up to
        `MAX_SIDESTEP_M`, if its path is about as long as the line and never goes back. None if there is no such walk,
        or if it is too short.
        """
        key = (start, landmark)
        if key not in self._walks:
            self._walks[key] = self._walk(np.array(start), landmark)
        return self._walks[key]

    def _walk(self, start: np.ndarray, landmark: str) -> Leg | None:
        if self.beside(landmark) is None:
            return None
        way = self.centres[landmark] - start
        length = float(np.linalg.norm(way))
        heading = float(np.degrees(np.arctan2(way[1], way[0])))
        end = self._straight_on(start, way / max(length, 1e-9), length, landmark)
        path = None if end is None else np.linspace(start, end, 2 + int(length / ARRIVED_M))
        for goal in self._in_line(start, landmark) if path is None else ():
            path = self._past_obstacles(start, goal)
            if path is not None:
                break
        if path is None or np.linalg.norm(path[-1] - start) < MIN_LEG_M:
            return None
        first, last = ((float(x), float(y)) for x, y in (start, path[-1]))
        return Leg(first, last, float(np.linalg.norm(path[-1] - start)), heading, path)

    def _straight_on(self, start: np.ndarray, ahead: np.ndarray, length: float, landmark: str) -> np.ndarray | None:
        """Return where a straight line (unit vector `ahead`) ends beside the landmark, None if it ends elsewhere."""
        points = start + np.arange(0.0, length, self.cell_m / 2)[:, None] * ahead
        col, row = np.floor((points - self.origin) / self.cell_m).astype(int).T
        inside = (row >= 0) & (row < self.free.shape[0]) & (col >= 0) & (col < self.free.shape[1])
        n_inside = _leading(inside)
        n_free = _leading(self.free[row[:n_inside], col[:n_inside]])
        if not n_free:
            return None
        away = self._surroundings(landmark)[1][row[:n_free], col[:n_free]]
        arrived = away <= ARRIVED_M
        stop = int(np.argmax(arrived)) if arrived.any() else n_free - 1
        return points[stop] if away[stop] <= REACH_M else None

    def _stops(self, landmark: str) -> np.ndarray:
        """Places (N,2) at the landmark's outline where a robot has arrived, at most `_MOST_SIDES`."""
        if landmark not in self._sides:
            patch = self._surroundings(landmark)[1]
            row, col = np.nonzero(patch <= max(ARRIVED_M, float(patch.min()) + self.cell_m))
            places = self.origin + (np.stack([col, row], axis=1) + 0.5) * self.cell_m
            self._sides[landmark] = places[:: -(-len(places) // _MOST_SIDES)]
        return self._sides[landmark]

    def _in_line(self, start: np.ndarray, landmark: str) -> list[np.ndarray]:
        """Places at the landmark's outline to which the straight line is clear: the nearest one, and the one most
        nearly in the direction of its centre."""
        places = self._stops(landmark)
        metres = np.linalg.norm(places - start, axis=1)
        share = np.linspace(0, 1, int(np.ceil(2 * metres.max() / self.cell_m)) + 1)
        cells = np.floor((start + share[:, None, None] * (places - start) - self.origin) / self.cell_m).astype(int)
        clear = (self._to_blocked[cells[..., 1], cells[..., 0]] > _CLEAR_CELLS * self.cell_m).all(axis=0)
        if not clear.any():
            return []
        places, metres = places[clear], metres[clear]
        ahead = (places - start) @ (self.centres[landmark] - start) / np.maximum(metres, 1e-9)
        return [places[np.argmin(metres.round(6))], places[np.argmax(ahead.round(6))]]

    def _past_obstacles(self, start: np.ndarray, end: np.ndarray) -> np.ndarray | None:
        """Return the shortest path (N,2) between two places that keeps near their straight line and never goes back.

        None if there is none that is about as long as the line.
        """
        length = float(np.linalg.norm(end - start))
        ahead = (end - start) / max(length, 1e-9)
        low, high = (np.sort([start, end], axis=0) - self.origin) / self.cell_m
        spare = int(np.ceil(MAX_SIDESTEP_M / self.cell_m))
        window = tuple(slice(max(int(low[i]) - spare, 0), max(int(high[i]) + spare + 1, 0)) for i in (1, 0))
        row, col = np.nonzero(self.free[window])
        row, col = row + window[0].start, col + window[1].start
        places = self.origin + (np.stack([col, row], axis=1) + 0.5) * self.cell_m
        along, lateral = (places - start) @ ahead, (places - start) @ np.array([-ahead[1], ahead[0]])
        near = (np.abs(lateral) <= MAX_SIDESTEP_M) & (along >= -self.cell_m) & (along <= length + self.cell_m)
        cells, places, along = (row * self.free.shape[1] + col)[near], places[near], along[near]
        here, there = (np.flatnonzero(cells == self._cell((float(x), float(y)))) for x, y in (start, end))
        if not len(here) or not len(there):
            return None
        links = self._graph[cells][:, cells].tocoo()
        forward = along[links.col] - along[links.row]
        ahead_of, behind = forward >= -1e-9, forward <= 1e-9
        first = np.concatenate([links.row[ahead_of], links.col[behind]])
        second = np.concatenate([links.col[ahead_of], links.row[behind]])
        weights = np.concatenate([links.data[ahead_of], links.data[behind]])
        graph = coo_array((weights, (first, second)), shape=links.shape).tocsr()
        metres, before = dijkstra(graph, indices=here[0], return_predecessors=True)
        if metres[there[0]] > MAX_LONGER * length + MAX_LONGER_M:
            return None
        path = [int(there[0])]
        while path[-1] != here[0]:
            path.append(int(before[path[-1]]))
        return np.concatenate([start[None], places[path[-2::-1]]])

    def shortest(self, start: tuple[float, float], end: tuple[float, float]) -> float:
        """Metres of the shortest path over free cells (eight neighbours, no cut corners), inf if there is none."""
        if end not in self._paths:
            self._paths[end] = dijkstra(self._graph, directed=False, indices=self._cell(end))
        return float(self._paths[end][self._cell(start)])

    def _cell(self, point: tuple[float, float]) -> int:
        col, row = np.floor((np.array(point) - self.origin) / self.cell_m).astype(int)
        return int(row * self.free.shape[1] + col)

    @cached_property
    def _graph(self) -> csr_array:
        """Weights, metres, between neighbouring free cells, each pair once."""
        free = self.free
        number = np.arange(free.size).reshape(free.shape)
        links = []
        right, up = free[:, :-1] & free[:, 1:], free[:-1] & free[1:]
        links.append((number[:, :-1][right], number[:, 1:][right], 1.0))
        links.append((number[:-1][up], number[1:][up], 1.0))
        square = free[:-1, :-1] & free[:-1, 1:] & free[1:, :-1] & free[1:, 1:]
        links.append((number[:-1, :-1][square], number[1:, 1:][square], 2**0.5))
        links.append((number[:-1, 1:][square], number[1:, :-1][square], 2**0.5))
        a = np.concatenate([link[0] for link in links])
        b = np.concatenate([link[1] for link in links])
        weights = np.concatenate([np.full(len(first), factor * self.cell_m) for first, _, factor in links])
        return coo_array((weights, (a, b)), shape=(free.size, free.size)).tocsr()


def _leading(ok: np.ndarray) -> int:
    """Return how many values are true before the first that is not."""
    return len(ok) if ok.all() else int(np.argmin(ok))
