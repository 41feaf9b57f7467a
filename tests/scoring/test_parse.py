import pytest

from rollout3d.scoring.parse import extract_answer, option_letter, parse_number, well_formed


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("<think>so</think><answer>B</answer>", "B"),
        ("<think>so</think>\n<answer>\n 2.5 m \n</answer>", "2.5 m"),
        ("<answer>two\nlines</answer>", "two\nlines"),
        ("<answer>A</answer> or <answer>B</answer>", "A"),
        ("the answer is A", None),
        ("<answer>A", None),
        ("<answer></answer>", None),
        ("<answer>  </answer>", None),
        ("", None),
    ],
)
def test_answer_is_the_first_closed_tag_and_empty_is_none(text, answer):
    assert extract_answer(text) == answer


@pytest.mark.parametrize(
    ("text", "strict", "lenient"),
    [
        ("<think>a</think><answer>B</answer>", True, True),
        ("<think>a\nb</think>\n\n<answer>B\n</answer>", True, True),
        ("<think></think><answer></answer>", True, True),
        (" <think>a</think><answer>B</answer>\n", False, True),
        ("Sure. <think>a</think><answer>B</answer>", False, False),
        ("<think>a</think><answer>B</answer> done", False, False),
        ("<think>a</think> so <answer>B</answer>", False, False),
        ("<answer>B</answer><think>a</think>", False, False),
        ("<answer>B</answer>", False, False),
        ("<think>a<answer>B</answer>", False, False),
    ],
)
def test_format_is_thought_then_answer_and_nothing_else(text, strict, lenient):
    assert well_formed(text) is strict
    assert well_formed(text, strict=False) is lenient


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("A", "A"),
        ("b", "B"),
        ("C.", "C"),
        ("A. left", "A"),
        ("D...", "D"),
        ("(A)", None),
        ("Answer: A", None),
        ("", None),
        ("AB", None),
        ("5", None),
        (" A", None),
    ],
)
def test_option_letter_follows_the_official_matcher(text, letter):
    assert option_letter(text) == letter


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("4", 4.0),
        ("2.9", 2.9),
        ("173.", 173.0),
        ("2.9 meters", 2.9),
        ("-1e1", -10.0),
        ("two", None),
        ("2.9m", None),
        ("", None),
        ("nan", None),
        ("inf", None),
        ("about 3", None),
        ("1,200", None),
    ],
)
def test_number_follows_the_official_matcher(text, number):
    assert parse_number(text) == number
