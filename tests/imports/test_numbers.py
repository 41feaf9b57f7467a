"""Numbers of released answers: one reading becomes digits, two readings are refused with a reason."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollout3d.imports import numbers
from rollout3d.imports.numbers import unit_of
from rollout3d.imports.records import Unusable
from rollout3d.questions import types
from rollout3d.scoring.scorers import score

ASKED = {
    "object_abs_distance": types.load("object_abs_distance").wording("spacer").format(first="bed", second="tv"),
    "object_size_estimation": types.load("object_size_estimation").text.format(category="bed"),
    "room_size_estimation": types.load("room_size_estimation").text,
    "object_counting": types.load("object_counting").text.format(category="chair"),
}
DISTANCE, SIZE, ROOM, COUNT = ASKED


def number(answer, question, kind=None):
    return numbers.number(answer, question, types.load(kind) if kind else None)


def asked_unit(question, kind):
    return numbers.asked_unit(question, types.load(kind) if kind else None)


@pytest.mark.parametrize(
    ("kind", "given", "expected"),
    [
        (DISTANCE, "1.7 meters", "1.7"),
        (DISTANCE, "1.7", "1.7"),
        (DISTANCE, "1.0", "1.0"),
        (DISTANCE, "170 cm", "1.7"),
        (DISTANCE, "170cm.", "1.7"),
        (DISTANCE, "1.5m", "1.5"),
        (DISTANCE, "about 2", "2"),
        (DISTANCE, "Approximately 2.5 metres.", "2.5"),
        (DISTANCE, "~ 2.5 m", "2.5"),
        (DISTANCE, "The answer is 2.5 meters.", "2.5"),
        (DISTANCE, "1.7 meters apart", "1.7"),
        (DISTANCE, "1.7 meter(s)", "1.7"),
        (DISTANCE, "1.7 meters (approx.)", "1.7"),
        (DISTANCE, "1,700 mm", "1.7"),
        (DISTANCE, "\u0661.\u0667", "1.7"),
        (DISTANCE, "10 feet", "3.048"),
        (DISTANCE, "+2", "2"),
        (DISTANCE, ".5", "0.5"),
        (DISTANCE, "007.50", "7.50"),
        (DISTANCE, "2.", "2"),
        (DISTANCE, "1e-1", "0.1"),
        (DISTANCE, "0.0", "0.0"),
        (DISTANCE, "two meters", "2"),
        (DISTANCE, "\uff11.\uff17 meters", "1.7"),
        (DISTANCE, '"1.7"', "1.7"),
        (SIZE, "1.7 meters", "170"),
        (SIZE, "170", "170"),
        (SIZE, "170 centimeters", "170"),
        (SIZE, "1,200 mm", "120"),
        (SIZE, "1,200", "1200"),
        (ROOM, "12 square meters", "12"),
        (ROOM, "12 m\u00b2", "12"),
        (ROOM, "12.5 m^2", "12.5"),
        (ROOM, "12.5 sq m", "12.5"),
        (ROOM, "12.5 sqm", "12.5"),
        (ROOM, "100 square feet", "9.290304"),
        (COUNT, "3 chairs", "3"),
        (COUNT, "3 chair(s)", "3"),
        (COUNT, "three", "3"),
        (COUNT, "There are 3 chairs in this room.", "3"),
        (COUNT, "3.0", "3"),
        (COUNT, "3 objects", "3"),
        (COUNT, "0", "0"),
        (None, "\u22122", "-2"),
        (None, "-2", "-2"),
        (None, "- 2.50", "-2.50"),
        (None, "-0", "0"),
        (None, "1,000", "1000"),
        (None, "1,234,567.8", "1234567.8"),
        (None, "1\u202f200", "1200"),
        (None, "1'200", "1200"),
        (None, "2e3", "2000"),
        (None, "$42$", "42"),
        (None, "\\boxed{42}", "42"),
        (None, "5 cm", "5"),
        (None, "5 dollars", "5"),
        (None, "5 red apples", "5"),
        (None, "90\u00b0", "90"),
    ],
)
def test_a_number_with_one_reading_becomes_digits_in_the_unit_asked_for(kind, given, expected):
    assert number(given, ASKED.get(kind, "What is shown?"), kind) == expected
    float(number(given, ASKED.get(kind, "What is shown?"), kind))


@pytest.mark.parametrize(
    ("kind", "given", "reason"),
    [
        (DISTANCE, "2,5", "ambiguous answer"),
        (DISTANCE, "2,500", "ambiguous answer"),
        (DISTANCE, "2-3", "ambiguous answer"),
        (DISTANCE, "2\u20133 meters", "ambiguous answer"),
        (DISTANCE, "2 to 3", "ambiguous answer"),
        (DISTANCE, "1.5 m or 2 m", "ambiguous answer"),
        (DISTANCE, "1/2", "ambiguous answer"),
        (DISTANCE, "5'10\"", "ambiguous answer"),
        (DISTANCE, "less than 2", "ambiguous answer"),
        (DISTANCE, "12 square meters", "ambiguous answer"),
        (DISTANCE, "2 chairs", "ambiguous answer"),
        (DISTANCE, "1.2.3", "ambiguous answer"),
        (DISTANCE, "-2", "impossible answer"),
        (DISTANCE, "far", "malformed answer"),
        (DISTANCE, "nan", "malformed answer"),
        (DISTANCE, "inf", "malformed answer"),
        (SIZE, "0", "impossible answer"),
        (ROOM, "12 meters", "ambiguous answer"),
        (ROOM, "3 x 4 m", "ambiguous answer"),
        (COUNT, "2.5", "impossible answer"),
        (COUNT, "-2", "impossible answer"),
        (COUNT, "3 chairs, 2 in this room", "ambiguous answer"),
        (COUNT, "3 tables", "ambiguous answer"),
        (COUNT, "3 m", "ambiguous answer"),
        (COUNT, "twenty-one", "malformed answer"),
        (COUNT, "many", "malformed answer"),
        (COUNT, "1,200", "ambiguous answer"),
        (None, "1 200", "ambiguous answer"),
        (None, "1,00", "ambiguous answer"),
        (None, "5 million", "ambiguous answer"),
        (None, "2 thirds", "ambiguous answer"),
        (None, "5 or 6", "ambiguous answer"),
        (None, "2 or three", "ambiguous answer"),
        (None, "2x", "ambiguous answer"),
        (None, "1e400", "ambiguous answer"),
        (None, "50%", "ambiguous answer"),
    ],
)
def test_what_has_two_readings_or_none_is_refused_with_its_reason(kind, given, reason):
    with pytest.raises(Unusable) as refused:
        number(given, ASKED.get(kind, "What is shown?"), kind)
    assert refused.value.kind == reason and given[:80] in str(refused.value) and not refused.value.expected


def test_the_unit_is_the_questions_own_where_it_names_one():
    feet = "How far apart are the bed and the tv in feet?"
    assert number("3.048 m", feet, DISTANCE) == "10" and number("6.8", feet, DISTANCE) == "6.8"
    centimeters = "What is the distance between the bed and the tv in centimeters?"
    assert number("240.0", centimeters, DISTANCE) == "240.0" and number("2.4 meters", centimeters, DISTANCE) == "240"
    assert asked_unit(centimeters, DISTANCE).factor == unit_of("cm").factor
    assert asked_unit("The area in square feet?", ROOM) == unit_of("sq ft")
    both = "The distance in meters or in feet?"
    assert asked_unit(both, DISTANCE) is None
    with pytest.raises(Unusable, match="ambiguous"):
        number("10 feet", both, DISTANCE)


def test_general_numbers_take_what_their_question_names():
    assert number("5 apples", "How many apples are there?") == "5"
    assert number("50%", "Which percentage is blue?") == "50"
    assert number("90\u00b0", "How large is the angle?") == "90"
    assert number("90 seconds", "How many seconds does it take?") == number("90 s", "How long does it take?") == "90"
    with pytest.raises(Unusable, match="ambiguous"):
        number("2 minutes", "How many seconds does it take?")
    assert number("170 cm", "How tall is she, in meters?") == "1.7"
    assert number("170 cm", "The shelf is 2 feet deep and 170 cm wide. How wide is it?") == "170"
    with pytest.raises(Unusable, match="ambiguous"):
        number("170 cm", "The shelf is 2 feet deep and 3 yards wide. How wide is it?")


PIECES = ["1", "0", "7", ".", ",", "-", "\u2212", "+", "e", " ", "\u202f", "'", "/", "about ", "three", "cm", " meters"]
PIECES += ["m", "in", "m\u00b2", " square feet", " chairs", "%", "~", "$", "(s)", "x", "\u0663", "\uff17", "inf", "nan"]
PIECES += ["_", "\u00bd", "\u2460", "^2"]


@settings(max_examples=400, deadline=None)
@given(
    st.lists(st.sampled_from(PIECES), min_size=1, max_size=7).map("".join) | st.text(max_size=12),
    st.sampled_from([*ASKED, None]),
)
def test_any_text_is_refused_or_becomes_digits_that_score_against_themselves(text, kind):
    try:
        digits = number(text, ASKED.get(kind, "What is shown?"), kind)
    except Unusable as refused:
        assert refused.kind in ("ambiguous answer", "malformed answer", "impossible answer")
        return
    assert re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", digits) and (kind is None or not digits.startswith("-"))
    row = {"answer_type": "number", "ground_truth": digits}
    assert all(score(digits, row, scorer).score == 1 for scorer in ("vsibench", "lmms"))
    assert number(digits, ASKED.get(kind, "What is shown?"), kind) == digits, "what is read once stays as it is"
