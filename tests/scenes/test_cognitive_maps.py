"""Cognitive maps of scans: cells by hand, what is left out and why, what training may read, SpaceR's lines."""

from __future__ import annotations

import json
import logging
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from questions.question_rooms import map_row, object_rows, scene_row
from rollout3d import tables
from rollout3d.errors import InvalidInput
from rollout3d.scenes.cognitive_maps import by_category, load_maps, spacer_lines
from rollout3d.stages import cognitive_maps as stage
from rollout3d.stages import export

LINEAGE = tables.Lineage("test")
FLOOR = [-1.0, 2.0, 3.0, 12.0]
"""4 m wide, 10 m deep: cells of 0.4 m x 1 m on a grid of 10."""
THINGS = [
    ("chair", (-0.9, 2.5, 0.4), (0.5, 0.5, 0.9)),  # 0.1 / 0.4 = 0.25; 0.5 / 1: cell [0, 0]
    ("bed", (1.1, 9.0, 0.3), (2.0, 1.6, 0.5)),  # 2.1 / 0.4 = 5.25; 7.0 / 1: cell [5, 7]
    ("chair", (2.9, 11.9, 0.4), (0.5, 0.5, 0.9)),  # 3.9 / 0.4 = 9.75; 9.9 / 1: cell [9, 9]
    (None, (1.0, 7.0, 0.0), (4.0, 10.0, 0.1)),  # the floor itself: no question names it
]
CELLS = {
    5: {"bed": [[2, 3]], "chair": [[0, 0], [4, 4]]},  # cells of 0.8 m x 2 m: 2.1 / 0.8 = 2.6, 7 / 2 = 3.5
    10: {"bed": [[5, 7]], "chair": [[0, 0], [9, 9]]},
    15: {"bed": [[7, 10]], "chair": [[0, 0], [14, 14]]},  # 2.1 / 4 * 15 = 7.9, 0.7 * 15 = 10.5, 0.05 * 15 = 0.75
    20: {"bed": [[10, 14]], "chair": [[0, 1], [19, 19]]},  # 0.525 * 20 = 10.5, 14; 0.025 * 20 = 0.5, 0.05 * 20 = 1
}
"""Worked out by hand."""


def floor_of(scene_id, rect=FLOOR):
    return map_row(np.ones((2, 2), bool), {}, scene_id) | {"floor_rect": rect}


def shard(folder, scenes, things, floors):
    """The tables of a shard that the stage reads; returns its arguments."""
    tables.write(tables.SCENES, folder / "scenes.parquet", scenes, LINEAGE)
    tables.write(tables.OBJECTS, folder / "objects.parquet", things, LINEAGE)
    tables.write(tables.MAPS, folder / "maps.parquet", floors, LINEAGE)
    given = [f"--{name}={folder / name}.parquet" for name in ("scenes", "objects", "maps")]
    return [*given, f"--out={folder / 'out' / '0.parquet'}"]


@pytest.fixture
def made(tmp_path):
    """The maps of a training scan and of a benchmark's."""
    scenes = [scene_row(THINGS), scene_row(THINGS[:2], scene_id="scene0011_00", space_id="scene0011", split="val")]
    objects = [*object_rows(THINGS), *object_rows(THINGS[:2], "scene0011_00")]
    stage.main(shard(tmp_path, scenes, objects, [floor_of("scene0000_00"), floor_of("scene0011_00")]))
    return tmp_path / "out" / "0.parquet"


def test_every_instance_lies_in_the_cell_of_its_centre_at_every_grid_size(made):
    rows = [row for row in tables.read(tables.COGNITIVE_MAPS, made) if row["scene_id"] == "scene0000_00"]
    assert [row["grid"] for row in rows] == [5, 10, 15, 20]
    assert {row["grid"]: by_category(row) for row in rows} == CELLS
    for row in rows:
        assert row["border"] == FLOOR and row["space_id"] == "scene0000" and row["split"] == "train"
        assert [entry["category"] for entry in row["cells"]] == ["bed", "chair"], "walls and floors are in no map"
    assert tables.read(tables.SCENES_DROPPED, made.with_name("0_dropped.parquet")) == []


@pytest.mark.parametrize(
    ("things", "floors", "says"),
    [
        (THINGS, [], "its floor is unknown: the table maps has no row of it"),
        (THINGS, [floor_of("scene0000_00", [0.0] * 4)], r"its floor \[0.0, 0.0, 0.0, 0.0\] has no area"),
        (THINGS, [floor_of("scene0000_00", [0.0, 0.0, 4.0, float("nan")])], "has no area"),
        (THINGS[3:], [floor_of("scene0000_00")], "no object of a category that questions name has a box"),
    ],
)
def test_a_scan_without_a_map_is_recorded_with_the_reason(tmp_path, caplog, things, floors, says):
    with caplog.at_level(logging.WARNING):
        stage.main(shard(tmp_path, [scene_row(things)], object_rows(things), floors))
    assert tables.read(tables.COGNITIVE_MAPS, tmp_path / "out" / "0.parquet") == []
    (row,) = tables.read(tables.SCENES_DROPPED, tmp_path / "out" / "0_dropped.parquet")
    assert row["scene_id"] == "scene0000_00" and re.fullmatch(f"no cognitive map: .*{says}", row["reason"])
    assert "1 of 1 scans have no cognitive map" in caplog.text


def test_an_instance_without_a_box_is_recorded_and_the_others_stay(tmp_path):
    counted = scene_row(THINGS) | {"object_counts": [{"category": "bed", "n": 1}, {"category": "chair", "n": 4}]}
    stage.main(shard(tmp_path, [counted], object_rows(THINGS), [floor_of("scene0000_00")]))
    rows = tables.read(tables.COGNITIVE_MAPS, tmp_path / "out" / "0.parquet")
    assert {row["grid"]: by_category(row) for row in rows} == CELLS
    (row,) = tables.read(tables.SCENES_DROPPED, tmp_path / "out" / "0_dropped.parquet")
    assert row["reason"] == "chair: 2 of 4 instances have no box and are not in the map"


def test_a_scan_that_contradicts_itself_has_no_map_unless_such_scans_are_used(tmp_path):
    poor = scene_row(THINGS) | {"agreement": dict.fromkeys(_figures()) | {"gravity": -1.0}}
    scenes = [poor, *(scene_row(THINGS, scene_id=f"scene{i:04}_00", space_id=f"scene{i:04}") for i in range(1, 9))]
    objects = [row for scene in scenes for row in object_rows(THINGS, scene["scene_id"])]
    arguments = shard(tmp_path, scenes, objects, [floor_of(scene["scene_id"]) for scene in scenes])
    stage.main(arguments)
    found = load_maps([tmp_path / "out" / "0.parquet"], 10)
    assert len(found) == 8 and "scene0000_00" not in found
    (row,) = tables.read(tables.SCENES_DROPPED, tmp_path / "out" / "0_dropped.parquet")
    assert row["scene_id"] == "scene0000_00" and "gravity" in row["reason"]
    stage.main([*arguments, "--config", '{"scenes": {"agreement": "flag"}}'])
    assert len(load_maps([tmp_path / "out" / "0.parquet"], 10)) == 9


def _figures():
    return [field.name for field in tables.SCENES.schema.field("agreement").type]


# --- reading ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("grid", [5, 10, 15, 20])
def test_training_reads_the_maps_of_training_scenes(made, grid):
    assert load_maps([made], grid) == {"scene0000_00": CELLS[grid]}
    assert load_maps([made], grid, ["scene0000_00"]) == {"scene0000_00": CELLS[grid]}


def test_a_benchmark_scene_that_training_asks_for_is_an_error(made):
    with pytest.raises(InvalidInput, match=r"1 of 2 training scenes, such as scene0011_00, are of split val"):
        load_maps([made], 10, ["scene0000_00", "scene0011_00"])


def test_a_training_scene_without_a_map_is_counted_in_the_log(made, caplog):
    with caplog.at_level(logging.WARNING):
        assert set(load_maps([made], 10, ["scene0000_00", "scene0042_00"])) == {"scene0000_00"}
    assert "1 of 2 training scenes have no cognitive map, such as scene0042_00" in caplog.text


def test_a_grid_size_that_the_tables_lack_is_named(made):
    with pytest.raises(
        InvalidInput, match=r"0.parquet: no map of 12 x 12 cells; the tables hold grids of 5, 10, 15, 20"
    ):
        load_maps([made], 12)


# --- SpaceR's form ---------------------------------------------------------------------------------------------------


def exported(tmp_path, *more):
    export.main([*more, "--to", str(tmp_path / "cognitive_map.jsonl")])
    return [json.loads(line) for line in (tmp_path / "cognitive_map.jsonl").read_text().splitlines()]


def test_export_writes_one_line_per_training_scan(made, tmp_path):
    assert exported(tmp_path, "--maps", str(made)) == [
        {"video_id": "scene0000_00", "cognitive_map": CELLS[10], "object_list": ["bed", "chair"]}
    ]
    (line,) = exported(tmp_path, "--maps", str(made), "--grid", "20")
    assert line["cognitive_map"] == CELLS[20]


def test_a_benchmarks_maps_are_in_a_file_of_their_own(made, tmp_path):
    (line,) = exported(tmp_path, "--maps", str(made), "--split", "val")
    assert line["video_id"] == "scene0011_00"
    with pytest.raises(SystemExit):
        exported(tmp_path, "--maps", str(made), "--split", "test")


def test_export_wants_either_a_run_or_maps(made, tmp_path, capsys):
    for arguments in ([], ["results/runs/ocr", "--maps", str(made)]):
        with pytest.raises(SystemExit):
            exported(tmp_path, *arguments)
        assert "give RUN or --maps" in capsys.readouterr().err


cells = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)).map(list), min_size=1, max_size=4)
maps = st.dictionaries(st.text(min_size=1, max_size=9), cells, max_size=5)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(maps, max_size=4))
def test_lines_hold_the_maps_whatever_the_categories_are_called(some):
    rows: list[Any] = [
        {"scene_id": f"s{i}", "cells": [{"category": name, "cells": found} for name, found in one.items()]}
        for i, one in enumerate(some)
    ]
    lines = spacer_lines(reversed(rows)).split("\n")
    assert lines.pop() == ""
    assert [json.loads(line) for line in lines] == [
        {"video_id": f"s{i}", "cognitive_map": one, "object_list": list(one)} for i, one in enumerate(some)
    ]
