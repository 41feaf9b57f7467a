"""Verify a teacher's text before it is trained on: form, answer, and no trace of what only the teacher was shown."""

from __future__ import annotations

from dataclasses import dataclass

from rollout3d.cot.dressing import clean_answer, parts
from rollout3d.cot.leaks import find_leak
from rollout3d.scoring import scorers
from rollout3d.tables.rows import QuestionRow

NUMBER_ABOVE = 0.5
"""A number is right from a mean relative accuracy above this (assumed, as in the difficulty filter)."""


@dataclass(frozen=True)
class Verdict:
    """Reasoning and answer of a text (None if absent), and the `reason` for rejecting it, None when accepted.

    The answer of an accepted text is clean ("2.9", "B"): the student learns it, however the teacher wrote it.
    """

    think: str | None
    answer: str | None
    reason: str | None

    @property
    def accepted(self) -> bool:
        return self.reason is None


def verify(text: str, row: QuestionRow) -> Verdict:
    """Judge `text` as a sample for question `row`.

    Accepted only if it is one `<think>` and one `<answer>` block, neither empty, and nothing else but fences, emphasis
    and white space; if the answer, undressed (`clean_answer`), is right (a choice by equality, a number with a mean
    relative accuracy above 0.5, any other answer with a score above 0.5); and if the reasoning betrays neither the
    given answer nor the view from above (`rollout3d.cot.leaks`).
    """
    found = parts(text)
    if found is None:
        return Verdict(None, None, "not one <think> block followed by one <answer> block")
    think, written = (part or None for part in found)
    if think is None:
        return Verdict(None, written, "empty reasoning")
    if written is None:
        return Verdict(think, None, "empty answer")
    answer = clean_answer(written, row)
    if answer is None:
        what = {"choice": "one of the options", "number": "one number in the unit asked for"}
        expected = what.get(row["answer_type"], "an answer")
        return Verdict(think, written, f"wrong answer: {written[:40]} is not {expected}")
    return Verdict(think, answer, _fault(think, answer, row))


def _fault(think: str, answer: str, row: QuestionRow) -> str | None:
    score = scorers.score(f"<answer>{answer}</answer>", row, "tagged").score
    right = score == 1 if row["answer_type"] == "choice" else score > NUMBER_ABOVE
    if not right:
        return f"wrong answer: {answer[:40]} instead of {row['ground_truth']} (score {score:.2f})"
    leak = find_leak(think)
    return str(leak) if leak else None
