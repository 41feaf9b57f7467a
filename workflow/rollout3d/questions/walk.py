"""Execute route questions: a robot that knows the text and the room, not how the route was made, walks every option.

Independent of the generator (`route_planning`, `navigation`), whose rules and code it does not use. The robot starts
at every place beside the start object, turns by 90 or 180 degrees, and goes forward until the landmark named, along
the shortest path over free floor. A walk counts as forward if that path is about straight and never leads back.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import shapely
from scipy import ndimage
from shapely.geometry.base import BaseGeometry

from rollout3d.geometry.boxes import OrientedBox
from rollout3d.geometry.topdown import Walkable
from rollout3d.questions import walk_paths as paths

WORKS_SHARE, OTHERS_SHARE = 0.9, 0.05
"""A route is kept if one option reaches the end from this share of the places, and no other from more than that."""
LANDMARK_M = 0.5
"""Landmarks are longer or higher than this."""
BESIDE_M = 0.6
"""Places whose middle is within this of an object's outline are beside it, unless something else stands between that
is no known object: a wall."""
OPEN_M2 = 0.5
"""Free floor of less than this, shut in by furniture, is a gap in which nobody stands."""
STOP_M = 0.3
"""The robot stops at this distance from a landmark's outline, or earlier where it can get no closer: on the side on
which the landmark stands, as walls may be too thin to show."""
ROUND_M = 2.0
"""On that side one gets from place to place along half the landmark's outline and this."""
DETOUR, DETOUR_M = 1.3, 0.2
"""A straight walk's path is at most this many times as long as the way from its start to its end, and this more."""
ASIDE_M, BACK_M = 0.6, 0.2
"""It strays at most this far from the straight line, and all its steps back add up to at most this."""
LEAST_M = 0.3
"""Who has less than this to go is there already."""
CLEAR_DEG, DOUBTFUL_DEG = 40.0, 50.0
"""A turn is right where the landmark is then within the first angle of straight ahead, and wrong only beyond the
second: between them it is a matter of taste. [assumed]"""
_TURNED_DEG = {None: 0.0, "Turn Left": 90.0, "Turn Right": -90.0, "Turn Back": 180.0}

SMALL = f"a landmark is not larger than {LANDMARK_M} m"
UNSEEN = "a landmark is not seen"
SAME_PLACE = "the robot faces what it stands at"
NO_PLACE = "nobody can stand beside the start"
NO_WAY = "no way leads to a landmark"
NOT_STRAIGHT = "a walk goes back or round furniture"
THERE = "a landmark or the destination is reached too soon"
TURNS = "a turn is unclear"
OTHERS = "other turns may arrive as well"
REFUSED = {
    reason: f"executed: {reason}"
    for reason in (SMALL, UNSEEN, SAME_PLACE, NO_PLACE, NO_WAY, NOT_STRAIGHT, THERE, TURNS, OTHERS)
}
"""Why a route is refused, and how the table of dropped candidates says it."""
_UNCLEAR = -1
_TROUBLES = {paths.NO_WAY: NO_WAY, paths.NOT_STRAIGHT: NOT_STRAIGHT, paths.THERE: THERE, _UNCLEAR: TURNS}


_TOLD = re.compile(rf"(\d+) candidates: ({'|'.join(map(re.escape, REFUSED.values()))})")


def summary(kept: int, reasons: Iterable[str], scans: int) -> str:
    """One line about the routes of some scans: how many were kept of those executed, and why the others were not.

    `kept`: route questions; `reasons`: those of `questions_dropped`. Empty if no route was executed.
    """
    refused: Counter[str] = Counter()
    for match in filter(None, map(_TOLD.fullmatch, reasons)):
        refused[match[2].removeprefix("executed: ")] += int(match[1])
    n = kept + refused.total()
    why = ", ".join(f"{count:,} {reason}" for reason, count in refused.most_common())
    rate = f", {kept / scans:.1f} a scan" if scans else ""
    return f"routes executed: {kept:,} of {n:,} kept{rate}" + (f" (refused: {why})" if why else "") if n else ""


@dataclass(frozen=True)
class Instructions:
    """What a route question says: beside which object the robot begins, which one it faces, and what it does.

    `steps`: the landmark to which it goes forward, or None for a turn that is left open, in order.
    """

    start: str
    facing: str
    steps: tuple[str | None, ...]

    @property
    def goal(self) -> str:
        return [step for step in self.steps if step][-1]

    @property
    def named(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys([self.start, self.facing, *(step for step in self.steps if step)]))


class Walked(NamedTuple):
    """Shares of the `places` from which each option surely, and possibly, reaches the end; or why none was walked.

    `trouble`: what most often keeps the option that works best from it, None if nothing does.
    """

    places: int
    surely: tuple[float, ...]
    possibly: tuple[float, ...]
    trouble: str | None


class _Legs(NamedTuple):
    """Walks to one landmark from each cell, filled in as they are asked for.

    `state`: -1 unknown, else one of the codes above; `end`: cell; headings, degrees: to the landmark's centre, and
    along the way; `passed`: bits of the landmarks beside which the way leads.
    """

    parent: np.ndarray
    goals: np.ndarray
    state: np.ndarray
    end: np.ndarray
    towards: np.ndarray
    travel: np.ndarray
    passed: np.ndarray


class Walker:
    """A round robot on a room's walkable grid, with objects known by their boxes.

    A cell is free if no blocked cell and no border is within `radius_m` (centre to centre), and if it lies on open
    floor (`OPEN_M2`). `boxes`: the objects that a question may name, by name; `others`: further ones. `seen`: those
    that the video shows clearly, None if that is not known; a route that names another one is refused.
    """

    def __init__(
        self,
        walkable: Walkable,
        boxes: Mapping[str, OrientedBox],
        radius_m: float,
        others: Iterable[OrientedBox] = (),
        seen: frozenset[str] | None = None,
    ):
        self.cell_m, self.origin = float(walkable.cell_m), np.asarray(walkable.origin, float)
        self._grid = np.asarray(walkable.grid, bool)
        border = np.pad(self._grid, 1)
        free = (np.asarray(ndimage.distance_transform_edt(border))[1:-1, 1:-1] * self.cell_m) > radius_m
        labelled: Any = ndimage.label(free)
        parts = labelled[0]
        self.free = free & (np.bincount(parts.ravel())[parts] * self.cell_m**2 >= OPEN_M2)
        self.boxes, self.seen = dict(boxes), seen
        self._others = [_outline(box) for box in others]
        self._names = sorted(self.boxes)
        self._outlines = {name: _outline(box) for name, box in self.boxes.items()}
        self._near: np.ndarray | None = None
        self._beside: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        self._legs: dict[str, _Legs] = {}

    def refusal(self, route: Instructions, answer: Sequence[str]) -> str | None:
        """Why the route is refused, one of `REFUSED`; None if `answer` and no other sequence of turns arrives."""
        options = list(product([turn for turn in _TURNED_DEG if turn], repeat=route.steps.count(None)))
        walked = self.walk(route, options)
        if walked.trouble in (SMALL, UNSEEN, SAME_PLACE, NO_PLACE):
            return walked.trouble
        right = options.index(tuple(answer))
        if any(share > OTHERS_SHARE for k, share in enumerate(walked.possibly) if k != right):
            return OTHERS
        return None if walked.surely[right] >= WORKS_SHARE else walked.trouble or OTHERS

    def walk(self, route: Instructions, options: Sequence[Sequence[str]]) -> Walked:
        """Walk every option from every place beside the start."""
        nothing = (0.0,) * len(options)
        trouble = SAME_PLACE if self._outlines[route.start].intersects(self._outlines[route.facing]) else None
        if any(not self.large(name) for name in route.named):
            trouble = SMALL
        if self.seen is not None and not self.seen.issuperset(route.named):
            trouble = UNSEEN
        places = self.beside(route.start)[0]
        if trouble or not len(places):
            return Walked(0, nothing, nothing, trouble or NO_PLACE)
        x, y = self._middles(places).T
        ahead = self._centre(route.facing)
        heading = np.degrees(np.arctan2(ahead[1] - y, ahead[0] - x))
        troubles: Counter[int] = Counter()
        ends: dict[tuple[str, ...], tuple[int, int]] = {}
        sure = np.ones(len(places), bool)
        sure &= ~self._passes(places, route.goal)
        troubles[paths.THERE] = int((~sure).sum())
        self._onward(route, 0, (), places[sure], np.stack([heading, heading])[:, sure], sure[sure], ends, troubles)
        counts = np.array([ends.get(tuple(option), (0, 0)) for option in options]).reshape(-1, 2) / len(places)
        worst = max((t for t in troubles if troubles[t]), key=lambda t: troubles[t], default=None)
        surely, possibly = (tuple(map(float, column)) for column in counts.T)
        return Walked(len(places), surely, possibly, None if worst is None else _TROUBLES[worst])

    def large(self, name: str) -> bool:
        """Return whether the object is longer, seen from above, or higher than `LANDMARK_M`."""
        corners = self.boxes[name].corners()
        return max(float(np.ptp(corners[:, 2])), _longest_side(self._outlines[name])) > LANDMARK_M

    def beside(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Free cells beside an object, and of these the ones at which a robot that walks up to it stops."""
        if name not in self._beside:
            self._beside[name] = self._look_beside(name)
        return self._beside[name]

    def _look_beside(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        outline, columns = self._outlines[name], self.free.shape[1]
        x0, y0, x1, y1 = outline.bounds
        low = np.maximum(np.floor((np.array([y0, x0]) - BESIDE_M - self.origin[::-1]) / self.cell_m), 0).astype(int)
        high = np.maximum(np.ceil((np.array([y1, x1]) + BESIDE_M - self.origin[::-1]) / self.cell_m), 0).astype(int)
        row, col = np.nonzero(self.free[low[0] : high[0], low[1] : high[1]])
        cells = (row + low[0]) * columns + col + low[1]
        away = np.asarray(shapely.distance(outline, shapely.points(self._middles(cells))))
        cells, away = cells[away <= BESIDE_M], away[away <= BESIDE_M]
        if not len(cells):
            return cells, cells
        # Of the two sides of a wall, an object stands on the one where one gets nearer to its middle.
        to_centre = np.asarray(np.linalg.norm(self._middles(cells) - self._centre(name), axis=1))
        first = int(np.argmin(to_centre.round(6)))
        limit = (outline.length / 2 + ROUND_M) / self.cell_m
        mine = np.isfinite(paths.spread(self.free, cells[first : first + 1], limit)[0].ravel()[cells])
        field = np.full(self.free.size, np.inf)
        field[cells[mine]] = away[mine]
        stops = cells[mine][paths.stops(field.reshape(self.free.shape), cells[mine], STOP_M)]
        behind = self._behind_wall(cells, outline)
        return cells if behind.all() else cells[~behind], stops

    def _behind_wall(self, cells: np.ndarray, outline: BaseGeometry) -> np.ndarray:
        """True where the way from a cell straight to an outline crosses blocked cells that belong to no object."""
        lines = shapely.shortest_line(outline, shapely.points(self._middles(cells)))
        ends = shapely.get_coordinates(lines).reshape(-1, 2, 2)
        share = np.linspace(0, 1, 2 * math.ceil(BESIDE_M / self.cell_m) + 1)
        points = ends[:, :1] + share[:, None] * (ends[:, 1:] - ends[:, :1])
        index = np.clip(((points - self.origin) / self.cell_m).astype(int), 0, np.array(self._walls.shape)[::-1] - 1)
        return np.asarray(self._walls[index[..., 1], index[..., 0]].any(axis=1))

    @cached_property
    def _walls(self) -> np.ndarray:
        """Blocked cells that are farther than a cell's diagonal from every object."""
        cells = np.flatnonzero(~self._grid)
        known = shapely.union_all([o.buffer(self.cell_m * 2**0.5) for o in (*self._outlines.values(), *self._others)])
        shapely.prepare(known)
        walls = ~self._grid
        walls.ravel()[cells] = ~shapely.contains_xy(known, *self._middles(cells).T)
        return walls

    def _onward(
        self,
        route: Instructions,
        k: int,
        turns: tuple[str, ...],
        cells: np.ndarray,
        headings: np.ndarray,
        sure: np.ndarray,
        ends: dict[tuple[str, ...], tuple[int, int]],
        troubles: Counter[int],
    ) -> None:
        """Walk from step `k` on, from cells (N,) with two headings each (2, N): of the last walk, and to its landmark.

        `sure` (N,): whether every turn so far was clearly right. Adds the places that reach the end to `ends`, by
        turns, and what stopped the others to `troubles`.
        """
        if k == len(route.steps):
            ends[turns] = (int(sure.sum()), len(sure))
            return
        blank = route.steps[k] is None
        landmark = route.steps[k + blank]
        assert landmark is not None  # behind a turn comes a landmark
        last = k + blank + 1 == len(route.steps)
        legs = self._walks(landmark, cells)
        stopped = legs.state[cells].copy()
        if not last:
            stopped[(stopped == paths.ARRIVED) & self._bit(legs.passed[cells], route.goal)] = paths.THERE
        gone = np.zeros(len(cells), bool)
        for turn in (turn for turn in _TURNED_DEG if (turn is not None) == blank):
            new = headings + _TURNED_DEG[turn]
            to_centre = _apart(legs.towards[cells], new)
            to_end = _apart(legs.travel[cells], new)
            clear = ((to_centre <= CLEAR_DEG) & (to_end <= DOUBTFUL_DEG)).all(axis=0)
            maybe = ((to_centre <= DOUBTFUL_DEG) | (to_end <= CLEAR_DEG)).any(axis=0)
            gone |= clear
            on = maybe & (stopped == paths.ARRIVED)
            if on.any():
                here = cells[on]
                after = np.stack([legs.travel[here], legs.towards[here]])
                done = (*turns, turn) if turn else turns
                self._onward(route, k + blank + 1, done, legs.end[here], after, (sure & clear)[on], ends, troubles)
        for code in (paths.NO_WAY, paths.NOT_STRAIGHT, paths.THERE):
            troubles[code] += int((gone & (stopped == code)).sum())
        troubles[_UNCLEAR] += int((~gone).sum())

    def _walks(self, landmark: str, cells: np.ndarray) -> _Legs:
        """Return the walks to a landmark, of which those from `cells` are worked out."""
        if landmark not in self._legs:
            goals = np.zeros(self.free.size, bool)
            goals[self.beside(landmark)[1]] = True
            _, parent = paths.spread(self.free, np.flatnonzero(goals), np.inf)
            n = self.free.size
            words = self._near_bits().shape[1]
            self._legs[landmark] = _Legs(
                parent.ravel(), goals, np.full(n, -1, np.int8), np.zeros(n, np.int32), np.zeros(n), np.zeros(n),
                np.zeros((n, words), np.uint64),
            )  # fmt: skip
        legs = self._legs[landmark]
        asked = np.unique(cells[legs.state[cells] < 0])
        if len(asked):
            centre = (self._centre(landmark) - self.origin) / self.cell_m
            limits = np.array([DETOUR, DETOUR_M, ASIDE_M, BACK_M, LEAST_M]) / [1, *[self.cell_m] * 4]
            paths.trace(self.free, self._near_bits(), asked, centre, limits, *legs)
        return legs

    def _near_bits(self) -> np.ndarray:
        """Per cell, the bits of the objects beside which it lies."""
        if self._near is None:
            self._near = np.zeros((self.free.size, -(-len(self._names) // 64)), np.uint64)
            for k, name in enumerate(self._names):
                self._near[self.beside(name)[0], k // 64] |= np.uint64(1 << k % 64)
        return self._near

    def _bit(self, bits: np.ndarray, name: str) -> np.ndarray:
        k = self._names.index(name)
        return (bits[:, k // 64] >> np.uint64(k % 64)) & np.uint64(1) > 0

    def _passes(self, cells: np.ndarray, name: str) -> np.ndarray:
        return self._bit(self._near_bits()[cells], name)

    def _centre(self, name: str) -> np.ndarray:
        return np.asarray(self.boxes[name].centroid[:2], float)

    def _middles(self, cells: np.ndarray) -> np.ndarray:
        row, col = np.divmod(cells, self.free.shape[1])
        return self.origin + (np.stack([col, row], axis=1) + 0.5) * self.cell_m


def _outline(box: OrientedBox) -> BaseGeometry:
    return shapely.MultiPoint(box.corners()[:, :2]).convex_hull


def _longest_side(outline: BaseGeometry) -> float:
    """Return the longer side of the smallest rectangle round an outline, metres."""
    box = shapely.get_coordinates(shapely.minimum_rotated_rectangle(outline))
    return float(np.linalg.norm(np.diff(box, axis=0), axis=1).max())


def _apart(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the angle between two directions, degrees, 0 to 180."""
    return np.abs((a - b + 180.0) % 360.0 - 180.0)
