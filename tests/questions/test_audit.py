"""The audit: answers worked out by hand, wrong answers found, what cannot be audited listed."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rollout3d import tables
from rollout3d.config import question_types
from rollout3d.questions import types
from rollout3d.questions.templates import parse
from rollout3d.stages import audit as stage
from rollout3d.stages.common import Stage


def box(centre, sides):
    return {"centroid": list(centre), "axesLengths": list(sides), "normalizedAxes": np.eye(3).ravel().tolist()}


# Along the x axis: a bed, a sofa 3 m away, a lamp 4.1 m away on the other side of it, two chairs, a tv to the left of
# somebody who stands by the bed and faces the sofa. Bed and sofa have faces that binary numbers hold exactly, so that
# the benchmark's crop keeps them and their distance is 3.25 - 0.125 - 0.125.
META = {
    "scene0001_00": {
        "dataset": "scannet",
        "room_size": 17.449,
        "object_counts": {"bed": 1, "sofa": 1, "lamp": 1, "tv": 1, "chair": 2, "printer": 1},
        "object_bbox": {
            "bed": [box((0, 0, 0.125), (0.25, 0.25, 0.25))],
            "sofa": [box((3.25, 0, 0.125), (0.25, 1.237, 0.25))],
            "lamp": [box((-4.3, 0, 0.1), (0.2, 0.2, 0.2))],
            "tv": [box((1.0, 2.0, 0.1), (0.2, 0.2, 0.2))],
            "chair": [box((9, 9, 0.1), (0.2, 0.2, 0.2)), box((0, -1.5, 0.1), (0.2, 0.2, 0.2))],
            "printer": [box((1, 0, 2), (0.1, 0.1, 0.1)), box((5, 0, 2), (0.3, 0.1, 0.1))],
        },
    },
    "41069025": {"dataset": "arkitscenes", "object_counts": {"stove": 1}, "object_bbox": {"stove": []}},
    "bad": {"dataset": "scannet", "object_counts": {"bed": 1}},
}
NEAREST = "Measuring from the closest point of each object, which of these objects ({}) is the closest to the {}?"
HARD = (
    "\nThe directions refer to the quadrants of a Cartesian plane (if I am standing at the origin and facing along the "
    "positive y-axis)."
)
ROOM = (
    "What is the size of this room (in square meters)? \n"
    "If multiple rooms are shown, estimate the size of the combined space."
)
SIZE = "What is the length of the longest dimension (length, width, or height) of the {}, measured in centimeters?"
DISTANCE = (
    "Measuring from the closest point of each object, what is the distance between the {} and the {} (in meters)?"
)
STAND = "If I am standing by the bed and facing the sofa, is the tv to "

RIGHT = [
    ("object_counting", "How many chair(s) are in this room?", "2", None),
    ("object_size_estimation", SIZE.format("sofa"), "124", None),
    ("room_size_estimation", ROOM, "17.4", None),
    ("room_size_estimation", ROOM.replace(" \n", "\n"), "17.40", None),
    ("object_abs_distance", DISTANCE.format("bed", "sofa"), "3.0", None),
    ("object_abs_distance", DISTANCE.replace("the distance", "the direct distance").format("sofa", "bed"), "3.0", None),
    ("object_rel_distance", NEAREST.format("lamp, sofa, chair, tv", "bed"), "C", ["lamp", "sofa", "chair", "tv"]),
    (
        "object_rel_distance",
        NEAREST.format("lamp, sofa", "bed")
        + "\nIf there are multiple instances of an object category, measure to the closest.",
        "B",
        ["lamp", "sofa"],
    ),
    ("object_rel_direction_easy", STAND + "the left or the right of the sofa?", "B", ["right", "left"]),
    (
        "object_rel_direction_medium",
        STAND + "my left, right, or back?\n"
        "An object is to my back if I would have to turn at least 135 degrees in order to face it.",
        "A",
        ["left", "back", "right"],
    ),
    (
        "object_rel_direction_hard",
        STAND + "my front-left, front-right, back-left, or back-right?" + HARD,
        "D",
        ["back-right", "back-left", "front-right", "front-left"],
    ),
]
WRONG = [
    ("object_counting", "How many chair(s) are in this room?", "3", None, "2"),
    ("object_size_estimation", SIZE.format("sofa"), "123", None, "124"),
    ("room_size_estimation", ROOM, "17.5", None, "17.4"),
    ("object_rel_distance", NEAREST.format("lamp, sofa", "bed"), "A", ["lamp", "sofa"], "B"),
    # Three metres to the left and half a metre to the back: easy must not have been asked about this at all.
    (
        "object_rel_direction_easy",
        "If I am standing by the bed and facing the sofa, is the lamp to the left or the right of the sofa?",
        "A",
        ["left", "right"],
        "back",
    ),
    ("object_counting", "How many chair(s) are in this room?", "two", None, "2"),
]
NOT_AUDITABLE = [
    ("obj_appearance_order", "What will be the first-time appearance order?", "A", ["a", "b"], "video shows first"),
    ("route_planning", "You are a robot beginning at the bed.", "A", ["Turn Left"], "by people"),
    ("object_counting", "How many windows are there?", "2", None, "does not follow the template"),
    ("object_counting", "How many window(s) are in this room?", "2", None, "no count of 'window'"),
    ("object_size_estimation", SIZE.format("oven"), "90", None, "no box of 'oven'"),
    ("object_rel_distance", NEAREST.format("lamp, sofa", "bed"), "A", ["lamp", "tv"], "are not its options"),
    ("object_rel_distance", NEAREST.format("lamp, sofa", "bed"), "A", None, "its row has no options"),
    ("object_colour", "What colour is the bed?", "red", None, "unknown question type"),
]


def row(number, kind, text, truth, options, scene="scene0001_00", dataset="scannet"):
    lettered = [f"{letter}. {option}" for letter, option in zip("ABCD", options)] if options else None
    names = ("id", "dataset", "scene_name", "question_type", "question", "ground_truth", "options")
    return dict(zip(names, (number, dataset, scene, kind, text, truth, lettered)))


def run(tmp_path, answers, suffix=".jsonl", meta=META):
    (tmp_path / "scannet_meta_info_val.json").write_text(json.dumps(meta))
    file = tmp_path / f"test{suffix}"
    if suffix == ".jsonl":
        file.write_text("".join(json.dumps(answer) + "\n" for answer in answers))
    else:
        pq.write_table(pa.Table.from_pylist(answers), file)
    out = tmp_path / "audit.parquet"
    stage.main(
        ["--meta", str(tmp_path / "scannet_meta_info_val.json"), "--answers", str(file), "--out", str(out)],
    )
    return tables.read(tables.AUDIT, out)


def test_an_audit_of_nothing_is_no_success(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        run(tmp_path, [row(0, *RIGHT[0], scene="scene0009_00")])
    assert ended.value.code == 1 and "none of 1 questions could be audited" in capsys.readouterr().err
    assert tables.read(tables.AUDIT, tmp_path / "audit.parquet")[0]["agrees"] is None


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_answers_worked_out_by_hand_agree(tmp_path, suffix):
    rows = run(tmp_path, [row(5 * k, *given) for k, given in enumerate(RIGHT)], suffix)
    assert [r["id"] for r in rows] == [5 * k for k in range(len(RIGHT))]
    assert [r["question_type"] for r in rows] == [given[0] for given in RIGHT]
    assert [(r["agrees"], r["note"]) for r in rows] == [(True, "")] * len(RIGHT), rows
    assert {r["question_type"] for r in rows} == {name for name in question_types.NAMES if types.load(name).recompute}


def test_every_wrong_answer_is_found_and_printed_with_both_values(tmp_path, capsys):
    rows = run(tmp_path, [row(100 + k, *given[:4]) for k, given in enumerate(WRONG)])
    assert [(r["agrees"], r["ground_truth"], r["recomputed"]) for r in rows] == [
        (False, given[2], given[4]) for given in WRONG
    ]
    said = capsys.readouterr().out
    for k, (kind, _, released, _, ours) in enumerate(WRONG):
        assert f"id {100 + k} scene0001_00 {kind}: released {released}, recomputed {ours}" in said
    assert "disagreements: 6\n" in said


def test_what_boxes_cannot_answer_is_listed_with_the_reason(tmp_path, capsys):
    answers = [row(k, *given[:4]) for k, given in enumerate(NOT_AUDITABLE)]
    counting = RIGHT[0]
    answers += [row(90, *counting, scene="scene0002_00"), row(91, *counting, scene="bad"), row(92, *counting)]
    answers += [row(93, *RIGHT[2], scene="41069025", dataset="arkitscenes")]
    rows = run(tmp_path, answers)
    reasons = [given[4] for given in NOT_AUDITABLE]
    reasons += ["no metadata of this scene", "cannot be read: lacks object_bbox", None, "no room size"]
    for found, reason in zip(rows, reasons, strict=True):
        if reason is None:
            assert found["agrees"] is True
        else:
            assert (found["agrees"], found["recomputed"]) == (None, None) and reason in found["note"], found
    said = capsys.readouterr().out
    assert said.count("boxes do not tell what the video shows first") == 1
    lines = {
        line.split()[0]: line.split()[1:] for line in said.splitlines() if line.startswith(("obj", "route", "all"))
    }
    assert lines["object_counting"] == ["5", "1", "1", "100.00", "%"]
    assert lines["route_planning"] == ["1", "0", "0", "not", "auditable"]
    assert lines["all"] == ["12", "1", "1", "100.00", "%"]


def test_a_question_with_letters_whose_row_has_no_options_is_a_finding(tmp_path, capsys):
    chosen = [given for given in RIGHT if given[3]]
    bare = [row(k, *given) for k, given in enumerate(chosen)]
    for answer, nothing in zip(bare, [None, [], None, [], None], strict=True):
        answer["options"] = nothing
    bare[2].pop("options")
    spelled = row(50, *chosen[2][:2], "left", None)  # the answer in words, and nothing to choose from
    rows = run(tmp_path, [*bare, spelled, row(90, *RIGHT[0])])
    assert [r["agrees"] for r in rows] == [None] * 6 + [True]
    assert all(r["recomputed"] is None and "its row has no options" in r["note"] for r in rows[:-1])
    said = capsys.readouterr().out
    assert "2 object_rel_distance: a question with letters to choose from, and its row has no options (id 0, 1)" in said
    assert "disagreements: 0\n" in said + "\n"


def test_a_category_whose_boxes_are_not_its_count_is_answered_with_a_note(tmp_path):
    (found,) = run(tmp_path, [row(1, "object_size_estimation", SIZE.format("printer"), "10", None)])
    assert found["agrees"] is True and found["note"] == "'printer' has count 1 and 2 boxes"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "empty"),
        ('{"id": 1', "download it again"),
        ("[1]\n", "row 1 is without the columns id, dataset"),
        (json.dumps(row(1, *RIGHT[0])) + '\n{"id": 2}\n', "row 2 is without the columns dataset"),
        (json.dumps(row("x", *RIGHT[0])), "row 1 has the id 'x', not a number"),
        (json.dumps(row(1, *RIGHT[0]) | {"options": "A. left"}), "row 1 has options that are no list"),
        (None, "cannot be read"),
    ],
)
def test_a_damaged_answer_file_is_refused_by_name(tmp_path, capsys, content, says):
    (tmp_path / "scannet_meta_info_val.json").write_text(json.dumps(META))
    file, out = tmp_path / "test.jsonl", tmp_path / "audit.parquet"
    if content is not None:
        file.write_text(content)
    with pytest.raises(SystemExit):
        stage.main(["--meta", str(tmp_path), "--answers", str(file), "--out", str(out)])
    said = capsys.readouterr().err
    assert f"error: {file}" in said and says in said and not out.exists()


def test_the_folder_of_the_release_is_read_once_though_it_holds_the_questions_twice(tmp_path, capsys):
    answers = [row(k, *given) for k, given in enumerate(RIGHT)]
    folder, meta, out = tmp_path / "vsibench", tmp_path / "scannet_meta_info_val.json", tmp_path / "audit.parquet"
    folder.mkdir()
    meta.write_text(json.dumps(META))
    for name, some in (("test", answers), ("test_debiased", answers[:4]), ("test_pruned", answers[4:])):
        pq.write_table(pa.Table.from_pylist(some), folder / f"{name}.parquet")
    arguments = ["--meta", str(meta), "--answers", str(folder), "--out", str(out)]
    stage.main(arguments)
    assert [r["id"] for r in tables.read(tables.AUDIT, out)] == list(range(len(RIGHT)))
    for file in folder.iterdir():
        file.unlink()
    with pytest.raises(SystemExit):
        stage.main(arguments)
    assert f"error: {folder}: no VSI-Bench questions" in capsys.readouterr().err


def test_usage_names_the_command_as_it_is_documented():
    assert Stage("ingest_meta", None).parser().prog == "rollout3d ingest-meta"


def test_a_stage_shows_what_a_user_can_mend_in_tables_and_what_only_we_can_with_a_traceback(capsys):
    def failing(error):
        @Stage("audit", None).command
        def main(argv=None):
            raise error

        return main

    with pytest.raises(SystemExit) as ended:
        failing(tables.TableError("q.parquet: make it again"))([])
    assert ended.value.code == 1 and capsys.readouterr().err == "error: q.parquet: make it again\n"
    with pytest.raises(tables.RowError):
        failing(tables.RowError("table audit: row lacks ['note']"))([])


def test_a_template_gives_back_the_fields_it_was_filled_with():
    template = types.load("object_rel_direction_easy").text
    text = template.format(standing="trash bin", facing="tv", query="the wall clock")
    assert parse(template, text) == {
        "standing": "trash bin",
        "facing": "tv",
        "query": "the wall clock",
    }
    assert parse(template, text.replace("of the tv?", "of the bed?")) is None
