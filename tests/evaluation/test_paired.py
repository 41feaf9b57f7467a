"""Runs that differ by seed against the run that they start from: differences by hand, and the command's exit status."""

import math

import pytest

from evaluation.eval_rows import prediction, question
from rollout3d import tables
from rollout3d.errors import InvalidInput
from rollout3d.evaluation.paired import compare
from rollout3d.stages import compare as stage

ASKED = [question(f"c{i}", "object_counting", "4") | {"space_id": room} for i, room in enumerate("abc")]
RIGHT, WRONG = "<think>x</think><answer>4</answer>", "<think>x</think><answer>9</answer>"


def answers(marks, setting="uniform32"):
    return [
        prediction(q, 0.0, setting=setting, text=RIGHT if mark else WRONG) for q, mark in zip(ASKED, marks, strict=True)
    ]


BEFORE = answers([0, 0, 1]) + answers([0, 0, 0], "black32")
AFTER = {
    "one": answers([1, 0, 1]) + answers([0, 0, 0], "black32"),
    "two": answers([1, 1, 1]) + answers([0, 0, 1], "black32"),
}


def test_differences_are_averaged_over_seeds_then_over_rooms():
    """Question by question 1, 0.5, 0: mean 0.5, residuals 0.5, 0, -0.5 of 3, Student's t of 2 degrees of freedom."""
    found = compare(BEFORE, AFTER, ASKED, "synthetic", "video", "tagged")
    gain = found.gains["overall"]
    half = 4.302653 * math.sqrt(3 / 2 * 2 * (0.5 / 3) ** 2)
    assert (gain.mean, gain.n) == (0.5, 3)
    assert (gain.low, gain.high) == pytest.approx((0.5 - half, 0.5 + half), abs=1e-5)
    assert found.by_run == pytest.approx({"one": 1 / 3, "two": 2 / 3})
    assert compare(BEFORE, AFTER, ASKED, "synthetic", "black", "tagged").gains["overall"].mean == pytest.approx(1 / 6)


def test_runs_of_other_questions_are_refused():
    fewer = {"one": [row for row in AFTER["one"] if row["question_id"] != "c0"]}
    with pytest.raises(InvalidInput, match="run one answers 2 questions with video, the first run 3"):
        compare(BEFORE, fewer, ASKED, "synthetic", "video", "tagged")
    with pytest.raises(InvalidInput, match="answers 0 questions with shuffled"):
        compare(BEFORE, AFTER, ASKED, "synthetic", "shuffled", "tagged")


@pytest.fixture
def results(tmp_path):
    lineage = tables.Lineage("test")
    tables.write(tables.QUESTIONS, tmp_path / "benchmarks" / "synthetic" / "questions.parquet", ASKED, lineage)
    gained = {
        "sft": BEFORE,
        "one": answers([1, 1, 1]) + answers([0, 0, 0], "black32"),
        "two": answers([1, 1, 1]) + answers([0, 0, 0], "black32"),
    }
    start = answers([0, 0, 0]) + answers([0, 0, 0], "black32")
    for run, rows in (gained | {"sft": start}).items():
        tables.write(tables.PREDICTIONS, tmp_path / "eval" / run / "synthetic" / "predictions.parquet", rows, lineage)
    return tmp_path


def test_the_command_ends_with_1_where_a_gain_is_not_as_expected(results, capsys):
    given = ["--results", str(results), "--benchmark", "synthetic", "--before", "sft", "--after", "one", "two"]
    stage.main([*given, "--above", "video", "--not-above", "black"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("one, two minus sft on synthetic")
    assert lines[1].split()[:2] == ["video", "+100.0"] and "run by run +100.0, +100.0" in lines[1]
    for wrong, says in (("--above black", "nothing was gained with black"), ("--not-above video", "something was")):
        with pytest.raises(SystemExit) as caught:
            stage.main([*given, *wrong.split()])
        assert caught.value.code == 1
        assert says in capsys.readouterr().err


def test_half_of_the_gain_left_is_not_gone_however_wide_its_interval(tmp_path, capsys):
    """Two of three questions gained with the video, and two with black frames: the interval there holds zero."""
    lineage = tables.Lineage("test")
    tables.write(tables.QUESTIONS, tmp_path / "benchmarks" / "synthetic" / "questions.parquet", ASKED, lineage)
    runs = {
        "sft": answers([0, 0, 0]) + answers([0, 0, 0], "black32"),
        "half": answers([1, 1, 1]) + answers([1, 1, 0], "black32"),
        "third": answers([1, 1, 1]) + answers([0, 0, 1], "black32"),
    }
    for run, rows in runs.items():
        tables.write(tables.PREDICTIONS, tmp_path / "eval" / run / "synthetic" / "predictions.parquet", rows, lineage)
    given = ["--results", str(tmp_path), "--benchmark", "synthetic", "--before", "sft", "--not-above", "black"]
    stage.main([*given, "--after", "third"])
    assert "(-110.1 to +176.8)" in capsys.readouterr().out
    with pytest.raises(SystemExit) as caught:
        stage.main([*given, "--after", "half"])
    assert caught.value.code == 1 and "something was gained with black" in capsys.readouterr().err
