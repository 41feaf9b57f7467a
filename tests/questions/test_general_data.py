"""General data beside the questions about scans: totals, thinning, the parts of the training table, a missing file."""

import json
import logging

import pytest

from questions.question_rooms import scene_row
from rollout3d import tables
from rollout3d.config import Config
from rollout3d.questions.assemble import assemble
from rollout3d.stages import assemble as assemble_stage
from rollout3d.stages import train_part

JPEG = {"bytes": b"\xff\xd8picture\xff\xd9", "path": "picture.jpg"}


def question(k, general=False, answer="2", kind="object_counting"):
    row = {
        "scene_id": None if general else f"scene{k % 7:04d}_00",
        "space_id": None if general else f"scene{k % 7:04d}",
        "split": "train",
        "dataset": "video_r1" if general else "scannet",
        "question_type": "numerical" if general else kind,
        "answer_type": "number",
        "question": f"What is the number {k}?",
        "options": None,
        "ground_truth": answer,
        "objects": [],
        "media": [JPEG] if general and k % 2 else None,
        "source": "video_r1" if general else "generated",
        "evidence": "{}",
    }
    return {"question_id": tables.question_id(row), **row}


ROWS = [question(k, answer=str(k % 5)) for k in range(40)] + [question(k, general=True) for k in range(100, 130)]


def config(**questions):
    return Config.model_validate({"questions": questions})


def parts(rows):
    return [sum(row["scene_id"] is not None for row in rows), sum(row["scene_id"] is None for row in rows)]


def test_the_total_counts_questions_about_scans_and_general_data_stand_beside_it():
    assert parts(assemble(ROWS, [], config(total=25)).train) == [25, 30]
    assert parts(assemble(ROWS, [], config(total=None)).train) == [40, 30]


def test_a_mix_that_names_a_general_type_counts_it():
    mix = {"object_counting": 0.5, "numerical": 0.5}
    assert parts(assemble(ROWS, [], config(total=20, mix=mix)).train) == [10, 10]


def test_general_numbers_are_not_thinned():
    """All 30 general questions have one answer; of the others one answers 24 of 32 and is thinned to 8."""
    rows = [question(k, answer="2") for k in range(24)] + [question(k, answer="3") for k in range(50, 58)]
    made = assemble(rows + ROWS[40:], [], config(max_value_share=0.1))
    assert parts(made.train) == [16, 30]


@pytest.fixture
def written(tmp_path):
    tables.write(tables.QUESTIONS, tmp_path / "q.parquet", ROWS, tables.Lineage("questions"))
    scenes = [scene_row([], scene_id=f"scene{k:04d}_00", space_id=f"scene{k:04d}") for k in range(7)]
    tables.write(tables.SCENES, tmp_path / "scenes.parquet", scenes, tables.Lineage("ingest"))
    return tmp_path


def run(folder, general, caplog):
    argv = ["--questions", "q.parquet", "--scenes", "scenes.parquet", "--general", str(general)]
    names = ("--out-train", "--out-test", "--dropped", "--sources")
    argv += [part for name in names for part in (name, f"{name[2:]}.parquet")]
    paths = [str(folder / each) if each.endswith(".parquet") else each for each in argv]
    with caplog.at_level(logging.INFO):
        assemble_stage.main([*paths, "--config", json.dumps({"questions": {"total": 25}})])
    return caplog.text


def test_fewer_general_questions_than_asked_for_are_said_with_the_remedy(written, caplog):
    said = run(written, 60_000, caplog)
    assert "general data: 30 questions of 60,000 (external.general), so the training table is smaller: 55" in said
    assert "site.external, such as video_r1" in said


def test_as_many_as_asked_for_need_no_word(written, caplog):
    assert "external.general" not in run(written, 30, caplog)


def test_the_parts_hold_every_question_once_with_its_pictures(written, caplog):
    run(written, 30, caplog)
    train_part.main(
        [
            *("--train", str(written / "out-train.parquet")),
            *("--scans", str(written / "sr_91k.parquet"), "--general", str(written / "general_60k.parquet")),
        ]
    )
    whole, scans, general = (
        tables.read(tables.OCR_RL, written / f"{name}.parquet") for name in ("out-train", "sr_91k", "general_60k")
    )
    assert parts(scans) == [25, 0] and parts(general) == [0, 30]
    by_id = {row["question_id"]: row for row in whole}
    assert len(by_id) == 55 and all(by_id.pop(row["question_id"]) == row for row in [*scans, *general]) and not by_id
    assert sum(row["media"] == [JPEG] for row in general) == 15
