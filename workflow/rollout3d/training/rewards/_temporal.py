"""T-GRPO's bonus for right answers, given only if the group answers better with the frames in order than shuffled."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

BONUS, SHARE, RIGHT = 0.3, 0.8, 0.1
"""Bonus alpha; share mu of the shuffled accuracy that the ordered one must reach; right above this (Video-R1)."""


def temporal_bonus(correct: Sequence[float], shuffled: Sequence[bool]) -> list[float]:
    """Return +0.3 for every right ordered rollout if mean(ordered) >= 0.8 mean(shuffled), else 0; shuffled ones get 0.

    `correct`: correctness of each rollout, 0 to 1; `shuffled`: True for those of the control group. Without a control
    group nothing is earned.
    """
    ordered = [score for score, out_of_order in zip(correct, shuffled) if not out_of_order]
    control = [score for score, out_of_order in zip(correct, shuffled) if out_of_order]
    # 0.6 >= 0.8 * 0.75 holds, but not in float64.
    earned = bool(control) and fmean(ordered) >= SHARE * fmean(control) - 1e-9
    return [
        BONUS if earned and not out_of_order and score > RIGHT else 0.0
        for score, out_of_order in zip(correct, shuffled)
    ]
