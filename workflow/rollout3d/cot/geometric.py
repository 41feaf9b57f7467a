"""Step-by-step reasoning written from the geometry that an answer came from: what the geometric teacher writes.

It reads a question's `evidence` (boxes, distances, first appearances; `questions/` documents the keys), works the
answer out of it and names objects that the question does not mention, as the paper wants reasoning to do. It stands
in for GPT-4o where no money may be spent (presets); the paper has no such teacher. The positions that it speaks of
are seen from a place inside the room, never in world coordinates, which no video shows.

Every sentence is true of the evidence. A number is rounded to one decimal, or to two where one would hide the
difference that the reasoning rests on; what is added, multiplied or converted are the rounded numbers themselves.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from typing import Any, NamedTuple

from rollout3d.cot.wording import Voice, listed
from rollout3d.questions.templates import LETTERS, option_text
from rollout3d.seeding import generator

MAX_GROUPS = 4
"""Places named in a counting question; the rest is summed up."""

NEAR_M = 1.5
"""Two things are near each other if their centres, seen from above, are at most this far apart."""

OVERHEAD = "ceiling"
"""What is so called hangs above things, not near them: the evidence has no heights of what a question leaves out."""

BACK_DEG = 135.0
"""From this turn on a thing is to one's back. [VSI-Bench]"""
SECTOR_DEG = 45.0
"""A turn of a route brings its landmark within this angle of straight ahead. [route_planning.SECTOR_DEG]"""
MAX_DECIMALS = 2


class NoEvidence(ValueError):
    """The question's evidence does not tell how its answer came about, or too finely to be said in two decimals."""


class Step(NamedTuple):
    """A sentence, and its rank: under a cap the lowest ranks stay. A sentence ranks after those it refers to."""

    rank: int
    text: str


Written = tuple[list[Step], str]
"""Sentences, and the answer that they lead to: a number as text, or the text of an option."""


@dataclass(frozen=True)
class Facts:
    """A question's evidence, and what else stands in the room."""

    evidence: Mapping[str, Any]
    named: frozenset[str]
    """Categories that the question mentions."""
    voice: Voice
    most: int | None = None
    """Cap on sentences, None without one."""

    def __getitem__(self, key: str) -> Any:
        return self.evidence[key]

    def say(self, rank: int, what: str, **values: object) -> Step:
        return Step(rank, self.voice.say(what, **values))

    def singles(self, leave_out: frozenset[str] = frozenset()) -> dict[str, Sequence[float]]:
        """Centre (x, y) of every thing that "the lamp" can mean: the only one of its category."""
        centres = self.evidence.get("centres", {})
        return {c: found[0] for c, found in centres.items() if len(found) == 1 and c not in leave_out}

    def near(self, position: Sequence[float], leave_out: frozenset[str]) -> str | None:
        """The single thing nearest to `position` seen from above; None if none is within `NEAR_M`."""
        found = [
            (math.dist(position[:2], centre), category)
            for category, centre in self.singles(leave_out).items()
            if OVERHEAD not in category
        ]
        distance, category = min(found, default=(math.inf, None))
        return category if distance <= NEAR_M else None

    def beside(self, rank: int, place: Mapping[str, Any]) -> list[Step]:
        """A sentence about the nearest thing that the question does not mention; none where nothing is near."""
        near = self.near(place["position"], self.named | {place["category"]})
        return [self.say(rank, "near", a=place["category"], c=near)] if near else []


def told(values: Sequence[float], holds: Callable[[Sequence[Decimal]], bool], least: int = 1) -> list[str]:
    """`values` with as few decimals, the same for all, as `holds` needs to be true of the rounded numbers.

    Raises NoEvidence if `MAX_DECIMALS` are too few.
    """
    for decimals in range(least, MAX_DECIMALS + 1):
        texts = [f"{value:.{decimals}f}" for value in values]
        if holds([Decimal(text) for text in texts]):
            return texts
    raise NoEvidence(f"{', '.join(map(str, values))} cannot be told apart in {MAX_DECIMALS} decimals")


def positive(value: float) -> str:
    """A distance with as few decimals as tell it from nothing."""
    return told([value], lambda said: said[0] > 0)[0]


def direction(facts: Facts, level: str) -> Written:
    """Where the third object is for somebody who stands by the first and faces the second."""
    standing, facing, query = facts["standing"], facts["facing"], facts["query"]
    origin, ahead = standing["position"], facing["position"]
    distance = math.dist(origin[:2], ahead[:2])
    ux, uy = (ahead[0] - origin[0]) / distance, (ahead[1] - origin[1]) / distance
    dx, dy = query["position"][0] - origin[0], query["position"][1] - origin[1]
    forward, leftward = ux * dx + uy * dy, ux * dy - uy * dx
    side = "left" if leftward > 0 else "right"
    depth = "ahead of" if forward > 0 else "behind"
    turn = abs(math.degrees(math.atan2(leftward, forward)))
    names = {"a": standing["category"], "b": facing["category"], "q": query["category"]}
    where = [
        f"{metres} m {word}"
        for value, word, needed in (
            (forward, f"{depth} me", level == "hard"),
            (leftward, f"to the {side}", level != "medium"),
        )
        for metres in ([positive(abs(value))] if needed or abs(value) >= 0.05 else [])
    ]
    if not where:
        raise NoEvidence(f"{names['q']} is where one stands")
    seen = facts.say(3 if level == "medium" else 1, "seen", q=names["q"], where=" and ".join(where))
    steps = [
        facts.say(0, "stand", **names),
        facts.say(6, "ahead", b=names["b"], d=positive(distance)),
        *facts.beside(5, query),
        seen,
    ]
    if level == "hard":
        text = f"{'front' if forward > 0 else 'back'}-{side}"
        return [*steps, facts.say(2, "quadrant", depth=depth, side=side, text=text)], text
    if level == "easy":
        return [*steps, facts.say(2, "side_of", side=side, **names)], side
    text = "back" if turn >= BACK_DEG else side
    degrees = told([turn], lambda said: (said[0] >= BACK_DEG) == (text == "back"), least=0)[0]
    steps.append(facts.say(1, "turn", q=names["q"], g=degrees, side=side))
    return [*steps, facts.say(2, "back" if text == "back" else "less_than_back", text=text)], text


def abs_distance(facts: Facts) -> Written:
    """From centre to centre, and what is left between the closest points."""
    first, second = facts["first"], facts["second"]
    names = {"a": first["category"], "b": second["category"]}
    gap, centers = str(facts["distance_m"]), f"{facts['centre_distance_m']:.1f}"
    nearer = Decimal(centers) - Decimal(gap)
    steps = [
        facts.say(0, "find_two", **names),
        *facts.beside(4, first),
        facts.say(2, "centers", d=centers, **names),
        *([facts.say(3, "nearer", d=centers, r=nearer, g=gap)] if nearer > 0 else []),
        facts.say(1, "gap", g=gap),
    ]
    return steps, gap


def rel_distance(facts: Facts) -> Written:
    """Each option's distance, and the smallest."""
    distances = facts["distances_m"]
    order = sorted(distances, key=distances.__getitem__)
    nearest, *others = order
    said = told([distances[c] for c in order], lambda said: all(said[0] < other for other in said[1:]))
    metres = dict(zip(order, said))
    # The runner-up is what the nearest is compared with: under a cap it stays longest.
    ranks = {c: rank for rank, c in enumerate([*others[:1], nearest, *others[1:]], start=2)}
    several = {c for c, centres in facts.evidence.get("centres", {}).items() if len(centres) > 1}
    steps = [
        facts.say(0, "compare", a=facts["object"]["category"]),
        *(
            facts.say(
                ranks[category], "away_closest" if category in several else "away", c=category, d=metres[category]
            )
            for category in distances
        ),
        facts.say(1, "smallest", c=nearest, d=metres[nearest]),
    ]
    return steps, nearest


def counting(facts: Facts) -> Written:
    """The instances by the thing that each is nearest to, and their sum."""
    category, count, positions = facts["category"], facts["count"], facts["positions"]
    places: Counter[str] = Counter()
    for position in positions if len(positions) <= count else ():
        near = facts.near(position, frozenset({category}))
        if near:
            places[near] += 1
    groups = sorted(places.items(), key=lambda item: (-item[1], item[0]))[:MAX_GROUPS]
    if facts.most is not None:
        # A sum names all that it adds up: under a cap, the groups for which no sentence is left go to the rest.
        spare = max(0, facts.most - 3)
        all_said = len(groups) <= spare and sum(n for _, n in groups) == count
        groups = groups if all_said else groups[: max(0, spare - 1)]
    terms = [n for _, n in groups]
    rest = count - sum(terms)
    steps = [facts.say(0, "every", a=category)]
    steps += [facts.say(1, "group_more" if k else "group", n=n, c=place) for k, (place, n) in enumerate(groups)]
    if rest:
        steps.append(facts.say(1, "rest" if groups else "alone", n=rest))
        terms.append(rest)
    if len(terms) < 2:
        steps.append(facts.say(2, "no_more"))
    steps.append(facts.say(3, "once"))
    if len(terms) > 1:
        steps.append(facts.say(1, "sum", terms=" plus ".join(map(str, terms)), n=count))
    return steps, str(count)


def object_size(facts: Facts) -> Written:
    """Three sides, the longest, and that in centimetres."""
    thing, centimeters = facts["object"], facts["longest_cm"]
    name = thing["category"]
    _, *shorter = sorted((float(side) for side in thing["sides_m"]), reverse=True)
    longest = f"{Decimal(centimeters) / 100:.2f}"
    # 0.65 m by 0.7 m would name another side the longest.
    y, z = told(shorter, lambda said: all(side <= Decimal(longest) for side in said))
    steps = [
        facts.say(3, "find_one", a=name),
        *facts.beside(4, thing),
        facts.say(2, "sides", a=name, x=longest, y=y, z=z),
        facts.say(0, "longest", a=name, x=longest),
        facts.say(1, "centimeters", n=centimeters),
    ]
    return steps, str(centimeters)


def room_size(facts: Facts) -> Written:
    """The rectangle between the outermost things, and how much larger or smaller the floor is."""
    area = str(facts["room_size_m2"])
    whole, floor = facts.say(0, "whole_room"), facts.say(1, "floor", n=area)
    things = facts.singles()
    outermost = sorted({end(things, key=lambda c, i=i: things[c][i]) for end in (min, max) for i in (0, 1) if things})
    sides = [max(things[c][i] for c in outermost) - min(things[c][i] for c in outermost) for i in (0, 1) if outermost]
    x, y = (f"{side:.1f}" for side in sorted(sides or (0.0, 0.0), reverse=True))
    if y == "0.0":
        return [whole, floor], area
    exact = Decimal(x) * Decimal(y)
    product = exact.quantize(Decimal("0.1"))
    more = Decimal(area) - product
    steps = [
        whole,
        facts.say(2, "things", things=listed(outermost)),
        facts.say(3, "spread", x=x, y=y),
        facts.say(4, "product", x=x, y=y, p=product),
    ]
    # The sign must hold for the numbers said and for the rectangle itself.
    if more > 0 and float(area) > sides[0] * sides[1]:
        steps += [facts.say(5, "larger", r=more), facts.say(6, "sum", terms=f"{product} plus {more}", n=area)]
    elif more < 0 and float(area) < sides[0] * sides[1]:
        steps += [facts.say(5, "smaller", r=-more), facts.say(6, "difference", p=product, r=-more, n=area)]
    return [*steps, floor], area


def appearance_order(facts: Facts) -> Written:
    """When each category comes into view, in that order."""
    times = facts["first_seen_s"]
    order = sorted(times, key=times.__getitem__)
    said = told([times[c] for c in order], lambda said: all(a < b for a, b in pairwise(said)))
    words = ["first", *["then"] * (len(order) - 2), "last"]
    # First and last frame the others: under a cap they stay longest.
    ranks = [2, *range(4, len(order) + 2), 3]
    steps = [facts.say(0, "watch")]
    steps += [facts.say(rank, word, c=c, t=t) for rank, word, c, t in zip(ranks, words, order, said)]
    text = ", ".join(order)
    return [*steps, facts.say(1, "order", text=text)], text


def route(facts: Facts) -> Written:
    """Where each landmark is when the robot must turn."""
    steps = [facts.say(0, "begin", a=facts["start"]["category"], b=facts["facing"]["category"])]
    turns = []
    for rank, step in enumerate(facts["steps"], start=2):
        if step["turn"] is None:
            steps.append(facts.say(rank, "forward", d=positive(step["metres"]), c=step["to"]))
            continue
        degrees = step["turn_deg"]
        if abs(degrees) > 180 - SECTOR_DEG:
            turns.append("Turn Back")
            steps.append(facts.say(rank, "turn_around", c=step["to"]))
            continue
        if abs(degrees) < SECTOR_DEG:
            raise NoEvidence(f"{step['to']} is {degrees} degrees aside, to which no turn leads")
        side = "left" if degrees > 0 else "right"
        turns.append(f"Turn {side.capitalize()}")
        steps.append(facts.say(rank, "turn_to", c=step["to"], g=f"{abs(degrees):.0f}", side=side))
    text = ", ".join(turns)
    return [*steps, facts.say(1, "turns" if len(turns) > 1 else "one_turn", text=text)], text


WRITERS: dict[str, Callable[[Facts], Written]] = {
    "object_counting": counting,
    "object_size_estimation": object_size,
    "room_size_estimation": room_size,
    "object_abs_distance": abs_distance,
    "object_rel_distance": rel_distance,
    "object_rel_direction_easy": lambda facts: direction(facts, "easy"),
    "object_rel_direction_medium": lambda facts: direction(facts, "medium"),
    "object_rel_direction_hard": lambda facts: direction(facts, "hard"),
    "obj_appearance_order": appearance_order,
    "route_planning": route,
}


def capped(steps: Sequence[Step], most: int | None) -> list[str]:
    """The texts of the `most` steps of lowest rank (the earlier of equals), in their order; of all steps for None."""
    kept = sorted(range(len(steps)), key=lambda k: steps[k].rank)[:most]
    return [steps[k].text for k in sorted(kept)]


def write(row: Mapping[str, Any], seed: int, attempt: int = 0, most: int | None = None) -> str:
    """Reasoning and answer for a generated question; the wording depends on seed, question and attempt.

    With `most`, at most that many sentences, since a very small model loses a long thought: what the question is
    about, what decides it, and the conclusion stay, and the rest goes.

    Raises NoEvidence if the question was not generated here, if its evidence leads to another answer than its ground
    truth, or if numbers differ by too little to be said: such a question is not taught.
    """
    kind = row["question_type"]
    if kind not in WRITERS:
        raise NoEvidence(f"no geometry is known for questions of type {kind}")
    named = frozenset(mention["category"] for mention in row["objects"])
    voice = Voice(generator(seed, "cot", row["question_id"], attempt))
    try:
        steps, answer = WRITERS[kind](Facts(json.loads(row["evidence"]), named, voice, most))
    except NoEvidence:
        raise
    except (AttributeError, KeyError, TypeError, ZeroDivisionError, ValueError, ArithmeticError) as error:
        raise NoEvidence(f"the evidence of this {kind} question is of another kind ({error!r})") from error
    truth = row["ground_truth"]
    expected = option_text(row["options"][LETTERS.index(truth)]) if row["options"] else truth
    if answer != expected:
        raise NoEvidence(f"the geometry leads to '{answer}', the ground truth is '{expected}'")
    end = voice.say("option", letter=truth) if row["options"] else voice.say("answer", answer=truth)
    return f"<think>{' '.join(capped([*steps, Step(-1, end)], most))}</think>\n<answer>{truth}</answer>"


def reasoning(row: Mapping[str, Any], seed: int, most: int | None = None) -> str | None:
    """Return what `write` writes at its first attempt, None where it raises NoEvidence."""
    try:
        return write(row, seed, most=most)
    except NoEvidence:
        return None
