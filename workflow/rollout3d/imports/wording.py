"""What a released question about a scan asks, read from its text: question type, and the things that it names.

The wordings are VSI-Bench's, those of papers and releases that follow it (SpaceR, its first release, VLM-3R), those of
SpatialEvo's public generator, and those of VSI-590K that public material shows. Things are named in the question, and
in the options where it asks to choose among them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from rollout3d.imports.records import Unusable

NOISE = frozenset(
    [
        "wall",
        "floor",
        "ceiling",
        "object",
        "otherfurniture",
        "otherprop",
        "otherstructure",
        "doorframe",
        "unknown",
        "split",
        "remove",
    ]
)
"""Names, without blanks and signs, that stand for no single thing. [SpaceR, data filtering; its early rows]"""

_ONE = {
    name: rf"(?P<{name}>[^?\n]{{1,60}}?)" for name in ("category", "first", "second", "standing", "facing", "query")
} | {"options": r"(?P<options>[^?\n]{1,600}?)"}
"""Bounded, so that a long text costs no more than its length."""
_STANDING = "stand(?:ing)? (?:by|at|near|next to) (?:the )?{standing} and fac(?:ing|e) (?:the )?{facing}, "
_IS = _STANDING + "is (?:the )?{query} "
_UNIT_FOLLOWS = r"(?:,? (?:when |at |from |based |measured )[^?\n]{0,60}?)?,?(?: \(?in\b| measured in\b|\?|\.)"

_WHICH = "which (?:of (?:these|the following|the) )?(?:objects?|categor(?:y|ies)|items?)(?: below| listed)?"
_NEAREST = " is (?:the )?(?:closest|nearest) to (?:the )?{category}"

_PATTERNS: dict[str, Sequence[str]] = {
    "object_counting": (
        r"How many {category}(?:\(s\)| instances)? (?:are|is) (?:there )?in (?:this|the) (?:room|whole scene)\b",
        r"how many {category}\(s\)",
    ),
    "object_size_estimation": (
        r"longest (?:dimension|side)(?: \(length, width, or height\))? of (?:the )?{category}" + _UNIT_FOLLOWS,
    ),
    "room_size_estimation": (
        r"What is the (?:total )?size of (?:this|the) room\b",
        r"\b(?:floor )?area of (?:this|the) (?:room|space)\b",
    ),
    "object_abs_distance": (
        r"distance between (?:the )?{first} and (?:the )?{second}" + _UNIT_FOLLOWS,
        r"how far apart (?:are )?(?:the )?{first} and (?:the )?{second}(?: are)?" + _UNIT_FOLLOWS,
    ),
    "object_rel_distance": (
        rf"{_WHICH}{_NEAREST}: {{options}}\?",
        rf"{_WHICH}, {{options}},{_NEAREST}(?:\?|,|\.)",
        rf"{_WHICH}(?: \({{options}}\))?{_NEAREST}(?:\?|,|\.)",
    ),
    "object_rel_direction_easy": (_IS + "to the left or (?:the |to the )?right of",),
    "object_rel_direction_medium": (_IS + "to my left, right,? or back",),
    "object_rel_direction_hard": (
        _IS + "to my front-left",
        _STANDING + r"where is (?:the )?{query}(?: located)?(?:,? relative to (?:me|you))?\?",
    ),
    "obj_appearance_order": (r"first-time appearance order of [^?\n]{1,60}? in the video: {options}\?",),
    "route_planning": (r"You are a robot (?:beginning|starting|standing) at",),
}
TEXTS: dict[str, tuple[re.Pattern[str], ...]] = {
    kind: tuple(re.compile(re.sub(r"\{([a-z]+)\}", lambda m: _ONE[m[1]], text), re.I) for text in texts)
    for kind, texts in _PATTERNS.items()
}
"""Question type -> its texts in the releases' wordings; the groups are named as the fields of our own templates."""

STATED: Mapping[str, str] = {
    "absolute_count": "object_counting",
    "absolute_size_object": "object_size_estimation",
    "absolute_distance_object": "object_abs_distance",
    "absolute_size_room": "room_size_estimation",
    "relative_distance_object": "object_rel_distance",
    "appearance_order": "obj_appearance_order",
    "object_size": "object_size_estimation",
    "absolute_distance": "object_abs_distance",
    "room_size": "room_size_estimation",
    "relative_distance": "object_rel_distance",
    **{f"relative_direction_{level}": f"object_rel_direction_{level}" for level in ("easy", "medium", "hard")},
}
"""Other releases' names of our question types: VSI-590K's, then SpatialEvo's."""

_ROUTE = {
    "start": r"robot (?:beginning|starting|standing) at (?:the )?([^.,\n]{1,80}?)(?=[.,]| and\b| facing\b)",
    "facing": r"\bfacing (?:to |towards? )?(?:the )?([^.,\n]{1,80}?)(?=[.,])",
    "target": r"\bnavigate to (?:the )?([^.,\n]{1,80}?)(?=[.,])",
}
"""Place in a route -> where its text names it."""
_LANDMARK = re.compile(
    r"\b(?:until|reach|past) (?:you reach )?(?:the )?([A-Za-z][^.,;:\[\]\n\d]{0,60}?)(?=[.,;:\n]| \d|$)", re.I
)
_UNNAMED = re.compile(r"\b(?:final destination|destination)\b", re.I)


@dataclass(frozen=True)
class Reading:
    """A question's type, and the fields of its text as our templates name them; `options`: a list with commas."""

    kind: str
    fields: Mapping[str, str] = field(default_factory=dict)

    @property
    def listed(self) -> list[str]:
        """Names that the question itself lists: the objects to choose from, or the categories to order."""
        parts = re.split(r",(?: or | and )?| or ", self.fields.get("options", ""))
        return [part.strip() for part in parts if part.strip()]


def read(text: str) -> Reading | None:
    """The question type and fields of a text; None for a text of no type that we know."""
    flat = re.sub(r"[ \t]+", " ", text)
    for kind, patterns in TEXTS.items():
        for pattern in patterns:
            found = pattern.search(flat)
            if found:
                return Reading(kind, _route(flat) if kind == "route_planning" else _trimmed(found.groupdict()))
    return None


def _trimmed(fields: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value.strip() for name, value in fields.items() if value}


def _route(text: str) -> dict[str, str]:
    """Start, first heading and target of a route; its landmarks as `options`."""
    text = " ".join(text.split())
    found = {name: re.search(pattern, text, re.I) for name, pattern in _ROUTE.items()}
    fields = _trimmed({name: match and match[1] for name, match in found.items()})
    landmarks = [name.strip() for name in _LANDMARK.findall(text) if not _UNNAMED.search(name)]
    return fields | ({"options": ", ".join(dict.fromkeys(landmarks))} if landmarks else {})


def things(reading: Reading, options: Sequence[str]) -> list[str]:
    """Names of the things that a question is about, each once, those of its text first.

    Raises Unusable (expected: a filter, no damage) for a name that stands for no single thing, and where a question
    measures between things of which two are the same.
    """
    named = [value for name, value in reading.fields.items() if name != "options"]
    chosen = [text for text in options if reading.kind == "object_rel_distance"]
    listed = chosen or reading.listed
    for name in (*named, *listed, *reading.listed, *_ordered(reading, options)):
        if is_noise(name):
            raise Unusable("degenerate object", name, expected=True)
    every = [*named, *listed]
    unique: dict[str, str] = {}
    for name in every:
        unique.setdefault(_plain(name), name)
    if len(unique) < len(every) and reading.kind != "route_planning":
        raise Unusable("names one object twice", ", ".join(every), expected=True)
    return list(unique.values())


def _ordered(reading: Reading, options: Iterable[str]) -> list[str]:
    """The categories that the options of an appearance order list."""
    if reading.kind != "obj_appearance_order":
        return []
    return [name.strip() for option in options for name in option.split(",")]


def is_noise(name: str) -> bool:
    """Return whether a name stands for no single thing: "wall", "the walls", "Door frame", "object(s)"."""
    plain = _plain(name)
    return plain in NOISE or plain.removesuffix("s") in NOISE


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", re.sub(r"^(?:the|an?)\s+", "", name.lower().replace("(s)", "").strip()))
