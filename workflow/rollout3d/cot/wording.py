"""The sentences of the geometric teacher: few words, a few ways to say each thing.

A tiny model must be able to learn them, so the vocabulary is small and numbers have one decimal.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

SENTENCES: dict[str, tuple[str, ...]] = {
    "find_one": ("I look for the {a}.", "First I find the {a}."),
    "find_two": ("I look for the {a} and the {b}.", "First I find the {a} and the {b}."),
    "near": ("The {c} is near the {a}, {d} m from it.", "Near the {a} is the {c}, {d} m from it."),
    "at": ("The {c} is at the {a}.", "At the {a} is the {c}."),
    # direction
    "stand": ("I stand by the {a} and face the {b}.", "I am by the {a} and look at the {b}."),
    "ahead": ("The {b} is {d} m ahead.", "It is {d} m ahead of me."),
    "seen": (
        "The {q} is {x} m {depth} me and {y} m to the {side}.",
        "I see the {q} {x} m {depth} me and {y} m to the {side}.",
    ),
    "turn": ("To face it I turn {g} degrees {side}.", "That is a turn of {g} degrees {side}."),
    "quadrant": ("{depth} me and to the {side} is {text}.", "So it is to my {text}."),
    "less_than_back": ("Less than 135 degrees, so it is to my {text}.",),
    "back": ("More than 135 degrees, so it is to my back.",),
    "side_of": ("So the {q} is to the {text} of the {b}.", "So the {q} is on the {text}."),
    # distance
    "centers": (
        "The center of the {a} is {d} m from the center of the {b}.",
        "From center to center it is {d} m.",
    ),
    "lengths": ("The {a} is {x} m long and the {b} is {y} m long.",),
    "gap": ("Between the closest points it is {d} m.", "So the closest points are {d} m apart."),
    "compare": ("I measure from the {a} to each of the four.", "I compare how far each one is from the {a}."),
    "away": ("The {c} is {d} m away.",),
    "smallest": ("The smallest is {d} m, so the {c} is the closest.", "The closest is the {c}, with {d} m."),
    # counting
    "every": ("I look for every {a} in the room.", "I count every {a} in the room."),
    "group": ("I see {n} near the {c}.",),
    "group_alone": ("I see {n} in the room.",),
    "more": ("I see {n} more in the rest of the room.",),
    "no_more": ("I see no more in the rest of the room.",),
    "once": ("I check that I count each one once.", "I look again, and each one is counted once."),
    "sum": ("{terms} is {n}.",),
    # size
    "sides": ("Its sides are about {x} m, {y} m and {z} m.", "It is about {x} m by {y} m by {z} m."),
    "longest": ("The longest side is {x} m.",),
    "centimeters": ("One m is 100 centimeters, so this is {n} centimeters.", "In centimeters this is {n}."),
    "whole_room": ("I look at the whole room.", "I go around the whole room."),
    "things": ("I see the {things}.", "In it I see the {things}."),
    "spread": ("They spread over {x} m by {y} m.", "From end to end they cover {x} m by {y} m."),
    "product": ("That is {d} square meters.",),
    "walls_out": ("The walls are further out, so the floor is {d} square meters.",),
    "not_all": ("Not all of that is floor, so the floor is {d} square meters.",),
    "floor": ("The floor is {d} square meters.",),
    # order
    "watch": ("I watch the video from the start.", "I go through the video from the start."),
    "first": ("First I see the {c}, at {t} s.",),
    "then": ("Then I see the {c}, at {t} s.",),
    "last": ("Last I see the {c}, at {t} s.",),
    "order": ("So the order is {text}.",),
    # route
    "begin": ("I begin at the {a} and face the {b}.", "I start at the {a} and look at the {b}."),
    "forward": ("I go forward {d} m to the {c}.",),
    "turn_to": ("The {c} is {g} degrees to the {side}, so I turn {side}.",),
    "turn_around": ("The {c} is behind me, so I turn back.",),
    "turns": ("So the turns are {text}.",),
    # end
    "option": ("The answer is option {letter}.", "So the answer is option {letter}."),
    "answer": ("The answer is {answer}.", "So the answer is {answer}."),
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
