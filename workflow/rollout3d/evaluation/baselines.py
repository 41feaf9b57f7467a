"""What guessing scores, without looking at any video: the floor that a model's score must be read against.

Source: VSI-Bench, "Chance Level" baselines (random and most frequent). Departure: where those count the answers of
the benchmark itself, ours are the answers of the training table, so that no test answer is used.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from rollout3d.scoring.match import match

Row = Mapping[str, Any]
Answers = Mapping[str, Counter[str]]
"""Question type -> how often each answer occurs in training."""


def training_answers(rows: Iterable[Row]) -> dict[str, Counter[str]]:
    """Answers of the training questions, by question type."""
    answers: dict[str, Counter[str]] = {}
    for row in rows:
        answers.setdefault(row["question_type"], Counter())[row["ground_truth"]] += 1
    return answers


def random_score(row: Row, answers: Answers) -> float:
    """Expected score, computed exactly: a choice is guessed among the options with equal chances, anything else by
    drawing an answer of a training question of the same type. Without one, 0: there is nothing to guess with."""
    if row["answer_type"] == "choice":
        return 1 / len(row["options"])
    known = answers.get(row["question_type"])
    if not known:
        return 0.0
    return sum(n * match(a, row["answer_type"], row["ground_truth"]) for a, n in known.items()) / known.total()


def frequent_score(row: Row, answers: Answers) -> float:
    """Score of always giving the most frequent training answer of the question's type (of equally frequent ones the
    first in alphabetical order); 0 where the type does not occur in training."""
    known = answers.get(row["question_type"])
    if not known:
        return 0.0
    favourite = min(known, key=lambda answer: (-known[answer], answer))
    return match(favourite, row["answer_type"], row["ground_truth"])


BASELINES = {"random": random_score, "frequent": frequent_score}
