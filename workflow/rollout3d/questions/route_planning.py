"""Route planning: fill the turns into a robot's instructions.

VSI-Bench's routes are written by people. These are generated: a robot stands beside a unique object and faces
another; it walks straight to unique objects, turning in between; the question leaves the turns open. Every walk is
checked on the walkable grid, and no sequence of turns but the right one brings the robot to its destination.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from rollout3d.config import Questions
from rollout3d.questions import templates
from rollout3d.questions.navigation import REACH_M, Floor, Leg
from rollout3d.questions.scene import Result, SceneView, rounded

KIND = "route_planning"
TURNS = {"Turn Left": 90.0, "Turn Right": -90.0, "Turn Back": 180.0}
"""Turns, degrees counter-clockwise."""
MAX_BLANKS = 3
SECTOR_DEG = 45.0
"""After a turn the robot walks to a landmark within this angle of its new direction. The sectors of the three turns do
not overlap: that makes routes unambiguous."""
CLEAR_DEG = 30.0
"""Questions use landmarks within this angle only, so that no turn is a matter of taste."""
MIN_FACING_M = 1.0
"""What the robot faces is at least this far from where it starts."""
MAX_DETOUR = 2.0
"""Routes are at most this many times as long as the shortest path."""
MAX_HEIGHT_M = 1.5
"""Objects that begin higher above the floor than this are no landmarks: one walks under them."""
MAX_ROUTES = 10
"""Where the configuration sets no cap."""
ATTEMPTS_PER_QUESTION = 30
"""Random routes tried for each question allowed; some rooms have no route."""


@dataclass(frozen=True)
class Route:
    """A start and facing landmark, then the steps: (turn or None, landmark, the leg walked)."""

    start: str
    facing: str
    steps: tuple[tuple[str | None, str, Leg], ...]

    @property
    def turns(self) -> tuple[str, ...]:
        return tuple(turn for turn, _, _ in self.steps if turn)


def generate(scene: SceneView, config: Questions, rng: np.random.Generator) -> Result:
    """Random routes with one to three turns; at most `per_scene.route_planning` different questions."""
    reasons: Counter[str] = Counter()
    landmarks = _landmarks(scene)
    if scene.walkable is None or len(landmarks) < 3:
        reasons["no walkable floor known" if scene.walkable is None else "fewer than three landmarks"] += 1
        return [], reasons
    floor = Floor(scene.walkable, config.body_radius_m, {name: scene.box(name) for name in landmarks})
    starts = [name for name in landmarks if floor.beside(name)]
    cap = config.per_scene.get(KIND, MAX_ROUTES)
    found: dict[str, dict[str, Any]] = {}
    # Many turns first: routes with few are easier to find and would crowd them out.
    plan = [n for n in range(MAX_BLANKS, 0, -1) for _ in range(ATTEMPTS_PER_QUESTION * cap // MAX_BLANKS)]
    for n_turns in plan if starts else ():
        if len(found) >= cap * (MAX_BLANKS + 1 - n_turns) // MAX_BLANKS:
            continue
        route = _random_route(floor, starts, landmarks, n_turns, rng)
        reason = "no straight walk with a clear turn" if route is None else _objection(floor, route)
        if reason:
            reasons[reason] += 1
            continue
        row = _row(scene, floor, route, rng)
        found.setdefault(row["question"], row)
    if not starts:
        reasons["no landmark can be stood beside"] += 1
    return list(found.values()), reasons


def follow(floor: Floor, route: Route, turns: Sequence[str]) -> bool:
    """Whether the robot of `route` reaches its destination with other turns in the blanks.

    It turns by 90 or 180 degrees and goes forward until the landmark named. If that is not ahead (within `SECTOR_DEG`)
    or the way is blocked, it never gets there.
    """
    place = floor.beside(route.start)
    if place is None:
        return False
    heading = _bearing(place, floor.centres[route.facing])
    blanks = iter(turns)
    for turn, landmark, _ in route.steps:
        heading += TURNS[next(blanks)] if turn else 0.0
        leg = floor.walk(place, landmark)
        if leg is None or abs(_signed(leg.heading_deg - heading)) >= SECTOR_DEG:
            return False
        place, heading = leg.end, leg.heading_deg
    return True


def _landmarks(scene: SceneView) -> list[str]:
    """Unique categories that one can walk up to; the lowest box stands on the floor."""
    bottoms = {c: min(item.box.aabb()[0][2] for item in items) for c, items in scene.items.items()}
    return [c for c in scene.unique if bottoms[c] - min(bottoms.values()) <= MAX_HEIGHT_M]


def _random_route(
    floor: Floor, starts: list[str], landmarks: list[str], n_turns: int, rng: np.random.Generator
) -> Route | None:
    """A route with so many turns, each to a random landmark in a random clear direction; None at a dead end."""
    start = starts[rng.integers(len(starts))]
    others = [name for name in landmarks if name != start]
    facing = others[rng.integers(len(others))]
    place = floor.beside(start)
    heading = _bearing(place, floor.centres[facing])
    if np.linalg.norm(floor.centres[facing] - np.array(place)) < MIN_FACING_M:
        return None
    steps: list[tuple[str | None, str, Leg]] = []
    if rng.random() < 0.5:
        leg = floor.walk(place, facing)
        if leg is None:
            return None
        steps.append((None, facing, leg))
        place, heading = leg.end, leg.heading_deg
    visited = {start, facing}
    for _ in range(n_turns):
        ways: dict[str, list[tuple[str, Leg]]] = {}
        for name in landmarks:
            leg = None if name in visited else floor.walk(place, name)
            turn = _turn(leg.heading_deg - heading, CLEAR_DEG) if leg else None
            if turn:
                ways.setdefault(turn, []).append((name, leg))
        if not ways:
            return None
        turn = sorted(ways)[rng.integers(len(ways))]
        name, leg = ways[turn][rng.integers(len(ways[turn]))]
        steps.append((turn, name, leg))
        visited.add(name)
        place, heading = leg.end, leg.heading_deg
    return Route(start, facing, tuple(steps))


def _objection(floor: Floor, route: Route) -> str | None:
    """Why a route is no good question, None if it is."""
    target, legs = route.steps[-1][1], [leg for _, _, leg in route.steps]
    passed = np.concatenate([np.linspace(leg.start, leg.end, 10) for leg in legs[:-1]] or [np.array([legs[0].start])])
    if (floor.distance(passed, target) <= REACH_M).any():
        return "the destination is reached before the end"
    shortest = floor.shortest(legs[0].start, legs[-1].end)
    if sum(leg.metres for leg in legs) > MAX_DETOUR * shortest:
        return "a detour"
    # The robot begins "at" the object: the first turn must be the same for somebody who thinks of its centre.
    turn, first, _ = route.steps[0]
    centre = floor.centres[route.start]
    seen = _bearing(centre, floor.centres[first]) - _bearing(centre, floor.centres[route.facing])
    if turn and _turn(seen, SECTOR_DEG) != turn:
        return "the first turn depends on where exactly the robot starts"
    arriving = [turns for turns in product(TURNS, repeat=len(route.turns)) if follow(floor, route, turns)]
    return None if arriving == [route.turns] else "other turns arrive as well"


def _row(scene: SceneView, floor: Floor, route: Route, rng: np.random.Generator) -> dict[str, Any]:
    """The question of a route: three options for one blank, else the right one and three random others."""
    n_turns = len(route.turns)
    wrong = [turns for turns in product(TURNS, repeat=n_turns) if turns != route.turns]
    if n_turns > 1:
        wrong = [wrong[k] for k in rng.choice(len(wrong), 3, replace=False)]
    options = sorted(", ".join(turns) for turns in [route.turns, *wrong])
    actions: list[str] = []
    for turn, landmark, _ in route.steps:
        actions += [templates.FILL_IN] if turn else []
        actions.append(templates.GO_FORWARD.format(landmark=landmark))
    target = route.steps[-1][1]
    question = templates.ROUTE.format(
        start=route.start,
        facing=route.facing,
        target=target,
        actions=" ".join(f"{k}. {action}" for k, action in enumerate(actions, start=1)) + ".",
    )
    named = list(dict.fromkeys([route.start, route.facing, *(landmark for _, landmark, _ in route.steps)]))
    heading = _bearing(route.steps[0][2].start, floor.centres[route.facing])
    steps = []
    for turn, landmark, leg in route.steps:
        steps.append(
            {
                "turn": turn,
                "turn_deg": rounded([_signed(leg.heading_deg - heading)], 1)[0],
                "to": landmark,
                "from": rounded(leg.start, 2),
                "at": rounded(leg.end, 2),
                "metres": rounded([leg.metres], 2)[0],
            }
        )
        heading = leg.heading_deg
    legs = [leg for _, _, leg in route.steps]
    evidence = {
        "start": scene.place(route.start),
        "facing": scene.place(route.facing),
        "target": scene.place(target),
        "steps": steps,
        "route_m": rounded([sum(leg.metres for leg in legs)], 2)[0],
        "shortest_m": rounded([floor.shortest(legs[0].start, legs[-1].end)], 2)[0],
    }
    return scene.row(KIND, question, ", ".join(route.turns), named, evidence, options)


def _turn(degrees: float, within: float) -> str | None:
    """The turn that brings one to within `within` degrees of a direction, None if none does."""
    for turn, angle in TURNS.items():
        if abs(_signed(degrees - angle)) < within:
            return turn
    return None


def _bearing(start: Sequence[float], end: Sequence[float]) -> float:
    """Direction from start to end, degrees counter-clockwise from +x."""
    return float(np.degrees(np.arctan2(end[1] - start[1], end[0] - start[0])))


def _signed(degrees: float) -> float:
    """The same angle in [-180, 180)."""
    return (degrees + 180.0) % 360.0 - 180.0
