"""Cognitive maps as they are drawn in the viewer and in the report, where the tables exist and nowhere else."""

from __future__ import annotations

import re
from typing import Any

import pytest

from report.page_study import CONFIG, build, files_of
from report.view_rows import LINEAGE, SCENE, shown, write
from rollout3d import tables
from rollout3d.report.drawn_map import Cell, draw, drawn_maps
from rollout3d.report.page import render as render_page
from rollout3d.report.study import collect
from rollout3d.report.view import render

CELLS = {"bed": [[0, 0]], "chair": [[9, 9], [9, 9], [0, 0]], '<tv onload="x">': [[4, 7]]}


def row(scene: str | None = SCENE, grid: int = 10, cells: Any = None) -> Any:
    return {
        "scene_id": scene,
        "space_id": scene,
        "dataset": "scannet",
        "split": "train",
        "grid": grid,
        "border": [0.0, 0.0, 4.0, 4.0],
        "cells": [{"category": name, "cells": found} for name, found in (cells or CELLS).items()],
    }


def test_columns_go_right_and_rows_go_up():
    drawn = draw(row())
    # 0.9 of a cell for three characters of 0.58 of their height; 0.6 is the largest.
    assert drawn.cells == (Cell(0.5, 9.5, "1 2", 0.517), Cell(4.5, 2.5, "3", 0.6), Cell(9.5, 0.5, "2×2", 0.517))
    assert drawn.legend == ((1, "bed", 1), (2, "chair", 3), (3, '<tv onload="x">', 1))
    assert drawn.lines.count("V10") == drawn.lines.count("H10") == 9


def test_every_object_of_a_map_is_in_its_drawing():
    for grid in (5, 20):
        cells = {f"c{i}": [[i % grid, (3 * i) % grid], [0, 0]] for i in range(30)}
        drawn = draw(row(grid=grid, cells=cells))
        parts = [part.split("×") for cell in drawn.cells for part in cell.text.split(" ")]
        assert sum(int(part[1]) if len(part) > 1 else 1 for part in parts) == 60
        assert all(0 < cell.x < grid and 0 < cell.y < grid for cell in drawn.cells)


def test_maps_of_ten_cells_are_drawn(tmp_path):
    tables.write(tables.COGNITIVE_MAPS, tmp_path / "0.parquet", [row(grid=5), row(), row("other", 20)], LINEAGE)
    assert set(drawn_maps([tmp_path / "0.parquet"])) == {SCENE} and drawn_maps([]) == {}


def texts(page):
    """What the maps of a page show: the text of each cell, then the legend."""
    found = "".join(re.findall(r'<figure class="map">(.*?)</figure>', page, re.DOTALL))
    return re.findall(r"<text [^>]*>([^<]*)</text>", found), re.findall(r"<b>(\d+)</b> ([^<]*)</span>", found)


def test_viewer_draws_the_map_of_its_shard(tmp_path):
    shard = write(tmp_path / "scenes" / "scannet" / "0")
    assert texts(render(shown(shard))) == ([], []) and shown(shard).notes == []
    tables.write(tables.COGNITIVE_MAPS, tmp_path / "maps" / "scannet" / "0.parquet", [row()], LINEAGE)
    cells, legend = texts(render(shown(shard)))
    assert cells == ["1 2", "3", "2×2"]
    assert legend == [("1", "bed"), ("2", "chair (3)"), ("3", "&lt;tv onload=&#34;x&#34;&gt;")]


def test_viewer_says_that_a_scan_has_no_map_where_others_have_one(tmp_path):
    shard = write(tmp_path / "scenes" / "scannet" / "0")
    tables.write(tables.COGNITIVE_MAPS, tmp_path / "maps" / "scannet" / "0.parquet", [row("scene0007_01")], LINEAGE)
    view = shown(shard)
    assert view.drawn is None and "no cognitive map of this scan: 0_dropped.parquet" in view.notes[0]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return build(tmp_path_factory.mktemp("results"))


def test_report_draws_maps_beside_the_views_from_above(study, tmp_path):
    assert 'class="map"' not in render_page(collect(files_of(study), CONFIG))
    scenes = dict.fromkeys(each["scene_id"] for each in tables.read(tables.OCR_RL, study["train"]))
    tables.write(tables.COGNITIVE_MAPS, tmp_path / "0.parquet", [row(scene) for scene in scenes], LINEAGE)
    collected = collect(files_of(study, cognitive_maps=[str(tmp_path / "0.parquet")]), CONFIG)
    page = render_page(collected)
    assert page.count('class="map"') == len(collected.examples) + len(collected.samples) > 2
    assert texts(page)[0][:3] == ["1 2", "3", "2×2"]
