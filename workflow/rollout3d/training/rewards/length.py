"""Video-R1's and SpaceR's bonus for right answers of a middling length."""

from __future__ import annotations

from collections.abc import Sequence

BONUS, SHORTEST, LONGEST, RIGHT = 0.2, 320, 512, 0.1
"""Bonus; shortest and longest rewarded completion, tokens (SpaceR's paper: 360, its code: 320); right above this."""


def length_bonus(correct: Sequence[float], n_tokens: Sequence[int]) -> list[float]:
    """+0.2 for every right rollout of 320 to 512 tokens, but only if more than one rollout of the group is right."""
    several = sum(score > RIGHT for score in correct) > 1
    return [
        BONUS if several and score > RIGHT and SHORTEST <= length <= LONGEST else 0.0
        for score, length in zip(correct, n_tokens)
    ]
