"""What a released question about a scan asks, read from its text: question type, and the things that it names.

The wordings are VSI-Bench's, those of papers and releases that follow it (SpaceR, its first release, VLM-3R), those of
SpatialEvo's public generator, and those of VSI-590K that public material shows. Things are named in the question, and
in the options where it asks to choose among them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from rollout3d.config import question_types
from rollout3d.imports.records import Unusable
from rollout3d.questions import types
from rollout3d.questions.noise import is_noise, plain_name
from rollout3d.questions.types import QuestionType

_NAME = r"(?P<{}>[^?\n]{{1,60}}?)"
_LIST = r"(?P<options>[^?\n]{1,600}?)"
"""What fields of an expression stand for. Bounded, so that a long text costs no more than its length."""


@cache
def patterns(name: str) -> tuple[re.Pattern[str], ...]:
    """Return a question type's texts in other people's wordings; groups are named as the fields of its own text."""
    return tuple(
        re.compile(re.sub(r"\{([a-z]+)\}", lambda m: _LIST if m[1] == "options" else _NAME.format(m[1]), text), re.I)
        for text in types.load(name).wordings
    )


def type_named(stated: Any) -> str | None:
    """Return the question type that another release calls by a name of its own, such as "absolute_count"."""
    return next((name for name in question_types.NAMES if stated in types.load(name).aliases), None)


@dataclass(frozen=True)
class Reading:
    """A question's type, and the fields of its text as our templates name them; `options`: a list with commas."""

    question_type: str
    fields: Mapping[str, str] = field(default_factory=dict)

    @property
    def type(self) -> QuestionType:
        """All that is particular to the question type."""
        return types.load(self.question_type)

    @property
    def listed(self) -> list[str]:
        """Return names that the question itself lists: the objects to choose from, or the categories to order."""
        parts = re.split(r",(?: or | and )?| or ", self.fields.get("options", ""))
        return [part.strip() for part in parts if part.strip()]


def read(text: str, names: Sequence[str] = question_types.NAMES) -> Reading | None:
    """Return question type and fields of a text; None for a text of none of the types `names`."""
    flat = re.sub(r"[ \t]+", " ", text)
    for name in names:
        for pattern in patterns(name):
            found = pattern.search(flat)
            if found:
                own = types.load(name).read
                return Reading(name, own(flat) if own else _trimmed(found.groupdict()))
    return None


def _trimmed(fields: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value.strip() for name, value in fields.items() if value}


def things(reading: Reading, options: Sequence[str]) -> list[str]:
    """Return names of the things that a question is about, each once, those of its text first.

    Raises Unusable (expected: a filter, no damage) for a name that stands for no single thing, and where a question
    measures between things of which two are the same.
    """
    named = [value for name, value in reading.fields.items() if name != "options"]
    chosen = list(options) if reading.type.options == "things" else []
    listed = chosen or reading.listed
    for name in (*named, *listed, *reading.listed, *_ordered(reading, options)):
        if is_noise(name):
            raise Unusable("degenerate object", name, expected=True)
    every = [*named, *listed]
    unique: dict[str, str] = {}
    for name in every:
        unique.setdefault(plain_name(name), name)
    if len(unique) < len(every) and not reading.type.may_repeat:
        raise Unusable("names one object twice", ", ".join(every), expected=True)
    return list(unique.values())


def _ordered(reading: Reading, options: Iterable[str]) -> list[str]:
    """Return the things that options list, of a question whose options are lists."""
    if reading.type.options != "lists of things":
        return []
    return [name.strip() for option in options for name in option.split(",")]
