"""A question type that is added as one file: asked, taught, trained on, imported, audited, scored and reported."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dag.clones import copy_repository
from imports import releases
from questions.question_rooms import object_rows, random_things, scene_row
from questions.test_visible import seen
from rollout3d import tables

ADDED = Path(__file__).parent / "added"
LINEAGE = tables.Lineage("test")
STUDY = {
    "seed": 3,
    "datasets": {"scannet": {"shards": 1, "splits": {"train": ["train"], "test": ["val"]}}},
    "questions": {"per_scene": {"object_height": 4}, "total": None},
    "external": {"spatial_types": ["object_height"]},
    "cot": {"teacher": "geometric"},
    "evaluation": {"benchmarks": ["synthetic"]},
}


def scan(number: int, split: str) -> dict:
    scene_id = f"scene000{number}_00"
    things = random_things(seed=number, n=12)
    scene = scene_row(things, scene_id=scene_id, space_id=scene_id[:9], split=split)
    objects = object_rows(things, scene_id)
    rows = [
        seen(row["object_id"], sampling) | {"scene_id": scene_id}
        for row in objects
        for sampling in ("full", "uniform16", "uniform32")
    ]
    return {"scenes": [scene], "objects": objects, "visibility": rows}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("added")
    clone = copy_repository(folder / "clone")
    shutil.copy(ADDED / "object_height.py", clone / "workflow" / "rollout3d" / "questions" / "types")
    work = folder / "work"
    work.mkdir()
    scans = [scan(1, "train"), scan(2, "train"), scan(3, "val")]
    for name in ("scenes", "objects", "visibility"):
        rows = [row for each in scans for row in each[name]]
        tables.write(tables.TABLES[name], work / f"{name}.parquet", rows, LINEAGE)
    asked = "How many centimeters above the floor is the top of the {}?"
    unique = unique_names(scans[0])
    theirs = [
        releases.spacer(asked.format(name), "120 cm", number=k, path="./ScanNet/video/scene0001_00.mp4")
        for k, name in enumerate(unique)
    ]
    (work / "theirs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in theirs))
    values = STUDY | {"site": {"external": {"spacer": str(work / "theirs.jsonl")}}}
    (work / "study.json").write_text(json.dumps(values))
    paths = [str(clone / "workflow"), str(Path(__file__).parents[1])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, str(ADDED / "run_stages.py")]
    run = subprocess.run(command, cwd=work, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-4000:]
    return work, run.stdout


def unique_names(scan: dict) -> list[str]:
    return [each["category"] for each in scan["scenes"][0]["object_counts"] if each["n"] == 1]


def of_type(rows):
    return [row for row in rows if row["question_type"] == "object_height"]


def test_it_is_asked_below_its_cap_and_judged_by_the_video(study):
    rows = of_type(tables.read(tables.QUESTIONS, study[0] / "asked.parquet"))
    assert len(rows) == 3 * 4 and {len(row["answerable"]) for row in rows} == {3}
    dropped = tables.read(tables.QUESTIONS_DROPPED, study[0] / "asked_dropped.parquet")
    assert any("/object_height" in row["question_id"] and "cap of 4" in row["reason"] for row in dropped)


def test_it_trains_beside_imported_questions_of_its_type(study):
    rows = of_type(tables.read(tables.OCR_RL, study[0] / "ocr_rl.parquet"))
    assert {row["source"] for row in rows} == {"generated", "spacer"}
    assert {row["ground_truth"] for row in rows if row["source"] == "spacer"} == {"120"}


def test_the_geometric_teacher_writes_its_sentences(study):
    by_id = {row["question_id"]: row for row in tables.read(tables.OCR_RL, study[0] / "ocr_rl.parquet")}
    written = tables.read(tables.ANNOTATIONS, study[0] / "annotations.parquet")
    mine = [row for row in written if by_id[row["question_id"]]["question_type"] == "object_height"]
    assert mine and all(row["verdict"] == "accepted" for row in mine)
    assert all("centimeters above the floor" in row["think"] for row in mine)


def test_it_is_scored_as_a_task_of_its_own_and_has_a_column(study):
    rows = tables.read(tables.SCORES, study[0] / "scores.parquet")
    scores = {row["task"]: row for row in rows if row["view"] == "video"}
    assert scores["object_height"]["score"] == 100.0 and scores["object_height"]["n"] == 4
    table = tables.read(tables.REPORT, study[0] / "table2.parquet")
    mine = [row for row in table if row["column"] == "Object height" and row["ours"] is not None]
    assert mine and {row["ours"] for row in mine} >= {100.0}
    assert "object_height" in {row["row"] for row in tables.read(tables.REPORT, study[0] / "figure3.parquet")}
    assert (
        study[1].splitlines()[-1].endswith("'Object height', 'n', 'Format kept', 'Follows its thought'] object height")
    )


def test_other_peoples_answers_are_recomputed(study):
    rows = tables.read(tables.AUDIT_RELEASED, study[0] / "audit.parquet")
    assert rows and all(row["question_type"] == "object_height" and row["agrees"] is not None for row in rows)


def test_nothing_asks_for_it_unless_the_configuration_names_it(study):
    check = "from rollout3d.config import Config, question_types as q; print(q.NAMES[-1], q.asked({}), Config())"
    environment = os.environ | {"PYTHONPATH": str(study[0].parent / "clone" / "workflow")}
    run = subprocess.run([sys.executable, "-c", check], env=environment, capture_output=True, text=True, check=True)
    assert run.stdout.startswith("object_height ('object_counting'") and run.stdout.count("object_height") == 1
