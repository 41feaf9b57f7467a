"""OCR's reward (its preliminary section): 1 if the answer is correct and well-formed, else 0.

A number earns its mean relative accuracy. The temporal bonus counts in a well-formed answer only (ours: the paper has
no reward for its T-GRPO baseline).
"""

from __future__ import annotations

from rollout3d.training.rewards._answers import Answers, Parts


def parts(answers: Answers) -> dict[str, list[float]]:
    """Return no parts besides the usual ones."""
    return {}


def total(parts: Parts) -> float:
    """Return format times correctness, bonuses included."""
    return parts["format"] * (parts["correctness"] + parts.get("temporal", 0.0) + parts.get("length", 0.0))
