"""Read the number of a free answer: "a distance of 3.5 m", "-2", "1,200", "twenty-one", "1/2".

Ours, for rewards that take a number wherever it stands in the answer (SpaceR, Spatial-R1), without the faults of the
reader that SpaceR released (`scorers/spacer.py` keeps it): there the word "a" is 1, signs are lost, and a comma or
hyphen ends a number. Evaluators of benchmarks have readers of their own, which decide what their scores mean.
"""

from __future__ import annotations

import math
import re

_UNITS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
_TEENS = ["ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_VALUES = {word: n for n, word in enumerate(["zero", *_UNITS, *_TEENS])}
_VALUES |= {word: 10 * n for n, word in enumerate(_TENS, start=2)}


def _any(*words: str) -> str:
    return rf"(?:{'|'.join(words)})\b"


_BELOW_100 = rf"(?:{_any(*_TENS)}(?:[ -]{_any(*_UNITS)})?|{_any('zero', *_UNITS, *_TEENS)})"
_BELOW_1000 = rf"(?:(?:{_BELOW_100}[ -])?hundred\b(?:[ -](?:and )?{_BELOW_100})?|{_BELOW_100})"
_WORDS = re.compile(
    rf"\b(?P<minus>(?:minus|negative) )?(?:(?P<only_half>(?:one[ -])?half\b)"
    rf"|(?P<number>(?:{_BELOW_1000}[ -])?thousand\b(?:[ -](?:and )?{_BELOW_1000})?|{_BELOW_1000})"
    rf"(?: point(?P<decimals>(?: {_any('zero', *_UNITS)})+))?(?P<half> and a half\b)?)"
)
_DIGITS = re.compile(
    r"(?<![\w.,])(?P<minus>[-\u2212])?"
    r"(?P<number>(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)(?:\.[0-9]+)?|\.[0-9]+)(?P<power>e[-+]?[0-9]{1,4}(?![0-9]))?"
    r"(?:(?P<plus> [0-9]{1,9})? ?/ ?(?P<below>[1-9][0-9]{0,8})(?![0-9]|[.,][0-9]))?"
    r"(?P<half> and a half\b)?(?: (?P<scale>hundred|thousand|million)\b)?"
)
_SPACE = re.compile(r"\s+")
_SCALES = {None: 1, "hundred": 100, "thousand": 1_000, "million": 1_000_000}


def read_number(text: str) -> float | None:
    """Return the number that a text states, with its sign; None if it states none, or one that is not finite.

    Digits come before number words, since "the two chairs are 3.5 m apart" is 3.5; the first of either counts. Digits
    may have commas between thousands ("1,200"; "3,5" is 3), decimals, a power ("1e3"), a fraction ("1/2", "1 1/2"), a
    scale ("2 thousand") and a unit right behind them ("30.2m²"). A hyphen behind a letter or digit is no sign ("2-3" is
    2), and digits behind a letter are no number ("m2"). Words go up to 999,999, with "and", hyphens, "minus", "point"
    and "half" ("two and a half" is 2.5). "a" and "an" are no numbers.
    """
    text = _SPACE.sub(" ", text.lower())
    digits = _DIGITS.search(text)
    words = None if digits else _WORDS.search(text)
    found = digits or words
    if found is None:
        return None
    value = _of_digits(found) if digits else _of_words(found)
    return (-value if found["minus"] else value) if math.isfinite(value) else None


def as_text(number: float) -> str:
    """Return a number as an answer states it, such as 21 for 21.0."""
    return f"{number:.0f}" if number.is_integer() else repr(number)


def _of_digits(found: re.Match[str]) -> float:
    value, below = float(found["number"].replace(",", "") + (found["power"] or "")), float(found["below"] or 1)
    # Of a mixed fraction such as "1 1/2" the numerator stands in `plus`.
    value = value + float(found["plus"]) / below if found["plus"] else value / below
    return (value + (0.5 if found["half"] else 0.0)) * _SCALES[found["scale"]]


def _of_words(found: re.Match[str]) -> float:
    if found["only_half"]:
        return 0.5
    thousands, rest = 0, 0
    for word in re.findall("[a-z]+", found["number"]):
        if word == "thousand":
            thousands, rest = 1000 * max(rest, 1), 0
        elif word == "hundred":
            rest = 100 * max(rest, 1)
        else:
            rest += _VALUES.get(word, 0)  # "and" is nothing
    decimals = "".join(str(_VALUES[word]) for word in (found["decimals"] or "").split())
    return float(f"{thousands + rest}.{decimals or 0}") + (0.5 if found["half"] else 0.0)
