"""Scans that contradict themselves: no questions, a reason for each, and no new ingest for another judgement."""

import dataclasses
import json
import logging

import pytest

from questions.question_rooms import KINDS, floor_of, map_row, object_rows, random_things, scene_row
from rollout3d import tables
from rollout3d.config import Config
from rollout3d.questions.assemble import assemble
from rollout3d.report.summary import summary
from rollout3d.stages import questions as stage
from rollout3d.stages.registry import Scope, job_values

FIGURES = [field.name for field in tables.SCENES.schema.field("agreement").type]
GOOD = dict.fromkeys(FIGURES) | {"in_room": 1.0, "colour_misfit": 0.0}
LINEAGE = tables.Lineage("ingest")


def shard(folder, figures):
    """Tables of one scan for each of the figures."""
    folder.mkdir(parents=True)
    rows = {table: [] for table in (tables.SCENES, tables.OBJECTS, tables.MAPS)}
    for k, agreement in enumerate(figures):
        things, scene_id = random_things(k, 8), f"scene{k:04d}_00"
        names = {"scene_id": scene_id, "space_id": scene_id[:9], "agreement": agreement}
        rows[tables.SCENES].append(scene_row(things, **names))
        rows[tables.OBJECTS] += object_rows(things, scene_id)
        rows[tables.MAPS].append(map_row(floor_of(things), {c: 2.0 * i for i, c in enumerate(KINDS)}, scene_id))
    for table, content in rows.items():
        tables.write(table, folder / f"{table.name}.parquet", content, LINEAGE)
    return folder


def ask(folder, out, **changes):
    argv = ["--config", json.dumps(changes)]
    for name in ("scenes", "objects", "maps"):
        argv += [f"--{name}", str(folder / f"{name}.parquet")]
    stage.main([*argv, "--out", str(out / "q.parquet"), "--dropped", str(out / "d.parquet")])
    dropped = tables.read(tables.QUESTIONS_DROPPED, out / "d.parquet")
    asked = {row["scene_id"] for row in tables.read(tables.QUESTIONS, out / "q.parquet")}
    return asked, {row["question_id"]: row["reason"] for row in dropped if "/" not in row["question_id"]}


def test_no_question_of_a_dropped_scan_and_one_row_with_the_reason(tmp_path, caplog):
    folder = shard(tmp_path / "s", [GOOD, GOOD | {"in_room": 0.05}, GOOD | {"colour_misfit": 0.2}, None])
    with caplog.at_level(logging.INFO):
        asked, dropped = ask(folder, tmp_path)
    assert asked == {"scene0000_00", "scene0002_00", "scene0003_00"}
    assert dropped == {
        "scene0001_00": "its scan contradicts itself: share of cameras in the room (in_room) is 0.05, below 0.5"
    }
    assert "scans checked: 3, flagged: 1, dropped: 1; 1 not checked" in caplog.text
    for mode in ("flag", "off"):
        asked, dropped = ask(folder, tmp_path, scenes={"agreement": mode})
        assert len(asked) == 4 and dropped == {}


def test_a_release_that_is_wrong_throughout_stops_with_the_remedy(tmp_path):
    folder = shard(tmp_path / "s", [GOOD | {"in_room": 0.0}] * 4)
    with pytest.raises(SystemExit) as ended:
        ask(folder, tmp_path)
    assert ended.value.code == 1 and not (tmp_path / "q.parquet").exists()
    assert len(ask(folder, tmp_path, scenes={"agreement": "flag"})[0]) == 4


def test_imported_questions_of_a_dropped_scan_are_left_out():
    scenes = [
        {"scene_id": f"scene000{k}_00", "space_id": f"scene000{k}", "dataset": "scannet", "split": "train"}
        | {"agreement": GOOD | {"in_room": share}}
        for k, share in enumerate((1.0, 0.0))
    ]
    question = dict.fromkeys(tables.QUESTIONS.schema.names)
    question |= {"dataset": "scannet", "source": "spacer", "question_type": "object_counting", "answer_type": "number"}
    question |= {"question": "How many?", "ground_truth": "2", "objects": [], "evidence": "{}", "split": "train"}
    rows = [question | {"question_id": f"q{k}", "scene_id": row["scene_id"]} for k, row in enumerate(scenes)]
    made = assemble(rows, scenes, Config.model_validate({"questions": {"max_value_share": 1.0}}))
    assert [row["question_id"] for row in made.train] == ["q0"]
    assert [row["question_id"] for row in made.dropped] == ["q1"]
    assert "(in_room) is 0, below 0.5" in made.dropped[0]["reason"]
    assert {row["reason"]: row["n"] for row in made.sources if row["fate"] == "dropped"} == {
        "its scan contradicts itself": 1
    }
    flagged = Config.model_validate({"questions": {"max_value_share": 1.0}, "scenes": {"agreement": "flag"}})
    assert len(assemble(rows, scenes, flagged).train) == 2


def test_another_judgement_needs_no_new_ingest():
    for stage_name, changes in (("ingest", False), ("regions", False), ("questions", True), ("assemble", True)):
        found = [
            job_values(
                stage_name, Config.model_validate({"scenes": {"agreement": mode}}), Scope("scannet", "aabb_none")
            )
            for mode in ("drop", "off")
        ]
        assert (found[0] != found[1]) is changes, stage_name


def test_summary_counts_by_the_configured_judgement(tmp_path):
    shard(tmp_path / "scenes" / "scannet" / "0", [GOOD, GOOD | {"in_room": 0.05}, GOOD | {"colour_misfit": 0.2}])
    tables.write(tables.FRAMES, tmp_path / "scenes" / "scannet" / "0" / "frames.parquet", [], LINEAGE)
    assert "\n  scans checked: 3, flagged: 1, dropped: 1\n" in summary(tmp_path) + "\n"
    assert "scans checked: 3, flagged: 2, dropped: 0" in summary(tmp_path, "flag")


def test_scenes_of_the_version_before_are_read_and_not_judged(tmp_path):
    folder = shard(tmp_path / "s", [GOOD | {"in_room": 0.0}])
    schema = tables.SCENES.schema
    for name in tables.SCENES.added:
        schema = schema.remove(schema.get_field_index(name))
    older = dataclasses.replace(tables.SCENES, version=1, schema=schema, added=(), optional=())
    rows = tables.read(tables.SCENES, folder / "scenes.parquet")
    tables.write(older, folder / "scenes.parquet", [{k: v for k, v in rows[0].items() if k in schema.names}], LINEAGE)
    asked, dropped = ask(folder, tmp_path)
    assert asked == {"scene0000_00"} and dropped == {}


def test_scenes_lack_only_the_columns_that_are_newer_than_their_version(tmp_path):
    """Version 2 has `agreement` and lacks `floor_area_m2`: a file of it without both is damaged, and not unjudged."""
    folder = shard(tmp_path / "s", [GOOD])
    file, row = folder / "scenes.parquet", tables.read(tables.SCENES, folder / "scenes.parquet")[0]
    for gone, readable in ((("floor_area_m2",), True), (("agreement", "floor_area_m2"), False)):
        schema = tables.SCENES.schema
        for name in gone:
            schema = schema.remove(schema.get_field_index(name))
        older = dataclasses.replace(tables.SCENES, version=2, schema=schema, added=(), optional=())
        tables.write(older, file, [{k: v for k, v in row.items() if k in schema.names}], LINEAGE)
        if readable:
            (again,) = tables.read(tables.SCENES, file)
            assert again["agreement"] == row["agreement"] and again["floor_area_m2"] is None
        else:
            with pytest.raises(tables.TableError, match="its columns"):
                tables.read(tables.SCENES, file)
