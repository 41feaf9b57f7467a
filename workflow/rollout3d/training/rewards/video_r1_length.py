"""Video-R1's reward with its bonus for right answers of a middling length (its switch `len_control`)."""

from __future__ import annotations

from rollout3d.training.rewards import video_r1
from rollout3d.training.rewards._answers import Answers, Parts
from rollout3d.training.rewards._length import length_bonus


def parts(answers: Answers) -> dict[str, list[float]]:
    """Return the length bonus."""
    return {"length": length_bonus(answers)}


def total(parts: Parts) -> float:
    """Return the sum of all parts."""
    return video_r1.total(parts)
