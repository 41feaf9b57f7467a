"""Reading an answer out of what a model wrote: tags, option letters, numbers.

Two conventions meet here. VSI-Bench's evaluator takes the text before the first space and drops final full stops,
whatever it is. Models that reason write `<think>..</think> <answer>..</answer>`, the format of Video-R1.
"""

from __future__ import annotations

import math
import re

_ANSWER = re.compile(r"<answer>\s*(.*?)\s*</answer>", re.DOTALL)
_FORMAT = re.compile(r"<think>.*?</think>\s*<answer>.*?</answer>", re.DOTALL)


def extract_answer(text: str) -> str | None:
    """What stands in the first `<answer>` tag, without surrounding space; None without a closed tag or if empty.

    An empty answer is no answer: some published scorers give it full marks by substring matching.
    """
    found = _ANSWER.search(text)
    return (found.group(1) or None) if found else None


def well_formed(text: str, strict: bool = True) -> bool:
    """Whether the text is `<think>..</think> <answer>..</answer>` and nothing else (Video-R1's format reward).

    Strict, as Video-R1 has it, refuses even white space before or after; `strict=False` allows that.
    """
    return _FORMAT.fullmatch(text if strict else text.strip()) is not None


def first_word(text: str) -> str:
    """VSI-Bench's fuzzy matching: the text before the first space, without final full stops and outer white space."""
    return text.split(" ")[0].rstrip(".").strip()


def option_letter(text: str) -> str | None:
    """The option letter of an answer in upper case, by VSI-Bench's fuzzy matching, or None.

    "A", "a." and "A. left" give "A"; "(A)" and "Answer: A" give None, as they earn nothing there.
    """
    word = first_word(text).upper()
    return word if len(word) == 1 and "A" <= word <= "Z" else None


def as_number(word: str) -> float | None:
    """`float` of a word; None if that is no finite number.

    As in VSI-Bench's evaluator, Python's `float` decides: "1e3", "1_000" and digits of other scripts are numbers,
    "1,200" and "3m" are not. That evaluator reads "inf" and "nan" too, which score 0 there as they do here.
    """
    try:
        number = float(word)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def parse_number(text: str) -> float | None:
    """The number of an answer by VSI-Bench's rule, `float` of the first word; None if that is no finite number."""
    return as_number(first_word(text))
