"""SpaceR's evaluator of VSI-Bench.

Source: OuyangKun10/SpaceR b623af5, SpaceR-Eval/data_utils/{vsibench,vsi_util}.py, as others describe it (CC BY-NC 4.0:
no text or code of it is here). Its reward is another rule: it adds the score of a cognitive map, which no prediction
file holds.

- Answer: what stands in the `<answer>` tag if there is one, else the whole text. How the tag is cut out was not seen;
  the first closed tag is assumed.
- Choice: "Answer:" is removed wherever it stands. If the text up to the first space is one of A to D, with or without a
  full stop, that is the answer, else the whole text; it must equal the letter, ignoring case.
- Number: the first of a fixed list of words that occurs anywhere (one to twenty, thirty to ninety by tens, zero, a, an)
  beats all digits; else the first digits, without sign. Mean relative accuracy as in the official evaluator.

Its faults are kept: "a distance of 3.5" is 1, "twenty-one" is 1, "-2" is 2, "1,200" is 1, "three or two" is 2; "b" is
right and "b." is wrong; " B" is right.

`numeric` has no effect: the rule is one of a benchmark.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from rollout3d.scoring import metric
from rollout3d.scoring.match import NOTHING, Numeric, Score, match, true_number
from rollout3d.scoring.parse import extract_answer

READS_TAG = True

_LISTED = (
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety zero a an"
)
_WORDS = _LISTED.split()
_VALUES = dict(zip(_WORDS, [*range(1, 21), *range(30, 100, 10), 0, 1, 1], strict=True))
_RANK = {word: rank for rank, word in enumerate(_WORDS)}
_ANY_WORD = re.compile(rf"\b(?:{'|'.join(_WORDS)})\b")
_DIGITS = re.compile(r"\d+(?:\.\d+)?")


def score(text: str, row: Mapping[str, Any], numeric: Numeric = "mra") -> Score:
    """Score a text by the content of its tag, or as a whole (`answer_type` and `ground_truth` of `row` are read)."""
    answer = extract_answer(text) or text
    if not answer.strip():
        return NOTHING
    answer_type, truth = row["answer_type"], row["ground_truth"]
    if answer_type == "choice":
        chosen = letter(answer.replace("Answer:", ""))
        return Score(chosen or None, float(chosen.lower() == truth.lower()))
    if answer_type != "number":
        return Score(answer, match(answer, answer_type, truth))
    wanted, found = true_number(row), number(answer)
    return NOTHING if found is None else Score(found, metric.mean_relative_accuracy(float(found), wanted))


def letter(text: str) -> str:
    """Return the letter A to D before the first space, else the whole text without outer white space."""
    word = text.split(" ")[0].strip()
    return word[0] if word.removesuffix(".") in ("A", "B", "C", "D") else text.strip()


def number(text: str) -> str | None:
    """Return the number of a text as digits: the listed word that comes first in the list, else the first digits."""
    text = text.strip().lower()
    words = _ANY_WORD.findall(text)
    if words:
        return str(_VALUES[min(words, key=_RANK.__getitem__)])
    digits = _DIGITS.search(text)
    return digits[0] if digits else None
