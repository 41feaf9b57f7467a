"""ViewSpatial-Bench's rule: the first lone letter A to D of the last line, ignoring case.

Source: descriptions of ZJU-REAL/ViewSpatial-Bench, evaluate.py; its code was not read. Its faults are kept: the
article "a" counts as A, so "it is a left turn" is A; a letter in an earlier line is not read.

Departure: the content of an `<answer>` tag stands for the text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from rollout3d.scoring.match import Numeric, Score, match_letter
from rollout3d.scoring.parse import said

READS_TAG = True

_LETTER = re.compile(r"\b[A-D]\b", re.IGNORECASE)


def score(text: str, row: Mapping[str, Any], numeric: Numeric = "mra") -> Score:
    """Score the letter of the last line (`answer_type` and `ground_truth` of `row` are read)."""
    return match_letter(said(text).strip(), row, _letter, numeric)


def _letter(text: str) -> str | None:
    found = _LETTER.search(text.split("\n")[-1])
    return found[0].upper() if found else None
