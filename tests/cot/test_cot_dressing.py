"""Right answers in odd formats are kept, in the form that the student's scorers read; wrong ones are not."""

from __future__ import annotations

import pytest

from cot.cot_rows import number, question
from rollout3d.cot.sft_table import sft_rows
from rollout3d.cot.verify import verify
from rollout3d.scoring import scorers

THINK = "The lamp stands left of the tv."
METERS = number("2.9", question="What is the distance between the bed and the tv (in meters)?")
CENTIMETERS = number("290", question="What is the length of the longest dimension of the bed, measured in centimeters?")
SQUARE_METERS = number("15.2", question="What is the size of this room (in square meters)?")
CHAIRS = number("3", question="How many chair(s) are in this room?")
BIG = number("1200", question="What is the size of the hall (in square meters)?")


def reply(answer, think=THINK):
    return f"<think>{think}</think>\n<answer>{answer}</answer>"


def right(row, clean, *answers):
    return [pytest.param(row, answer, clean, id=answer) for answer in answers]


@pytest.mark.parametrize(
    ("row", "answer", "clean"),
    [
        *right(METERS, "2.9", "2.9", "**2.9**", "2.9m", "2.9 m", "2.9 meters", "2.9 metres", " 2.9.\n", r"\boxed{2.9}"),
        *right(METERS, "2.9", "`2.9`", "$2.9$", r"$\boxed{2.9}$", r"2.9 \text{ m}", "about 2.9 m", "~2.9", "**2.9 m**"),
        *right(METERS, "2.9", "```\n2.9\n```", "Answer: 2.9", "**Answer:** 2.9", "(2.9)", "+2.9", "2.9 (meters)"),
        *right(METERS, "2.90", "2.90"),
        *right(CENTIMETERS, "290", "290 cm", "290cm", "290 centimeters"),
        *right(SQUARE_METERS, "15.2", "15.2 m²", "15.2 m^2", "15.2 square meters", "15.2 sq m", r"15.2 \text{ m}^2"),
        *right(BIG, "1200", "1,200", "1200", "1,200 m²"),
        *right(CHAIRS, "3", "3", "three", "Three", "3 chairs", "**three chairs**", "3.", "Three."),
        *right(question(), "A", "A", "a", "(A)", "A.", "A)", "**A**", "**A.**", r"\boxed{A}", "A. left", "(A) left"),
        *right(question(), "A", "A: left", "**A. left**", "Option A", "```\nA\n```", "left", "Left.", '"A"', "[A]"),
        *right(question(), "A", "The answer is A.", "The correct answer is A", "**A**. left", "A - left"),
    ],
)
def test_dress_is_taken_off(row, answer, clean):
    verdict = verify(reply(answer), row)
    assert (verdict.answer, verdict.reason) == (clean, None)


@pytest.mark.parametrize(
    ("row", "answer"),
    [
        *[(METERS, a) for a in ("2.9 or 3.1", "2.9, 3.1", "29", "between 2 and 3", "2-3", "2.9-3.1", "290 cm", "2,9")],
        *[(METERS, a) for a in ("2.9 cm", "2.9 m²", "2.9 feet", "2.9 1", "not 2.9", "2.9?", "2.9 meters or more", "x")],
        *[(METERS, a) for a in ("nan", "inf", "1e3", "**", "2.9 km", "two", "2 m 90 cm")],
        *[(CENTIMETERS, a) for a in ("2.9 m", "2.9", "290 m")],
        *[(BIG, a) for a in ("1,20", "12,00", "1.200", "1,2000", "200")],
        *[(CHAIRS, a) for a in ("2 or 3", "three or four", "30", "thirty", "3 tables", "3 4", "one three", "thirteen")],
        *[(question(), a) for a in ("A or B", "A, B", "A and B", "B", "(B)", "A. right", "left or right", "right")],
        *[(question(), a) for a in ("AB", "neither", "A B", "not A", "**", "A?B")],
    ],
)
def test_what_is_wrong_or_more_than_one_answer_stays_refused(row, answer):
    verdict = verify(reply(answer), row)
    assert verdict.reason is not None and verdict.reason.startswith(("wrong answer: ", "empty answer"))


@pytest.mark.parametrize(
    "text",
    [
        f"```\n{reply('A')}\n```",
        f"```xml\n{reply('A')}\n```\n",
        f"~~~\n{reply('A')}\n~~~",
        f"  \n{reply('A')}\n\n",
        f"```\n<think>{THINK}</think>\n```\n```\n<answer>A</answer>\n```",
        f"<think>{THINK}</think>\n```\n<answer>A</answer>\n```",
        f"**<think>{THINK}</think>**\n**<answer>A</answer>**",
        f"<think>\n```\n{THINK}\n```\n</think><answer>\n```text\nA\n```\n</answer>",
    ],
)
def test_fences_around_the_blocks_cost_no_attempt(text):
    verdict = verify(text, question())
    assert (verdict.think, verdict.answer, verdict.reason) == (THINK, "A", None)


@pytest.mark.parametrize(
    "text",
    [
        "Sure!\n" + reply("A"),
        "```\nSure, here it is:\n```\n" + reply("A"),
        reply("A") + "\nIs there anything else?",
        f"<answer>A</answer><think>{THINK}</think>",
        f"<think>{THINK}</think>```python\nprint('A')```<answer>A</answer>",
    ],
)
def test_words_beside_the_blocks_stay_refused(text):
    assert verify(text, question()).reason == "not one <think> block followed by one <answer> block"


@pytest.mark.parametrize(
    ("row", "answer"), [(METERS, "**2.9 m**"), (question(), "(A) left"), (CHAIRS, "three chairs"), (BIG, "1,200 m²")]
)
@pytest.mark.parametrize("scorer", ["tagged", "vsibench"])
def test_the_student_learns_an_answer_that_the_scorers_read(row, answer, scorer):
    verdict = verify(reply(answer), row)
    note = {"question_id": row["question_id"], "think": verdict.think, "answer": verdict.answer, "verdict": "accepted"}
    target = sft_rows([note], [row])[0]["target"]
    learnt = target if scorer == "tagged" else target.partition("<answer>")[2].partition("</answer>")[0]
    assert scorers.score(learnt, row, scorer).score == 1.0
    assert scorers.score(reply(answer), row, "tagged").score < 1.0  # as it was written, it would have earned nothing
