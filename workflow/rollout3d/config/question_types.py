"""What the configuration knows of the question types: their names in order, and their defaults.

Both are read from the files of `questions/types` without importing them: of the call that a file assigns to `TYPE`,
the keywords `rank`, `per_scene` and `source`, where they are literals.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from functools import cache
from typing import Any

from rollout3d.doors import PACKAGE, QUESTION_TYPES

LAST = 100
"""Rank of a type that states none: behind those that do."""


@cache
def _stated(name: str) -> dict[str, Any]:
    """Literal keywords of the call that the file of a question type assigns to `TYPE`, the last statement of it."""
    file = PACKAGE / QUESTION_TYPES.folder / f"{name}.py"
    text = file.read_text(encoding="utf-8")
    start = text.rfind("\nTYPE = ")
    call = ast.parse(text[start + 1 :]).body[0] if start >= 0 else None
    if not (isinstance(call, ast.Assign) and isinstance(call.value, ast.Call)):
        raise ValueError(f"{file}: ends without the statement TYPE = QuestionType(...)")
    keywords = ((each.arg, each.value) for each in call.value.keywords)
    return {key: value.value for key, value in keywords if key and isinstance(value, ast.Constant)}


NAMES: tuple[str, ...] = tuple(sorted(QUESTION_TYPES.names, key=lambda name: (_stated(name).get("rank", LAST), name)))
"""Question types by rank, then by name: the order of rows, tables and logs."""
PER_SCENE: dict[str, int] = {name: _stated(name)["per_scene"] for name in NAMES if _stated(name).get("per_scene")}
"""Question type -> most questions per scene by default, for the types that are asked by default: VSI-Bench's."""
SOURCES: dict[str, str] = {name: _stated(name)["source"] for name in NAMES if _stated(name).get("source")}
"""Question type -> where its questions come from by default, for the types that may come from other people's files."""


def asked(named: Iterable[str]) -> tuple[str, ...]:
    """Return the question types that are asked, in their order: those asked by default, and those in `named`.

    `named`: the types that the configuration names, such as the keys of `questions.per_scene`.
    """
    wanted = {*PER_SCENE, *named}
    return tuple(name for name in NAMES if name in wanted)
