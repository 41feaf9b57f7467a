"""Released files to questions and frames, on a small release with all its questions."""

from __future__ import annotations

import json
from itertools import groupby

import cv2
import numpy as np
import pytest

from evaluation import vsibench_release
from evaluation.eval_rows import question
from evaluation.prepared import AGAIN, config, own_folder, prepare
from evaluation.vsibench_release import write_video
from rollout3d import doors, tables
from rollout3d.config import Config
from rollout3d.evaluation import benchmarks, settings
from rollout3d.evaluation.benchmarks import BenchmarkError, _vsibench_questions
from rollout3d.releases import MissingData
from rollout3d.stages import prepare_benchmark as stage

FIRST = "41069025"
"""The scene that comes first in the frames table."""


def by_scene(frames):
    return {scene: list(rows) for scene, rows in groupby(frames, lambda row: row["scene_id"])}


def test_vsibench_rows_become_questions_in_the_order_of_their_ids(release, tmp_path):
    written = vsibench_release.rows()
    vsibench_release.write_questions(release, written=written[::-1])
    rows = prepare(release).questions
    assert [json.loads(row["evidence"])["id"] for row in rows] == [row["id"] for row in written]
    assert [row["question"] for row in rows] == [row["question"] for row in written]
    assert [row["ground_truth"] for row in rows] == [row["ground_truth"] for row in written]
    assert [row["options"] for row in rows] == [row["options"] for row in written]
    assert {row["answer_type"] for row in rows if row["options"]} == {"choice"}
    assert {row["answer_type"] for row in rows if not row["options"]} == {"number"}
    spaces = {row["scene_id"]: row["space_id"] for row in rows}
    assert spaces["scene0011_00"] == "scene0011" and spaces[FIRST] == FIRST and len(spaces) == 288
    tables.write(tables.QUESTIONS, tmp_path / "q.parquet", rows, tables.Lineage("test"))


@pytest.mark.parametrize("form", ["parquet", "halves"])
def test_parquet_gives_the_same_questions_as_the_json_lines(release, form):
    lines = prepare(release).questions
    vsibench_release.write_questions(release, form)
    prepared = prepare(release)
    assert prepared.questions == lines
    assert len(prepared.sources) == (2 if form == "halves" else 1)


def test_equal_questions_with_different_ids_are_both_asked(release):
    written = vsibench_release.rows()
    written[600] = written[888] | {"id": written[600]["id"]}
    vsibench_release.write_questions(release, written=written)
    rows = prepare(release).questions
    assert len({(row["scene_id"], row["question_type"], row["question"]) for row in rows}) == 5129
    assert len({row["question_id"] for row in rows}) == 5130


def changed(**values):
    def change(rows):
        rows[3000] = rows[3000] | values

    return change


def doubled(rows):
    rows[17]["id"] = rows[18]["id"]


def exchanged(rows):
    """One counting question more, one about size less: 5,130 all the same."""
    rows[600] |= {"question_type": "object_counting"}


NOT_RELEASED = [
    (lambda rows: rows.pop(), r"not the 5130 released questions but 5129 .*route_planning 193 of 194"),
    (lambda rows: rows.append(rows[0] | {"id": 9999}), r"but 5131 .*object_counting 566 of 565"),
    (lambda rows: rows.__delitem__(slice(2565, None)), r"test\.jsonl has 2565 rows.*route_planning 0 of 194"),
    (exchanged, r"object_counting 566 of 565, object_size_estimation 952 of 953"),
    (doubled, r"1 question ids occur more than once, such as 18 \(test\.jsonl has 5130 rows\)"),
    (changed(ground_truth="E"), r"row \d+ \(object_rel_distance\) has the answer 'E', which is none of .* A, B, C, D"),
    (changed(ground_truth="chair"), r"has the answer 'chair', which is none of the options' letters"),
    (changed(options=None), r"has no options, and its answer is"),
    (changed(options=["chair", "tv", "sofa", "stove"]), r"has options without a letter each"),
    (changed(options=["A. chair", "A. tv"]), r"has options without a letter each"),
    (changed(scene_name="../../etc/passwd"), r"has the scene '\.\./\.\./etc/passwd', no name of a video"),
    (lambda rows: rows[3].update(options=["A. 1", "B. 2"]), r"asks for a number and has 2 options"),
    (lambda rows: rows[3].update(ground_truth="A"), r"has no options, and its answer 'A' is no number"),
    (lambda rows: rows[3].update(dataset="scannet"), r"scene \d+ occurs in two datasets"),
    (lambda rows: rows[3].update(question_type="smell"), r"unknown dataset 'arkitscenes' or question type 'smell'"),
]


@pytest.mark.parametrize(("change", "says"), NOT_RELEASED)
def test_questions_that_are_not_the_released_ones_are_refused(release, change, says):
    rows = vsibench_release.rows()
    change(rows)
    vsibench_release.write_questions(release, written=rows)
    with pytest.raises(BenchmarkError, match=says) as caught:
        prepare(release)
    assert "download" in str(caught.value) and "again" in str(caught.value)


def test_half_a_file_is_refused(release):
    whole = (release / "test.jsonl").read_bytes()
    (release / "test.jsonl").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BenchmarkError, match=r"test\.jsonl: not readable .*; download it again"):
        prepare(release)
    (release / "test.jsonl").write_bytes(whole[: whole.index(b"\n", len(whole) // 2) + 1])
    with pytest.raises(BenchmarkError, match=r"not the 5130 released questions but 2\d\d\d"):
        prepare(release)


def test_half_of_the_benchmark_is_refused(release):
    vsibench_release.write_questions(release, "halves")
    pruned = release / "test_pruned.parquet"
    whole = pruned.read_bytes()
    pruned.write_bytes(whole[:-5])
    with pytest.raises(BenchmarkError, match=f"^{pruned}: not a readable Parquet file .*; download it again$"):
        prepare(release)
    pruned.write_bytes((release / "test_debiased.parquet").read_bytes())
    with pytest.raises(BenchmarkError, match=r"2363 question ids occur more than once.*test_pruned.parquet has 2363"):
        prepare(release)
    pruned.unlink()
    with pytest.raises(BenchmarkError, match=r"only half of VSI-Bench, test_debiased\.parquet \(2363 of 5130\)"):
        prepare(release)


def test_missing_or_foreign_files_say_what_to_do(release, tmp_path):
    with pytest.raises(MissingData, match=r"site\.benchmarks\.vsibench"):
        prepare(tmp_path / "nowhere")
    (release / "test.jsonl").write_text('{"id": 1, "question": "?"}\n')
    with pytest.raises(BenchmarkError, match="without the columns dataset, scene_name"):
        prepare(release)
    (release / "test.jsonl").unlink()
    with pytest.raises(BenchmarkError, match=f"no VSI-Bench questions .*{AGAIN}"):
        prepare(release)


def test_missing_videos_stop_the_stage_unless_the_part_is_asked_for(release):
    own_folder(release, "scannetpp")
    with pytest.raises(BenchmarkError, match=r"50 of 288 videos are missing, such as .*\.mp4.*evaluation\.datasets"):
        prepare(release)
    prepared = prepare(release, {"datasets": ["scannet", "arkitscenes"]})
    n = sum(row["dataset"] != "scannetpp" for row in vsibench_release.rows())
    assert len(prepared.questions) == n < 5130
    assert {row["dataset"] for row in prepared.questions} == {"scannet", "arkitscenes"}
    assert settings.part_of("vsibench", prepared.questions) == f"arkitscenes and scannet, {n} of 5130"
    with pytest.raises(BenchmarkError, match="50 of 50 videos are missing"):
        prepare(release, {"datasets": ["scannetpp"]})


def test_a_part_does_not_excuse_an_incomplete_question_file(release):
    vsibench_release.write_questions(release, written=[r for r in vsibench_release.rows() if r["dataset"] == "scannet"])
    with pytest.raises(BenchmarkError, match="not the 5130 released questions"):
        prepare(release, {"datasets": ["scannet"]})


def test_the_whole_benchmark_is_no_part(release):
    assert settings.part_of("vsibench", prepare(release).questions) is None
    assert settings.part_of("synthetic", [question("q", "object_counting", "2")]) is None


def test_the_size_that_scores_are_compared_with_is_that_of_the_question_file():
    """The size is a literal, so that the stage that answers reads it without importing readers of videos."""
    assert doors.BENCHMARKS.constant("vsibench", "SIZE", None) == _vsibench_questions.WHOLE == 5130


def test_more_questions_than_the_benchmark_has_are_not_the_whole():
    more = [{"dataset": "scannet"}] * 5131
    assert settings.part_of("vsibench", more) == "scannet, 5131 of 5130"


def test_frames_are_spread_evenly_and_stored_at_the_evaluation_size(release, tmp_path):
    content = own_folder(release, "scannetpp")
    (release / "scannetpp").mkdir()
    for scene, data in content.items():
        (release / "scannetpp" / f"{scene}.mp4").write_bytes(data)
    short = sorted(content)[0]
    write_video(release / f"scannetpp/{short}.mp4", n=3)
    frames = list(prepare(release, {"datasets": ["scannetpp"]}).frames)
    of = by_scene(frames)
    assert sorted(of) == sorted(content)
    usual = of[sorted(content)[1]]
    assert [f["frame_index"] for f in usual] == [0, 4, 7, 11]  # round(linspace(0, 11, 4))
    assert [f["frame_index"] for f in of[short]] == [0, 1, 2], "a short video gives each frame once"
    assert [f["timestamp_s"] for f in usual] == pytest.approx([0, 0.4, 0.7, 1.1])
    for f in usual:
        picture = cv2.imdecode(np.frombuffer(f["image"]["bytes"], np.uint8), cv2.IMREAD_COLOR)
        # 64x96 within 3136 pixels: both sides shrunk by sqrt(6144/3136) = 1.4 to 45.7 and 68.6, down to 28 and 56.
        assert picture.shape[:2] == (f["height"], f["width"]) == (28, 56)
        assert abs(picture.mean() - 20 * f["frame_index"]) < 6
        assert f["K"] is None and f["pose"] is None and f["sets"] == ["uniform4"]
    tables.write(tables.FRAMES, tmp_path / "f.parquet", frames, tables.Lineage("test"))


def test_the_frames_table_holds_the_frames_of_every_set(release):
    sets = {"uniform4", "official4", "fps5max4"}
    frames = next(iter(by_scene(prepare(release, {"datasets": ["scannetpp"]}, sets).frames).values()))
    held = {name: [f["frame_index"] for f in frames if name in f["sets"]] for f in frames for name in f["sets"]}
    # 12 frames in 1.2 s: six at 5 per second, four at most.
    assert held == {"uniform4": [0, 4, 7, 11], "official4": [0, 3, 7, 11], "fps5max4": [0, 4, 7, 11]}
    assert len({f["frame_index"] for f in frames}) == len(frames) == 5


def run_stage(release, out, sets=(), **evaluation):
    given = config(release, evaluation).model_dump(mode="json")
    given = {name: given[name] for name in ("video", "evaluation", "site")}
    out.mkdir(exist_ok=True)
    arguments = ["--config", json.dumps(given), "--benchmark", "vsibench", "--raw", str(out / "raw_files.parquet")]
    stage.main(
        [*arguments, "--sets", *sets, "--out-questions", str(out / "q.parquet"), "--out-frames", str(out / "f.parquet")]
    )


def test_the_stage_writes_part_and_sets_into_the_lineage(release, tmp_path):
    own_folder(release, "scannet")
    run_stage(release, tmp_path / "out", ["uniform4", "official4"], datasets=["scannetpp"])
    questions = tables.read(tables.QUESTIONS, tmp_path / "out/q.parquet")
    assert {row["dataset"] for row in questions} == {"scannetpp"}
    frames = tables.read(tables.FRAMES, tmp_path / "out/f.parquet", ["sets"])
    assert {name for row in frames for name in row["sets"]} == {"uniform4", "official4"}
    values = tables.lineage(tmp_path / "out/q.parquet")["values"]
    assert values["evaluation.datasets"] == ["scannetpp"]
    assert values["job.sets"] == ["official4", "uniform4"]


def test_a_damaged_video_ends_the_stage_with_one_message_and_no_table(release, tmp_path, capsys):
    content = own_folder(release, "scannetpp")
    last = sorted(content)[-1]
    content[last] = content[last][:-700]
    vsibench_release.pack(release, "scannetpp", content)
    with pytest.raises(SystemExit):
        run_stage(release, tmp_path / "out", datasets=["scannetpp"])
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    assert len(said) == 1 and f"scannetpp.zip/scannetpp/{last}.mp4" in said[0] and AGAIN in said[0]
    assert list((tmp_path / "out").iterdir()) == []


def test_unknown_benchmark_lists_the_known_ones():
    with pytest.raises(BenchmarkError, match=r"unknown benchmark 'stibench': choose from .*synthetic, .*vsibench"):
        benchmarks.get("stibench")
    assert {"synthetic", "vsibench", "revsi"} <= set(doors.BENCHMARKS.names)
    assert [name for name in doors.BENCHMARKS.names if not benchmarks.released(name)] == ["synthetic"]


def frame(scene, index, sets):
    return {
        "scene_id": scene,
        "frame_index": index,
        "timestamp_s": index / 10,
        "sets": sets,
        "image": {"bytes": b"x", "path": "x.jpg"},
        "width": 28,
        "height": 28,
        "source_width": 28,
        "source_height": 28,
        "K": None,
        "pose": None,
    }


def test_synthetic_benchmark_takes_the_evaluation_frames_of_its_scenes_only(tmp_path):
    asked = [question("q1", "object_counting", "2", scene_id="b"), question("q2", "object_counting", "3", scene_id="a")]
    tables.write(tables.QUESTIONS, tmp_path / "test.parquet", asked, tables.Lineage("test"))
    rows = [
        frame(s, i, ["uniform32", "uniform16"] if i % 2 else ["uniform16"]) for s in ("b", "c", "a") for i in range(4)
    ]
    tables.write(tables.FRAMES, tmp_path / "frames.parquet", rows, tables.Lineage("test"))
    prepared = benchmarks.prepare("synthetic", Config(), tmp_path / "test.parquet", [tmp_path / "frames.parquet"])
    assert prepared.questions == [row | dict.fromkeys(tables.MARKS) for row in asked]
    assert [(f["scene_id"], f["frame_index"]) for f in prepared.frames] == [("a", 1), ("a", 3), ("b", 1), ("b", 3)]


def test_synthetic_benchmark_refuses_scenes_without_frames(tmp_path):
    asked = [question("q1", "object_counting", "2", scene_id="lost")]
    tables.write(tables.QUESTIONS, tmp_path / "test.parquet", asked, tables.Lineage("test"))
    tables.write(tables.FRAMES, tmp_path / "frames.parquet", [frame("b", 0, ["uniform32"])], tables.Lineage("test"))
    with pytest.raises(BenchmarkError, match="1 test scenes are in none of the frame tables, such as lost"):
        benchmarks.prepare("synthetic", Config(), tmp_path / "test.parquet", [tmp_path / "frames.parquet"])
    with pytest.raises(BenchmarkError, match="needs --questions"):
        benchmarks.prepare("synthetic", Config(), None, [])
