"""Question types of SpaceR, for its tables of the training questions."""

from __future__ import annotations

from rollout3d.config.question_types import NOT_ASKED, PER_SCENE

ASKED = tuple(name for name in PER_SCENE if name not in NOT_ASKED["spacer"])
"""Question types that SpaceR's rules ask."""


def words(name: str) -> str:
    """Return a question type in words: `object_counting` -> object counting."""
    return name.replace("_", " ")
