"""OCR's reward with Video-R1's bonus for right answers of a middling length, in a well-formed answer only."""

from __future__ import annotations

from rollout3d.training.rewards import ocr
from rollout3d.training.rewards._answers import Answers, Parts
from rollout3d.training.rewards._length import length_bonus


def parts(answers: Answers) -> dict[str, list[float]]:
    """Return the length bonus."""
    return {"length": length_bonus(answers)}


def total(parts: Parts) -> float:
    """Return format times correctness, bonuses included."""
    return ocr.total(parts)
