"""Other releases answered again from boxes: agreement per type and definition of distance, and what is not matched."""

import json

import numpy as np
import pytest

from imports import releases
from questions.naive_rules import random_scene
from rollout3d import tables
from rollout3d.stages import audit as stage
from rollout3d.stages import ingest_meta, questions


def box(centre, sides):
    return {"centroid": list(centre), "axesLengths": list(sides), "normalizedAxes": np.eye(3).ravel().tolist()}


# Bed and sofa: 2 m between their faces, 3 m between their centres. The long TV stand is nearest to the bed by its face
# (0.5 m) and farthest by its centre (4 m); the lamp is nearest by its centre (2.2 m, 1.6 m by its face).
SCENE = {
    "dataset": "scannet",
    "room_size": 17.449,
    "object_counts": {"bed": 1, "sofa": 1, "lamp": 1, "TV stand": 1, "chair": 2},
    "object_bbox": {
        "bed": [box((0, 0, 0), (1, 1, 1))],
        "sofa": [box((3, 0, 0), (1, 1, 1))],
        "lamp": [box((0, 2.2, 0), (0.2, 0.2, 0.2))],
        "TV stand": [box((0, -4, 0), (1, 6, 1))],
        "chair": [box((5, 5, 0), (0.5, 0.5, 0.5)), box((6, 5, 0), (0.5, 0.5, 0.5))],
    },
}
HERE = {"path": "./ScanNet/scene0001_00.mp4"}
NEAR = releases.NEAREST.replace("bed, sofa, stool, lamp", "{}").replace("tv?", "bed?")


def run(tmp_path, rows, meta=None, name="theirs.jsonl", more=()):
    (tmp_path / "scannet_meta_info_train.json").write_text(json.dumps(meta or {"scene0001_00": SCENE}))
    file, out = tmp_path / name, tmp_path / "audit.parquet"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    arguments = more or ["--meta", str(tmp_path / "scannet_meta_info_train.json")]
    stage.main([*arguments, "--answers", str(file), "--out", str(out)])
    return tables.read(tables.AUDIT_RELEASED, out)


def verdicts(rows):
    return [(row["definition"], row["agrees"]) for row in rows]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (releases.spacer("How many chair(s) are in this room?", "2"), [(None, True)]),
        (releases.spacer("How many chair(s) are in this room?", "3"), [(None, False)]),
        (releases.spacer(releases.SIZE.format("tv stand"), "600"), [(None, True)]),
        (releases.spacer(releases.SIZE.format("TV stand"), "6 m"), [(None, True)]),
        (releases.spacer(releases.SIZE.format("TV stand"), "601"), [(None, False)]),
        (releases.spacer(releases.ROOM, "17.4"), [(None, True)]),
        (releases.spacer(releases.ROOM, "17.5"), [(None, False)]),
        (
            releases.spacer(releases.DISTANCE.format("bed", "sofa"), "3.0"),
            [("vsibench", False), ("exact", False), ("centres", True)],
        ),
        (
            releases.spacer(releases.DISTANCE.format("bed", "sofa"), "1.98"),
            [("vsibench", True), ("exact", True), ("centres", False)],
        ),
        (
            releases.vsi590k(
                "Specify precisely how far apart the bed and the sofa are in centimeters.",
                "200.0",
                "absolute_distance_object",
            ),
            [("vsibench", True), ("exact", True), ("centres", False)],
        ),
        (
            releases.vsi590k("Give the longest dimension of the sofa in feet.", "3.3", "absolute_size_object"),
            [(None, True)],
        ),
        (
            releases.spacer(NEAR.format("sofa, lamp, TV stand"), "C", ["A. sofa", "B. lamp", "C. TV stand"]),
            [("vsibench", True), ("exact", True), ("centres", False)],
        ),
        (
            releases.first_sr(releases.FOLLOWING.format("bed") + "\na) sofa\nb) lamp\nc) tv stand", "lamp"),
            [("vsibench", False), ("exact", False), ("centres", True)],
        ),
        (
            releases.first_sr(releases.EASY.format("bed", "sofa", "lamp", "sofa"), "left"),
            [(None, True)],
        ),
        (releases.spatialevo("How many chairs are in the whole scene?", "2"), [(None, True)]),
        (
            releases.spatialevo(releases.DISTANCE.format("bed", "sofa"), "3.00 meters"),
            [("vsibench", False), ("exact", False), ("centres", True)],
        ),
        (
            releases.spatialevo("Which of these objects, sofa, lamp, or TV stand, is closest to the bed?", "lamp"),
            [("vsibench", False), ("exact", False), ("centres", True)],
        ),
        (
            releases.spatialevo("If I stand by the bed and face the sofa, where is the lamp?", "front-left"),
            [(None, False)],  # straight to the left: on the border, and the border belongs to the back
        ),
        (
            releases.first_sr(releases.EASY.format("bed", "sofa", "lamp", "sofa"), "right"),
            [(None, False)],
        ),
    ],
)
def test_answers_worked_out_by_hand(tmp_path, row, expected):
    for key in ("path", "video"):
        if key in row:
            row[key] = "./ScanNet/scene0001_00.mp4"
    assert verdicts(run(tmp_path, [row])) == expected


def test_what_cannot_be_matched_is_counted_with_its_reason(tmp_path, capsys):
    rows = run(
        tmp_path,
        [
            releases.spacer("How many chair(s) are in this room?", "2", **HERE),
            releases.spacer("How many chair(s) are in this room?", "2", path="./ScanNet/scene0002_00.mp4"),
            releases.spacer("How many oven(s) are in this room?", "2", **HERE),
            releases.spacer(releases.SIZE.format("chair"), "50", **HERE),
            releases.spacer(releases.DISTANCE.format("bed", "oven"), "2,5", **HERE),
            releases.spacer(releases.DISTANCE.format("bed", "oven"), "2.5", **HERE),
            releases.spacer(releases.ORDER, "A", ["A. bed, tv", "B. tv, bed"], **HERE),
            releases.video_r1("What is shown?", "3", "numerical"),
            {"problem": "What?", "solution": None},
            releases.spacer(releases.ROOM, "12", path="./ScanNet/scene0003_00.mp4"),
        ],
        # One damaged scene among many is no reason to stop.
        {f"scene{k:04d}_00": SCENE for k in (1, *range(100, 140))} | {"scene0003_00": {"dataset": "scannet"}},
    )
    assert [row["agrees"] for row in rows] == [True] + [None] * 9
    assert [row["note"].split(":")[0] for row in rows[1:]] == [
        "no boxes of this scan",
        "no count of the thing that is named",
        "several things of a name that must mean one",
        "ambiguous answer",
        "no box of a thing that is named",
        "boxes do not tell what the video shows first",
        "not a question about a scan in a wording that we know",
        "missing field",
        "the metadata of this scan cannot be read",
    ]
    said = capsys.readouterr().out
    assert "      1 (10.0 %) object_counting: no boxes of this scan (such as theirs.jsonl/1)" in said
    assert "object_counting                        3         1" in said and "100.0 %" in said
    assert "all                                   10         1  (10.0 % matched)" in said


@pytest.fixture(scope="module")
def generated(tmp_path_factory):
    """Questions of random scenes, written by our generator: rows, and the folder of their boxes."""
    folder = tmp_path_factory.mktemp("boxes")
    scenes = {f"scene{k:04d}_00": random_scene(k, n_objects=9, largest_m=0.6) for k in range(4)}
    (folder / "scannet_meta_info_train.json").write_text(json.dumps(scenes))
    out = folder / "questions.parquet"
    questions.main(["--meta", str(folder), "--out", str(out), "--config", '{"questions": {"wording": "spacer"}}'])
    return folder, tables.read(tables.QUESTIONS, out)


def as_theirs(row, shape, centres=False):
    truth = row["ground_truth"]
    if centres and row["question_type"] == "object_abs_distance":
        truth = str(json.loads(row["evidence"])["centre_distance_m"])
    changes = {"path": f"./ScanNet/{row['scene_id']}.mp4"}
    if shape is releases.vlm3r:
        changes = {"scene_name": row["scene_id"], "data_source": "scannet", "video": f"scannet/{row['scene_id']}.mp4"}
    return shape(row["question"], truth, row["options"] or [], **changes)


@pytest.mark.parametrize("shape", [releases.spacer, releases.vlm3r])
def test_our_own_answers_agree_in_the_form_of_other_releases(tmp_path, generated, shape):
    folder, asked = generated
    rows = run(tmp_path, [as_theirs(row, shape) for row in asked], more=["--meta", str(folder)])
    assert len({row["record"] for row in rows}) == len(asked) > 300
    assert len({row["question_type"] for row in rows}) == 8
    assert all(row["agrees"] for row in rows if row["definition"] in (None, "vsibench"))
    assert not all(row["agrees"] for row in rows if row["definition"] == "centres")


def test_centre_distances_behind_questions_about_closest_points_are_found_out(tmp_path, generated, capsys):
    folder, asked = generated
    some = [row for row in asked if row["question_type"] == "object_abs_distance"]
    rows = run(tmp_path, [as_theirs(row, releases.spacer, True) for row in some], more=["--meta", str(folder)])
    assert all(row["agrees"] for row in rows if row["definition"] == "centres")
    said = capsys.readouterr().out
    assert "object_abs_distance: the answers fit the distance between centres (100.0 %) better than" in said
    apart = np.mean([row["difference"] for row in rows if row["definition"] == "exact"])
    assert apart > 0.3 and f"mean {apart:+.2f}" in said


def test_scene_tables_answer_as_the_boxes_that_they_were_read_from(tmp_path, generated):
    folder, asked = generated
    theirs = [as_theirs(row, releases.spacer) for row in asked[::5]]
    from_boxes = run(tmp_path, theirs, more=["--meta", str(folder)])
    ingest_meta.main(["--meta", str(folder), "--out", str(tmp_path / "scenes")])
    both = ["--scenes", str(tmp_path / "scenes/scenes.parquet"), "--objects", str(tmp_path / "scenes/objects.parquet")]
    assert run(tmp_path, theirs, more=both) == from_boxes


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "give --meta, or --scenes and --objects"),
        (["--scenes", "s.parquet"], "give --meta, or --scenes and --objects"),
        (["--meta", "m.json", "--scenes", "s.parquet", "--objects", "o.parquet"], "give --meta, or --scenes"),
    ],
)
def test_arguments_that_do_not_go_together(tmp_path, capsys, arguments, says):
    with pytest.raises(SystemExit):
        stage.main([*arguments, "--answers", "x.jsonl", "--out", str(tmp_path / "a.parquet")])
    assert says in capsys.readouterr().err


def test_nothing_matched_is_no_success_and_two_forms_are_no_mixture(tmp_path, capsys):
    elsewhere = [releases.spacer("How many chair(s) are in this room?", "2", path="./ScanNet/scene0009_00.mp4")]
    with pytest.raises(SystemExit):
        run(tmp_path, elsewhere)
    assert "none of 1 questions could be audited" in capsys.readouterr().err
    (tmp_path / "test.jsonl").write_text(
        '{"id": 1, "dataset": "scannet", "scene_name": "scene0001_00", "question_type": "x"}'
    )
    with pytest.raises(SystemExit):
        stage.main(
            [
                "--meta",
                str(tmp_path / "scannet_meta_info_train.json"),
                "--out",
                str(tmp_path / "a.parquet"),
                "--answers",
            ]
            + [str(tmp_path / name) for name in ("theirs.jsonl", "test.jsonl")]
        )
    assert "audit them apart" in capsys.readouterr().err
