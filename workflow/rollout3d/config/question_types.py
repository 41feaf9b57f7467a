"""What the configuration knows of the question types: their names in order, and their defaults.

Read from the files of `questions/types` without importing them: `RANK`, `PER_SCENE` and `SOURCE`, which the folder's
`__init__.py` explains.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from rollout3d.doors import QUESTION_TYPES


def _stated(constant: str, names: Iterable[str]) -> dict[str, Any]:
    """Question type -> a constant of its file, for the types whose file assigns it."""
    found = ((name, QUESTION_TYPES.constant(name, constant, None)) for name in names)
    return {name: value for name, value in found if value is not None}


_RANKS: dict[str, int] = _stated("RANK", QUESTION_TYPES.names)

NAMES: tuple[str, ...] = tuple(sorted(QUESTION_TYPES.names, key=lambda name: (_RANKS.get(name, 100), name)))
"""Question types by rank, then by name: the order of rows, tables and logs."""
PER_SCENE: dict[str, int] = _stated("PER_SCENE", NAMES)
"""Question type -> most questions per scene by default, for the types that are asked by default. [VLM-3R: absolute
distance, direction and order; the others assumed]"""
Source = Literal["external", "generated", "both"]
"""Where the questions of a type come from."""
SOURCES: dict[str, Source] = _stated("SOURCE", NAMES)
"""Question type -> where its questions come from by default, for the types that may come from other people's files."""


RuleSet = Literal["ocr", "spacer", "spatial_r1"]
"""Whose rules answer the generated questions (`questions/variants.py`)."""
NOT_ASKED: dict[RuleSet, tuple[str, ...]] = {
    "ocr": (),
    "spacer": ("route_planning",),
    "spatial_r1": ("object_rel_direction_medium", "object_rel_direction_hard", "route_planning"),
}
"""Question types that the rules of a paper do not ask. [SpaceR, Figure 5; Spatial-R1, section 2.2]"""


def caps(per_scene: Mapping[str, int | None]) -> dict[str, int]:
    """Return the most questions per scene by question type: the defaults with `questions.per_scene` laid over them.

    A type whose cap is null there has none and is left out.
    """
    return {name: cap for name, cap in ({**PER_SCENE, **per_scene}).items() if cap is not None}


def asked(named: Iterable[str]) -> tuple[str, ...]:
    """Return the question types that are asked, in their order: those asked by default, and those in `named`.

    `named`: the types that the configuration names, such as those of `Questions.caps`.
    """
    wanted = {*PER_SCENE, *named}
    return tuple(name for name in NAMES if name in wanted)
