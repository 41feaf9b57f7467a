"""Correctness of the tagged answer: 0 or 1 for a choice, 0 to 1 for a number."""

from __future__ import annotations

from rollout3d.scoring.scorers import Numeric, Score, score
from rollout3d.tables.rows import QuestionRow


def correctness(text: str, question: QuestionRow, numeric: Numeric = "mra", thresholds: int = 10) -> Score:
    """Return answer and score, 0 to 1, of one completion for a question.

    The paper's reward is 1 "if the response is correct", which it does not define for numbers: by default a number
    earns its mean relative accuracy, the metric of the benchmark (`grpo.ablation.numeric` has the alternatives), over
    10 `thresholds`, or over 11 as equation 2 of Spatial-R1 counts them. Matching is the benchmark's too, so "A." and
    "a" are right where Video-R1's reward would refuse them.
    """
    return score(text, question, "tagged", "mra_11" if (numeric, thresholds) == ("mra", 11) else numeric)
