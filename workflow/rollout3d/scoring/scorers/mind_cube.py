"""MindCube's rule: the last letter A to E with a full stop, else the last match of ever looser patterns.

Source: mll-lab-nu/MindCube 8650074, src/evaluation/core/extractors.py. In order, each with its LAST match: a letter
with a full stop, anywhere; where the text has "<Answer>" (capital A), the patterns of what follows it up to the next
"<": "my answer is", "the answer is", a lone letter; then a letter before white space or the end; a letter in asterisks
or quotation marks; behind "Answer" and a colon; behind "answer is"; and the first lone letter of the last line that has
one.

Its faults are kept: any later "D." in the text wins, also that of "3D."; "e" is none.

Departure: the content of an `<answer>` tag stands for the text; a format of the release asks for that tag.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from rollout3d.scoring.match import Numeric, Score, match_letter
from rollout3d.scoring.parse import said

READS_TAG = True

_WITH_STOP = re.compile(r"([A-E])\.")
_SECTION = re.compile(r"<Answer>(.*?)(?:<|$)", re.DOTALL)
_IN_SECTION = (r"[Mm]y answer is ([A-E])", r"[Tt]he answer is ([A-E])", r"\b([A-E])\b")
_ANYWHERE = (r"([A-E])(?:$|\s)", r"[*\"]([A-E])[*\"]", r"\bAnswer:?\s*([A-E])\b", r"answer is ([A-E])")
_LONE = re.compile(r"\b([A-E])\b")


def score(text: str, row: Mapping[str, Any], numeric: Numeric = "mra") -> Score:
    """Score the letter that the text says (`answer_type` and `ground_truth` of `row` are read)."""
    return match_letter(said(text), row, _letter, numeric)


def _letter(text: str) -> str | None:
    stopped = _WITH_STOP.findall(text)
    if stopped:
        return stopped[-1]
    section = _SECTION.search(text)
    found = (_last(section[1], _IN_SECTION) if section else None) or _last(text, _ANYWHERE)
    if found:
        return found
    lines = (line for line in reversed(text.split("\n")))
    return next((lone[1] for line in lines if (lone := _LONE.search(line))), None)


def _last(text: str, patterns: Sequence[str]) -> str | None:
    """Return the last match of the first pattern that matches."""
    return next((found[-1] for pattern in patterns if (found := re.findall(pattern, text))), None)
