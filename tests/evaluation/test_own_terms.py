"""Scores of a benchmark in its own terms: sub-scores, scorers side by side, and predictions of others."""

from __future__ import annotations

import json

import pytest

from evaluation import prepared, releases, vsibench_release
from evaluation.test_released_benchmarks import prepare
from rollout3d import tables
from rollout3d.evaluation import benchmarks, foreign
from rollout3d.evaluation.answer_key import read_answers
from rollout3d.evaluation.assess import assess
from rollout3d.evaluation.scores import score_rows


def test_vsi_bench_scores_its_splits_beside_the_whole(release):
    rows = prepared.prepare(release).questions
    cell, average = benchmarks.cells("vsibench"), benchmarks.get("vsibench").average
    scores: dict[str, list[float]] = {}
    for row in rows:
        easy = row["question_type"] == "object_counting"  # the first type: all of it is debiased
        scores.setdefault(cell(row), []).append(float(easy))
    found = average(scores)
    assert found["debiased"].n == vsibench_release.DEBIASED and found["pruned"].n == 5130 - vsibench_release.DEBIASED
    assert found["object_counting"].score == 1.0 and found["pruned"].score == 0.0
    assert found["debiased"].score > found["overall"].score == pytest.approx(1 / 8)
    assert list(found)[-1] == "overall" and len(found) == 11
    assert set(average({"object_counting": [1.0]})) == set(found) - {"debiased", "pruned"}


def test_a_run_is_scored_by_the_official_rule_and_ours_on_all_sub_scores(tmp_path):
    releases.write_sti(tmp_path)
    questions = prepare("sti_bench", tmp_path).questions
    text = {row["question_id"]: f"{row['ground_truth']}. {k}.5 m" for k, row in enumerate(questions)}
    predictions = [prediction(row, text[row["question_id"]]) for row in questions]
    rows = score_rows("run", "sti_bench", predictions, questions, [])
    video = {(row["scorer"], row["task"]): row for row in rows if row["view"] == "video"}
    assert video["sti_bench", "overall"]["score"] == 0.0, "a number behind the letter is wrong officially"
    assert video["robust", "overall"]["score"] == 100.0
    assert {task for _, task in video} >= {"SR_sub", "SR_sub, mean of tasks", "indoor", "Pose Estimation"}
    assert video["sti_bench", "SR_sub"]["n"] == 1387 and next(iter(video))[0] == "sti_bench"
    assert [row["score"] for row in rows if row["view"] == "random"] == pytest.approx([20.0] * 15)
    assert not [row for row in rows if row["view"] == "frequent"]
    plain = [prediction(row, f"({row['ground_truth']})") for row in questions]
    assert {row["score"] for row in score_rows("run", "sti_bench", plain, questions, []) if row["scorer"]} == {100.0}


def test_the_format_of_reasoned_answers_is_judged_whatever_scores_them(tmp_path):
    releases.write_sti(tmp_path)
    questions = prepare("sti_bench", tmp_path).questions
    texts = [f"<think>x</think><answer>{row['ground_truth']}</answer>" for row in questions]
    texts[0] = questions[0]["ground_truth"]
    asked = [prediction(q, text) | {"prompt": "think_video_r1"} for q, text in zip(questions, texts, strict=True)]
    rows = [row for row in score_rows("run", "sti_bench", asked, questions, []) if row["task"] == "overall"]
    of_video = {row["scorer"]: row for row in rows if row["view"] == "video"}
    assert of_video.keys() == {"sti_bench", "robust"}
    for row in of_video.values():
        assert row["well_formed"] == pytest.approx(1 - 1 / len(questions), abs=1e-3)
        assert row["readable"] == 0 and row["consistent"] is None, "nobody knows what leads to these answers"
    (direct,) = score_rows("run", "sti_bench", [prediction(q, "A") for q in questions], questions, [])[:1]
    assert direct["well_formed"] is None


def prediction(row, text):
    made = dict.fromkeys(tables.PREDICTIONS.schema.names) | {"question_id": row["question_id"], "model": "run"}
    made |= {"setting": "uniform30", "sample": 0, "text": text, "score": 0.0, "scorer": "x", "n_tokens": 3}
    return made | {"prompt": "direct_sti_bench"}


def test_predictions_of_others_are_scored_on_another_benchmark(tmp_path):
    releases.write_sti(tmp_path)
    answers = read_answers([tmp_path], "sti_bench")
    assert len(answers.references) == 2064
    lines = [{"id": each.id, "prediction": each.ground_truth} for each in answers.references[:1000]]
    file = tmp_path / "predictions.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = assess(foreign.read_predictions(file), answers, answers.of_split("full"), "full", ["sti_bench", "robust"])
    assert found.benchmark == "sti_bench" and found.part is None
    assert found.cells["sti_bench"]["overall"].score == pytest.approx(100 * 1000 / 2064)
    assert found.missing["overall"] == 1064 and found.cells["sti_bench"]["3D Video Grounding"].score == 100.0
    low, high = found.cells["robust"]["overall"].low, found.cells["robust"]["overall"].high
    assert low is not None and high is not None and low <= 100 * 1000 / 2064 <= high
