"""ReVSI's rule: the first word of the answer, of which a choice must be the letter and a number is Python's `float`.

Source: lmms-eval, lmms_eval/tasks/revsi/utils.py (pull request 1307), the authors' own integration; their
`ReVSIMetric` in torchmetrics_ext was not compared. Outer white space is removed, the text before the first space is
taken, final full stops and then white space are removed. Letters ignore case; numbers have the mean relative accuracy
of VSI-Bench, a text that is no number 0.

Its faults are kept: "(B)", "**B**" and "Answer: B" are wrong, "5 meters" is right and "5m" and "five" are wrong; only a
space ends a word, so "B\\nbecause" is wrong.

Departures: the content of an `<answer>` tag stands for the text, which that evaluator would score 0; "inf" and "nan"
are no numbers, and a truth of 0, which stops the division there, accepts 0 only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rollout3d.scoring.match import Numeric, Score, match_first_word
from rollout3d.scoring.parse import said

READS_TAG = True


def score(text: str, row: Mapping[str, Any], numeric: Numeric = "mra") -> Score:
    """Score the first word of what the text says (`answer_type` and `ground_truth` of `row` are read)."""
    return match_first_word(said(text).strip(), row, numeric)
