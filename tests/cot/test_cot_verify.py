"""Which texts of a teacher are kept."""

from __future__ import annotations

import pytest

from cot.cot_rows import number, question
from rollout3d.cot.verify import verify


def text(think="The lamp stands left of the tv.", answer="A"):
    return f"<think>{think}</think>\n<answer>{answer}</answer>"


def test_accepts_a_right_well_formed_text_and_reads_its_parts():
    verdict = verify("\n " + text("\n The lamp stands left.\n", " A. left ") + "\n", question())
    assert verdict.accepted and (verdict.think, verdict.answer) == ("The lamp stands left.", "A")


@pytest.mark.parametrize(("answer", "accepted"), [("4.0", True), ("3.0", True), ("2.0", False), ("x", False)])
def test_number_needs_more_than_half_of_the_mean_relative_accuracy(answer, accepted):
    # 3.0 against 4.0 is 0.25 off: right at thresholds 0.5 .. 0.75 = 6 of 10; 2.0 is 0.5 off: 1 of 10.
    verdict = verify(text("It is about that far.", answer), number("4.0"))
    assert verdict.accepted is accepted
    assert accepted or verdict.reason.startswith("wrong answer: ")


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (text(answer="B"), "wrong answer: B instead of A"),
        ("The lamp is left. <answer>A</answer>", "not one <think>"),
        (text() + " Hope this helps!", "not one <think>"),
        (text() + text(), "not one <think>"),
        ("<think>a</think><think>b</think><answer>A</answer>", "not one <think>"),
        ("", "not one <think>"),
        (text(think="  "), "empty reasoning"),
        (text(answer=" "), "empty answer"),
    ],
)
def test_rejects_with_the_reason(bad, reason):
    verdict = verify(bad, question())
    assert not verdict.accepted and verdict.reason.startswith(reason)


@pytest.mark.parametrize(
    "leak",
    [
        "The given answer is left, so the lamp is left.",
        "I was told that it is A.",
        "The ground truth says left.",
        "The answer is provided: left.",
        "In the bird's-eye view the lamp is left.",
        "In the top-down picture the lamp is left.",
        "Seen from above, the lamp is left.",
        "The first image shows the lamp on the left.",
        "The floor plan: on the plan the lamp is left. The plan shows it.",
    ],
)
def test_rejects_texts_that_show_what_only_the_teacher_saw(leak):
    verdict = verify(text(leak), question())
    assert not verdict.accepted and verdict.reason.startswith("speaks of") and verdict.think == leak


@pytest.mark.parametrize(
    "fine",
    [
        "The shelf above the bed holds a lamp. First, the tv faces me.",
        "My answer is left. The lamp is given away by its shade.",
        "The table top is below the window, and from the door I see the lamp first.",
    ],
)
def test_ordinary_words_are_no_leak(fine):
    assert verify(text(fine), question()).accepted
