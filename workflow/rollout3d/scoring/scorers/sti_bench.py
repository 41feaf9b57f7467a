"""STI-Bench's rule: six patterns in turn find a letter, else the last character of the text is taken.

Source: MINT-SJTU/STI-Bench 43ddebe, opensource_test.py (openai_test.py has the same patterns). The patterns, ignoring
case, in any line: a letter A to E in round brackets; behind "Ans" and an equals sign, in quotation marks or not; behind
"Answer" and a colon or equals sign; behind "Option"; before "is correct" or "was correct"; before a full stop or
closing bracket at the end of a line. Where none matches, the text without outer white space stands. An answer is right
if its last character is a letter A to E and equals the truth.

Its faults are kept: "The answer is D" is right by its last character, and so is "no ideA"; "B. 3.5 m" and "B 3.5 m" are
wrong; "Answer: approximately" is A; "optional" is none, "option a cat" is A; "b" is wrong and "(b)" is B.

Departures: the content of an `<answer>` tag stands for the text; an empty text, which stops that evaluator, is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from rollout3d.scoring.match import Numeric, Score, match_letter
from rollout3d.scoring.parse import said

READS_TAG = True

_IN_TURN = tuple(
    re.compile(pattern, re.IGNORECASE | re.MULTILINE)
    for pattern in (
        r"\(([A-E])\)",
        r"Ans\s*=\s*['\"]?([A-E])",
        r"Answer\s*[:=]\s*([A-E])",
        r"Option\s+([A-E])",
        r"\b([A-E])\s*(?:is|was)\s*correct",
        r"\b([A-E])[.)]\s*$",
    )
)


def score(text: str, row: Mapping[str, Any], numeric: Numeric = "mra") -> Score:
    """Score the letter that the text says (`answer_type` and `ground_truth` of `row` are read)."""
    return match_letter(said(text).strip(), row, _letter, numeric)


def _letter(text: str) -> str | None:
    found = next((each[1].upper() for pattern in _IN_TURN if (each := pattern.search(text))), text)
    return found[-1] if found[-1:] in tuple("ABCDE") else None
