"""LongVideoBench's rule: known phrases are removed, then the first capital A to E of the text counts.

Source: lmms-eval, lmms_eval/tasks/longvideobench/utils.py (parse_multi_choice_response), which says that it is the
authors'. Its faults are kept: "Based on the video, D" is B, "A person walks to C" is A, "b" has no answer.

Departures: a text without such a letter is wrong, where that evaluator draws a letter at random; the content of an
`<answer>` tag stands for the text, and reasoning before `</think>` is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rollout3d.scoring.match import Numeric, Score
from rollout3d.scoring.scorers._first_capital import first_capital

READS_TAG = True

PHRASES = (
    "The best answer is",
    "The correct answer is",
    "The answer is",
    "The answer",
    "The best option is",
    "The correct option is",
    "Best answer:",
    "Best option:",
)


def score(text: str, row: Mapping[str, Any], numeric: Numeric = "mra") -> Score:
    """Score the first capital A to E (`answer_type` and `ground_truth` of `row` are read)."""
    return first_capital(text, row, PHRASES, "ABCDE", numeric)
