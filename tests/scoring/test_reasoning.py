"""Tokens of a thought and spatial words of an answer, by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout3d.scoring.reasoning import SPATIAL_WORDS, spatial_words, thought, thought_tokens


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("<think>a sofa</think> <answer>2</answer>", "a sofa"),
        ("B", None),
        ("<answer>B</answer>", None),
        ("<think></think><answer>B</answer>", ""),
        ("<think>cut off at the", "cut off at the"),
        ("<think>one</think><think>two</think>", "one"),
        ("a sofa</think>", None),
    ],
)
def test_a_thought_is_what_stands_in_the_first_tag(text, found):
    assert thought(text) == found


@pytest.mark.parametrize(
    ("text", "n_tokens", "expected"),
    [
        # 32 characters in all, of which the thought has 8: a quarter of 100 tokens.
        ("<think>12345678</think><answer>9", 100, 25.0),
        ("<think>123</think>", 36, 6.0),  # 3 of 18
        ("<think>12345", 12, 5.0),  # cut: 5 of 12
        ("<think></think>4", 7, 0.0),
        ("4", 2, 0.0),
        ("", 0, 0.0),
    ],
)
def test_tokens_of_a_thought_are_its_share_of_the_characters(text, n_tokens, expected):
    assert thought_tokens(text, n_tokens) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("text", "n"),
    [
        ("The lamp is near the sofa, BEHIND the table and far from me.", 3),
        ("<think>to the left of the chair</think><answer>left</answer>", 2),
        ("nearly, sofar, rightly", 0),  # whole words only
        ("in on at over next up down 4 A", 0),
        ("front-left", 2),
        ("A", 0),
        ("", 0),
    ],
)
def test_spatial_words_are_counted_as_whole_words(text, n):
    assert spatial_words(text) == n


def test_the_words_that_the_paper_names_are_in_the_list():
    assert {"near", "behind", "far"} <= SPATIAL_WORDS and all(
        word.isalpha() and word.islower() for word in SPATIAL_WORDS
    )


@given(st.text(), st.integers(0, 2000))
def test_any_text_has_a_count_within_its_length(text, n_tokens):
    assert 0 <= thought_tokens(text, n_tokens) <= n_tokens
    assert 0 <= spatial_words(text) <= len(text)
