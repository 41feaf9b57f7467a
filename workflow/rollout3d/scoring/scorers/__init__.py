"""Scorers: each reads what a model wrote for a question and scores it. One file of this folder each.

A scorer is a file here with `score(text, row, numeric) -> Score`; the file's name is the scorer's. A new scorer is one
new file. They differ in where they look for the answer and in what they forgive, so scores of different scorers must
never share a column without the scorer's name beside them.

A text without an answer earns nothing from any of them, whatever it is compared with.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from rollout3d.scoring.match import Numeric, Score, match

__all__ = ["SCORERS", "Numeric", "Score", "Scorer", "match", "score"]

Scorer = Callable[[str, Mapping[str, Any], Numeric], Score]

SCORERS: dict[str, Scorer] = {
    name: import_module(f"rollout3d.scoring.scorers.{name}").score
    for name in sorted(file.name for file in iter_modules(__path__))
}
"""Scorer -> its function, from the names of the files in this folder."""


def score(text: str, row: Mapping[str, Any], scorer: str, numeric: Numeric = "mra") -> Score:
    """Score the text that a model wrote for a question row (`answer_type` and `ground_truth` are read).

    Choices and numbers report the answer as the scorer reads it, other types the whole answer. `numeric` changes how
    numbers of training data are rewarded; benchmarks use its default. Raises ValueError for an unknown scorer or
    answer type, and for the ground truth of a number question that is no number.
    """
    if scorer not in SCORERS:
        raise ValueError(f"unknown scorer '{scorer}': one of {sorted(SCORERS)}")
    return SCORERS[scorer](text, row, numeric)
