"""Compare sentences about distances, counts and sizes with the room."""

from __future__ import annotations

import math
import re
from decimal import Decimal

from cot.thought_reader import CM, MM, NEAR_M, Reader, hold, rounded, sentence

# --- distances -------------------------------------------------------------------------------------------------------


@sentence(
    "object_abs_distance:centers",
    "The center of the {a} is {d:N} m from the center of the {b}\\.",
    "From center to center it is {d:N} m\\.",
)
def _(r: Reader, d: str, a: str | None = None, b: str | None = None) -> None:
    r.after("find")
    if a:
        r.subject(a, b)
    rounded(d, math.dist(r.room.the(r.names[0])[0], r.room.the(r.names[1])[0]))
    r.said["centers"] = d


@sentence("object_abs_distance:nearer", "The closest points are {m:N} m nearer, and {d:N} minus {n:N} is {g:N}\\.")
def _(r: Reader, m: str, d: str, n: str, g: str) -> None:
    r.after("centers", directly=True)
    gap = r.room.apart(*r.names)
    hold(m == n and d == r.said["centers"], "other numbers were said")
    hold(Decimal(d) - Decimal(n) == Decimal(g) and Decimal(n) > 0, "the difference is wrong")
    rounded(g, gap)
    # Both terms are rounded before they are subtracted.
    rounded(n, math.dist(r.room.the(r.names[0])[0], r.room.the(r.names[1])[0]) - gap, slack=0.05 + MM)


@sentence(
    "object_abs_distance:conclusion",
    "Between the closest points it is {g:N} m\\.",
    "The closest points are {g:N} m apart\\.",
)
def _(r: Reader, g: str) -> None:
    r.after("find")
    rounded(g, r.room.apart(*r.names))
    hold(g == r.row["ground_truth"], "that is not the answer")


@sentence(
    "object_rel_distance:compare",
    "I measure from the {a} to each one\\.",
    "I compare how far each one is from the {a}\\.",
)
def _(r: Reader, a: str) -> None:
    r.subject(a)
    r.room.the(a)


def _away(r: Reader, c: str, d: str) -> None:
    r.after("compare")
    hold(c in r.names[1:] and c not in r.listed, "that is no option, or said twice")
    rounded(d, r.room.apart(r.names[0], c))
    r.listed[c] = d


@sentence("object_rel_distance:away", "The closest {c} is {d:N} m away\\.")
def _(r: Reader, c: str, d: str) -> None:
    _away(r, c, d)
    hold(len(r.room.of(c)) > 1, "there is only one")


@sentence("object_rel_distance:away", "The {c} is {d:N} m away\\.")
def _(r: Reader, c: str, d: str) -> None:
    _away(r, c, d)
    r.room.the(c)


@sentence(
    "object_rel_distance:conclusion",
    "The smallest is {d:N} m, so the {c} is the closest\\.",
    "The closest is the {c}, with {d:N} m\\.",
)
def _(r: Reader, c: str, d: str) -> None:
    r.after("compare")
    true = {option: r.room.apart(r.names[0], option) for option in r.names[1:]}
    hold(c in true and true[c] == min(true.values()), f"{true}")
    rounded(d, true[c])
    hold(r.listed.get(c, d) == d, "another number was said")
    hold(
        all(Decimal(d) < Decimal(other) for name, other in r.listed.items() if name != c), "another is as near as said"
    )


# --- counting --------------------------------------------------------------------------------------------------------


@sentence("object_counting:every", "I (?:look for|count) every {a} in the room\\.")
def _(r: Reader, a: str) -> None:
    r.subject(a)
    hold(not r.kinds, "this begins a thought")


@sentence("object_counting:group", "I see {n:N}(?P<more> more)? near the {c}\\.")
def _(r: Reader, n: str, c: str, more: str | None) -> None:
    r.after("every")
    hold(bool(more) == bool(r.terms) and c not in r.listed, "more than what, or said twice")
    r.room.the(c)
    centres, others = [centre for centre, _ in r.room.of(r.names[0])], set(r.names)
    perhaps = [centre for centre in centres if c in r.room.nearest(centre, others)]
    surely = sum(
        r.room.nearest(centre, others) == [c] == r.room.nearest(centre, others, NEAR_M - CM) for centre in perhaps
    )
    hold(surely <= int(n) <= len(perhaps) and int(n) > 0, f"{len(perhaps)} are nearest to the {c} and near it")
    r.listed[c] = n
    r.terms.append(int(n))


@sentence("object_counting:rest", "I see {n:N}(?P<more> more)? in the room\\.")
def _(r: Reader, n: str, more: str | None) -> None:
    r.after("every")
    hold(bool(more) == bool(r.terms), "more than what")
    hold(int(n) == r.room.counts[r.names[0]] - sum(r.terms) and int(n) > 0, "that is not the rest")
    r.terms.append(int(n))


@sentence("object_counting:conclusion", "There are no more\\.")
def _(r: Reader) -> None:
    hold(sum(r.terms) == r.room.counts[r.names[0]] and len(r.terms) == 1, f"{r.terms} were counted")


@sentence(
    "object_counting:once", "I check that I count each one once\\.", "I look again, and each one is counted once\\."
)
def _(r: Reader) -> None:
    hold(sum(r.terms) == r.room.counts[r.names[0]], "not all are counted")


@sentence("object_counting:conclusion", "(?P<terms>\\d+(?: plus \\d+)+) is {n:N}\\.")
def _(r: Reader, terms: str, n: str) -> None:
    hold([int(term) for term in terms.split(" plus ")] == r.terms, f"{r.terms} were counted")
    hold(sum(r.terms) == int(n) == r.room.counts[r.names[0]], "the sum is wrong")


# --- sizes -----------------------------------------------------------------------------------------------------------


@sentence(
    "object_size_estimation:sides",
    "The sides of the {a} are {x:N} m, {y:N} m and {z:N} m\\.",
    "The {a} is {x:N} m by {y:N} m by {z:N} m\\.",
)
def _(r: Reader, a: str, x: str, y: str, z: str) -> None:
    r.subject(a)
    for said, side in zip((x, y, z), sorted(r.room.the(a)[1], reverse=True)):
        rounded(said, side)
        hold(Decimal(said) <= Decimal(x), "another side is longer")
    r.said["longest"] = x


@sentence("object_size_estimation:longest", "The longest side of the {a} is {x:N} m\\.")
def _(r: Reader, a: str, x: str) -> None:
    r.subject(a)
    rounded(x, max(r.room.the(a)[1]))
    hold(r.said.setdefault("longest", x) == x, "another number was said")


@sentence(
    "object_size_estimation:conclusion",
    "One m is 100 centimeters, so this is {n:N} centimeters\\.",
    "In centimeters this is {n:N}\\.",
)
def _(r: Reader, n: str) -> None:
    r.after("longest", directly=True)
    hold(100 * Decimal(r.said["longest"]) == Decimal(n), f"{r.said['longest']} m was said")
    hold(n == r.row["ground_truth"], "that is not the answer")


@sentence("room_size_estimation:whole", "I (?:look at|go around) the whole room\\.")
def _(r: Reader) -> None:
    hold(not r.kinds, "this begins a thought")


@sentence("room_size_estimation:things", "(?:In it )?I see the (?P<names>[a-z, ]+)\\.")
def _(r: Reader, names: str) -> None:
    found = re.split(", | and ", names)
    hold(len(set(found)) == len(found), "said twice")
    r.said["things"] = [r.room.the(name)[0] for name in found]


@sentence(
    "room_size_estimation:spread",
    "Their centers are spread over {x:N} m by {y:N} m\\.",
    "From center to center they cover {x:N} m by {y:N} m\\.",
)
def _(r: Reader, x: str, y: str) -> None:
    r.after("things", directly=True)
    sides = [max(p[i] for p in r.said["things"]) - min(p[i] for p in r.said["things"]) for i in (0, 1)]
    for said, side in zip((x, y), sorted(sides, reverse=True)):
        rounded(said, side, CM)
        hold(float(said) > 0, "nothing is covered")
    r.said |= {"spread": (x, y), "rectangle": sides[0] * sides[1]}


@sentence("room_size_estimation:product", "{x:N} m times {y:N} m is about {p:N} square meters\\.")
def _(r: Reader, x: str, y: str, p: str) -> None:
    r.after("spread", directly=True)
    hold((x, y) == r.said["spread"], "other sides were said")
    hold(abs(Decimal(x) * Decimal(y) - Decimal(p)) <= Decimal("0.05"), "the product is wrong")
    r.said["product"] = Decimal(p)


@sentence("room_size_estimation:larger", "The floor goes beyond that and is {n:N} square meters larger\\.")
def _(r: Reader, n: str) -> None:
    r.after("product", directly=True)
    hold(r.room.area > r.said["rectangle"] - 0.1 * CM and Decimal(n) > 0, "the floor is smaller")
    rounded(n, r.room.area - float(r.said["product"]))
    r.said["change"] = Decimal(n)


@sentence("room_size_estimation:larger", "Not all of that is floor, so the floor is {n:N} square meters smaller\\.")
def _(r: Reader, n: str) -> None:
    r.after("product", directly=True)
    hold(r.room.area < r.said["rectangle"] + 0.1 * CM and Decimal(n) > 0, "the floor is larger")
    rounded(n, float(r.said["product"]) - r.room.area)
    r.said["change"] = -Decimal(n)


@sentence("room_size_estimation:sum", "{p:N} (?P<sign>plus|minus) {n:N} is {area:N}\\.")
def _(r: Reader, p: str, sign: str, n: str, area: str) -> None:
    r.after("larger", directly=True)
    change = Decimal(n) if sign == "plus" else -Decimal(n)
    hold(Decimal(p) == r.said["product"] and change == r.said["change"], "other numbers were said")
    hold(Decimal(p) + change == Decimal(area), "the sum is wrong")
    rounded(area, r.room.area)


@sentence("room_size_estimation:conclusion", "The floor is {n:N} square meters\\.")
def _(r: Reader, n: str) -> None:
    rounded(n, r.room.area)
    hold(n == r.row["ground_truth"], "that is not the answer")
