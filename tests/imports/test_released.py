"""Released questions: the shapes of their records, what is left out, the draw of general data, the stage."""

import json

import cv2
import numpy as np
import pytest

from fixed import fixed
from rollout3d import tables
from rollout3d.config import Config, question_types
from rollout3d.config.sections import External
from rollout3d.imports.records import ExternalError
from rollout3d.imports.release import Import
from rollout3d.imports.released import import_questions
from rollout3d.imports.wording import patterns, read
from rollout3d.questions import types
from rollout3d.stages import import_questions as stage

LINEAGE = tables.Lineage("test")
EVERY = {"spatial_types": list(question_types.NAMES)}
ORDER = "What will be the first-time appearance order of the following categories in the video: bed, tv, lamp, door?"


def spacer(**changes):
    """A row as SpaceR's trainer reads it."""
    values = {
        "problem_id": 1,
        "problem": ORDER,
        "data_type": "video",
        "problem_type": "multiple choice",
        "options": ["A. tv, bed, lamp, door", "B. lamp, bed, tv, door"],
        "solution": "<answer>B</answer>",
        "data_source": "SR_dataset",
        "path": "./ScanNet/video/scene0012_01.mp4",
    }
    return values | changes


def early(text, solution, video="/mnt/data/ScanNet/video/scene0025_01.mp4", **changes):
    """A row of SpaceR's first release."""
    row = {"problem_id": 9, "problem": f"Question:\n{text}", "data_type": "video", "question_type": "x"}
    return row | {"solution": solution, "video": video} | changes


def conversation(text, options, answer, video="scannetpp/videos/train/09c1414f1b.mp4", **changes):
    """A row as VLM-3R trains on it."""
    asked = "<image>\nThese are frames of a video.\n" + text + "\nOptions:\n" + "\n".join(options)
    asked += "\nAnswer with the option's letter from the given choices directly."
    said = [{"from": "human", "value": asked}, {"from": "gpt", "value": answer}]
    return {"id": 3, "conversations": said, "video": video, "data_source": "scannetpp"} | changes


def imported(tmp_path, rows, source="spacer", name="out", threads=1, share=1.0, **external):
    path = tmp_path / "release" / f"{source}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(rows))
    config = Config.model_validate({"external": EVERY | external, "video": {"min_pixels": 784}})
    out, dropped = tmp_path / f"{name}.parquet", tmp_path / f"{name}_dropped.parquet"
    with fixed(External, max_share_dropped=share):
        counts = import_questions(source, path, Import(out, dropped, config, LINEAGE, threads))
    found, left = tables.read(tables.QUESTIONS, out), tables.read(tables.QUESTIONS_DROPPED, dropped)
    assert counts == (len(found), len(left))
    return found, left


def test_a_spacer_record_about_a_scan_becomes_a_row_without_media(tmp_path):
    (row,), left = imported(tmp_path, [spacer()])
    assert left == [] and row["media"] is None
    assert (row["dataset"], row["scene_id"], row["space_id"]) == ("scannet", "scene0012_01", "scene0012")
    assert (row["question_type"], row["answer_type"], row["ground_truth"]) == ("obj_appearance_order", "choice", "B")
    assert row["question"] == ORDER and row["options"] == ["A. tv, bed, lamp, door", "B. lamp, bed, tv, door"]
    assert [o["category"] for o in row["objects"]] == ["bed", "tv", "lamp", "door"]
    assert row["source"] == "spacer" and row["question_id"] == tables.question_id(row)


def test_early_rows_and_conversations_read_as_well(tmp_path):
    count = early("How many chair(s) are in this room?", "2")
    route = "You are a robot beginning at the door facing the bed. You want to navigate to the tv."
    talk = conversation(route, ["A. Turn Left", "B. Turn Right", "C. Turn Back"], "C")
    flat = {"id": 5, "dataset": "arkitscenes", "scene_name": 41069025, "question": ORDER, "ground_truth": "A"}
    flat |= {"options": ["(A) bed, tv, lamp, door", "(B) tv, bed, lamp, door"], "question_type": "obj_appearance_order"}
    (a, b, c), left = imported(tmp_path, [count, talk, flat])
    assert left == []
    assert (a["question_type"], a["ground_truth"], a["options"], a["scene_id"]) == (
        "object_counting",
        "2",
        None,
        "scene0025_01",
    )
    assert a["question"] == "How many chair(s) are in this room?"
    assert (b["dataset"], b["scene_id"], b["question"], b["ground_truth"]) == ("scannetpp", "09c1414f1b", route, "C")
    assert b["options"] == ["A. Turn Left", "B. Turn Right", "C. Turn Back"]
    assert (c["dataset"], c["scene_id"], c["space_id"]) == ("arkitscenes", "41069025", "41069025")
    assert c["options"] == ["A. bed, tv, lamp, door", "B. tv, bed, lamp, door"]


@pytest.mark.parametrize("wording", ["vsibench", "spacer", "vlm3r"])
def test_every_type_is_recognised_by_its_text_in_every_wording(wording):
    fields = {"category": "bed", "first": "bed", "second": "tv", "options": "tv, lamp", "categories": "tv, bed, lamp"}
    fields |= {"standing": "bed", "facing": "tv", "query": "lamp", "start": "bed", "target": "tv", "actions": "1."}
    texts = {name: types.load(name).wording(wording).format(**fields) for name in question_types.NAMES}
    assert set(texts) == set(question_types.NAMES)
    for kind, text in texts.items():
        found = {other for other in question_types.NAMES if any(pattern.search(text) for pattern in patterns(other))}
        assert found == {kind} and read(text).question_type == kind


DIRECTION = "If I am standing by the {} and facing the {}, is the {} to my left, right, or back?"
BAD = {
    "degenerate object: wall": early("How many wall(s) are in this room?", "4"),
    "degenerate object: doorframe": early(ORDER.replace("lamp", "doorframe"), "A", options=["A. a, b", "B. b, a"]),
    "names one object twice": spacer(problem=DIRECTION.format("bed", "tv", "bed"), options=["A. left", "B. right"]),
    "malformed options: none": spacer(options=[]),
    "malformed options: A. x | A. y": spacer(options=["A. x", "A. y"]),
    "malformed options: A. x | B. x": spacer(options=["A. x", "B. x"]),
    "malformed options: A. x | y": spacer(options=["A. x", "y"]),
    "malformed options: tv": spacer(options="tv"),
    "malformed answer: 'C' is no option": spacer(solution="<answer>C</answer>"),
    "malformed answer: 'many' is no number": early("How many bed(s) are in this room?", "many"),
    "missing field: solution": spacer(solution=None),
    "missing field: problem": spacer(problem=" "),
    "unknown question type": spacer(problem="What colour is the bed?"),
    "unknown scan: clip: of which dataset?": spacer(path="videos/clip.mp4"),
    "unknown scan: no scene_name": {k: v for k, v in spacer().items() if k != "path"},
    "malformed conversation": conversation(ORDER, ["A. x", "B. y"], "A", conversations=["hello"]),
    "not in external.spatial_types: object_counting": None,
}


def test_what_cannot_be_used_is_kept_with_its_reason(tmp_path):
    rows = [row for row in BAD.values() if row]
    rows += [early("How many bed(s) are in this room?", "3"), spacer(problem_id=77), spacer(problem_id=78)]
    kept, left = imported(
        tmp_path, rows, spatial_types=["obj_appearance_order", "object_rel_direction_medium", "route_planning"]
    )
    assert [json.loads(row["evidence"])["problem_id"] for row in kept] == [77]
    reasons = [row["reason"] for row in left]
    # Counting is refused by type before its answer is looked at.
    for expected in BAD:
        if expected not in ("degenerate object: wall", "malformed answer: 'many' is no number"):
            assert any(reason.startswith(expected) for reason in reasons), expected
    assert reasons[-1] == "listed twice" and left[-1]["question_id"] == "spacer/78"
    _, left = imported(
        tmp_path, [BAD["degenerate object: wall"], BAD["malformed answer: 'many' is no number"], spacer()]
    )
    assert [row["reason"] for row in left] == ["degenerate object: wall", "malformed answer: 'many' is no number"]


def test_answers_may_be_letters_texts_or_both(tmp_path):
    rows = [
        spacer(problem=ORDER.replace("bed", f"bed{k}"), solution=s)
        for k, s in enumerate(["b", "B. lamp, bed, tv, door", "lamp, bed, tv, door", "(B)"])
    ]
    kept, left = imported(tmp_path, rows)
    assert [row["ground_truth"] for row in kept] == ["B"] * 4 and left == []


def general(k, **changes):
    values = {"problem_id": k, "problem": f"What is in picture {k}?", "data_type": "image", "problem_type": "numerical"}
    return values | {"solution": f"<answer>{k},000</answer>", "path": "./still.png", "data_source": "General"} | changes


@pytest.fixture
def still(tmp_path):
    (tmp_path / "release").mkdir()
    cv2.imwrite(str(tmp_path / "release" / "still.png"), np.full((60, 60, 3), 99, np.uint8))


def test_general_questions_are_drawn_by_seed_and_bring_their_pictures(tmp_path, still):
    rows = [general(k) for k in range(1, 30)] + [spacer()]
    kept, left = imported(tmp_path, rows, general=7)
    pictured = [row for row in kept if row["media"]]
    assert len(pictured) == 7 and len(kept) == 8 and len(left) == 22
    assert {row["reason"] for row in left} == {"not among the external.general drawn"}
    for row in pictured:
        assert row["scene_id"] is None and row["media"][0]["path"] == "image/0.png" and row["dataset"] == "spacer"
        assert row["ground_truth"] == str(1000 * json.loads(row["evidence"])["problem_id"])
    again, _ = imported(tmp_path, rows[::-1], general=7, name="again", threads=3)
    assert {row["question_id"] for row in again} == {row["question_id"] for row in kept}
    fewer, _ = imported(tmp_path, rows, general=3, name="fewer")
    assert {row["question_id"] for row in fewer} < {row["question_id"] for row in kept}, "a smaller draw is part of it"


def test_general_choices_keep_letters_that_fit(tmp_path, still):
    good = general(1, problem_type="multiple choice", options=["A. one", "B. two"], solution="<answer>A</answer>")
    bad = general(2, problem_type="multiple choice", options=["A. one", "B. two"], solution="<answer>E</answer>")
    gone = general(3, path="./gone.png")
    (row,), left = imported(tmp_path, [good, bad, gone], "video_r1", general=9)
    assert (row["ground_truth"], row["options"], row["dataset"]) == ("A", ["A. one", "B. two"], "video_r1")
    assert [r["reason"].split(":")[0] for r in left] == ["malformed answer", "missing file"]


def test_a_wrong_file_is_refused_with_a_question(tmp_path):
    with pytest.raises(ExternalError, match="none of its 1 records can be used; is it a file of vlm3r_route"):
        imported(tmp_path, [general(1)], "vlm3r_route", general=0)
    with pytest.raises(ExternalError, match=r"2 of 3 records cannot be used, .*malformed options"):
        imported(tmp_path, [spacer(options=[]), spacer(options=["A. x"]), spacer()], share=0.2)


def test_the_stage_reads_the_file_that_the_site_names(tmp_path, monkeypatch, capsys):
    path = tmp_path / "SpaceR-151k.jsonl"
    path.write_text(json.dumps(spacer()) + "\n")
    argv = ["--source", "spacer", "--out", str(tmp_path / "a.parquet"), "--dropped", str(tmp_path / "b.parquet")]
    monkeypatch.setenv("ROLLOUT3D_SITE", json.dumps({"external": {"spacer": str(path)}}))
    stage.main(argv)
    assert len(tables.read(tables.QUESTIONS, tmp_path / "a.parquet")) == 1
    monkeypatch.setenv("ROLLOUT3D_SITE", json.dumps({"external": {}}))
    with pytest.raises(SystemExit):
        stage.main(argv)
    said = capsys.readouterr().err
    assert "site.external.spacer" in said and "SpaceR-151k.jsonl" in said and "not configured" in said
