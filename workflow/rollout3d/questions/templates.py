"""VSI-Bench's question texts, exactly as its released rows have them, the papers' variants, and lettered options."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from string import Formatter
from typing import Any

from rollout3d import tables

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

COUNTING = "How many {category}(s) are in this room?"
SIZE = (
    "What is the length of the longest dimension (length, width, or height) of the {category}, measured in centimeters?"
)
ROOM_SIZE = (
    "What is the size of this room (in square meters)? \n"
    "If multiple rooms are shown, estimate the size of the combined space."
)
ABS_DISTANCE = (
    "Measuring from the closest point of each object, what is the distance between the {first} and the {second} "
    "(in meters)?"
)
REL_DISTANCE = (
    "Measuring from the closest point of each object, which of these objects ({options}) is the closest to the "
    "{category}?"
)
_DIRECTION = "If I am standing by the {standing} and facing the {facing}, is the {query} "
REL_DIRECTION = {
    "easy": _DIRECTION + "to the left or the right of the {facing}?",
    "medium": _DIRECTION + "to my left, right, or back?\n"
    "An object is to my back if I would have to turn at least 135 degrees in order to face it.",
    "hard": _DIRECTION + "to my front-left, front-right, back-left, or back-right?\n"
    "The directions refer to the quadrants of a Cartesian plane (if I am standing at the origin and facing along the "
    "positive y-axis).",
}
APPEARANCE_ORDER = (
    "What will be the first-time appearance order of the following categories in the video: {categories}?"
)
ROUTE = (
    "You are a robot beginning at the {start} and facing the {facing}. You want to navigate to the {target}. "
    "You will perform the following actions (Note: for each [please fill in], choose either 'turn back,' 'turn left,' "
    "or 'turn right.'): {actions} You have reached the final destination."
)
FILL_IN = "[please fill in]"
GO_FORWARD = "Go forward until the {landmark}"


@dataclass(frozen=True)
class Wording:
    """The texts that differ between VSI-Bench's released rows and what papers print or other releases hold."""

    abs_distance: str = ABS_DISTANCE
    rel_distance: str = REL_DISTANCE
    direction_hard: str = REL_DIRECTION["hard"]

    def direction(self, level: str) -> str:
        return self.direction_hard if level == "hard" else REL_DIRECTION[level]


_DIRECT_DISTANCE = ABS_DISTANCE.replace("what is the distance", "what is the direct distance")

WORDINGS = {
    "vsibench": Wording(),
    "spacer": Wording(
        abs_distance=_DIRECT_DISTANCE,
        direction_hard=_DIRECTION + "to my front-left, front-right, back-left, or back-right?\n"
        "Directions refer to the quadrants of a Cartesian plane (assuming I am at the origin and facing the positive "
        "y-axis).",
    ),
    "vlm3r": Wording(
        abs_distance=_DIRECT_DISTANCE,
        rel_distance=REL_DISTANCE + "\nIf there are multiple instances of an object category, measure to the closest.",
    ),
}
"""`questions.wording` -> texts. spacer: SpaceR, Figure 5; vlm3r: VLM-3R's generator. VSI-Bench's own paper says "direct
distance" too, which its rows do not."""

_LETTERED = re.compile(r"([A-Z])\. .*\S", re.DOTALL)
_REFERS_TO_LETTERS = re.compile(
    r"\b(?:[Oo]ptions?|[Cc]hoices?|[Aa]nswers?)\s*\(?[A-H]\b|\b[A-H]\)?\s*(?:and|or|&|,)\s*\(?[A-H]\b"
    r"|\b(?i:(?:all|none|both|neither|any|either) of (?:the )?(?:above|these|those|options|choices)"
    r"|the above|above options?|former|latter)\b"
)


def lettered(texts: Sequence[str]) -> list[str]:
    """Option texts with their letters: ["left", "right"] -> ["A. left", "B. right"]."""
    return [f"{letter}. {text}" for letter, text in zip(LETTERS, texts, strict=False)]


def option_text(option: str) -> str:
    """The text of a lettered option: "A. left" -> "left"."""
    return option.split(". ", 1)[1]


def movable(row: Mapping[str, Any]) -> bool:
    """Whether a choice question may have its options in another order without changing what it says.

    Not if an option lacks its letter or is itself a letter, or if question or options speak of letters or of places
    in the list ("both A and C", "none of the above"); and not for general data, whose pictures may show the letters.
    """
    options = row["options"]
    if not options or row["scene_id"] is None or row["ground_truth"] not in LETTERS[: len(options)]:
        return False
    if any(not (found := _LETTERED.fullmatch(o)) or found[1] != letter for o, letter in zip(options, LETTERS)):
        return False
    texts = [option_text(option) for option in options]
    if len(set(texts)) < len(texts) or any(len(text) == 1 and text.isalpha() for text in texts):
        return False
    return not any(_REFERS_TO_LETTERS.search(text) for text in (row["question"], *texts))


def reordered(row: Mapping[str, Any], order: Sequence[int]) -> dict[str, Any]:
    """A choice question with its options in a new order: `order[k]` is the old index of the option at letter k.

    Relative distance names its options in the question too, in the same order, as the benchmark does. Ground truth
    and question_id follow.
    """
    old = [option_text(option) for option in row["options"]]
    new = [old[k] for k in order]
    truth = old[LETTERS.index(row["ground_truth"])]
    moved = {**row, "options": lettered(new), "ground_truth": LETTERS[new.index(truth)]}
    if row["question_type"] == "object_rel_distance":
        moved["question"] = row["question"].replace(f"({', '.join(old)})", f"({', '.join(new)})", 1)
    moved["question_id"] = tables.question_id(moved)
    return moved


def parse(template: str, text: str) -> dict[str, str] | None:
    """The fields of a question that was written with `template`, None if it was not.

    Runs of blanks count as one: released files differ in the blank before a line break.
    """
    found = _pattern(template).fullmatch(" ".join(text.split()))
    return found.groupdict() if found else None


@cache
def _pattern(template: str) -> re.Pattern[str]:
    parts, known = [], set()
    for literal, name, _, _ in Formatter().parse(" ".join(template.split())):
        parts.append(re.escape(literal))
        if name is not None:
            parts.append(f"(?P={name})" if name in known else f"(?P<{name}>.+?)")
            known.add(name)
    return re.compile("".join(parts))
