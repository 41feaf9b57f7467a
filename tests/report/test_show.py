"""`rollout3d show`: any table as text or CSV, and `rollout3d view --glb`: a room for other viewers."""

import csv

import numpy as np
import pytest
import trimesh

from report.page_study import build
from report.view_rows import OBJECTS, SCENE, write
from rollout3d import tables
from rollout3d.geometry.boxes import OrientedBox
from rollout3d.report import show
from rollout3d.stages import show as stage
from rollout3d.stages import view as view_stage


@pytest.fixture(scope="module")
def train(tmp_path_factory):
    return build(tmp_path_factory.mktemp("study"))["train"]


def test_columns_are_explained_and_rows_printed(train, capsys):
    stage.main([train, "--rows", "2"])
    out = capsys.readouterr().out
    assert f"table ocr_rl, version {tables.OCR_RL.version}, 6 rows" in out
    assert all(each.metadata[b"meaning"].decode() in out for each in tables.OCR_RL.schema)
    assert "2 of 6 rows:" in out


def test_a_condition_chooses_rows_for_a_csv_file(train, tmp_path):
    rows = tables.read(tables.OCR_RL, train)
    name, out = rows[0]["question_type"], tmp_path / "t.csv"
    stage.main([train, "--where", f"question_type == '{name}'", "--columns", "question_id", "--out", str(out)])
    with open(out, newline="") as file:
        found = list(csv.reader(file))
    assert found == [["question_id"], *([row["question_id"]] for row in rows if row["question_type"] == name)]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(("--columns", "colour"), "no column colour"), (("--where", "nothing > 1"), "write it as")],
)
def test_what_cannot_be_shown_is_one_sentence(train, capsys, arguments, said):
    with pytest.raises(SystemExit):
        stage.main([train, *arguments])
    assert said in capsys.readouterr().err


def test_pictures_are_named_by_their_size():
    assert show._plain([{"bytes": b"123", "path": "a"}]) == [{"bytes": "<3 bytes>", "path": "a"}]


def test_a_room_opens_in_other_viewers(tmp_path, capsys):
    shard = write(tmp_path / "scenes" / "scannet" / "0")
    out = tmp_path / "room.glb"
    view_stage.main([SCENE, "--tables", str(shard), "--glb", str(out)])
    assert f"{len(OBJECTS)} boxes" in capsys.readouterr().out
    room = trimesh.load_scene(out)
    corners = OrientedBox.from_row(OBJECTS[0]).corners()
    found = next(part for part in room.dump() if np.allclose(part.bounds, [corners.min(0), corners.max(0)], atol=1e-4))
    assert np.allclose(found.extents, np.ptp(corners, axis=0), atol=1e-4)
    assert any(isinstance(part, trimesh.PointCloud) for part in room.geometry.values())
