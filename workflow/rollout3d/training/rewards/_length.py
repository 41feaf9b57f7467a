"""Video-R1's and SpaceR's bonus for right answers of a middling length."""

from __future__ import annotations

from collections.abc import Sequence

from rollout3d.training.rewards._answers import Answers

BONUS, SHORTEST, LONGEST, RIGHT = 0.2, 320, 512, 0.1
"""Bonus; shortest and longest rewarded completion, tokens (SpaceR's paper: 360, its code: 320); right above this."""
FEWEST = 2
"""Number of right rollouts that a group needs. [Video-R1; SpaceR's paper: one]"""
SPACER_SHORTEST = 360
"""Shortest rewarded completion of SpaceR's paper, tokens. [SpaceR, Section 5.1]"""


def length_bonus(
    answers: Answers, correct: Sequence[float] | None = None, shortest: int = SHORTEST, fewest: int = FEWEST
) -> list[float]:
    """Return +0.2 for every right rollout of `shortest` to 512 tokens, if at least `fewest` of the group are right.

    `correct`: how right each rollout is, where that is not its correctness; right is above 0.1. Shuffled rollouts
    neither earn the bonus nor count: the control group sets the temporal bonus and nothing else.
    """
    rollouts = answers.rollouts
    given = answers.correct if correct is None else correct
    correct = [0.0 if rollout.shuffled else score for rollout, score in zip(rollouts, given, strict=True)]
    several = sum(score > RIGHT for score in correct) >= fewest
    return [
        BONUS if several and score > RIGHT and shortest <= rollout.n_tokens <= LONGEST else 0.0
        for score, rollout in zip(correct, rollouts)
    ]
