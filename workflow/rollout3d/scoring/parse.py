"""Parse an answer out of a model's text: tags, option letters, numbers.

There are two conventions. VSI-Bench's evaluator takes the text before the first space and drops final full stops,
whatever it is. Models that reason write `<think>..</think> <answer>..</answer>`, the format of Video-R1.
"""

from __future__ import annotations

import math
import re

_ANSWER = re.compile(r"<answer>\s*(.*?)\s*</answer>", re.DOTALL)
_FORMAT = re.compile(r"<think>.*?</think>\s*<answer>.*?</answer>", re.DOTALL)


def extract_answer(text: str) -> str | None:
    """Return the content of the first `<answer>` tag, without surrounding space; None if it is empty or not closed.

    An empty answer is no answer: some published scorers give it full marks by substring matching.
    """
    found = _ANSWER.search(text)
    return (found.group(1) or None) if found else None


def said(text: str) -> str:
    """Return the text that a rule which knows no tags is applied to.

    That is the content of the first closed `<answer>` tag, be it empty, else what follows the last `</think>`, else the
    whole text.
    """
    found = _ANSWER.search(text)
    return found.group(1) if found else text.rpartition("</think>")[2]


def well_formed(text: str, strict: bool = True) -> bool:
    """Return whether the text is `<think>..</think> <answer>..</answer>` alone (Video-R1's format reward).

    Strict, as Video-R1 has it, refuses even white space before or after; `strict=False` allows that.
    """
    return _FORMAT.fullmatch(text if strict else text.strip()) is not None


def first_word(text: str) -> str:
    """Return the text before the first space, without final full stops and outer white space.

    This is VSI-Bench's fuzzy matching.
    """
    return text.split(" ")[0].rstrip(".").strip()


def option_letter(text: str) -> str | None:
    """Return the option letter of an answer in upper case, by VSI-Bench's fuzzy matching, or None.

    "A", "a." and "A. left" give "A"; "(A)" and "Answer: A" give None, as they earn nothing there.
    """
    word = first_word(text).upper()
    return word if len(word) == 1 and "A" <= word <= "Z" else None


def as_number(word: str) -> float | None:
    """Return the `float` of a word; None if that is no finite number.

    As in VSI-Bench's evaluator, Python's `float` decides: "1e3", "1_000" and digits of other scripts are numbers,
    "1,200" and "3m" are not. That evaluator reads "inf" and "nan" too, which score 0 there as they do here.
    """
    try:
        number = float(word)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def parse_number(text: str) -> float | None:
    """Return the number of an answer by VSI-Bench's rule: `float` of the first word, None if it is not finite."""
    return as_number(first_word(text))
