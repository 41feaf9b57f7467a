"""The sentences of the geometric teacher: few words, a few ways to say each thing.

A tiny model must be able to learn them: the vocabulary is small, and numbers have one decimal where that is enough.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

SENTENCES: dict[str, tuple[str, ...]] = {
    "find_one": ("I look for the {a}.", "First I find the {a}."),
    "find_two": ("I look for the {a} and the {b}.", "First I find the {a} and the {b}."),
    "near": ("The {c} is near the {a}.", "Near the {a} is the {c}."),
    # direction
    "stand": ("I stand by the {a} and face the {b}.", "I am by the {a} and look at the {b}."),
    "ahead": ("The {b} is {d} m ahead of me.",),
    "seen": ("The {q} is {where}.", "From here the {q} is {where}."),
    "turn": ("To face the {q} I turn {g} degrees {side}.",),
    "quadrant": ("{depth} me and to the {side} is {text}.", "So it is to my {text}."),
    "less_than_back": ("That is less than 135 degrees, so it is to my {text}.",),
    "back": ("That is at least 135 degrees, so it is to my back.",),
    "side_of": ("So the {q} is to the {side} of the {b}.", "So the {q} is on the {side}."),
    # distance
    "centers": ("The center of the {a} is {d} m from the center of the {b}.", "From center to center it is {d} m."),
    "nearer": ("The closest points are {r} m nearer, and {d} minus {r} is {g}.",),
    "gap": ("Between the closest points it is {g} m.", "The closest points are {g} m apart."),
    "compare": ("I measure from the {a} to each one.", "I compare how far each one is from the {a}."),
    "away": ("The {c} is {d} m away.",),
    "away_closest": ("The closest {c} is {d} m away.",),
    "smallest": ("The smallest is {d} m, so the {c} is the closest.", "The closest is the {c}, with {d} m."),
    # counting
    "every": ("I look for every {a} in the room.", "I count every {a} in the room."),
    "group": ("I see {n} near the {c}.",),
    "group_more": ("I see {n} more near the {c}.",),
    "alone": ("I see {n} in the room.",),
    "rest": ("I see {n} more in the room.",),
    "no_more": ("There are no more.",),
    "once": ("I check that I count each one once.", "I look again, and each one is counted once."),
    "sum": ("{terms} is {n}.",),
    # size
    "sides": ("The sides of the {a} are {x} m, {y} m and {z} m.", "The {a} is {x} m by {y} m by {z} m."),
    "longest": ("The longest side of the {a} is {x} m.",),
    "centimeters": ("One m is 100 centimeters, so this is {n} centimeters.", "In centimeters this is {n}."),
    "whole_room": ("I look at the whole room.", "I go around the whole room."),
    "things": ("I see the {things}.", "In it I see the {things}."),
    "spread": ("Their centers are spread over {x} m by {y} m.", "From center to center they cover {x} m by {y} m."),
    "product": ("{x} m times {y} m is about {p} square meters.",),
    "larger": ("The floor goes beyond that and is {r} square meters larger.",),
    "smaller": ("Not all of that is floor, so the floor is {r} square meters smaller.",),
    "difference": ("{p} minus {r} is {n}.",),
    "floor": ("The floor is {n} square meters.",),
    # order
    "watch": ("I watch when each one comes into view.", "I note when each one first comes into view."),
    "first": ("First comes the {c}, at {t} s.",),
    "then": ("Then comes the {c}, at {t} s.",),
    "last": ("Last comes the {c}, at {t} s.",),
    "order": ("The order is {text}.",),
    # route
    "begin": ("I begin at the {a} and face the {b}.", "I start at the {a} and look at the {b}."),
    "forward": ("I go forward {d} m to the {c}.",),
    "turn_to": ("The {c} is {g} degrees to the {side}, so I turn {side} and go to it.",),
    "turn_around": ("The {c} is behind me, so I turn back and go to it.",),
    "one_turn": ("The turn is {text}.",),
    "turns": ("The turns are {text}.",),
    # end
    "option": ("The answer is option {letter}.",),
    "answer": ("The answer is {answer}.",),
}


class Voice:
    """Says things in one of their ways, drawn from `rng`."""

    def __init__(self, rng: np.random.Generator):
        self._rng = rng

    def say(self, what: str, **values: object) -> str:
        """One sentence, starting with a capital; floats get one decimal."""
        ways = SENTENCES[what]
        way = ways[int(self._rng.integers(len(ways)))]
        text = way.format(**{k: f"{v:.1f}" if isinstance(v, float) else v for k, v in values.items()})
        return text[0].upper() + text[1:]


def listed(names: Sequence[str]) -> str:
    """ "bed", "bed and tv", "bed, tv and lamp"."""
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]
