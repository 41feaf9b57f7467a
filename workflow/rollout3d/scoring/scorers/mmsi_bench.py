"""MMSI-Bench's rule: the letter in backticks or braces, else the first lone capital A to D.

Source: descriptions of RunsenXu/MMSI-Bench's rule; its code was not read. The text in double backticks, else in single
ones, else in braces, else the whole text; in it the first letter A to D between word boundaries that no space and
letter follow, which must equal the truth.

Its faults are kept: "B left" has no answer, "A. left" and "**A**" have; "A person ... C" is C.

Departure: the content of an `<answer>` tag stands for the text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from rollout3d.scoring.match import Numeric, Score, match_letter
from rollout3d.scoring.parse import said

READS_TAG = True

_WRAPPED = tuple(re.compile(pattern, re.DOTALL) for pattern in (r"``([^`]*)``", r"`([^`]*)`", r"\{([^{}]*)\}"))
_LETTER = re.compile(r"\b[A-D]\b(?!\s[a-zA-Z])")


def score(text: str, row: Mapping[str, Any], numeric: Numeric = "mra") -> Score:
    """Score the letter that the text says (`answer_type` and `ground_truth` of `row` are read)."""
    return match_letter(said(text), row, _letter, numeric)


def _letter(text: str) -> str | None:
    inside = next((found[1] for pattern in _WRAPPED if (found := pattern.search(text))), text)
    found = _LETTER.search(inside)
    return found[0] if found else None
