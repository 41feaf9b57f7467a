"""Guessing baselines: scores without looking at any video, as the floor that a model's score is read against.

Source: VSI-Bench, "Chance Level" baselines (random and most frequent). Departure: where those count the answers of
the benchmark itself, ours are the answers of the training table, so that no test answer is used.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from rollout3d.scoring.match import match
from rollout3d.tables.rows import QuestionRow

Answers = Mapping[str, Counter[str]]
"""Question type -> number of occurrences of each answer in training."""


def training_answers(rows: Iterable[QuestionRow]) -> dict[str, Counter[str]]:
    """Count the answers of the training questions, by question type."""
    answers: dict[str, Counter[str]] = {}
    for row in rows:
        answers.setdefault(row["question_type"], Counter())[row["ground_truth"]] += 1
    return answers


def random_score(row: QuestionRow, answers: Answers) -> float:
    """Return the expected score of a random guess, computed exactly.

    A choice is guessed among the options with equal probabilities, anything else by drawing an answer of a training
    question of the same type; 0 where the type does not occur in training.
    """
    if row["answer_type"] == "choice":
        return 1 / len(row["options"] or ())
    known = answers.get(row["question_type"])
    if not known:
        return 0.0
    return sum(n * match(a, row["answer_type"], row["ground_truth"]) for a, n in known.items()) / known.total()


def frequent_score(row: QuestionRow, answers: Answers) -> float:
    """Return the score of the most frequent training answer of the question's type.

    Of equally frequent ones, the first in alphabetical order; 0 where the type does not occur in training.
    """
    known = answers.get(row["question_type"])
    if not known:
        return 0.0
    favourite = min(known, key=lambda answer: (-known[answer], answer))
    return match(favourite, row["answer_type"], row["ground_truth"])


BASELINES = {"random": random_score, "frequent": frequent_score}
