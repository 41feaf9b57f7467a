"""A teacher that costs nothing: step-by-step reasoning written from the geometry that the answer came from.

It reads a question's `evidence` (boxes, distances, first appearances; `questions/` documents the keys), works the
answer out of it and names objects that the question does not mention, as the paper wants reasoning to do. It stands
in for GPT-4o where no money may be spent (presets); the paper has no such teacher. The positions that it speaks of
are seen from a place inside the room, never in world coordinates, which no video shows.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rollout3d import tables
from rollout3d.cot.annotate import Draft
from rollout3d.cot.wording import Voice, listed
from rollout3d.questions.templates import LETTERS, option_text
from rollout3d.seeding import generator

MAX_GROUPS = 4
"""Places named in a counting question; the rest is summed up."""

AT_M = 0.2
"""Two things whose centres are closer than this, seen from above, are at one place: one stands on the other."""


class NoEvidence(ValueError):
    """The question's evidence does not tell how its answer came about."""


@dataclass(frozen=True)
class Facts:
    """A question's evidence, and what else stands in the room."""

    evidence: Mapping[str, Any]
    named: frozenset[str]
    """Categories that the question mentions."""
    voice: Voice

    def __getitem__(self, key: str) -> Any:
        return self.evidence[key]

    def say(self, what: str, **values: object) -> str:
        return self.voice.say(what, **values)

    def nearest(self, position: Sequence[float], leave_out: frozenset[str]) -> tuple[str, float] | None:
        """Category whose centre is nearest to `position` seen from above, and its distance in metres."""
        found = [
            (math.dist(position[:2], centre), category)
            for category, centres in self.evidence.get("centres", {}).items()
            if category not in leave_out
            for centre in centres
        ]
        return (min(found)[1], min(found)[0]) if found else None

    def beside(self, place: Mapping[str, Any]) -> list[str]:
        """A sentence about the nearest thing that the question does not mention; none in an empty room."""
        near = self.nearest(place["position"], self.named)
        if near is None:
            return []
        return [self.say("at" if near[1] < AT_M else "near", a=place["category"], c=near[0], d=near[1])]


Written = tuple[list[str], str]
"""Sentences, and the answer that they lead to: a number as text, or the text of an option."""


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
    steps = [
        facts.say("stand", **names),
        facts.say("ahead", b=names["b"], d=distance),
        *facts.beside(query),
        facts.say("seen", q=names["q"], x=abs(forward), depth=depth, y=abs(leftward), side=side),
    ]
    if level == "hard":
        text = f"{'front' if forward > 0 else 'back'}-{side}"
        return [*steps, facts.say("quadrant", depth=depth, side=side, text=text)], text
    steps.append(facts.say("turn", g=round(turn), side=side))
    text = "back" if level == "medium" and turn >= 135 else side
    if level == "easy":
        return [*steps, facts.say("side_of", text=text, **names)], text
    return [*steps, facts.say("back" if text == "back" else "less_than_back", text=text)], text


def abs_distance(facts: Facts) -> Written:
    """Centres, lengths, and what is left between the closest points."""
    first, second = facts["first"], facts["second"]
    names = {"a": first["category"], "b": second["category"]}
    steps = [
        facts.say("find_two", **names),
        *facts.beside(first),
        facts.say("centers", d=float(facts["centre_distance_m"]), **names),
        facts.say("lengths", x=max(first["sides_m"]), y=max(second["sides_m"]), **names),
        facts.say("gap", d=float(facts["distance_m"])),
    ]
    return steps, str(facts["distance_m"])


def rel_distance(facts: Facts) -> Written:
    """Each option's distance, and the smallest."""
    distances = facts["distances_m"]
    nearest = min(distances, key=distances.__getitem__)
    steps = [
        facts.say("compare", a=facts["object"]["category"]),
        *(facts.say("away", c=category, d=float(d)) for category, d in distances.items()),
        facts.say("smallest", c=nearest, d=float(distances[nearest])),
    ]
    return steps, nearest


def counting(facts: Facts) -> Written:
    """The instances by the thing that each is nearest to, and their sum."""
    category, count, positions = facts["category"], facts["count"], facts["positions"]
    places: Counter[str] = Counter()
    for position in positions if len(positions) <= count else ():
        near = facts.nearest(position, frozenset({category}))
        if near:
            places[near[0]] += 1
    groups = sorted(places.items(), key=lambda item: (-item[1], item[0]))[:MAX_GROUPS]
    steps = [facts.say("every", a=category)]
    steps += [facts.say("group", n=n, c=place) for place, n in groups]
    terms = [n for _, n in groups]
    rest = count - sum(terms)
    if not groups:
        steps.append(facts.say("group_alone", n=count))
    elif rest:
        steps.append(facts.say("more", n=rest))
        terms.append(rest)
    if len(terms) < 2:
        steps.append(facts.say("no_more"))
    steps.append(facts.say("once"))
    if len(terms) > 1:
        steps.append(facts.say("sum", terms=" plus ".join(map(str, terms)), n=count))
    return steps, str(count)


def object_size(facts: Facts) -> Written:
    """Three sides, the longest, and that in centimetres."""
    thing = facts["object"]
    x, y, z = sorted((float(side) for side in thing["sides_m"]), reverse=True)
    centimeters = facts["longest_cm"]
    steps = [
        facts.say("find_one", a=thing["category"]),
        *facts.beside(thing),
        facts.say("sides", x=x, y=y, z=z),
        facts.say("longest", x=x),
        facts.say("centimeters", n=centimeters),
    ]
    return steps, str(centimeters)


def room_size(facts: Facts) -> Written:
    """What stands in the room, how far it spreads, and the walls around it."""
    area = float(facts["room_size_m2"])
    centres = facts.evidence.get("centres", {})
    steps = [facts.say("whole_room")]
    points = [point for several in centres.values() for point in several]
    if len(points) < 2:
        return [*steps, facts.say("floor", d=area)], str(facts["room_size_m2"])
    often = sorted(centres, key=lambda category: (-len(centres[category]), category))[:4]
    x, y = (max(p[i] for p in points) - min(p[i] for p in points) for i in (0, 1))
    steps += [
        facts.say("things", things=listed(sorted(often))),
        facts.say("spread", x=max(x, y), y=min(x, y)),
        facts.say("product", d=x * y),
        facts.say("walls_out" if x * y < area else "not_all", d=area),
    ]
    return steps, str(facts["room_size_m2"])


def appearance_order(facts: Facts) -> Written:
    """When each category comes into view, in that order."""
    times = facts["first_seen_s"]
    order = sorted(times, key=times.__getitem__)
    words = ["first", *["then"] * (len(order) - 2), "last"]
    text = ", ".join(order)
    steps = [facts.say("watch")]
    steps += [facts.say(word, c=category, t=float(times[category])) for word, category in zip(words, order)]
    return [*steps, facts.say("order", text=text)], text


def route(facts: Facts) -> Written:
    """Where each landmark is when the robot must turn."""
    steps = [facts.say("begin", a=facts["start"]["category"], b=facts["facing"]["category"])]
    turns = []
    for step in facts["steps"]:
        if step["turn"] is None:
            steps.append(facts.say("forward", d=float(step["metres"]), c=step["to"]))
            continue
        degrees = step["turn_deg"]
        side = None if abs(degrees) > 135 else "left" if degrees > 0 else "right"
        turns.append(f"Turn {side.capitalize()}" if side else "Turn Back")
        steps.append(
            facts.say("turn_to", c=step["to"], g=round(abs(degrees)), side=side)
            if side
            else facts.say("turn_around", c=step["to"])
        )
    return [*steps, facts.say("turns", text=", ".join(turns))], ", ".join(turns)


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


def write(row: Mapping[str, Any], seed: int, attempt: int = 0, most: int | None = None) -> str:
    """Reasoning and answer for a generated question; the wording depends on seed, question and attempt.

    With `most`, only that many sentences, the last ones: a very small model loses a long thought.

    Raises NoEvidence if the question was not generated here, or its evidence leads to another answer than its ground
    truth: such a question is not taught.
    """
    kind = row["question_type"]
    if kind not in WRITERS:
        raise NoEvidence(f"no geometry is known for questions of type {kind}")
    named = frozenset(mention["category"] for mention in row["objects"])
    voice = Voice(generator(seed, "cot", row["question_id"], attempt))
    try:
        sentences, answer = WRITERS[kind](Facts(json.loads(row["evidence"]), named, voice))
    except (KeyError, TypeError, ZeroDivisionError, ValueError) as error:
        raise NoEvidence(f"the evidence of this {kind} question is of another kind ({error!r})") from error
    truth = row["ground_truth"]
    expected = option_text(row["options"][LETTERS.index(truth)]) if row["options"] else truth
    if answer != expected:
        raise NoEvidence(f"the geometry leads to '{answer}', the ground truth is '{expected}'")
    end = voice.say("option", letter=truth) if row["options"] else voice.say("answer", answer=truth)
    sentences = [*sentences, end][-(most or 0) :]
    return f"<think>{' '.join(sentences)}</think>\n<answer>{truth}</answer>"


class GeometricTeacher:
    """`write` as a teacher. Another attempt only changes the wording."""

    name = "geometric"
    model = "geometric"

    def __init__(self, seed: int, most: int | None = None):
        self._seed, self._most = seed, most

    def write(self, row: Mapping[str, Any], attempt: int) -> Draft:
        digest = tables.digest([row["question_id"], row["evidence"], self._seed, attempt, self._most])
        try:
            return Draft(digest, write(row, self._seed, attempt, self._most))
        except NoEvidence as error:
            return Draft(digest, error=str(error))
