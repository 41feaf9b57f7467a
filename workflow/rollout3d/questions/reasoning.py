"""What question types write the geometric teacher's reasoning with: the facts of a question, and sentences about them.

The evidence of a question holds the geometry that its answer came from (`generate` of each type documents the keys).
Every sentence is true of it. A number is rounded to one decimal, or to two where one would hide the difference that the
reasoning rests on; what is added, multiplied or converted are the rounded numbers themselves.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple

import numpy as np

NEAR_M = 1.5
"""Two things are near each other if their centres, seen from above, are at most this far apart."""
OVERHEAD = "ceiling"
"""What is so called hangs above things, not near them: the evidence has no heights of what a question leaves out."""
MAX_DECIMALS = 2

SENTENCES: Mapping[str, tuple[str, ...]] = {
    "near": ("The {c} is near the {a}.", "Near the {a} is the {c}."),
    "sum": ("{terms} is {n}.",),
    "option": ("The answer is option {letter}.",),
    "named option": ("So it is {text}, option {letter}.",),
    "answer": ("The answer is {answer}.",),
}
"""Sentences of several question types: name -> ways to say it. The others stand in the files of `types`. A tiny model
must be able to learn them, so the vocabulary is small."""


class NoEvidence(ValueError):
    """The question's evidence does not tell how its answer came about, or too finely to be said in two decimals."""


class Step(NamedTuple):
    """A sentence, and its rank: under a cap the lowest ranks stay. A sentence ranks after those it refers to."""

    rank: int
    text: str


Written = tuple[list[Step], str]
"""Sentences, and the answer that they lead to: a number as text, or the text of an option."""
Said = Mapping[str, Sequence[Mapping[str, str]]]
"""What a thought says: name of a sentence -> the fields of each such sentence, in order."""


class Contradiction(ValueError):
    """Sentences of a thought that cannot all be true."""


def holds(is_true: bool) -> None:
    """Raise Contradiction unless a sentence of a thought is true of the others."""
    if not is_true:
        raise Contradiction("the thought contradicts itself")


def added(terms: str) -> Decimal:
    """Return the sum that a sentence names: "2 plus 1" -> 3."""
    return sum((Decimal(term) for term in terms.split(" plus ")), Decimal(0))


class Voice:
    """Writes sentences, each in one of its ways, drawn from `rng`; `more`: sentences beside `SENTENCES`."""

    def __init__(self, rng: np.random.Generator, more: Mapping[str, tuple[str, ...]]):
        self._rng = rng
        self._sentences = {**SENTENCES, **more}

    def say(self, what: str, **values: object) -> str:
        """Return one sentence, starting with a capital; floats get one decimal."""
        ways = self._sentences[what]
        way = ways[int(self._rng.integers(len(ways)))]
        text = way.format(**{k: f"{v:.1f}" if isinstance(v, float) else v for k, v in values.items()})
        return text[0].upper() + text[1:]


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
        """Return the sentence `what` as a step of this rank."""
        return Step(rank, self.voice.say(what, **values))

    def singles(self, leave_out: frozenset[str] = frozenset()) -> dict[str, Sequence[float]]:
        """Return the centre (x, y) of every thing that "the lamp" can mean: the only one of its category."""
        centres = self.evidence.get("centres", {})
        return {c: found[0] for c, found in centres.items() if len(found) == 1 and c not in leave_out}

    def near(self, position: Sequence[float], leave_out: frozenset[str]) -> str | None:
        """Return the single thing nearest to `position` seen from above; None if none is within `NEAR_M`."""
        found = [
            (math.dist(position[:2], centre), category)
            for category, centre in self.singles(leave_out).items()
            if OVERHEAD not in category
        ]
        distance, category = min(found, default=(math.inf, None))
        return category if distance <= NEAR_M else None

    def beside(self, rank: int, place: Mapping[str, Any]) -> list[Step]:
        """Return a sentence about the nearest thing that the question does not mention; none where nothing is near."""
        near = self.near(place["position"], self.named | {place["category"]})
        return [self.say(rank, "near", a=place["category"], c=near)] if near else []


def in_decimals(values: Sequence[float], holds: Callable[[Sequence[Decimal]], bool], least: int = 1) -> list[str]:
    """Return `values` with as few decimals, the same for all, as `holds` needs to be true of the rounded numbers.

    Raises NoEvidence if `MAX_DECIMALS` are too few.
    """
    for decimals in range(least, MAX_DECIMALS + 1):
        texts = [f"{value:.{decimals}f}" for value in values]
        if holds([Decimal(text) for text in texts]):
            return texts
    raise NoEvidence(f"{', '.join(map(str, values))} cannot be told apart in {MAX_DECIMALS} decimals")


def positive(value: float) -> str:
    """Return a distance with as few decimals as tell it from nothing."""
    return in_decimals([value], lambda rounded: rounded[0] > 0)[0]


def listed(names: Sequence[str]) -> str:
    """Return names as in a sentence: "bed", "bed and tv", "bed, tv and lamp"."""
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]
