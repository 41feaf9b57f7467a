"""A robot in the toy world itself: routes are walked among its true walls and furniture, not on a stored grid.

Shares nothing with the generator and the executor. Free floor is a polygon, what is beside an object is decided by
its walls, and paths are shortest paths over the corners of the polygon.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

import numpy as np
import shapely
from scipy.sparse.csgraph import shortest_path
from shapely.geometry import LineString, MultiPoint, Polygon

RADIUS, BESIDE, STOP = 0.2, 0.6, 0.3
DEGREES = {"Turn Left": 90, "Turn Right": -90, "Turn Back": 180}
HEADING = re.compile(r"beginning at the (.+) and facing the (.+)\. You want to navigate to the (.+)\. You will")
ACTIONS = re.compile(r"\d+\. (?:\[please fill in\]|Go forward until the ([a-z ]+?))(?= \d+\.|\. You)")


class TrueRoom:
    """A synthetic world, seen from above, for a round robot; `names`: what each thing is called in the questions."""

    def __init__(self, world, names: dict[int, str]):
        plans = {thing.thing_id: MultiPoint(thing.corners()[:, :2]).convex_hull for thing in world.things}
        self.outlines = {name: plans[thing_id] for thing_id, name in names.items()}
        rooms = [Polygon(room) for room in world.rooms]
        doors = [LineString([door.start, door.end]) for door in world.doorways]
        walls = shapely.union_all([room.exterior for room in rooms])
        self.walls = walls.difference(shapely.union_all([door.buffer(1e-6) for door in doors]))
        free = shapely.union_all([room.buffer(1e-6) for room in rooms]).difference(
            self.walls.buffer(RADIUS, quad_segs=3)
        )
        things = [plans[t.thing_id] for t in world.things if stands(t)]
        self.free = free.difference(shapely.union_all(things).buffer(RADIUS, quad_segs=3)).simplify(0.005)
        # Gaps between furniture that one cannot leave are no places to stand.
        self.free = max(shapely.get_parts(self.free), key=lambda part: part.area)
        self._open = self.free.buffer(1e-3)
        shapely.prepare(self._open)
        corners = shapely.get_coordinates(self.free)
        self._corners = np.unique(corners, axis=0)
        n = len(self._corners)
        a, b = np.triu_indices(n, 1)
        seen = self._sees(self._corners[a], self._corners[b])
        away = np.full((n, n), np.inf)
        away[a[seen], b[seen]] = np.linalg.norm(self._corners[a] - self._corners[b], axis=1)[seen]
        self._way, self._before = shortest_path(
            np.where(np.isinf(away), 0, away), directed=False, return_predecessors=True
        )
        self._legs: dict = {}

    def _sees(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return self._open.covers(shapely.linestrings(np.stack([a, b], axis=1)))

    def near(self, name: str, metres: float, step: float) -> np.ndarray:
        """Free places (N,2) on a lattice within `metres` of an object, on its own side of the walls."""
        outline = self.outlines[name]
        x0, y0, x1, y1 = outline.buffer(metres).bounds
        x, y = np.meshgrid(np.arange(x0, x1, step), np.arange(y0, y1, step))
        points = shapely.points(x.ravel(), y.ravel())
        points = points[self.free.contains(points) & (shapely.distance(points, outline) <= metres)]
        lines = shapely.shortest_line(points, outline.buffer(-1e-3))
        return shapely.get_coordinates(points[~shapely.crosses(lines, self.walls)])

    def stops(self, name: str) -> np.ndarray:
        """Places (N,2) where a robot that goes up to an object stops."""
        places = self.near(name, BESIDE, 0.05)
        lines = shapely.shortest_line(shapely.points(places), self.outlines[name])
        closer = shapely.line_interpolate_point(lines, 0.07)
        return places[(shapely.length(lines) <= STOP) | ~self.free.contains(closer)]

    def leg(self, place: tuple[float, float], name: str):
        """The path (N,2) to an object, None if there is none."""
        key = (round(place[0], 3), round(place[1], 3), name)
        if key not in self._legs:
            self._legs[key] = self._leg(np.array(place), name)
        return self._legs[key]

    def _leg(self, place: np.ndarray, name: str):
        goals = self.stops(name) if ("stops", name) not in self._legs else self._legs["stops", name]
        self._legs["stops", name] = goals
        if not len(goals):
            return None
        metres = np.linalg.norm(goals - place, axis=1)
        order = np.argsort(metres)[:40]
        seen = self._sees(np.broadcast_to(place, (len(order), 2)), goals[order])
        if seen.any():
            return np.stack([place, goals[order[np.argmax(seen)]]])
        n = len(self._corners)
        first = np.where(
            self._sees(np.broadcast_to(place, (n, 2)), self._corners),
            np.linalg.norm(self._corners - place, axis=1),
            np.inf,
        )
        if ("last", name) not in self._legs:
            some = goals[:: max(len(goals) // 60, 1)]
            i, j = (k.ravel() for k in np.meshgrid(np.arange(n), np.arange(len(some)), indexing="ij"))
            ok = self._sees(self._corners[i], some[j]).reshape(n, len(some))
            d = np.where(ok, np.linalg.norm(self._corners[:, None] - some, axis=2), np.inf)
            self._legs["last", name] = d.min(axis=1), some[d.argmin(axis=1)]
        last, ends = self._legs["last", name]
        total = first[:, None] + self._way + last
        i, j = np.unravel_index(np.argmin(total), total.shape)
        if np.isinf(total[i, j]):
            return None
        inner = [j]
        while inner[-1] != i:
            inner.append(self._before[i, inner[-1]])
        return np.concatenate([[place], self._corners[inner[::-1]], [ends[j]]])


def stands(thing) -> bool:
    """Return whether a body of 1.6 m cannot pass over or under a thing."""
    return thing.center[2] - thing.size[2] / 2 < 1.6 and thing.center[2] + thing.size[2] / 2 > 0.1


def arrivals(room: TrueRoom, row, step: float = 0.15) -> Iterator[tuple[bool, ...]]:
    """For each true place beside the start: which options of a question row bring the robot to the end."""
    start, facing, target = HEADING.search(row["question"]).groups()
    actions = ACTIONS.findall(row["question"])
    options = [option[3:].split(", ") for option in row["options"]]
    places = room.near(start, BESIDE, step)
    for place in places if len(places) >= 20 else room.near(start, BESIDE, 0.03):
        yield tuple(arrives(room, tuple(place), facing, target, actions, turns) for turns in options)


def arrives(room: TrueRoom, place, facing: str, target: str, actions, turns) -> bool:
    heading, blanks, left = bearing(place, room.outlines[facing]), iter(turns), [a for a in actions if a]
    for action in actions:
        if not action:
            heading += DEGREES[next(blanks)]
            continue
        goal = bearing(place, room.outlines[action])
        if math.cos(math.radians(goal - heading)) <= math.cos(math.radians(45)):
            return False
        path = room.leg(place, action)
        if path is None:
            return False
        straight, metres = math.dist(path[0], path[-1]), np.linalg.norm(np.diff(path, axis=0), axis=1).sum()
        left = left[1:]
        early = left and LineString(path).distance(room.outlines[target]) <= STOP
        if metres > 1.4 * straight + 0.2 or early:
            return False
        heading, place = goal, tuple(path[-1])
    return True


def bearing(place, outline) -> float:
    return math.degrees(math.atan2(outline.centroid.y - place[1], outline.centroid.x - place[0]))
