"""The viewer's page: what it holds, how large it gets, what it says is missing."""

from __future__ import annotations

import hashlib
import re

import numpy as np
import pytest

from report.view_rows import OBJECTS, SCENE, box, region_rows, shown, write
from rollout3d.geometry.masks import rle_encode
from rollout3d.report.view import ASSETS, ViewError, _object, locate, render, shards
from rollout3d.stages import view as stage


@pytest.fixture(scope="module")
def shard(tmp_path_factory):
    return write(tmp_path_factory.mktemp("results") / "scenes" / "scannet" / "0")


def test_unknown_scene_is_answered_with_ids_like_it(shard):
    with pytest.raises(ViewError, match=r"no scene 'scene0007' among 3: did you mean scene0007_00, scene0007_01\?"):
        locate("scene0007", shards(shard.parents[2]))
    with pytest.raises(ViewError, match=r"did you mean scene0140_00"):
        locate("scene0104_00", [shard])
    with pytest.raises(ViewError, match=r"there are scene0007_00, scene0007_01, scene0140_00$"):
        locate("47331000", [shard])
    with pytest.raises(ViewError, match=r"lies in several folders.*--tables"):
        locate(SCENE, [shard, shard])


def test_directory_without_scene_tables_is_named(tmp_path):
    with pytest.raises(ViewError, match=r"nowhere: no scene tables.*--results.*--tables"):
        shards(tmp_path / "nowhere")


def test_everything_of_the_tables_is_in_the_page(shard):
    view = shown(shard)
    assert view.notes == []
    assert [one["id"] for one in view.objects] == [1, 2, 4, 9, 12]
    assert view.objects[0]["first_seen_s"] == 0.5 and view.objects[1]["first_seen_s"] is None
    # A 45 degree corner by hand: half the diagonal of 0.5 x 0.5 beside the centre.
    turned = box(5, "x", None, (1, 2, 3), (0.5, 0.5, 1), np.pi / 4)
    view_of = np.array(_object(turned, [])["obb"])
    assert view_of[:, 0].max() == pytest.approx(1 + np.sqrt(0.125), abs=1e-4)
    assert np.allclose(sorted(set(view_of[:, 2])), (2.5, 3.5))
    assert [frame["pose"] is None for frame in view.frames] == [False, False, True, *[False] * 5]
    assert {mode: sorted(masks) for mode, masks in view.regions.items()} == {
        "aabb_none": ["0", "20", "30"],
        "instance_depth": ["0", "20", "30"],
    }
    assert [mask[:2] for mask in view.regions["aabb_none"]["0"]] == [[9, 24 * 112], [1, 2000], [2, 400]]
    assert view.floor == pytest.approx(0) and view.bounds[0][:2] == [0, 0] and view.bounds[1][:2] == [4, 4]


def test_same_tables_give_the_same_page(shard):
    assert render(shown(shard)) == render(shown(shard))


@pytest.mark.parametrize(
    "absent, says",
    [
        ("regions", "no regions table"),
        ("frames", "no frames table"),
        ("maps", "no maps table"),
        ("objects", "no objects table"),
    ],
)
def test_missing_table_is_said_and_the_rest_is_shown(tmp_path, absent, says):
    names = ("regions_aabb_none", "regions_instance_depth") if absent == "regions" else (absent,)
    view = shown(write(tmp_path, **dict.fromkeys(names)))
    assert any(says in note for note in view.notes), view.notes
    there = {"objects": view.objects, "frames": view.frames, "maps": view.points, "regions": view.regions}
    assert not there.pop(absent)
    others = [value for name, value in there.items() if name != "regions"]
    assert all(others) and SCENE in render(view)


def test_masks_that_fit_nothing_are_counted_and_left_out(tmp_path):
    rows = region_rows()
    rows[0] = rows[0] | {"mask": rle_encode(np.ones((3, 3), bool))}
    rows[1] = rows[1] | {"object_id": 77}
    rows[2] = rows[2] | {"frame_index": 3}
    rows[3] = rows[3] | {"mask": b"abc"}
    view = shown(write(tmp_path, regions_aabb_none=rows))
    assert view.notes == ["regions.aabb_none.parquet: 4 masks fit no frame or object of this scan and are left out."]
    assert sum(map(len, view.regions["aabb_none"].values())) == len(rows) - 4


def test_box_that_is_none_is_shown_by_its_aabb(tmp_path):
    bad = OBJECTS[0] | {"normalized_axes": [float("nan")] * 9}
    view = shown(write(tmp_path, objects=[bad, *OBJECTS[1:]]))
    assert len(view.objects) == len(OBJECTS) and view.objects[0]["obb"] == view.objects[0]["aabb"]
    assert "Its axis-aligned box is shown instead" in view.notes[0]


def test_page_keeps_its_limit_and_frames_with_regions_go_first(shard):
    whole = shown(shard)
    size = len(render(whole).encode())
    picture = len(whole.frames[0]["jpeg"])
    small = shown(shard, max_mb=(size - 3.5 * picture) / 1e6)
    kept = [frame["index"] for frame in small.frames if frame["jpeg"]]
    assert len(kept) == 4 and {0, 20, 30} < set(kept) and sorted(small.regions["aabb_none"]) == ["0", "20", "30"]
    assert len(render(small).encode()) <= size - 3.5 * picture
    assert len(small.frames) == len(whole.frames) and "4 of 8 frames" in small.notes[0]
    tiny = shown(shard, max_mb=(size - 6.5 * picture) / 1e6)
    assert [frame["index"] for frame in tiny.frames if frame["jpeg"]] == [0] and list(tiny.regions["aabb_none"]) == [
        "0"
    ]
    with pytest.raises(ViewError, match=r"without any frame: --max-mb must be more"):
        shown(shard, max_mb=0.5)


def test_library_is_the_published_one_and_its_licence_is_there():
    folder = ASSETS / "three"
    listed = dict(re.findall(r"^\| ([\w.]+) \|.*\| (\w{64}) \|$", (folder / "README.md").read_text(), re.M))
    assert set(listed) == {path.name for path in folder.glob("*.js")}
    for name, digest in listed.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest, name
    assert "MIT License" in (folder / "LICENSE").read_text()


def test_stage_writes_the_page_and_says_what_was_wrong(shard, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    stage.main([SCENE, "--results", str(shard.parents[2])])
    assert "5 objects, 8 frames" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == [f"{SCENE}.html"]
    stage.main([SCENE, "--tables", str(shard), "--out", "deep/page.html"])
    assert (tmp_path / "deep/page.html").read_bytes() == (tmp_path / f"{SCENE}.html").read_bytes()
    with pytest.raises(SystemExit):
        stage.main(["scene0007_02", "--tables", str(shard)])
    assert "did you mean scene0007_01" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        stage.main([SCENE, "--tables", str(tmp_path)])
    assert "scenes.parquet: no such file" in capsys.readouterr().err
