"""Answers that follow from their thought: all that the teacher writes, and none as soon as one part changes."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from cot.cot_rows import number, question
from cot.teacher_rows import teacher_rows
from rollout3d.cot.geometric import NoEvidence, write
from rollout3d.questions.thought import follows


def written(most):
    for row in teacher_rows():
        try:
            yield row, write(row, 0, most=most)
        except NoEvidence:
            continue


@pytest.mark.parametrize("most", [None, 3, 6])
def test_every_answer_of_the_teacher_follows_from_its_thought(most):
    judged = Counter()
    for row, text in written(most):
        assert follows(text, row) is True, text
        judged[row["question_type"]] += 1
    assert len(judged) == 10 and min(judged.values()) >= 1


@pytest.mark.parametrize("most", [None, 6])
def test_no_other_answer_follows(most):
    for row, text in written(most):
        truth = row["ground_truth"]
        other = ("B" if truth == "A" else "A") if row["options"] else str(float(truth) + 1)
        changed = text.replace(f"<answer>{truth}</answer>", f"<answer>{other}</answer>")
        assert changed != text and follows(changed, row) is False, changed


LENGTH = "The lamp is 0.43 m by 0.4 m by 0.3 m. The longest side of the lamp is {x} m. In centimeters this is {n}."
COUNT = "I count every chair in the room. I see {n} near the bed. I see {m} more in the room. {rest}"
GAP = "From center to center it is {d} m. The closest points are {r} m nearer, and {d} minus {r} is 1.5. {rest}"
ROOM = "From center to center they cover {x} m by 2.0 m. {x} m times 2.0 m is about 6.0 square meters. {rest}"
NEAR = "The tv is {d} m away. The lamp is 1.4 m away. The smallest is 1.2 m, so the tv is the closest."
SIDE = "The lamp is 2.1 m ahead of me and 0.5 m to the {side}. So the lamp is on the left."
ORDER = "First comes the bed, at {t} s. Last comes the tv, at 3.0 s. The order is {order}."
APART, FLOOR = "The closest points are {g} m apart.", "The floor is 7.5 square meters."
CASES = [
    ("object_size_estimation", LENGTH.format(x="0.43", n=43), "43", True),
    ("object_size_estimation", LENGTH.format(x="0.43", n=44), "43", False),
    ("object_size_estimation", LENGTH.format(x="0.45", n=45), "45", False),
    ("object_counting", COUNT.format(n=2, m=1, rest="2 plus 1 is 3. The answer is 3."), "3", True),
    ("object_counting", COUNT.format(n=2, m=1, rest="2 plus 1 is 4. The answer is 4."), "4", False),
    ("object_counting", COUNT.format(n=2, m=2, rest="2 plus 1 is 3. The answer is 3."), "3", False),
    ("object_counting", COUNT.format(n=2, m=1, rest="The answer is 2."), "2", False),
    ("object_abs_distance", GAP.format(d="2.5", r="1.0", rest=APART.format(g="1.5")), "1.5", True),
    ("object_abs_distance", GAP.format(d="2.5", r="1.2", rest=APART.format(g="1.5")), "1.5", False),
    ("object_abs_distance", GAP.format(d="2.5", r="1.0", rest=APART.format(g="1.4")), "1.5", False),
    ("room_size_estimation", ROOM.format(x="3.0", rest=FLOOR), "7.5", True),
    ("room_size_estimation", ROOM.format(x="3.5", rest=FLOOR), "7.5", False),
    ("room_size_estimation", f"6.0 plus 1.5 is 7.0. {FLOOR}", "7.5", False),
]
CHOICES = [
    ("object_rel_distance", NEAR.format(d="1.2"), ["A. lamp", "B. tv"], "B", True),
    ("object_rel_distance", NEAR.format(d="1.2"), ["A. lamp", "B. tv"], "A", False),
    ("object_rel_distance", NEAR.format(d="1.6"), ["A. lamp", "B. tv"], "B", False),
    ("object_rel_direction_easy", SIDE.format(side="left"), ["A. left", "B. right"], "A", True),
    ("object_rel_direction_easy", SIDE.format(side="right"), ["A. left", "B. right"], "A", False),
    ("obj_appearance_order", ORDER.format(t="1.0", order="bed, tv"), ["A. tv, bed", "B. bed, tv"], "B", True),
    ("obj_appearance_order", ORDER.format(t="1.0", order="tv, bed"), ["A. tv, bed", "B. bed, tv"], "A", False),
    ("obj_appearance_order", ORDER.format(t="4.0", order="bed, tv"), ["A. tv, bed", "B. bed, tv"], "B", False),
]


@pytest.mark.parametrize(("name", "thought", "answer", "expected"), CASES)
def test_numbers_worked_out_by_hand(name, thought, answer, expected):
    row = number(answer, question_type=name)
    assert follows(f"<think>{thought}</think>\n<answer>{answer}</answer>", row) is expected


@pytest.mark.parametrize(("name", "thought", "options", "answer", "expected"), CHOICES)
def test_choices_worked_out_by_hand(name, thought, options, answer, expected):
    row = question(question_type=name, options=options, ground_truth=answer)
    assert follows(f"<think>{thought}</think>\n<answer>{answer}</answer>", row) is expected


def test_what_cannot_be_judged_is_left_out():
    row = number("3", question_type="object_counting")
    assert follows("<think>There are many chairs here.</think><answer>3</answer>", row) is None
    assert follows("3", row) is None and follows("<think>I see 3 near the bed.</think>", row) is None
    assert follows("<think>I see 3 near the bed.</think><answer>3</answer>", row | {"question_type": "general"}) is None


def test_a_letter_and_the_text_of_an_option_are_one_answer():
    row = question(question_type="object_rel_direction_easy")
    for answer in ("A", "A.", "left"):
        assert follows(f"<think>{SIDE.format(side='left')}</think><answer>{answer}</answer>", row) is True
    wrong = f"<think>{SIDE.format(side='left')} The answer is option B.</think><answer>A</answer>"
    assert follows(wrong, row) is False


@pytest.mark.parametrize(
    ("end", "expected"),
    [("left, option A", True), ("left, option B", False), ("right, option A", False), ("right, option B", False)],
)
def test_a_short_thought_that_names_its_option_must_name_text_and_letter_of_the_answer(end, expected):
    row = question(question_type="object_rel_direction_easy")
    assert follows(f"<think>{SIDE.format(side='left')} So it is {end}.</think><answer>A</answer>", row) is expected


@pytest.mark.parametrize(
    "text", ["", "<think></think><answer></answer>", "<think>. . .</think><answer>x</answer>", "\0" * 9]
)
def test_any_text_is_judged_or_left_out(text):
    for row in (number("1", question_type="object_counting"), question(), number("2.0")):
        assert follows(text, row) in (None, True, False)


def test_cut_and_shuffled_thoughts_never_raise():
    for row, text in written(None):
        words = re.split(r"(?<=[.] )", text)
        for cut in range(0, len(text), 17):
            assert follows(text[:cut] + "</think><answer>2</answer>", row) in (None, True, False)
        assert follows("".join(reversed(words)), row) in (None, True, False)
