"""SpaceR's reward without the length reward (Table 2, "w/o-length reward")."""

from __future__ import annotations

from rollout3d.config import Grpo
from rollout3d.scoring.match import Score
from rollout3d.tables.rows import QuestionRow
from rollout3d.training.rewards import spacer
from rollout3d.training.rewards._answers import Answers, Parts

KEYS = ("variant",)
NEEDS_MAPS = True


def correctness(text: str, question: QuestionRow, grpo: Grpo) -> Score:
    """Return answer and R_task."""
    return spacer.correctness(text, question, grpo)


def parts(answers: Answers) -> dict[str, list[float]]:
    """Return the map reward; in variant `code` also what worthless maps take away."""
    return {name: values for name, values in spacer.parts(answers).items() if name != "length"}


def total(parts: Parts) -> float:
    """Return the sum of all parts, the penalty subtracted."""
    return spacer.total(parts)
