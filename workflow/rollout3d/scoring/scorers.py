"""One function that scores what a model wrote against a question row; scorers differ in where they look.

`vsibench` is the benchmark's evaluator on the raw text. `tagged` applies the same matching to what stands in the
`<answer>` tag; text without the tag is *no answer* and scores 0 (Video-R1's evaluator would fall back to the raw
text, which lets an untagged model look well-behaved). Scores of different scorers must never share a table column
without the scorer's name beside them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from rollout3d.scoring import metric
from rollout3d.scoring.parse import extract_answer, first_word, parse_number

Numeric = Literal["mra", "regression", "exact"]
"""How a number is scored: mean relative accuracy, 1 - relative error, or equality to two decimals."""


@dataclass(frozen=True)
class Score:
    """`answer`: what was read from the text, None if nothing; `score`: from 0 to 1."""

    answer: str | None
    score: float


def _raw(text: str) -> str | None:
    return text if first_word(text) else None


SCORERS: dict[str, Callable[[str], str | None]] = {"vsibench": _raw, "tagged": extract_answer}
"""Scorer -> how it finds the answer in a text; None where there is none."""


def score(text: str, row: Mapping[str, Any], scorer: str, numeric: Numeric = "mra") -> Score:
    """Score the text that a model wrote for a question row (`answer_type` and `ground_truth` are read).

    Choices and numbers report the answer as VSI-Bench's fuzzy matching leaves it, other types the whole answer.
    `numeric` changes how numbers of training data are rewarded; benchmarks use its default. Raises ValueError for an
    unknown scorer or answer type.
    """
    if scorer not in SCORERS:
        raise ValueError(f"unknown scorer '{scorer}': one of {sorted(SCORERS)}")
    answer = SCORERS[scorer](text)
    if answer is None:
        return Score(None, 0.0)
    kind = row["answer_type"]
    if kind in ("choice", "number"):
        answer = first_word(answer)
    return Score(answer, match(answer, kind, row["ground_truth"], numeric))


def match(answer: str, answer_type: str, truth: str, numeric: Numeric = "mra") -> float:
    """How well an extracted answer fits the ground truth, from 0 to 1.

    choice: equality, ignoring case (VSI-Bench); number: see `Numeric`; regression: 1 - relative error; ocr: word
    accuracy; text: ROUGE (the last three as Video-R1 rewards them). An answer that is no number scores 0.
    """
    if answer_type == "choice":
        return float(first_word(answer).lower() == truth.lower())
    if answer_type == "ocr":
        return metric.word_accuracy(answer, truth)
    if answer_type == "text":
        return metric.rouge(answer, truth)
    if answer_type not in ("number", "regression"):
        raise ValueError(f"unknown answer type '{answer_type}': choice, number, text, ocr or regression")
    if answer_type == "number" and numeric == "exact":
        return metric.same_number(answer, truth)
    prediction, wanted = parse_number(answer), parse_number(truth)
    if wanted is None:
        raise ValueError(f"ground truth '{truth}' of a {answer_type} question is not a number")
    if prediction is None:
        return 0.0
    if answer_type == "regression" or numeric == "regression":
        return metric.relative_closeness(prediction, wanted)
    return metric.mean_relative_accuracy(prediction, wanted)
