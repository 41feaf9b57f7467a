import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rollout3d import code
from rollout3d.doors import SCORERS
from rollout3d.scoring import scorers
from rollout3d.scoring.scorers import Score, match, score
from scoring import naive_benchmark_rules

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
    for scorer in SCORERS.names:
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


CHOICES = {
    # text for the truth B: vsibench, lmms, tagged, video_r1, spacer
    "B": (1, 1, 0, 1, 1),
    "b": (1, 1, 0, 0, 1),
    "B.": (1, 1, 0, 0, 1),
    "b.": (1, 1, 0, 0, 0),
    "B. left": (1, 1, 0, 0, 1),
    " B": (0, 1, 0, 1, 1),
    "B.\n": (0, 1, 0, 0, 1),
    "B\nbecause": (0, 0, 0, 0, 0),
    "(B)": (0, 0, 0, 0, 0),
    "**B**": (0, 0, 0, 0, 0),
    "Answer: B": (0, 0, 0, 0, 1),
    "<answer>B</answer>": (0, 0, 1, 1, 1),
    "<think>A or C</think> B": (0, 1, 0, 0, 0),
    "A or C</think> B": (0, 1, 0, 0, 0),
    "<think>A or C</think> <answer>B</answer>": (0, 0, 1, 1, 1),
    "<answer>B. left</answer>": (0, 0, 1, 0, 1),
    "<answer>\n B \n</answer>": (0, 0, 1, 1, 1),
    "<answer></answer>": (0, 0, 0, 0, 0),
    "<answer>B": (0, 0, 0, 0, 0),
}
NUMBERS = {
    # text for the truth 4: what each reads of it, None where it reads no number
    "4": (4, 4, None, 4, 4),
    "3 meters": (3, 3, None, None, 3),
    "3m": (None, 3, None, None, 3),
    "three": (None, 3, None, None, 3),
    "about 3.5": (None, 3.5, None, None, 3.5),
    "a distance of 3.5": (None, 3.5, None, None, 1),
    "-4": (-4, -4, None, -4, 4),
    "4,000": (None, 4, None, 4000, 4),
    "1e1": (10, 1, None, 10, 1),
    ".5": (0.5, 5, None, 0.5, 5),
    "twenty-one": (None, 21, None, None, 1),
    "three hundred and twenty-one": (None, 321, None, None, 1),
    "one of the 4 chairs": (None, 1, None, None, 1),
    "between 2 and 4": (None, 2, None, None, 2),
    "three or two": (None, 3, None, None, 2),
    "two, three": (None, 5, None, None, 2),
    "forty hundred": (None, 4000, None, None, 40),
    "room-2": (None, -2, None, None, 2),
    "<answer>4</answer>": (None, 4, 4, 4, 4),
    "<think>9</think><answer>3 chairs</answer>": (None, 3, 3, None, 3),
    "3 4": (3, 3, None, None, 3),
}
NAMES = ("vsibench", "lmms", "tagged", "video_r1", "spacer")


@pytest.mark.parametrize("text", CHOICES)
def test_what_each_scorer_forgives_of_a_choice(text):
    found = tuple(score(text, CHOICE, name).score for name in NAMES)
    assert found == CHOICES[text]


@pytest.mark.parametrize("text", NUMBERS)
def test_which_number_each_scorer_reads(text):
    for name, expected in zip(NAMES, NUMBERS[text], strict=True):
        if expected is None:
            assert score(text, NUMBER, name).score == 0.0, name
        elif expected > 0:  # a truth of its own value tells whether it is what was read
            assert score(text, {"answer_type": "number", "ground_truth": str(expected)}, name).score == 1.0, name
        else:
            assert score(text, NUMBER, name).score == 0.0, name


def test_video_r1_counts_a_threshold_only_if_the_error_is_below_it():
    assert score("3", NUMBER, "video_r1").score == pytest.approx(0.5), "officially 0.6: 0.25 is not below 0.25"
    assert score("3", NUMBER, "vsibench").score == pytest.approx(0.6)


OF_BENCHMARKS = {*naive_benchmark_rules.CHOICES, "spar_bench", "temp_compass", "robust"}
"""Rules of other benchmarks, and ours beside them (test_benchmark_rules.py)."""


def test_scorers_are_the_files_of_their_folder():
    folder = Path(scorers.__file__).parent
    files = {path.stem for path in folder.glob("*.py") if not path.name.startswith("_")}
    assert files == set(SCORERS.names) == {*NAMES, *OF_BENCHMARKS}
    for path in folder.glob("*.py"):
        assert path.stem == "__init__" or "Source: " in path.read_text(), f"{path.name} does not name its source"


def test_a_new_file_is_a_new_scorer(tmp_path):
    package = Path(scorers.__file__).parents[2]
    copy = tmp_path / "rollout3d"
    shutil.copytree(package, copy, ignore=shutil.ignore_patterns("__pycache__"))
    new = copy / "scoring" / "scorers" / "always.py"
    new.write_text("from rollout3d.scoring.match import Score\ndef score(*_): return Score('x', 1.0)\n")
    asked = "from rollout3d import doors; from rollout3d.scoring import scorers as s;"
    asked += "print(list(doors.SCORERS.names), s.score('', {}, 'always').score)"
    run = subprocess.run(
        [sys.executable, "-c", asked], env={"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, check=True
    )
    assert run.stdout.split() == [*str(sorted([*NAMES, *OF_BENCHMARKS, "always"])).split(), "1.0"]


def test_code_of_every_scorer_counts_for_the_stage_that_scores():
    counted = code.closure("score").files
    assert {f"workflow/rollout3d/scoring/scorers/{name}.py" for name in NAMES} <= set(counted)
