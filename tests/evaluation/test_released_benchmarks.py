"""Adapters of released benchmarks: files in the released layout to questions, prompts, frames and sub-scores."""

from __future__ import annotations

import json
from statistics import mean

import pytest

from evaluation import releases
from rollout3d.config import Config
from rollout3d.config.frames import eval_set
from rollout3d.evaluation import benchmarks
from rollout3d.evaluation.benchmarks import BenchmarkError
from rollout3d.geometry.frames import frame_set
from rollout3d.model.wordings import wording_name
from rollout3d.questions.guard import benchmark_spaces
from rollout3d.releases import MissingData


def config(name, root, frames=16, policy="uniform"):
    video = {"eval_frames": frames, "min_pixels": 784, "train_min_pixels": 784, "train_max_pixels": 3136}
    video |= {"eval_max_pixels": 3136}
    site = {"benchmarks": {name: str(root)}}
    evaluation = {"benchmarks": [name], "frame_policy": policy}
    return Config.model_validate({"video": video, "site": site, "evaluation": evaluation})


def prepare(name, root, **changes):
    return benchmarks.prepare(name, config(name, root, **changes))


def by_id(prepared):
    return {json.loads(row["evidence"])["id"]: row for row in prepared.questions}


def averaged(name, prepared, score):
    """The benchmark's averages where each question scores `score(row)`."""
    cell, scores = benchmarks.cells(name), {}
    for row in prepared.questions:
        scores.setdefault(cell(row), []).append(score(row))
    return benchmarks.get(name).average(scores)


def shown(row, name, what):
    from rollout3d.model.prompts import question_text  # torch loads late

    return question_text(row, what, benchmark=name)


@pytest.fixture(scope="module")
def revsi(tmp_path_factory):
    root = tmp_path_factory.mktemp("revsi")
    releases.write_revsi(root)
    return root


def test_revsi_shows_every_frame_of_the_budget_and_asks_its_questions(revsi):
    prepared = prepare("revsi", revsi)
    rows = by_id(prepared)
    assert len(rows) == 26 and rows["100"]["question"] == "Question 0 at 16_frame?"
    assert {row["dataset"] for row in rows.values()} == {"scannet", "scannetpp", "3rscan"}
    assert rows["100"]["space_id"] == "scene0011" and rows["106"]["options"] == ["A. tv", "B. sofa"]
    frames = list(prepared.frames)
    assert [row["frame_index"] for row in frames] == 3 * list(range(16))
    assert {tuple(row["sets"]) for row in frames} == {("uniform16",)}
    every = prepare("revsi", revsi, policy="all")
    assert {json.loads(row["evidence"])["num_frames"] for row in every.questions} == {"7"}
    assert [row["frame_index"] for row in every.frames] == 3 * list(range(7))
    assert every.questions[0]["question_id"] != prepared.questions[0]["question_id"], "answers differ by budget"


def test_revsi_refuses_other_frames_than_those_of_its_budget(revsi, tmp_path):
    with pytest.raises(BenchmarkError, match="16, 32, 64 or all frames, not for 8"):
        prepare("revsi", revsi, frames=8)
    with pytest.raises(BenchmarkError, match=r"fps1max8.*evaluation.frame_policy"):
        prepare("revsi", revsi, policy="fps1max8")
    assert (
        "16, 32, 64 or all" in benchmarks.get("revsi").missing(benchmarks.given("revsi", config("revsi", revsi, 8)))[0]
    )
    with pytest.raises(BenchmarkError, match=r"32_frame.*no test-"):
        prepare("revsi", revsi, frames=32)
    releases.write_revsi(tmp_path / "short", frames=15)
    with pytest.raises(BenchmarkError, match="15 frames, not 16"):
        list(prepare("revsi", tmp_path / "short").frames)


def test_revsi_averages_types_then_groups(revsi):
    prepared = prepare("revsi", revsi)
    hit = {"object_counting_single": 1.0, "object_rel_direction_forward_hard": 1.0, "route_planning": 0.5}
    found = averaged("revsi", prepared, lambda row: hit.get(row["question_type"], 0.0))
    wanted = {"object_counting": 1 / 2, "object_rel_direction": 1 / 4, "route_planning": 1 / 2}
    assert {task: each.score for task, each in found.items() if each.score} == pytest.approx(
        wanted | {"overall": (1 / 2 + 1 / 4 + 1 / 2) / 7}
    )
    assert found["overall"].n == 26 and list(found)[-1] == "overall"
    with pytest.raises(ValueError, match="object_counting"):
        benchmarks.get("revsi").average({"object_counting": [1.0]})


def test_revsi_damaged_rows_are_refused(revsi, tmp_path):
    for change, message in (
        ({"ground_truth": "C"}, "has the answer 'C'"),
        ({"question_type": "obj"}, "unknown type 'obj'"),
        ({"num_frames": 32}, "for 32 frames"),
        ({"id": 107}, "107"),
    ):
        rows = releases.revsi_rows("16_frame", 16)
        rows[6] |= change
        releases.write_table(tmp_path / "16_frame/test-00000-of-00001.parquet", rows)
        with pytest.raises(BenchmarkError, match=message):
            prepare("revsi", tmp_path)
    with pytest.raises(MissingData, match="hf download 3dlg-hcvc/ReVSI"):
        prepare("revsi", tmp_path / "nowhere")


@pytest.fixture(scope="module")
def sti(tmp_path_factory):
    root = tmp_path_factory.mktemp("sti")
    releases.write_sti(root)
    return root


def test_sti_bench_asks_as_the_script_for_open_models(sti):
    prepared = prepare("sti_bench", sti)
    assert len(prepared.questions) == 2064 and len({row["question_id"] for row in prepared.questions}) == 2064
    row = next(row for row in prepared.questions if row["question_type"] == "Spatial Relation")
    assert shown(row, "sti_bench", ("video",)) == (
        "From 0.0 s to 2.0 s. How far (Spatial Relation)?\n(A) 0.5 m\n(B) 1.5 m\n(C) 2.5 m\n(D) 3.5 m\n(E) 4.5 m\n"
        "Please output only the option letter!"
    )
    frames = list(prepared.frames)
    assert {row["sets"][0] for row in frames} == {"uniform30"} and len(frames) == 3 * 12
    held = benchmark_spaces(prepared.questions, [])
    assert "scene0011" in held and "sti_bench" in held["scene0011"]


def test_sti_bench_prints_pooled_and_mean_of_all_and_of_sr_sub(sti):
    prepared = prepare("sti_bench", sti)
    rates = dict(zip(releases.STI, (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8), strict=True))
    found = averaged("sti_bench", prepared, lambda row: rates[row["question_type"]])
    sub = [task for task in rates if task not in ("3D Video Grounding", "Pose Estimation")]
    n = sum(releases.STI[task] for task in sub)
    assert n == 1387
    assert found["overall"].score == pytest.approx(sum(rates[t] * k for t, k in releases.STI.items()) / 2064)
    assert found["mean of tasks"].score == pytest.approx(mean(rates.values()))
    assert found["SR_sub"].score == pytest.approx(sum(rates[task] * releases.STI[task] for task in sub) / n)
    assert found["SR_sub, mean of tasks"].score == pytest.approx(mean(rates[task] for task in sub))
    assert found["SR_sub"].n == n and found["indoor"].n + found["desktop"].n + found["outdoor"].n == 2064
    assert found["unknown"].score is None


def test_sti_bench_refuses_another_number_of_questions_and_missing_videos(sti, tmp_path):
    releases.write_sti(tmp_path, releases.sti_rows()[:-1])
    with pytest.raises(BenchmarkError, match="2063 questions, not the 2064"):
        prepare("sti_bench", tmp_path)
    releases.write_sti(tmp_path)
    releases.pack_videos(tmp_path, "video.zip", {"video/000123.mp4": 12})
    with pytest.raises(BenchmarkError, match=r"2 of 3 files of sti_bench are missing"):
        prepare("sti_bench", tmp_path)


@pytest.fixture(scope="module")
def spar(tmp_path_factory):
    root = tmp_path_factory.mktemp("spar")
    releases.write_spar(root)
    return root


def test_spar_bench_asks_about_pictures_with_the_published_endings(spar):
    prepared = prepare("spar_bench", spar)
    of_task = {}
    for row in prepared.questions:
        of_task.setdefault(row["question_type"], row)
    assert len(prepared.questions) == 7207 and len(of_task) == 20 and not list(prepared.frames)
    letter = "Answer with the option's letter from the given choices directly."
    options = " A. left B. right C. back D. front"
    text = {task: shown(row, "spar_bench", ("images",)) for task, row in of_task.items()}
    asked = {task: f"Question {json.loads(row['evidence'])['id']}?" for task, row in of_task.items()}
    low, high, match, move = "depth_prediction_oc", "spatial_imagination_oo", "position_matching", "view_change_infer"
    assert text[low] == f"\n{asked[low]}\nPlease answer the question using a single word or phrase."
    assert text[high] == f"\n{asked[high]}{options}\n\n{letter}"
    assert text[match].startswith(f"\n{asked[match]}{options}\nThe values represent the bounding box coordinates")
    assert text[match].endswith(f"of the image.\n{letter}")
    assert text[move] == f"\n{asked[move]}{options}\n\n"
    assert [image["path"] for image in of_task["camera_motion_infer"]["media"]] == [f"image/{i}.jpg" for i in range(3)]
    assert "scene0001" in benchmark_spaces(prepared.questions, [])


def test_spar_bench_averages_tasks_levels_and_views(spar):
    prepared = prepare("spar_bench", spar)
    found = averaged("spar_bench", prepared, lambda row: float(row["question_type"] in releases.SPAR_LOW[:2]))
    assert found["overall"].score == pytest.approx(2 / 20) and found["low"].score == pytest.approx(2 / 8)
    assert found["middle"].score == found["high"].score == 0.0
    # The first of the two is of one picture, the second of several: 8 and 12 tasks.
    assert found["single-view"].score == pytest.approx(1 / 8) and found["multi-view"].score == pytest.approx(1 / 12)
    assert found["overall"].n == 7207 == found["single-view"].n + found["multi-view"].n


def test_spar_bench_refuses_what_would_change_the_score(spar, tmp_path):
    for change, message in (
        ({"image": [{"bytes": b"GIF89a", "path": "a"}]}, "picture 0 is no JPEG"),
        ({"image": []}, "has no pictures"),
        ({"task": "counting"}, "unknown task 'counting'"),
        ({"answer": "left"}, "has the answer 'left'"),
    ):
        rows = releases.spar_rows()[:20]
        rows[11] |= change
        releases.write_spar(tmp_path, rows)
        with pytest.raises(BenchmarkError, match=message):
            prepare("spar_bench", tmp_path)
    releases.write_spar(tmp_path, releases.spar_rows()[:20])
    with pytest.raises(BenchmarkError, match="20 questions, not the 7207"):
        prepare("spar_bench", tmp_path)


def test_a_benchmark_with_frames_or_words_of_its_own_keeps_them():
    study = Config()
    assert eval_set(study.evaluation, study.video) == eval_set(study.evaluation, study.video, "revsi") == "uniform32"
    assert eval_set(study.evaluation, study.video, "sti_bench") == "uniform30"
    assert frame_set("all").indices(5, 10.0) == [0, 1, 2, 3, 4] and frame_set("all").n_shown is None
    assert wording_name("direct", None, benchmark="vsibench") == "direct"
    assert wording_name("direct", None, benchmark="sti_bench") == "direct_sti_bench"
    assert wording_name("think", "map10", "own", benchmark="revsi") == "think_map10+own_map"
    assert wording_name("think", "map10", benchmark="sti_bench") == "think_video_r1"
