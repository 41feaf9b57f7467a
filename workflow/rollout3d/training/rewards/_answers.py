"""The rollouts of one question as a reward sees them, and what it makes of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rollout3d.config import Grpo
from rollout3d.geometry.gridmap import CognitiveMap
from rollout3d.tables.rows import QuestionRow

Parts = dict[str, float]
"""Name of a reward part -> its value for one rollout."""


@dataclass(frozen=True)
class Written:
    """The text of one rollout. `shuffled`: its video had the frames out of order, as T-GRPO's control group."""

    text: str
    n_tokens: int
    shuffled: bool = False


@dataclass(frozen=True)
class Answers:
    """All rollouts of one question, with the settings of the run."""

    question: QuestionRow
    rollouts: Sequence[Written]
    correct: Sequence[float]
    """Correctness of each rollout, 0 to 1 (`_correctness`, or the reward's own rule)."""
    grpo: Grpo
    truth: CognitiveMap | None = None
    """Cognitive map of the question's scene; None for general data and for scenes without a map."""
    grid: int = 10
    """Number of columns and rows of `truth`."""


@dataclass(frozen=True)
class Judgement:
    """Answer and reward of one rollout."""

    answer: str | None
    """As extracted from the text; None if there is none."""
    parts: Parts
    total: float
    """What the advantage uses."""
