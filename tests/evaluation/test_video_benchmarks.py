"""Adapters of benchmarks about general videos: Video-MME, TempCompass and LongVideoBench."""

from __future__ import annotations

import pytest

from evaluation import releases
from evaluation.test_released_benchmarks import averaged, prepare, shown
from rollout3d.evaluation import benchmarks
from rollout3d.evaluation.benchmarks import BenchmarkError


def test_video_mme_has_the_words_without_subtitles_and_four_kinds_of_sub_scores(tmp_path):
    releases.write_video_mme(tmp_path)
    prepared = prepare("video_mme", tmp_path, frames=4)
    assert len(prepared.questions) == 2700
    assert shown(prepared.questions[0], "video_mme", ("video",)) == (
        "Select the best answer to the following multiple-choice question based on the video. Respond with only the "
        "letter (A, B, C, or D) of the correct option.\nQuestion 0?\nA. One.\nB. Two.\nC. Three.\nD. Four.\n"
        "The best answer is:"
    )
    frames = list(prepared.frames)
    assert [row["scene_id"] for row in frames] == [f"-v{i}" for i in range(4) for _ in range(4)]
    found = averaged("video_mme", prepared, lambda row: float(row["question_type"] == "OCR Problems"))
    assert found["OCR Problems"].score == 1.0 and found["Counting Problem"].score == 0.0
    assert found["overall"].score == found["short"].score == 0.5 and found["long"].n == 900
    assert found["Multilingual"].n == found["Multilingual (sub-category)"].n == 900 and found["Law"].n == 900
    (tmp_path / "data/-v3.mp4").unlink()
    with pytest.raises(BenchmarkError, match=r"1 of 4 files of video_mme are missing: data/-v3\.mp4"):
        prepare("video_mme", tmp_path, frames=4)
    releases.write_video_mme(tmp_path, releases.video_mme_rows()[:2541])
    with pytest.raises(BenchmarkError, match="2541 questions, not the 2700"):
        prepare("video_mme", tmp_path)


@pytest.mark.parametrize("nested", [False, True])
def test_temp_compass_is_three_tasks_of_five_aspects(tmp_path, nested):
    releases.write_temp_compass(tmp_path, nested)
    prepared = prepare("temp_compass", tmp_path)
    of_task = {row["question_type"]: row for row in prepared.questions}
    assert len(prepared.questions) == 5536 == len({row["question_id"] for row in prepared.questions})
    assert shown(of_task["multi-choice"], "temp_compass", ("video",)) == (
        "How fast?\nA. fast\nB. slowly\nPlease directly give the best option:"
    )
    assert shown(of_task["yes_no"], "temp_compass", ("video",)) == "Is it fast?\nPlease answer yes or no:"
    assert shown(of_task["caption_matching"], "temp_compass", ("video",)).endswith(
        "B: it sleeps\nPlease directly give the best option:"
    )
    assert of_task["multi-choice"]["ground_truth"] == "B"
    # 10 frames per second: 12 frames are 1.2 s and have the least number, 60 are 6 s.
    frames = [row["scene_id"] for row in prepared.frames]
    assert (frames.count("100"), frames.count("101")) == (4, 6)
    found = averaged("temp_compass", prepared, lambda row: float(row["question_type"] == "yes_no"))
    assert found["yes_no"].score == 1.0 and found["overall"].score == pytest.approx(2453 / 5536)
    assert sum(found[f"{task}, speed"].n for task in releases.TEMP) == found["speed"].n


def test_long_video_bench_opens_the_path_that_is_named(tmp_path):
    releases.write_long_video_bench(tmp_path)
    prepared = prepare("long_video_bench", tmp_path, frames=4)
    assert shown(prepared.questions[1], "long_video_bench", ("video",)) == (
        "Question: Question 1?\nA. one\nB. two\nC. three\n"
        "Answer with the option's letter from the given choices directly."
    )
    assert prepared.questions[1]["ground_truth"] == "B" and len(list(prepared.frames)) == 8
    found = averaged("long_video_bench", prepared, lambda row: float(row["ground_truth"] == "B"))
    assert found["60 s"].score == 1.0 and found["15 s"].score == 0.0 and found["T3E"].n == found["overall"].n == 1337
    given = benchmarks.given("long_video_bench", prepare.__globals__["config"]("long_video_bench", tmp_path / "no"))
    assert "nothing at" in benchmarks.get("long_video_bench").missing(given)[0]
