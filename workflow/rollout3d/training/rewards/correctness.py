"""Whether the tagged answer is right: 0 or 1 for a choice, 0 to 1 for a number."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rollout3d.scoring.scorers import Numeric, Score, score


def correctness(text: str, row: Mapping[str, Any], numeric: Numeric = "mra", thresholds: int = 10) -> Score:
    """Answer and score, 0 to 1, of one completion for a question row.

    The paper's reward is 1 "if the response is correct", which it does not define for numbers: by default a number
    earns its mean relative accuracy, the metric of the benchmark (`grpo.numeric` has the alternatives), over 10
    `thresholds`, or over 11 as equation 2 of Spatial-R1 counts them. Matching is the benchmark's too, so "A." and "a"
    are right where Video-R1's reward would refuse them.
    """
    return score(text, row, "tagged", "mra_11" if (numeric, thresholds) == ("mra", 11) else numeric)
