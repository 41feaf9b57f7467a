"""Facts for reading the geometric teacher's texts: the room, the question, and the sentences so far.

Nothing of the package is imported. Everything true is computed from the room's boxes, first appearances, counts and
area by scalar arithmetic. A question row gives its type, the categories that it names in its own order, its options
and its answer. Of the evidence only a route's standing places are read: where a robot stops is not in the room.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Point = Sequence[float]

NEAR_M = 1.5
MM, CM = 0.0015, 0.015
"""How exactly the teacher knows single lengths and positions, and the (x, y) of things beside the question."""

NUMBER, NAME = r"[0-9]+(?:[.][0-9]+)?", r"[a-z][a-z ]*?"


class Untrue(AssertionError):
    """A sentence that is unknown, false, or without what it refers to."""


@dataclass(frozen=True)
class Room:
    """(category, centre, sides) of axis-aligned boxes; instances per category as counted; seconds; square metres."""

    things: Sequence[tuple[str, Point, Point]]
    counts: Mapping[str, int] = field(default_factory=dict)
    first_seen: Mapping[str, float] = field(default_factory=dict)
    area: float = 20.0

    def of(self, category: str) -> list[tuple[Point, Point]]:
        return [(centre, sides) for name, centre, sides in self.things if name == category]

    def the(self, category: str) -> tuple[Point, Point]:
        """Centre and sides of what "the lamp" means."""
        found = self.of(category)
        hold(len(found) == 1, f"there are {len(found)} {category}")
        return found[0]

    def apart(self, a: str, b: str) -> float:
        """Metres between the closest points of two categories."""
        return min(
            math.hypot(*(max(abs(p - q) - (s + t) / 2, 0.0) for p, q, s, t in zip(c1, c2, s1, s2)))
            for c1, s1 in self.of(a)
            for c2, s2 in self.of(b)
        )

    def nearest(self, place: Point, leave_out: set[str], limit: float = NEAR_M + CM) -> list[str]:
        """Things, each the only one of its category, that may be the nearest to a place, none beyond `limit`."""
        single = [name for name, n in Counter(name for name, _, _ in self.things).items() if n == 1]
        centres = {name: self.the(name)[0] for name in single if name not in leave_out}
        away = {name: math.dist(place[:2], c[:2]) for name, c in centres.items() if abs(c[2] - place[2]) <= NEAR_M}
        best = min(away.values(), default=math.inf)
        return [name for name, metres in away.items() if metres <= min(best + CM, limit)]


def hold(condition: bool, why: str) -> None:
    if not condition:
        raise Untrue(why)


def rounded(said: str, true: float, slack: float = MM) -> None:
    """`said` is `true` to the decimals said; `slack` is for what the teacher itself knows only rounded."""
    half = 0.5 * 10.0 ** -len(said.partition(".")[2])
    hold(abs(float(said) - true) <= half + slack + 1e-9, f"{said} is said of {true}")


def bearing(start: Point, end: Point) -> float:
    return math.degrees(math.atan2(end[1] - start[1], end[0] - start[0]))


def signed(degrees: float) -> float:
    return (degrees + 180.0) % 360.0 - 180.0


GRAMMAR: list[tuple[str, re.Pattern[str], Callable[..., None]]] = []


def sentence(kind: str, *patterns: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Registers what reads sentences of a kind. In patterns, {a:N} is a number and {a} a category called a."""

    def regex(pattern: str) -> re.Pattern[str]:
        pattern = re.sub(r"\{(\w+):N\}", rf"(?P<\1>{NUMBER})", pattern)
        return re.compile(re.sub(r"\{(\w+)\}", rf"(?P<\1>{NAME})", pattern))

    def register(reader: Callable[..., None]) -> Callable[..., None]:
        GRAMMAR.extend((kind, regex(pattern), reader) for pattern in patterns)
        return reader

    return register


class Reader:
    """What was said so far, and what is true of the question."""

    def __init__(self, row: Mapping[str, Any], room: Room):
        self.row, self.room = row, room
        kind = row["question_type"]
        self.type = "direction" if "direction" in kind else kind
        self.level = kind.rpartition("_")[2]
        self.names = [mention["category"] for mention in row["objects"]]
        self.kinds: list[str] = []
        self.said: dict[str, Any] = {}
        self.terms: list[int] = []
        self.listed: dict[str, str] = {}

    def subject(self, *names: str) -> None:
        hold(list(names) == self.names[: len(names)], f"the question asks about {self.names}")

    def first_saying(self, kind: str) -> None:
        hold(kind not in self.kinds, f"{kind} is said twice")

    def after(self, kind: str, directly: bool = False) -> None:
        hold(kind in (self.kinds[-1:] if directly else self.kinds), f"it refers to a sentence ({kind}) that is missing")

    # direction: everything seen from the first thing, facing the second

    def seen_at(self, name: str) -> tuple[float, float]:
        """Metres ahead and to the left."""
        here, front, there = (self.room.the(c)[0] for c in (self.names[0], self.names[1], name))
        turn = math.radians(bearing(here, there) - bearing(here, front))
        metres = math.dist(here[:2], there[:2])
        return metres * math.cos(turn), metres * math.sin(turn)

    def turn(self) -> float:
        """Degrees to the left, negative to the right."""
        ahead, left = self.seen_at(self.names[2])
        return math.degrees(math.atan2(left, ahead))

    def turn_slack(self) -> float:
        """Degrees by which a turn may be wrong if positions are rounded to millimetres."""
        here, front, there = (self.room.the(c)[0][:2] for c in self.names)
        return math.degrees(MM / math.dist(here, front) + MM / math.dist(here, there))

    def offset_slack(self) -> float:
        """Metres by which an offset may be wrong: the farther away, the more a turned line of sight moves it."""
        here, front, there = (self.room.the(c)[0][:2] for c in self.names)
        return MM * (1 + math.dist(here, there) / math.dist(here, front))

    def side(self, side: str) -> None:
        left = self.seen_at(self.names[2])[1]
        hold((left > 0) == (side == "left"), f"it is {left:.3f} m to the left")

    # route

    def steps(self) -> list[tuple[str, float, float, float]]:
        """For each walk: where to, metres, degrees to the left of what the robot faces before it, and their slack."""
        walks = json.loads(self.row["evidence"])["steps"]
        heading = bearing(walks[0]["from"], self.room.the(self.names[1])[0])
        found = []
        for walk in walks:
            centre = self.room.the(walk["to"])[0]
            ahead = bearing(walk["from"], centre)
            slack = 2 * math.degrees(CM / math.dist(walk["from"], centre[:2]))
            found.append((walk["to"], math.dist(walk["from"], walk["at"]), signed(ahead - heading), slack))
            heading = ahead
        return found

    def walk(self, to: str) -> tuple[float, float, float]:
        """The next walk, which must lead to `to`."""
        done = sum(kind in ("forward", "turn_to", "turn_around") for kind in self.kinds)
        walks = self.steps()
        hold(done < len(walks) and walks[done][0] == to, f"walk {done + 1} leads elsewhere")
        return walks[done][1:]


def turn_name(degrees: float) -> str | None:
    for name, middle in (("Turn Left", 90.0), ("Turn Right", -90.0), ("Turn Back", 180.0)):
        if abs(signed(degrees - middle)) < 45.0:
            return name
    return None
