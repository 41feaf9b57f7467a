"""VSI-Bench's official evaluator: the first word of the raw text.

Source: vision-x-nyu/thinking-in-space 51e089c, lmms_eval/tasks/vsibench/utils.py; lmms-eval had the same rule until its
pull request 1386 (2026). The text before the first space, without final full stops and then without outer white space,
is the answer: a choice must equal the letter, ignoring case; a number is Python's `float` of it, scored by mean
relative accuracy with `<=`.

Its faults are kept: "(B)", "**B**", "Answer: B", "<answer>B</answer>", " B" and "A.\\n" are wrong, "5 meters" is right
and "5m" and "five" are wrong; only a space ends a word, so "B\\nbecause" is wrong.

Departure without effect on scores: "inf" and "nan" are no numbers here and score 0 there. A ground truth of 0, which
the benchmark does not contain and which stops that evaluator, accepts 0 only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rollout3d.scoring.match import Numeric, Score, match_first_word


def score(text: str, row: Mapping[str, Any], numeric: Numeric = "mra") -> Score:
    """Score the first word of the text."""
    return match_first_word(text, row, numeric)
