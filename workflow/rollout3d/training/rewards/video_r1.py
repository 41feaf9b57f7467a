"""Video-R1's reward: the sum of correctness, format and, under T-GRPO, the temporal bonus."""

from __future__ import annotations

from rollout3d.training.rewards._answers import Answers, Parts


def parts(answers: Answers) -> dict[str, list[float]]:
    """Return no parts besides the usual ones."""
    return {}


def total(parts: Parts) -> float:
    """Return the sum of all parts."""
    return sum(parts.values())
