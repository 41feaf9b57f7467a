"""lmms-eval's rule for VSI-Bench: thinking is cut out, a number is the first digits or number words anywhere.

Source: lmms-eval 0.7.3 on PyPI (MIT), lmms_eval/tasks/vsibench/utils.py and lmms_eval/api/reasoning.py; the extraction
of numbers came with pull request 1386 and differs from the official evaluator (scorer `vsibench`).

- Before scoring, blocks `<think>..</think>` and `<analysis>..</analysis>` are removed (its default `--reasoning_tags`),
  or all up to the last closing tag where the opening one is missing, and outer white space. An unclosed block stays.
- Choice: the official rule on the rest.
- Number: whichever comes first, digits ("about 3" 3, "3m" 3, "-2" -2) or a run of number words ("three" 3,
  "three hundred and twenty-one" 321), scored by mean relative accuracy.

Its faults are kept: "1,200" is 1, "1e3" is 1, ".5" is 5, "room-2" is -2, "between 2 and 4" is 2, "one of the 4 chairs"
is 1, "two or three" is 2 but "two, three" is 5, "forty hundred" is 4000, and a tag `<answer>` hides a choice but no
number.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import dropwhile, takewhile
from typing import Any

from rollout3d.scoring import metric
from rollout3d.scoring.match import NOTHING, Numeric, Score, match, match_first_word, true_number

REASONING = (("<think>", "</think>"), ("<analysis>", "</analysis>"))

_DIGITS = re.compile(r"-?\d+(?:\.\d+)?")
_WORD = re.compile(r"[a-z]+")
_SMALL = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
)
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_VALUES = {word: n for n, word in enumerate(_SMALL.split())} | {word: 10 * n for n, word in enumerate(_TENS.split(), 2)}
_SCALES = {"hundred": 100, "thousand": 1000}
_NUMBERS = _VALUES.keys() | _SCALES.keys()


def score(text: str, row: Mapping[str, Any], numeric: Numeric = "mra") -> Score:
    """Score the text without its reasoning; a number is searched for in all of it."""
    text = without_reasoning(text)
    if row["answer_type"] != "number":
        return match_first_word(text, row, numeric)
    truth, number = true_number(row), first_number(text)
    if number is None:
        return NOTHING
    answer = f"{number:.0f}" if number.is_integer() else repr(number)
    if numeric != "mra":
        return Score(answer, match(answer, "number", row["ground_truth"], numeric))
    return Score(answer, metric.mean_relative_accuracy(number, truth))


def without_reasoning(text: str) -> str:
    """Return the text without its blocks of reasoning and without outer white space."""
    for opening, closing in REASONING:
        while opening in text and closing in text:
            start = text.index(opening)
            end = text.find(closing, start)
            if end < 0:
                break
            text = text[:start] + text[end + len(closing) :]
        if opening not in text:
            text = text.rpartition(closing)[2]
    return text.strip()


def first_number(text: str) -> float | None:
    """Return the first number of a text, in digits or in English words; None if there is none."""
    text = text.strip().lower()
    digits = _DIGITS.search(text)
    from_number = dropwhile(lambda word: word[0] not in _NUMBERS, _WORD.finditer(text))
    run = list(takewhile(lambda word: word[0] in _NUMBERS or word[0] == "and", from_number))
    if digits and (not run or digits.start() < run[0].start()):
        return float(digits[0])
    return _value([word[0] for word in run if word[0] != "and"]) if run else None


def _value(words: list[str]) -> float:
    """Return the value of a run of number words: those since the last scale are summed, a scale multiplies them."""
    thousands, rest = 0, 0
    for word in words:
        if word == "thousand":
            thousands, rest = thousands + max(rest, 1) * _SCALES[word], 0
        elif word in _SCALES:
            rest = max(rest, 1) * _SCALES[word]
        else:
            rest += _VALUES[word]
    return float(thousands + rest)
