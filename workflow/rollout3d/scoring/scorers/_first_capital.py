"""Read the first capital letter of a text as its choice: the rule of Video-MME and of LongVideoBench.

Source: lmms-eval, lmms_eval/tasks/videomme/utils.py and lmms_eval/tasks/longvideobench/utils.py; each scorer has its
phrases and letters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rollout3d.scoring.match import NOTHING, Numeric, Score, match
from rollout3d.scoring.parse import said


def first_capital(text: str, row: Mapping[str, Any], phrases: Sequence[str], letters: str, numeric: Numeric) -> Score:
    """Score the first of `letters` in what a text says, after `phrases` are removed from it, one after the other."""
    answer = said(text).strip()
    if row["answer_type"] != "choice":
        return (
            Score(answer, match(answer, row["answer_type"], row["ground_truth"], numeric))
            if answer.strip()
            else NOTHING
        )
    for phrase in phrases:
        answer = answer.replace(phrase, "")
    letter = next((character for character in answer if character in letters), None)
    return NOTHING if letter is None else Score(letter, float(letter == row["ground_truth"]))
