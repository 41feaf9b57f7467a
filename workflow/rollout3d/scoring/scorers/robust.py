"""Ours for any benchmark: the one answer that a text states, in any of the usual forms; a text that states two has
none.

Source: ours. Official rules differ in what they forgive, and some reward texts without an answer. This one
stands beside them, so that a difference between runs is not one of form.

- What is read: the content of the first closed `<answer>` tag, else what follows the last `</think>`. Reasoning that is
  not closed has no answer.
- Choice: a letter, lone or in brackets, bold, code or `\\boxed{}`, with or without "the answer is", "option" and the
  like before it, and with its option's text behind it; or the text of one option. A letter in a sentence is none, so "A
  person walks" and "A or B" have no answer.
- Number: `rollout3d.scoring.numbers`, mean relative accuracy; a truth of 0 has the error |p|.
- Text: "yes" or "no" as first word, if the other one does not occur; one of the options, or its label ("Caption A");
  view_change_infer of SPAR-Bench: pairs such as "move_right: 0.4" anywhere, errors divided by the truth. Other texts:
  ROUGE.

An empty text is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from rollout3d.scoring.match import NOTHING, Numeric, Score, match, true_number
from rollout3d.scoring.numbers import as_text, read_number
from rollout3d.scoring.parse import said
from rollout3d.scoring.scorers.spar_bench import AXES, MOVEMENT, axes_score, movement, relative_accuracy

READS_TAG = True

_DRESS = str.maketrans("", "", '*`$"“”')
_BOXED = re.compile(r"\\boxed\s*\{(?:\\text\s*\{)?([^{}]*)\}+")
_BEFORE = (
    r"(?:(?:so|thus|hence|therefore),?\s+)?(?:(?:the|my)\s+)?(?:(?:final|correct|best|right)\s+)?"
    r"(?:(?:answer|option|choice)\s*(?:is|[:=])?\s*:?\s*)?(?:(?:option|choice)\s+)?"
)
_LETTER = re.compile(
    rf"{_BEFORE}(?:\((?P<round>[A-Za-z])\)|\[(?P<square>[A-Za-z])\]|(?P<bare>[A-Za-z]))"
    r"(?:(?P<mark>[.):,])|(?P<end>\s*\Z)|(?P<line>\s*\n)|(?P<blank>\s))(?P<rest>.*)",
    re.IGNORECASE | re.DOTALL,
)
_LABELLED = re.compile(r"\s*\(?([A-Z])[.):]\)?\s*(.*)", re.DOTALL)
_PAIR = re.compile(r"\b((?:move|rotate)_(?:right|left|up|down|forward|backward))\s*[:=]\s*(-?\d+(?:\.\d+)?)")
_MOST = 4000
"""Characters of an answer that are read."""


def score(text: str, row: Mapping[str, Any], numeric: Numeric = "mra") -> Score:
    """Score the one answer that a text states; `options` and `question_type` of `row` are read if they are there."""
    answer = said(text)[:_MOST].strip()
    if not answer or "<think>" in answer:
        return NOTHING
    truth, options = row["ground_truth"], row.get("options") or ()
    if row.get("question_type") == MOVEMENT:
        return _movement(answer, truth)
    if row["answer_type"] == "choice":
        if options and not any(map(_LABELLED.fullmatch, options)):
            return _named(answer, truth, options)
        letter = choice(answer, options)
        return NOTHING if letter is None else Score(letter, float(letter == truth.strip().upper()))
    if row["answer_type"] == "number":
        wanted, number = true_number(row), read_number(answer)
        return NOTHING if number is None else Score(as_text(number), relative_accuracy(number, wanted))
    if row["answer_type"] == "text":
        return _named(answer, truth, options)
    return Score(answer, match(answer, row["answer_type"], truth, numeric))


def choice(answer: str, options: Sequence[str] = ()) -> str | None:
    """Return the letter of the option that an answer states; None for none, and for more than one."""
    answer = _BOXED.sub(r"\1", answer).translate(_DRESS).strip()
    texts = {found[1]: _plain(found[2]) for option in options if (found := _LABELLED.fullmatch(option))}
    by_text = [letter for letter, words in texts.items() if words and words == _plain(answer)]
    if len(by_text) == 1 and not (len(answer) == 1 and answer.upper() in texts):
        return by_text[0]
    found = _LETTER.fullmatch(answer)
    if found is None:
        return None
    letter = found["round"] or found["square"] or found["bare"]
    alone = found["end"] is not None
    if letter.islower() and not alone and found["round"] is None and not (found["mark"] and not found["rest"].strip()):
        return None  # the article, or the beginning of a word
    letter, rest = letter.upper(), found["rest"]
    if texts and letter not in texts:
        return None
    if found["blank"] is not None and found["bare"] is not None and _plain(rest) != texts.get(letter, ""):
        return None  # "A person", "A or B"
    others = re.findall(r"(?<![\w'])([A-Z])(?=[.):,]|\s*\Z)", rest)
    return letter if {other for other in others if not texts or other in texts} <= {letter} else None


def _plain(text: str) -> str:
    return " ".join(text.casefold().split()).rstrip(".")


def _named(answer: str, truth: str, options: Sequence[str]) -> Score:
    """Score one of the options by its whole, its label or its text, and otherwise yes and no."""
    plain = _plain(answer.translate(_DRESS))
    if options:
        labels = [_plain(option.split(": ", 1)[0]) for option in options]
        names = [
            {_plain(option), _plain(option.split(": ", 1)[-1]), label, label.split()[-1]}
            for option, label in zip(options, labels, strict=True)
        ]
        chosen = [option for option, own in zip(options, names, strict=True) if plain in own]
        return Score(chosen[0], float(chosen[0] == truth)) if len(chosen) == 1 else NOTHING
    if truth.strip().lower() in ("yes", "no"):
        words = re.findall(r"[a-z]+", plain)
        there = {"yes", "no"} & set(words)
        if len(there) != 1 or words[0] not in there:
            return NOTHING
        return Score(words[0], float(words[0] == truth.strip().lower()))
    return Score(answer, match(answer, "text", truth))


def _movement(answer: str, truth: str) -> Score:
    pairs = _PAIR.findall(answer)
    found, wanted = {name: float(value) for name, value in pairs}, movement(truth)
    if not pairs or len(found) != len(pairs) or wanted is None:
        return NOTHING
    axes = [[each.get(plus, 0.0) - each.get(minus, 0.0) for plus, minus in AXES] for each in (found, wanted)]
    return Score(",".join(f"{name}:{value:g}" for name, value in found.items()), axes_score(*axes))
