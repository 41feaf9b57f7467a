"""SpaceR's reward without the map reward (Table 2, "w/o-map imagination"; the prompt asks for no map there either)."""

from __future__ import annotations

from rollout3d.config import Grpo
from rollout3d.scoring.match import Score
from rollout3d.tables.rows import QuestionRow
from rollout3d.training.rewards import spacer
from rollout3d.training.rewards._answers import Answers, Parts
from rollout3d.training.rewards._spacer import length_part

KEYS = ("variant",)


def correctness(text: str, question: QuestionRow, grpo: Grpo) -> Score:
    """Return answer and R_task."""
    return spacer.correctness(text, question, grpo)


def parts(answers: Answers) -> dict[str, list[float]]:
    """Return the length reward."""
    return {"length": length_part(answers, list(answers.correct))}


def total(parts: Parts) -> float:
    """Return the sum of all parts."""
    return spacer.total(parts)
