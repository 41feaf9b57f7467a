"""Spatial-R1's reward (its section 3): format + correctness, numbers over eleven thresholds.

`grpo.variant`: paper, N = (0.95 - 0.5) / 0.05 + 2 = 11 thresholds by equation 2, and no other part; code, what its
release does (SpaceR's repository, which began as Spatial-R1's): the same formula, truncated from 10.999... to 10, a
reader of numbers with faults, and the length reward of 320 to 512 tokens if two rollouts are right. The paper names no
values of s, e and delta: they are VSI-Bench's. `grpo.ablation.mra_thresholds` has no effect.
"""

from __future__ import annotations

from rollout3d.config import Grpo
from rollout3d.scoring.match import Score
from rollout3d.tables.rows import QuestionRow
from rollout3d.training.rewards._answers import Answers, Parts
from rollout3d.training.rewards._length import length_bonus
from rollout3d.training.rewards._spacer import exact_correctness

KEYS = ("variant",)
THRESHOLDS = {"paper": 11, "code": 10}
"""N by variant. [Spatial-R1, equation 2; its code]"""


def correctness(text: str, question: QuestionRow, grpo: Grpo) -> Score:
    """Return answer and correctness: NAR of a number (equation 1), MAR of a choice (equation 8)."""
    return exact_correctness(text, question, grpo, THRESHOLDS[grpo.variant])


def parts(answers: Answers) -> dict[str, list[float]]:
    """Return no parts besides the usual ones; in variant `code` the length reward."""
    return {} if answers.grpo.variant == "paper" else {"length": length_bonus(answers)}


def total(parts: Parts) -> float:
    """Return the sum of all parts."""
    return sum(parts.values())
