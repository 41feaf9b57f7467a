"""Scorers: each reads the text that a model wrote for a question and scores it. One file of this folder per scorer.

A file defines `score(text, row, numeric) -> Score`, and literals that others read without importing it
(`Door.constant`), each with a default:

- `READS_TAG = False`: whether it looks for the answer in the `<answer>` tag.
- `FORMAT = False`: whether its answers must keep the format `<think>..</think> <answer>..</answer>`, so that scores
  state the share of well-formed answers also where the prompt is not known.

Scorers differ in where they look for the answer and in what they forgive, so scores of different scorers must never
share a column without the scorer's name beside them. A text without an answer scores 0 by each of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from rollout3d import doors
from rollout3d.scoring.match import Numeric, Score, match

__all__ = ["Numeric", "Score", "Scorer", "match", "score"]


class Scorer(Protocol):
    """What a file of this folder defines."""

    def score(self, text: str, row: Mapping[str, Any], numeric: Numeric, /) -> Score:
        """Score the text that a model wrote for a question row (`answer_type` and `ground_truth` are read)."""
        ...


def score(text: str, row: Mapping[str, Any], scorer: str, numeric: Numeric = "mra") -> Score:
    """Score the text that a model wrote for a question row (`answer_type` and `ground_truth` are read).

    Choices and numbers report the answer as the scorer reads it, other types the whole answer. `numeric` changes how
    numbers of training data are rewarded; benchmarks use its default. Raises ValueError for an unknown scorer or
    answer type, and for the ground truth of a number question that is no number.
    """
    return doors.SCORERS.load(scorer).score(text, row, numeric)
