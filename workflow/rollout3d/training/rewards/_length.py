"""Video-R1's and SpaceR's bonus for right answers of a middling length."""

from __future__ import annotations

from rollout3d.training.rewards._answers import Answers

BONUS, SHORTEST, LONGEST, RIGHT = 0.2, 320, 512, 0.1
"""Bonus; shortest and longest rewarded completion, tokens (SpaceR's paper: 360, its code: 320); right above this."""


def length_bonus(answers: Answers) -> list[float]:
    """Return +0.2 for every right rollout of 320 to 512 tokens, if more than one rollout of the group is right; else 0.

    Shuffled rollouts neither earn it nor count: the control group sets the temporal bonus and nothing else.
    """
    rollouts = answers.rollouts
    correct = [0.0 if rollout.shuffled else score for rollout, score in zip(rollouts, answers.correct, strict=True)]
    several = sum(score > RIGHT for score in correct) > 1
    return [
        BONUS if several and score > RIGHT and SHORTEST <= rollout.n_tokens <= LONGEST else 0.0
        for score, rollout in zip(correct, rollouts)
    ]
