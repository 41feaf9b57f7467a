"""Compare an answer with the ground truth: the matching that scorers share once they have found the answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from rollout3d.scoring import metric
from rollout3d.scoring.parse import as_number, first_word, parse_number

Numeric = Literal["mra", "mra_11", "regression", "exact"]
"""How a number is scored: mean relative accuracy over the benchmark's ten thresholds, or over eleven (rewards only);
1 - relative error; or equality to two decimals."""


@dataclass(frozen=True)
class Score:
    """`answer`: the answer read from the text, None without one; `score`: from 0 to 1."""

    answer: str | None
    score: float


NOTHING = Score(None, 0.0)
"""Score of a text without an answer."""


def match(answer: str, answer_type: str, truth: str, numeric: Numeric = "mra") -> float:
    """Return the score of an extracted answer, from 0 to 1.

    choice: equality, ignoring case (VSI-Bench); number: see `Numeric`; regression: 1 - relative error; ocr: word
    accuracy; text: ROUGE (the last three as Video-R1 rewards them). An answer that is no number scores 0. Raises
    ValueError for another answer type.
    """
    if answer_type == "choice":
        return _same_letter(first_word(answer), truth)
    if answer_type == "ocr":
        return metric.word_accuracy(answer, truth)
    if answer_type == "text":
        return metric.rouge(answer, truth)
    if answer_type not in ("number", "regression"):
        raise ValueError(f"unknown answer type '{answer_type}': choice, number, text, ocr or regression")
    if answer_type == "number" and numeric == "exact":
        return metric.same_number(answer, truth)
    return _number(parse_number(answer), answer_type, truth, numeric)


def match_first_word(text: str, row: Mapping[str, Any], numeric: Numeric = "mra") -> Score:
    """Score a text by VSI-Bench's fuzzy matching: choices and numbers by its first word, other types as a whole.

    The first word is taken once. Taking it again would forgive more than the benchmark does: "A.\\n" leaves "A.",
    which is no option there.
    """
    answer_type, truth = row["answer_type"], row["ground_truth"]
    if answer_type not in ("choice", "number"):
        return Score(text, match(text, answer_type, truth, numeric)) if text.strip() else NOTHING
    word = first_word(text)
    if not word:
        return NOTHING
    if answer_type == "choice":
        return Score(word, _same_letter(word, truth))
    if numeric == "exact":
        return Score(word, metric.same_number(word, truth))
    return Score(word, _number(as_number(word), answer_type, truth, numeric))


def match_letter(
    answer: str, row: Mapping[str, Any], letter: Callable[[str], str | None], numeric: Numeric = "mra"
) -> Score:
    """Score a choice by the letter that `letter` finds in the answer, other types by the whole answer (`match`)."""
    if row["answer_type"] == "choice":
        found = letter(answer)
        return NOTHING if found is None else Score(found, float(found == row["ground_truth"]))
    if not answer.strip():
        return NOTHING
    return Score(answer, match(answer, row["answer_type"], row["ground_truth"], numeric))


def true_number(row: Mapping[str, Any]) -> float:
    """Return the ground truth of a number question. Raises ValueError if it is no number."""
    number = parse_number(row["ground_truth"])
    if number is None:
        raise ValueError(f"ground truth '{row['ground_truth']}' of a {row['answer_type']} question is not a number")
    return number


def _same_letter(word: str, truth: str) -> float:
    return float(word.lower() == truth.lower())


def _number(prediction: float | None, answer_type: str, truth: str, numeric: Numeric) -> float:
    wanted = true_number({"answer_type": answer_type, "ground_truth": truth})
    if prediction is None:
        return 0.0
    if answer_type == "regression" or numeric == "regression":
        return metric.relative_closeness(prediction, wanted)
    return metric.mean_relative_accuracy(prediction, wanted, 11 if numeric == "mra_11" else 10)
