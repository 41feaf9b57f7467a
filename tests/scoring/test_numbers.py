"""Numbers of free answers, against values by hand and any text."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout3d.scoring.numbers import as_text, read_number
from rollout3d.scoring.scorers import spacer
from scoring.adversarial import predictions


@pytest.mark.parametrize(
    ("text", "number", "released"),
    [
        ("a distance of 3.5", 3.5, "1"),
        ("about a 3.5 m", 3.5, "1"),
        ("-2", -2, "2"),
        ("1,200", 1200, "1"),
        ("twenty-one", 21, "1"),
        ("1/2", 0.5, "1"),
    ],
)
def test_faults_of_the_released_reader_are_gone_here_and_kept_there(text, number, released):
    assert read_number(text) == number
    assert spacer.number(text) == released


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("4", 4),
        ("3m", 3),
        ("3.5 meters", 3.5),
        ("30.2m²", 30.2),
        ("3.", 3),
        (".5", 0.5),
        ("-.5 m", -0.5),
        ("\u22122.5 m", -2.5),
        ("1e3", 1000),
        ("1,234,567.5", 1234567.5),
        ("1,2000", 1),
        ("3,5", 3),
        ("2-3", 2),
        ("room-2", 2),
        ("- 2", 2),
        ("5 / 2", 2.5),
        ("1 1/2 m.", 1.5),
        ("it is 1/2.", 0.5),
        ("1/0", 1),
        ("1 2/0", 1),
        ("2 and a half", 2.5),
        ("2 thousand", 2000),
        ("the two chairs are 3.5 m apart", 3.5),
        ("one of the 4 chairs", 4),
        ("seventeen", 17),
        ("Forty two", 42),
        ("one hundred and seventy-three", 173),
        ("a hundred", 100),
        ("nine hundred ninety-nine thousand, and so on", 999_000),
        ("two hundred thousand three hundred and six", 200_306),
        ("minus five", -5),
        ("three point one four", 3.14),
        ("two and a half metres", 2.5),
        ("one half", 0.5),
        ("half a metre", 0.5),
        ("two or three", 2),
        ("two three", 2),
        ("zero", 0),
    ],
)
def test_a_number_is_read_wherever_it_stands(text, number):
    assert read_number(text) == pytest.approx(number, abs=1e-12)


@pytest.mark.parametrize(
    "text", ["", " ", "a", "an apple", "someone", "phone", "often", "m2", "none", "9" * 400, "1e999"]
)
def test_what_states_no_finite_number_is_none(text):
    assert read_number(text) is None


@given(st.text() | st.text("0123456789.,/-+eE andhalfone twothousandpoint", max_size=60))
def test_any_text_gives_a_finite_number_or_none(text):
    number = read_number(text)
    assert number is None or math.isfinite(number)


def test_damaged_predictions_give_a_finite_number_or_none():
    numbers = [read_number(text) for text in predictions(5_000)]
    assert all(number is None or math.isfinite(number) for number in numbers)
    assert sum(number is not None for number in numbers) > 1_000


@given(st.floats(-1e12, 1e12) | st.integers(-(10**9), 10**9).map(float), st.sampled_from(["", " m", "m", ".", "\n"]))
def test_a_number_in_digits_comes_back_exactly(number, unit):
    assert read_number(f"about {as_text(number)}{unit}") == number


@given(st.integers(0, 999_999_999))
def test_a_number_with_commas_comes_back_exactly(number):
    assert read_number(f"{number:,} cm") == number
