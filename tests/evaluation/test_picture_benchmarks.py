"""Adapters of benchmarks about pictures: MMSI-Bench, ViewSpatial-Bench and MindCube-Tiny."""

from __future__ import annotations

import pytest

from evaluation import releases
from evaluation.test_released_benchmarks import averaged, prepare, shown
from rollout3d.evaluation.benchmarks import BenchmarkError
from rollout3d.questions.guard import benchmark_spaces

LETTER = "Answer with the option's letter from the given choices directly."


def test_mmsi_bench_encloses_the_letter_and_pools_types(tmp_path):
    releases.write_mmsi(tmp_path)
    prepared = prepare("mmsi_bench", tmp_path)
    assert shown(prepared.questions[0], "mmsi_bench", ("images",)) == (
        "Question 0?\nOptions: A: left, B: right, C: up, D: down\n" + LETTER + " Enclose the option's letter within ``."
    )
    assert [image["bytes"] for image in prepared.questions[0]["media"]] == [releases.jpeg(), releases.jpeg(30)]
    found = averaged("mmsi_bench", prepared, lambda row: float(row["question_type"] == "MSR"))
    assert found["MSR"].score == 1.0 and found["overall"].score == pytest.approx(333 / 1000)


def test_view_spatial_reads_pictures_from_archives_and_guards_its_scans(tmp_path):
    releases.write_view_spatial(tmp_path)
    prepared = prepare("view_spatial", tmp_path)
    last = prepared.questions[-1]
    assert len(prepared.questions) == 5712 == len({row["question_id"] for row in prepared.questions})
    assert shown(last, "view_spatial", ("images",)) == (
        "Question: Question 1104?\nChoices: A. right\nB. front-up\nReply only to the corresponding option.\nAnswer:"
    )
    assert len(last["media"]) == 2 and last["ground_truth"] == "B"
    assert set(benchmark_spaces(prepared.questions, [])) == {"scene0011"}
    found = averaged("view_spatial", prepared, lambda row: float("Simulation" in row["question_type"]))
    assert found["overall"].score == pytest.approx(1105 / 5712)
    (tmp_path / "val2017.zip").unlink()
    with pytest.raises(BenchmarkError, match="1 of 3 files of view_spatial are missing"):
        prepare("view_spatial", tmp_path)


def test_mind_cube_asks_raw_questions(tmp_path):
    releases.write_mind_cube(tmp_path)
    prepared = prepare("mind_cube", tmp_path)
    text = shown(prepared.questions[0], "mind_cube", ("images",))
    assert text.startswith("[Task]\nYour task is to analyze") and "'<answer>A. Above</answer>'.\n\n[Question]\n" in text
    assert text.endswith("[Question]\nQuestion 0? A. Above B. Under")
    found = averaged("mind_cube", prepared, lambda row: float(row["question_type"] == "among"))
    assert found["overall"].score == pytest.approx(600 / 1050) and found["translation"].score is None
