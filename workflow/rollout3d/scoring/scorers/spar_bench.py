"""SPAR-Bench's rule: letters by three comparisons, numbers by the first or last digits, movements axis by axis.

Source: fudan-zvg/spar 1679885 and lmms-eval, lmms_eval/tasks/sparbench/utils.py.

- Choice: both in lower case; right if they are equal, if the prediction is part of the truth, or if its first character
  is the truth.
- Number: all unsigned numbers of the text that do not follow "^", with decimals or without; the first of them, but the
  last for the four tasks of two objects in several views (`LAST`). Mean relative accuracy with the error |p| where the
  truth is 0.
- view_change_infer: "move_right:0.4,move_up:0.4,..." is split at commas and colons into five signed axes (right minus
  left, up minus down, forward minus backward, rotation right minus left and up minus down), whose mean relative
  accuracy is averaged. Prediction and truth are exchanged there, so the error is divided by the PREDICTION.

Its faults are kept: "Answer: B" is right where the truth is A, "a cat" too; "(A)" is wrong; "-2" is 2, "1,200" is 1,
".5" is 5; a movement of all zeros scores 0.12 where one of half its size scores 0; a space or word before a name loses
its axis, and text without a number behind a colon the whole movement. The scorer `robust` divides by the truth.

Departures: an empty text, which scores 1 on every choice there, is wrong everywhere; the content of an `<answer>` tag
stands for the text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rollout3d.scoring.match import NOTHING, Numeric, Score, match, true_number
from rollout3d.scoring.metric import mean_relative_accuracy, thresholds
from rollout3d.scoring.parse import said

READS_TAG = True

LAST = ("depth_prediction_oc_mv", "depth_prediction_oo_mv", "distance_prediction_oc_mv", "distance_prediction_oo_mv")
"""Tasks whose last number counts."""
MOVEMENT = "view_change_infer"
AXES = (
    ("move_right", "move_left"),
    ("move_up", "move_down"),
    ("move_forward", "move_backward"),
    ("rotate_right", "rotate_left"),
    ("rotate_up", "rotate_down"),
)
_NUMBERS = re.compile(r"(?<!\^)\d+\.\d+|(?<!\^)\d+")


def score(text: str, row: Mapping[str, Any], numeric: Numeric = "mra") -> Score:
    """Score what the text says (`answer_type`, `ground_truth` and, where it stands there, `question_type` are read)."""
    answer = said(text)
    if not answer.strip():
        return NOTHING
    truth, task = row["ground_truth"], row.get("question_type")
    if task == MOVEMENT:
        found = movement(answer)
        return NOTHING if found is None else Score(answer, axes_score(_axes(movement(truth)), _axes(found)))
    if row["answer_type"] == "choice":
        written, wanted = answer.lower(), truth.lower()
        return Score(answer, float(written == wanted or written in wanted or written[0] == wanted))
    if row["answer_type"] != "number":
        return Score(answer, match(answer, row["answer_type"], truth, numeric))
    value = true_number(row)
    numbers = _NUMBERS.findall(answer)
    if not numbers:
        return NOTHING
    number = numbers[-1 if task in LAST else 0]
    return Score(number, relative_accuracy(float(number), value))


def relative_accuracy(prediction: float, truth: float) -> float:
    """Return the mean relative accuracy, with the absolute error where the truth is 0."""
    if truth == 0:
        return float(np.mean(abs(prediction) <= 1 - thresholds()))
    return mean_relative_accuracy(prediction, truth)


def movement(text: str) -> dict[str, float] | None:
    """Return the movement that a text writes as "name:number,name:number"; None for any other text."""
    pairs = [item.split(":") for item in text.split(",")]
    try:
        return {name: float(value) for name, value in pairs}
    except ValueError:
        return None


def _axes(found: Mapping[str, float] | None) -> list[float]:
    found = found or {}
    return [found.get(plus, 0.0) - found.get(minus, 0.0) for plus, minus in AXES]


def axes_score(predicted: Sequence[float], divided_by: Sequence[float]) -> float:
    """Return the mean of the relative accuracy of five axes, errors divided by `divided_by`."""
    return sum(relative_accuracy(p, t) for p, t in zip(predicted, divided_by, strict=True)) / len(AXES)
