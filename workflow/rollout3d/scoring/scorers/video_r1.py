"""Video-R1's evaluator: the `<answer>` tag, and the whole text where there is none.

Source: tulerfeng/Video-R1, src/eval_bench.py, as several forks carry it unchanged (its rewards, in
src/r1-v/src/open_r1/grpo.py, differ: no fall-back to the raw text, and regression is 1 - relative error). VSI-Bench's
numbers are questions of its type "regression".

- Answer: what stands in the first closed tag; if that is missing or empty, the whole text.
- Choice: equality with the letter after removing outer white space, so "b", "B." and "B. left" are wrong.
- Number: commas removed, then `float` of the whole answer, so "3 m" is wrong and "3,5" is 35. Mean relative accuracy in
  single precision with `<` instead of `<=` and 1e-8 added to the truth: 3 for 4 scores 0.5, officially 0.6.

`numeric` has no effect: the rule is one of a benchmark.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from rollout3d.scoring.match import NOTHING, Numeric, Score, match, true_number
from rollout3d.scoring.parse import extract_answer

READS_TAG = True

_ALLOWED = np.float32(1) - (0.5 + 0.05 * np.arange(10)).astype(np.float32)


def score(text: str, row: Mapping[str, Any], numeric: Numeric = "mra") -> Score:
    """Score a text by the content of its tag, or as a whole (`answer_type` and `ground_truth` of `row` are read)."""
    answer = (extract_answer(text) or text).strip()
    if not answer:
        return NOTHING
    answer_type, truth = row["answer_type"], row["ground_truth"]
    if answer_type == "choice":
        return Score(answer, float(answer == truth.strip()))
    if answer_type not in ("number", "regression"):
        return Score(answer, match(answer, answer_type, truth))
    wanted = true_number(row)
    try:
        number = float(answer.replace(",", ""))
    except ValueError:
        return Score(answer, 0.0)
    return Score(answer, strict_relative_accuracy(number, wanted))


def strict_relative_accuracy(prediction: float, truth: float) -> float:
    """Return the share of the ten thresholds t with |prediction - truth| / (|truth| + 1e-8) < 1 - t.

    Computed in single precision.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        predicted, wanted = np.float32(prediction), np.float32(truth)
        error = np.abs(predicted - wanted) / (np.abs(wanted) + np.float32(1e-8))
        return float(np.mean(error < _ALLOWED))
