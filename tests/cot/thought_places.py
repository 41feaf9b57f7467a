"""Compare sentences about directions, order and routes with the room."""

from __future__ import annotations

import math
import re
from decimal import Decimal

from cot.thought_reader import CM, NUMBER, Reader, hold, rounded, sentence, turn_name

# --- directions ------------------------------------------------------------------------------------------------------


@sentence("direction:stand", "I (?:stand|am) by the {a} and (?:face|look at) the {b}\\.")
def _(r: Reader, a: str, b: str) -> None:
    r.subject(a, b)


@sentence("direction:ahead", "The {b} is {d:N} m ahead of me\\.")
def _(r: Reader, b: str, d: str) -> None:
    if b == r.names[2]:  # what is asked about, with no offset to the side
        return offsets(r, b, f"{d} m ahead of me")
    r.after("stand")
    hold(b == r.names[1] and float(d) > 0, "that is not what I face")
    rounded(d, math.dist(r.room.the(r.names[0])[0][:2], r.room.the(b)[0][:2]))


@sentence("direction:seen", "(?:From here the|The) {q} is (?P<where>\\d.*)\\.")
def _(r: Reader, q: str, where: str) -> None:
    offsets(r, q, where)


def offsets(r: Reader, q: str, where: str) -> None:
    r.after("stand")
    hold(q == r.names[2], "that is not what the question asks about")
    parts = re.fullmatch(
        rf"(?:({NUMBER}) m (ahead of|behind) me)?(?: and )?(?:({NUMBER}) m to the (left|right))?", where
    )
    hold(bool(parts and where and where[0].isdigit() and not where.endswith("and ")), "where is that")
    slack = r.offset_slack()
    ahead, left = r.seen_at(q)
    for said, true, positive, word in (
        (parts[1], ahead, "ahead of", parts[2]),
        (parts[3], left, "left", parts[4]),
    ):
        if said is None:
            hold(abs(true) <= 0.05 + slack, f"{true:.2f} m are left out")
            continue
        rounded(said, abs(true), slack)
        hold(float(said) > 0 and (true > 0) == (word == positive), f"it is {true:.3f} m {positive}")


@sentence("direction:turn", "To face the {q} I turn {g:N} degrees (?P<side>left|right)\\.")
def _(r: Reader, q: str, g: str, side: str) -> None:
    r.after("stand")
    hold(q == r.names[2], "that is not what the question asks about")
    rounded(g, abs(r.turn()), r.turn_slack())
    r.side(side)
    r.said["turn"] = g


@sentence("direction:conclusion", "That is less than 135 degrees, so it is to my (?P<side>left|right)\\.")
def _(r: Reader, side: str) -> None:
    r.after("turn", directly=True)
    hold(float(r.said["turn"]) < 135 and abs(r.turn()) < 135, f"it is {r.turn()}")
    r.side(side)
    hold(r.level == "medium", "nobody asked")


@sentence("direction:conclusion", "That is at least 135 degrees, so it is to my back\\.")
def _(r: Reader) -> None:
    r.after("turn", directly=True)
    hold(float(r.said["turn"]) >= 135 and abs(r.turn()) >= 135, f"it is {r.turn()}")
    hold(r.level == "medium", "nobody asked")


@sentence(
    "direction:conclusion",
    "So it is to my (?P<end>front|back)-(?P<side>left|right)\\.",
    "(?P<depth>Ahead of|Behind) me and to the (?P<same>left|right) is (?P<end>front|back)-(?P<side>left|right)\\.",
)
def _(r: Reader, end: str, side: str, depth: str | None = None, same: str | None = None) -> None:
    r.after("seen", directly=True)
    ahead, left = r.seen_at(r.names[2])
    hold((end, side) == ("front" if ahead > 0 else "back", "left" if left > 0 else "right"), f"{ahead}, {left}")
    hold(depth in (None, "Ahead of" if ahead > 0 else "Behind") and same in (None, side), f"{ahead}, {left}")
    hold(r.level == "hard", "nobody asked")


@sentence(
    "direction:conclusion",
    "So the {q} is to the (?P<side>left|right) of the {b}\\.",
    "So the {q} is on the (?P<side>left|right)\\.",
)
def _(r: Reader, q: str, side: str, b: str | None = None) -> None:
    r.after("stand")
    hold(q == r.names[2] and b in (None, r.names[1]) and r.level == "easy", "that is not what the question asks")
    r.side(side)


# --- order -----------------------------------------------------------------------------------------------------------


@sentence(
    "obj_appearance_order:watch",
    "I watch when each one comes into view\\.",
    "I note when each one first comes into view\\.",
)
def _(r: Reader) -> None:
    hold(not r.kinds, "this begins a thought")


@sentence("obj_appearance_order:comes", "(?P<place>First|Then|Last) comes the {c}, at {t:N} s\\.")
def _(r: Reader, place: str, c: str, t: str) -> None:
    r.after("watch")
    order = sorted(r.names, key=r.room.first_seen.__getitem__)
    hold(c in order, "nobody asked")
    rounded(t, r.room.first_seen[c])
    at = order.index(c)
    hold(place == ("First" if at == 0 else "Last" if at == len(order) - 1 else "Then"), f"the order is {order}")
    hold(place != "First" or not r.listed, "something came before")
    last = next(reversed(r.listed), None)
    if last is not None:
        hold(order.index(last) < at and Decimal(r.listed[last]) < Decimal(t), "it came no later")
        hold(place != "Then" or order.index(last) == at - 1, "another comes between")
    r.listed[c] = t


@sentence("obj_appearance_order:conclusion", "The order is (?P<names>[a-z, ]+)\\.")
def _(r: Reader, names: str) -> None:
    r.after("watch")
    hold(names.split(", ") == sorted(r.names, key=r.room.first_seen.__getitem__), "it is another")


# --- routes ----------------------------------------------------------------------------------------------------------


@sentence("route_planning:begin", "I (?:begin|start) at the {a} and (?:face|look at) the {b}\\.")
def _(r: Reader, a: str, b: str) -> None:
    r.subject(a, b)
    hold(not r.kinds, "this begins a thought")


@sentence("route_planning:forward", "I go forward {d:N} m to the {c}\\.")
def _(r: Reader, d: str, c: str) -> None:
    metres, degrees, slack = r.walk(c)
    rounded(d, metres, CM)
    hold(abs(degrees) < 45 + slack, f"it is {degrees} degrees aside")


@sentence(
    "route_planning:turn_to",
    "The {c} is {g:N} degrees to the (?P<side>left|right), so I turn (?P<same>left|right) and go to it\\.",
)
def _(r: Reader, c: str, g: str, side: str, same: str) -> None:
    _, degrees, slack = r.walk(c)
    rounded(g, abs(degrees), slack)
    hold(side == same and turn_name(degrees) == f"Turn {side.capitalize()}", f"it is {degrees} degrees to the left")


@sentence("route_planning:turn_around", "The {c} is behind me, so I turn back and go to it\\.")
def _(r: Reader, c: str) -> None:
    _, degrees, _ = r.walk(c)
    hold(turn_name(degrees) == "Turn Back", f"it is {degrees} degrees to the left")


@sentence("route_planning:conclusion", "The (?P<verb>turn is|turns are) (?P<turns>Turn [A-Za-z, ]+)\\.")
def _(r: Reader, verb: str, turns: str) -> None:
    r.after("begin")
    true = [name for walk in r.steps() if (name := turn_name(walk[2]))]
    hold(turns.split(", ") == true and (verb == "turns are") == (len(true) > 1), f"they are {true}")
