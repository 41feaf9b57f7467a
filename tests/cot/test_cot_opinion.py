"""The second opinion: its prompt about reasoning that no rule decides, and how the reply is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from cot.cot_rows import number, question
from rollout3d.cot.opinion import question_about, read_reply

PROMPT = (Path(__file__).parents[2] / "resources" / "prompts" / "leak_check.txt").read_text(encoding="utf-8")


def test_only_undecided_reasoning_is_asked_about_and_the_truth_is_not_told():
    row = number("2.83")
    assert question_about("The bed stands beside the window.", row, PROMPT) is None
    assert question_about("The floor plan shows the layout.", row, PROMPT) is None  # decided already
    asked = question_about("In this drawing of mine, the $bed is north of the desk.", row, PROMPT)
    assert "suspicious: drawing, north\n" in asked and "the $bed is north" in asked
    assert row["question"] in asked and "2.83" not in asked


def test_the_options_of_a_choice_are_shown():
    assert "A. left\nB. right" in question_about("The layout is simple.", question(), PROMPT)


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("NO: it speaks of the furniture only", None),
        ("**No**", None),
        ("Yes - it reads\n from a plan.", "second opinion: it reads from a plan."),
        ("YES", "second opinion: no reason given"),
        ("Nothing wrong here", "second opinion unreadable: 'Nothing wrong here'"),
        ("", "second opinion unreadable: ''"),
    ],
)
def test_only_a_clear_no_keeps_the_reasoning(reply, reason):
    assert read_reply(reply) == reason
