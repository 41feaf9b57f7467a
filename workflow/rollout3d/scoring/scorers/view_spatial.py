"""ViewSpatial-Bench's rule: the first lone letter A to D of the last line, ignoring case.

Source: ZJU-REAL/ViewSpatial-Bench, evaluate.py, as described in the facts of its release. Its faults are kept: the
article "a" counts as A, so "it is a left turn" is A; a letter in an earlier line is not read.

Departure: the content of an `<answer>` tag stands for the text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from rollout3d.scoring.match import NOTHING, Numeric, Score, match
from rollout3d.scoring.parse import said

READS_TAG = True

_LETTER = re.compile(r"\b[A-D]\b", re.IGNORECASE)


def score(text: str, row: Mapping[str, Any], numeric: Numeric = "mra") -> Score:
    """Score the letter of the last line (`answer_type` and `ground_truth` of `row` are read)."""
    answer = said(text).strip()
    if row["answer_type"] != "choice":
        return (
            Score(answer, match(answer, row["answer_type"], row["ground_truth"], numeric))
            if answer.strip()
            else NOTHING
        )
    found = _LETTER.search(answer.split("\n")[-1])
    return NOTHING if found is None else Score(found[0].upper(), float(found[0].upper() == row["ground_truth"]))
