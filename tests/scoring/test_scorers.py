import pytest

from rollout3d.scoring.scorers import SCORERS, Score, match, score

CHOICE = {"answer_type": "choice", "ground_truth": "B"}
NUMBER = {"answer_type": "number", "ground_truth": "4"}


@pytest.mark.parametrize(
    ("text", "row", "expected"),
    [
        ("B", CHOICE, Score("B", 1.0)),
        ("b.", CHOICE, Score("b", 1.0)),
        ("B. back-left", CHOICE, Score("B", 1.0)),
        ("(B)", CHOICE, Score("(B)", 0.0)),
        ("3", NUMBER, Score("3", 0.6)),
        ("4 meters", NUMBER, Score("4", 1.0)),
        ("four", NUMBER, Score("four", 0.0)),
        ("", NUMBER, Score(None, 0.0)),
        ("", CHOICE, Score(None, 0.0)),
        ("<think>x</think><answer>B</answer>", CHOICE, Score("<think>x</think><answer>B</answer>", 0.0)),
    ],
)
def test_official_scorer_reads_the_raw_text(text, row, expected):
    found = score(text, row, "vsibench")
    assert found.answer == expected.answer and found.score == pytest.approx(expected.score)


@pytest.mark.parametrize(
    ("text", "row", "expected"),
    [
        ("<think>maybe A</think><answer>B</answer>", CHOICE, Score("B", 1.0)),
        ("<think>maybe A</think><answer>b. left</answer>", CHOICE, Score("b", 1.0)),
        ("<answer>3 chairs</answer>", NUMBER, Score("3", 0.6)),
        ("B", CHOICE, Score(None, 0.0)),
        ("4", NUMBER, Score(None, 0.0)),
        ("<answer></answer>", NUMBER, Score(None, 0.0)),
    ],
)
def test_tagged_scorer_never_falls_back_to_untagged_text(text, row, expected):
    found = score(text, row, "tagged")
    assert found.answer == expected.answer and found.score == pytest.approx(expected.score)


def test_general_data_is_scored_by_its_answer_type():
    assert match("exit the left", "ocr", "exit on the left") == pytest.approx(0.75)
    assert match("3", "regression", "4") == pytest.approx(0.75)
    assert match("many", "regression", "4") == 0.0
    found = score(
        "<answer>exit on the left</answer>", {"answer_type": "ocr", "ground_truth": "exit on the left"}, "tagged"
    )
    assert found == Score("exit on the left", 1.0), "the whole answer, not its first word"


def test_reward_of_numbers_is_selectable():
    assert match("3", "number", "4") == pytest.approx(0.6)
    assert match("3", "number", "4", numeric="regression") == pytest.approx(0.75)
    assert match("3", "number", "4", numeric="exact") == 0.0
    assert match("4", "number", "4", numeric="exact") == 1.0


def test_empty_answers_earn_nothing_anywhere():
    for scorer in SCORERS:
        for kind, truth in (("choice", "A"), ("number", "0"), ("ocr", "x"), ("regression", "1")):
            assert score(
                "<answer></answer>" * (scorer == "tagged"), {"answer_type": kind, "ground_truth": truth}, scorer
            ) == (Score(None, 0.0))


def test_unknown_scorer_type_and_truth_are_errors():
    with pytest.raises(ValueError, match=r"scorer 'other'.*tagged.*vsibench"):
        score("A", CHOICE, "other")
    with pytest.raises(ValueError, match="answer type 'essay'"):
        match("A", "essay", "A")
    with pytest.raises(ValueError, match="ground truth 'many'"):
        match("3", "number", "many")
