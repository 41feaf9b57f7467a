"""Routes for `route_planning`: found, checked on the walkable grid, and executed.

Every walk is checked on the walkable grid, and no sequence of turns but the right one brings the robot to its
destination. A route that passes here is a candidate: `walk.Walker`, which shares no code with this file, executes it
from everywhere beside the start, and what it refuses is dropped, except with `compat: vsibench`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, product

import numpy as np

from rollout3d.config import Questions
from rollout3d.questions.evidence import rounded
from rollout3d.questions.scene import Result, SceneView
from rollout3d.questions.types._navigation import REACH_M, Floor, Leg
from rollout3d.questions.types.route_planning import FILL_IN, GO_FORWARD, NAME, SECTOR_DEG, TEXT, TURNS
from rollout3d.questions.walk import REFUSED, Instructions, Walker
from rollout3d.tables.rows import QuestionRow

MAX_BLANKS = 3
CLEAR_DEG = 35.0
"""Questions use landmarks within this angle only, 10 degrees from the next sector as VSI-Bench's directions are, so
that no turn is a matter of taste."""
MIN_FACING_M = 0.75
"""The centre of what the robot faces is at least this far from where it starts."""
STARTS = 4
"""Places beside a start from which its routes are tried; the text names none of them."""
MAX_DETOUR = 3.0
"""Routes are at most this many times as long as the shortest path."""
MAX_HEIGHT_M = 1.5
"""Objects that begin higher above the floor than this are no landmarks: one walks under them."""
BODY_RADIUS_M = 0.2
"""Free space that the robot needs around it, metres. [assumed]"""
MAX_ROUTES = 16
"""Where the configuration sets no cap."""
MAX_FOUND = 20_000
"""Routes of a room that are looked at; only rooms with more than a dozen landmarks have more."""

TOO_SOON = "the destination is reached before the end"
SQUEEZED = "a walk leads between two obstacles that touch"
DETOUR = "a detour"
UNCLEAR_START = "the first turn depends on where exactly the robot starts"
AMBIGUOUS = "other turns arrive as well"
OBJECTIONS = (TOO_SOON, SQUEEZED, DETOUR, UNCLEAR_START, AMBIGUOUS)
"""Why a route is no good question."""


@dataclass(frozen=True)
class Route:
    """A start and facing landmark, then the steps: (turn or None, landmark, the leg walked)."""

    start: str
    facing: str
    steps: tuple[tuple[str | None, str, Leg], ...]

    @property
    def turns(self) -> tuple[str, ...]:
        return tuple(turn for turn, _, _ in self.steps if turn)

    @property
    def instructions(self) -> Instructions:
        """Return what the question says of the route."""
        steps = tuple(part for turn, name, _ in self.steps for part in ([None, name] if turn else [name]))
        return Instructions(self.start, self.facing, steps)


Variants = dict[tuple[Instructions, tuple[str, ...]], list[Route]]
"""Instructions and right turns -> the routes that they describe, from one or several places beside the start."""


def generate(scene: SceneView, config: Questions, rng: np.random.Generator) -> Result:
    """Routes with one to three turns; at most `per_scene.route_planning` different questions.

    All routes of a room are found, up to `MAX_FOUND`, and drawn from in random order. Each number of turns gets an
    equal share of the questions, and what it cannot fill goes to the others.
    """
    reasons: Counter[str] = Counter()
    boxes = {name: scene.box(name) for name in scene.unique}
    walkers: list[Walker] = []
    if scene.walkable is not None and config.compat != "vsibench":
        others = [item.box for name, items in scene.items.items() if name not in boxes for item in items]
        # The grid knows places to within a cell: a body that is a cell slimmer must find the same.
        radii = (BODY_RADIUS_M, max(BODY_RADIUS_M - scene.walkable.cell_m, 0.0))
        walkers = [Walker(scene.walkable, boxes, radius, others) for radius in radii]
    landmarks = [name for name in _landmarks(scene) if all(walker.large(name) for walker in walkers)]
    if scene.walkable is None or len(landmarks) < 3:
        reasons["no walkable floor known" if scene.walkable is None else "fewer than three landmarks"] += 1
        return [], reasons
    floor = Floor(scene.walkable, BODY_RADIUS_M, {name: boxes[name] for name in landmarks})
    starts = [name for name in landmarks if floor.beside(name)]
    if not starts:
        return [], Counter({"no landmark can be stood beside": 1})
    found: dict[int, Variants] = {n: {} for n in range(MAX_BLANKS, 0, -1)}
    for route in islice(_routes(floor, starts, landmarks, rng), MAX_FOUND):
        found[len(route.turns)].setdefault((route.instructions, route.turns), []).append(route)
    n_found = sum(map(len, found.values()))
    reasons["no walk with a clear turn"] += not n_found
    cap = config.caps.get(NAME, MAX_ROUTES)
    good = {n: _unobjectionable(scene, floor, walkers, routes, cap, rng, reasons) for n, routes in found.items()}
    rows: dict[str, QuestionRow] = {}
    # Many turns first: routes with few are easier to find and would crowd them out.
    for n in found:
        due = (cap - len(rows)) // n
        rows |= dict(list(good[n].items())[:due])
    spare = [item for n in found for item in good[n].items() if item[0] not in rows]
    rows |= dict(spare[: cap - len(rows)])
    refused = sum(n for reason, n in reasons.items() if reason in OBJECTIONS or reason in REFUSED.values())
    reasons[f"cap of {cap} a scene"] += n_found - refused - len(rows)
    return list(rows.values()), reasons


def follow(floor: Floor, route: Route, turns: Sequence[str]) -> bool:
    """Return whether the robot of `route` reaches its destination with other turns in the blanks.

    It turns by 90 or 180 degrees and goes forward until the landmark named. If that is not ahead (within `SECTOR_DEG`)
    or the way is blocked, it never gets there.
    """
    place = route.steps[0][2].start
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


def _routes(floor: Floor, starts: list[str], landmarks: list[str], rng: np.random.Generator) -> Iterator[Route]:
    """Every route of one to `MAX_BLANKS` clear turns that goes to no landmark twice, in a random order of starts."""
    begins = [(a, b) for a in starts for b in landmarks if a != b and not floor.touch(a, b)]
    for start, facing in (begins[k] for k in rng.permutation(len(begins))):
        for place in floor.places(start, STARTS):
            if np.linalg.norm(floor.centres[facing] - np.array(place)) < MIN_FACING_M:
                continue
            heading = _bearing(place, floor.centres[facing])
            yield from _onward(floor, landmarks, Route(start, facing, ()), place, heading)
            leg = floor.walk(place, facing)
            if leg:
                walked = Route(start, facing, ((None, facing, leg),))
                yield from _onward(floor, landmarks, walked, leg.end, leg.heading_deg)


def _onward(
    floor: Floor, landmarks: list[str], route: Route, place: tuple[float, float], heading: float
) -> Iterator[Route]:
    """`route` continued by every clear turn from `place`, where the robot faces `heading` (degrees)."""
    visited = {route.start, *(name for _, name, _ in route.steps)}
    for name in landmarks:
        leg = None if name in visited else floor.walk(place, name)
        turn = _turn(leg.heading_deg - heading, CLEAR_DEG) if leg else None
        if leg is None or turn is None:
            continue
        longer = Route(route.start, route.facing, (*route.steps, (turn, name, leg)))
        yield longer
        if len(longer.turns) < MAX_BLANKS:
            yield from _onward(floor, landmarks, longer, leg.end, leg.heading_deg)


def _unobjectionable(
    scene: SceneView,
    floor: Floor,
    walkers: Sequence[Walker],
    routes: Variants,
    cap: int,
    rng: np.random.Generator,
    reasons: Counter[str],
) -> dict[str, QuestionRow]:
    """Return up to `cap` question rows of routes that pass, by question, in random order; the answers take turns."""
    found: dict[str, QuestionRow] = {}
    piles: dict[tuple[str, ...], list[tuple[Instructions, tuple[str, ...]]]] = {}
    keys = list(routes)
    for k in rng.permutation(len(keys)):
        piles.setdefault(keys[k][1], []).append(keys[k])
    while any(piles.values()):
        for key in [pile.pop() for pile in piles.values() if pile]:
            if len(found) == cap:
                return found
            objections = [_objection(floor, route) for route in routes[key]]
            reason = None if None in objections else objections[0]
            if not reason:
                refusals = (walker.refusal(*key) for walker in walkers)
                reason = REFUSED.get(next(filter(None, refusals), ""))
            if reason:
                reasons[reason] += 1
                continue
            row = _row(scene, floor, routes[key][objections.index(None)], rng)
            found.setdefault(row["question"], row)
    return found


def _objection(floor: Floor, route: Route) -> str | None:
    """Return why a route is no good question, None if it is."""
    target, legs = route.steps[-1][1], [leg for _, _, leg in route.steps]
    if floor.distance(np.array([legs[0].start]), target)[0] <= REACH_M:
        return TOO_SOON
    if any((floor.distance(leg.path, target) <= REACH_M).any() for leg in legs[:-1]):
        return TOO_SOON
    shortest = floor.shortest(legs[0].start, legs[-1].end)
    if np.isinf(shortest):  # a straight line may pass where cells meet at a corner only; paths may not
        return SQUEEZED
    if sum(leg.metres for leg in legs) > MAX_DETOUR * shortest:
        return DETOUR
    # The robot begins "at" the object: the first turn must be the same on all sides of it, and from its centre.
    turn, first, _ = route.steps[0]
    ahead, goal = floor.centres[route.facing], floor.centres[first]
    spots = [floor.centres[route.start], *floor.places(route.start, STARTS)] if turn else []
    if any(_turn(_bearing(spot, goal) - _bearing(spot, ahead), SECTOR_DEG) != turn for spot in spots):
        return UNCLEAR_START
    arriving = [turns for turns in product(TURNS, repeat=len(route.turns)) if follow(floor, route, turns)]
    return None if arriving == [route.turns] else AMBIGUOUS


def _row(scene: SceneView, floor: Floor, route: Route, rng: np.random.Generator) -> QuestionRow:
    """Return the question of a route: three options for one blank, else the right one and three random others."""
    n_turns = len(route.turns)
    wrong = [turns for turns in product(TURNS, repeat=n_turns) if turns != route.turns]
    if n_turns > 1:
        wrong = [wrong[k] for k in rng.choice(len(wrong), 3, replace=False)]
    options = sorted(", ".join(turns) for turns in [route.turns, *wrong])
    actions: list[str] = []
    for turn, landmark, _ in route.steps:
        actions += [FILL_IN] if turn else []
        actions.append(GO_FORWARD.format(landmark=landmark))
    target = route.steps[-1][1]
    question = TEXT.format(
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
    return scene.row(NAME, question, ", ".join(route.turns), named, evidence, options)


def _turn(degrees: float, within: float) -> str | None:
    """Return the turn that brings one to within `within` degrees of a direction, None if none does."""
    for turn, angle in TURNS.items():
        if abs(_signed(degrees - angle)) < within:
            return turn
    return None


def _bearing(start: Sequence[float] | np.ndarray, end: Sequence[float] | np.ndarray) -> float:
    """Direction from start to end, degrees counter-clockwise from +x."""
    return float(np.degrees(np.arctan2(end[1] - start[1], end[0] - start[0])))


def _signed(degrees: float) -> float:
    """Return the same angle in [-180, 180)."""
    return (degrees + 180.0) % 360.0 - 180.0
