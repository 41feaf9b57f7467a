"""Read the first capital letter of a text as its choice: the rule of Video-MME and of LongVideoBench.

Source: lmms-eval, lmms_eval/tasks/videomme/utils.py and lmms_eval/tasks/longvideobench/utils.py; each scorer has its
phrases and letters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rollout3d.scoring.match import Numeric, Score, match_letter
from rollout3d.scoring.parse import said


def first_capital(text: str, row: Mapping[str, Any], phrases: Sequence[str], letters: str, numeric: Numeric) -> Score:
    """Score the first of `letters` in what a text says, after `phrases` are removed from it, one after the other."""

    def letter(answer: str) -> str | None:
        for phrase in phrases:
            answer = answer.replace(phrase, "")
        return next((character for character in answer if character in letters), None)

    return match_letter(said(text).strip(), row, letter, numeric)
