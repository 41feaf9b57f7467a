"""Verify whether a teacher's text may be trained on: form, answer, and no trace of what only the teacher was shown."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rollout3d.cot.leaks import find_leak
from rollout3d.scoring import scorers
from rollout3d.scoring.parse import well_formed

NUMBER_ABOVE = 0.5
"""A number is right from a mean relative accuracy above this (assumed, as in the difficulty filter)."""

_TAGS = ("<think>", "</think>", "<answer>", "</answer>")
_THINK = re.compile(r"<think>\s*(.*?)\s*</think>", re.DOTALL)


@dataclass(frozen=True)
class Verdict:
    """`think` and `answer` as read from the text (None if absent); `reason` is None when accepted."""

    think: str | None
    answer: str | None
    reason: str | None

    @property
    def accepted(self) -> bool:
        return self.reason is None


def verify(text: str, row: Mapping[str, Any]) -> Verdict:
    """Judge `text` as a sample for question `row`.

    Accepted only if it is one `<think>` and one `<answer>` block and nothing else, neither empty; if the answer is
    right (a choice by equality, a number with a mean relative accuracy above 0.5, any other answer with a score above
    0.5); and if the reasoning betrays neither the given answer nor the view from above (`rollout3d.cot.leaks`).
    """
    text = text.strip()
    found = _THINK.search(text)
    think = (found.group(1) or None) if found else None
    scored = scorers.score(text, row, "tagged")
    return Verdict(think, scored.answer, _fault(text, think, scored, row))


def _fault(text: str, think: str | None, scored: scorers.Score, row: Mapping[str, Any]) -> str | None:
    if not well_formed(text) or any(text.count(tag) != 1 for tag in _TAGS):
        return "not one <think> block followed by one <answer> block"
    if think is None:
        return "empty reasoning"
    if scored.answer is None:
        return "empty answer"
    right = scored.score == 1 if row["answer_type"] == "choice" else scored.score > NUMBER_ABOVE
    if not right:
        return f"wrong answer: {scored.answer[:40]} instead of {row['ground_truth']} (score {scored.score:.2f})"
    leak = find_leak(think)
    return str(leak) if leak else None
