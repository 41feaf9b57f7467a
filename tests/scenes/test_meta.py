"""Published boxes as scene tables: the two spellings, counts against boxes, damaged files."""

import copy
import json
import re
import shlex

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rollout3d import tables
from rollout3d.config import Questions
from rollout3d.geometry.boxes import OrientedBox
from rollout3d.questions.generate import everything, questions_for_shard
from rollout3d.scenes.meta import MetaError, meta_files, read_meta
from rollout3d.stages import ingest_meta as stage
from rollout3d.stages import main as command_line

TURNED = {
    "centroid": [1.0, 2.0, 0.5],
    "axesLengths": [2.0, 1.0, 1.0],
    # The first row is the long axis: it points along +y.
    "normalizedAxes": [0.0, 1.0, 0.0, -1.0, 0.0, 0.0, 0.0, 0.0, 1.0],
    "min": [0.5, 1.0, 0.0],
    "max": [1.5, 3.0, 1.0],
}
SMALL = {"centroid": [0.0, 0.0, 1.0], "axesLengths": [0.2, 0.2, 0.2], "normalizedAxes": np.eye(3).ravel().tolist()}


def scene(**changes):
    return {
        "dataset": "scannet",
        "video_path": "data/scannet/scene0207_02.mp4",
        "room_size": 12.34,
        "room_center": [0.5, 0.5, 1.2],
        "object_counts": {"table": 1, "chair": 3, "printer": 1},
        "object_bbox": {"printer": [SMALL, SMALL], "table": [TURNED], "chair": [SMALL, TURNED]},
    } | changes


def written(path, content):
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_a_scene_as_vsi_bench_publishes_it(tmp_path):
    file = written(tmp_path / "scannet_meta_info_val.json", {"scene0207_02": scene()})
    found = read_meta(file)
    (row,) = found.scenes
    assert (row["scene_id"], row["space_id"], row["dataset"], row["split"]) == (
        *("scene0207_02", "scene0207", "scannet", "val"),
    )
    assert (row["room_size_m2"], row["room_center"], row["to_aligned"]) == (12.34, [0.5, 0.5, 1.2], None)
    # In the order of the counts, and theirs: three chairs, though two have boxes.
    assert [(c["category"], c["n"]) for c in row["object_counts"]] == [("table", 1), ("chair", 3), ("printer", 1)]
    assert row["flags"] == ["meta_only", "boxes_differ_from_count:chair", "copied_boxes:printer"]
    assert [(o["object_id"], o["category"]) for o in found.objects] == [
        *((0, "table"), (1, "chair"), (2, "chair"), (3, "printer")),
    ]
    table = found.objects[0]
    assert (table["aabb_min"], table["aabb_max"]) == (TURNED["min"], TURNED["max"])
    assert np.allclose(OrientedBox.from_row(table).aabb(), (TURNED["min"], TURNED["max"]))


def test_vlm_3rs_spelling_keeps_its_instance_ids(tmp_path):
    boxes = {"chair": [SMALL | {"instance_id": 7}, TURNED | {"instance_id": 3}]}
    content = scene(dataset="ScanNet++", object_counts={"chair": 2}, object_bboxes=boxes)
    del content["object_bbox"]
    found = read_meta(written(tmp_path / "scannetpp_meta_info_train.json", {"0a1b": content}))
    assert [o["object_id"] for o in found.objects] == [7, 3]
    assert (found.scenes[0]["dataset"], found.scenes[0]["split"], found.scenes[0]["space_id"]) == (
        *("scannetpp", "train", "0a1b"),
    )


def test_ids_that_repeat_are_replaced(tmp_path):
    boxes = {"chair": [SMALL | {"instance_id": 3}, TURNED | {"instance_id": 3}]}
    content = scene(object_counts={"chair": 2}, object_bbox=boxes)
    found = read_meta(written(tmp_path / "scannet_meta_info_val.json", {"s": content}))
    assert [o["object_id"] for o in found.objects] == [0, 1]


def test_equal_boxes_stay_where_the_count_wants_them(tmp_path):
    content = scene(object_counts={"chair": 2}, object_bbox={"chair": [SMALL, SMALL]})
    found = read_meta(written(tmp_path / "scannet_meta_info_val.json", {"s": content}))
    assert len(found.objects) == 2 and found.scenes[0]["flags"] == ["meta_only"]


def test_a_box_that_does_not_fill_its_stated_extent_is_flagged(tmp_path):
    # Axes read as columns: the long side would lie along x.
    content = scene(
        object_counts={"table": 1},
        object_bbox={"table": [TURNED | {"normalizedAxes": np.eye(3).ravel().tolist()}]},
    )
    found = read_meta(written(tmp_path / "scannet_meta_info_val.json", {"s": content}))
    assert "min_max_differ_from_box:table" in found.scenes[0]["flags"]


def test_directories_and_files_are_read_once(tmp_path):
    a = written(tmp_path / "scannet_meta_info_val.json", {"s": scene()})
    b = written(tmp_path / "arkitscenes_meta_info_val.json", {"41069025": scene(dataset="arkitscenes")})
    written(tmp_path / "notes.json", "[]")
    assert meta_files([tmp_path, a]) == [b, a]
    found = read_meta([tmp_path, a])
    assert [(s["scene_id"], s["dataset"]) for s in found.scenes] == [("41069025", "arkitscenes"), ("s", "scannet")]
    assert "no_visit_id" in found.scenes[0]["flags"]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("scannet_meta_info_val.json", '{"scene0207_02": {"object_cou', "not valid JSON"),
        ("scannet_meta_info_val.json", "", "not valid JSON"),
        ("scannet_meta_info_val.json", "\x00\xff", "not valid JSON|invalid start byte|decode"),
        ("scannet_meta_info_val.json", "[" * 100_000, "nested too deeply|not valid JSON|recursion"),
        ("scannet_meta_info_val.json", {}, "is empty"),
        ("scannet_meta_info_val.json", [scene()], "not a list"),
        ("test.json", {"id": 3}, "no entry has object_counts"),
        ("x.json", {"s": scene(dataset="nyu")}, "dataset 'nyu' is none of"),
    ],
)
def test_a_file_that_is_no_metadata_is_refused_by_name_with_a_remedy(tmp_path, name, content, says):
    file = written(tmp_path / name, content)
    with pytest.raises(MetaError, match=says) as error:
        read_meta(file)
    assert str(file) in str(error.value) and "download" in str(error.value)


def test_missing_paths_and_empty_directories_are_named(tmp_path):
    for path, says in ((tmp_path / "none.json", "no such file"), (tmp_path, r"holds no \*_meta_info_")):
        with pytest.raises(MetaError, match=says) as error:
            read_meta(path)
        assert str(path) in str(error.value)


def test_a_scene_in_two_files_is_refused(tmp_path):
    for name in ("a_meta_info_val.json", "b_meta_info_val.json"):
        written(tmp_path / name, {"s": scene()})
    with pytest.raises(MetaError, match=r"scene s is in .*a_meta_info.* and in .*b_meta_info"):
        read_meta(tmp_path)


def broken(**changes):
    return scene(object_counts={"table": 1}, object_bbox={"table": [TURNED | changes]})


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("text", "a str where a scene"),
        (scene(object_counts=None), "lacks object_counts"),
        (scene(object_counts={"table": "1"}), "object_counts of 'table' is '1'"),
        (scene(object_counts={"table": -1}), "is -1"),
        (scene(object_counts={"table": 1.5}), "is 1.5"),
        (scene(object_counts={"table": 2**40}), "not a number of objects"),
        (scene(object_counts={"ta\ud800ble": 1}), "no name of a category"),
        (scene(object_counts={" ": 1}), "no name of a category"),
        (scene(room_size=-3), "room_size -3"),
        (scene(room_size=float("nan")), "room_size nan"),
        (scene(room_size="12"), "room_size '12'"),
        (scene(room_center=[1, 2]), "room_center"),
        (scene(object_bbox=None), "lacks object_bbox"),
        (scene(object_bbox={"table": TURNED}), "lacks object_bbox"),
        (scene(object_bbox={"table": [None]}), "box 0 of 'table'"),
        (broken(centroid=[1.0, float("nan"), 0.0]), "finite"),
        (broken(centroid=[1.0]), "box 0 of 'table'"),
        (broken(centroid=[1e300, 0.0, 0.0]), "no object's in a room"),
        (broken(axesLengths=[1.0, -1.0, 1.0]), "negative side"),
        (broken(axesLengths=[1e6, 1e6, 1e6]), "no object's in a room"),
        (broken(normalizedAxes=[1.0] * 9), "not orthonormal"),
        (broken(normalizedAxes="axes"), "box 0 of 'table'"),
        (broken(min=[0.0, 0.0]), "box 0 of 'table'"),
        ({**broken(), "object_bbox": {"table": [{"centroid": [0, 0, 0]}]}}, "lacks 'normalizedAxes'"),
    ],
)
def test_a_damaged_scene_is_dropped_with_its_file_and_reason(tmp_path, content, says):
    good = {f"good{k}": scene() for k in range(3)}
    file = written(tmp_path / "scannet_meta_info_val.json", {**good, "bad": content})
    found = read_meta(file)
    assert [s["scene_id"] for s in found.scenes] == list(good)
    (dropped,) = found.dropped
    assert (dropped["scene_id"], dropped["file"]) == ("bad", file.name) and says in dropped["reason"]


def test_a_flat_box_gets_a_thickness(tmp_path):
    content = scene(object_counts={"table": 1}, object_bbox={"table": [SMALL | {"axesLengths": [0.5, 0.0, 0.5]}]})
    found = read_meta(written(tmp_path / "scannet_meta_info_val.json", {"s": content}))
    assert found.objects[0]["axes_lengths"] == [0.5, 0.001, 0.5]
    assert found.scenes[0]["flags"] == ["meta_only", "flat_box:table"]


def nodes(value, path=()):
    """Paths to all values within nested lists and objects."""
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in inner:
        yield from nodes(child, (*path, key))


PLACES = list(nodes(scene()))[1:]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.sampled_from(PLACES), value=JSON)
def test_whatever_stands_in_one_place_the_scene_is_read_or_dropped(tmp_path, place, value):
    content = copy.deepcopy(scene())
    inner = content
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    found = read_meta(written(tmp_path / "scannet_meta_info_val.json", {"s": content, "good": scene()}))
    assert len(found.scenes) + len(found.dropped) == 2
    for table, rows in ((tables.SCENES, found.scenes), (tables.OBJECTS, found.objects)):
        tables.build(table, rows)
    list(questions_for_shard(found.scenes, found.objects, None, None, everything(Questions()), 0))


def damaged(path, n_bad, n_good):
    content = {f"bad{k}": broken(centroid=[]) for k in range(n_bad)} | {f"good{k}": scene() for k in range(n_good)}
    return written(path / "scannet_meta_info_val.json", content)


def test_too_many_damaged_scenes_stop_the_reading_as_they_stop_a_shard(tmp_path):
    # Binomial, share 0.05: of 12 scenes three or more are damaged in 2.0 of a hundred samples, four or more in 0.2.
    assert len(read_meta(damaged(tmp_path, 3, 9)).scenes) == 9
    file = damaged(tmp_path, 4, 8)
    with pytest.raises(MetaError, match=r"4 of 12 scenes cannot be read(.|\n)*bad0: box 0 of 'table'"):
        read_meta(file)
    assert len(read_meta(file, max_drop_share=0.2).scenes) == 8
    with pytest.raises(MetaError, match="1 of 100 scenes cannot be read"):
        read_meta(damaged(tmp_path, 1, 99), max_drop_share=0.0)


def test_the_remedy_is_a_command_that_works(tmp_path, capsys):
    file, out = damaged(tmp_path, 4, 8), tmp_path / "out"
    arguments = ["--meta", str(file), "--out", str(out)]
    with pytest.raises(SystemExit):
        stage.main(arguments)
    said = capsys.readouterr().err
    assert not out.exists()
    (remedy,) = re.findall("continue without them: add (--config .*)", said)
    stage.main([*arguments, *shlex.split(remedy)])
    assert len(tables.read(tables.SCENES, out / "scenes.parquet")) == 8
    with pytest.raises(MetaError) as none_left:
        read_meta(damaged(tmp_path, 2, 0), max_drop_share=1.0)
    assert "download" in str(none_left.value) and "--config" not in str(none_left.value)


def test_the_stage_names_a_place_that_it_cannot_write_to(tmp_path, capsys):
    file = written(tmp_path / "scannet_meta_info_val.json", {"s": scene()})
    with pytest.raises(SystemExit) as ended:
        stage.main(["--meta", str(file), "--out", str(file / "o")])
    assert ended.value.code == 1
    assert f"error: {file / 'o' / 'scenes.parquet'}: its folder cannot be made" in capsys.readouterr().err


def test_the_stage_writes_the_tables(tmp_path, monkeypatch, capsys):
    content = {"s1": scene(), "s2": copy.deepcopy(scene(room_size=None)), "bad": 5}
    written(tmp_path / "scannet_meta_info_val.json", content)
    monkeypatch.setattr("sys.argv", ["rollout3d", "ingest-meta", "--meta", str(tmp_path), "--out", str(tmp_path / "o")])
    command_line()
    scenes = tables.read(tables.SCENES, tmp_path / "o" / "scenes.parquet")
    assert [(s["scene_id"], s["room_size_m2"]) for s in scenes] == [("s1", 12.34), ("s2", None)]
    assert scenes[1]["flags"][:2] == ["meta_only", "no_room_size"]
    assert len(tables.read(tables.OBJECTS, tmp_path / "o" / "objects.parquet")) == 8
    assert [d["scene_id"] for d in tables.read(tables.SCENES_DROPPED, tmp_path / "o" / "scenes_dropped.parquet")] == [
        "bad"
    ]
    with pytest.raises(SystemExit):
        stage.main(["--meta", str(tmp_path / "absent"), "--out", str(tmp_path / "p")])
    assert "absent: no such file" in capsys.readouterr().err and not (tmp_path / "p").exists()


VSI_590K = {
    "scannet_train_meta_info-20250130.json": ("scene0191_00", "scannet", "scannet", "train"),
    "arkitscenes_train_coreset_anno_filtered_20250305.json": ("40777060", "arkitscenes", "arkitscenes", "train"),
    # No split in its name: held out, unless the file is renamed.
    "scannetpp_v2_coreset_anno_filtered_20250304.json": ("39f36da05b", "scannetpp_v2", "scannetpp", "val"),
}


def test_the_files_of_vsi_590k_are_read_from_their_folder(tmp_path):
    """Names and keys as public descriptions of nyu-visionx/VSI-590K-MetaInfo have them; the boxes are made up."""
    for name, (scan, stated, _, _) in VSI_590K.items():
        content = scene(dataset=stated)
        if stated == "scannet":
            content.pop("room_center")
        written(tmp_path / name, {scan: content})
    written(tmp_path / "qa_obj_appearance_order_test_0418.json", [{"question": "no boxes"}])
    found = read_meta(tmp_path)
    assert found.dropped == [] and {file.name for file in found.files} == set(VSI_590K)
    rows = {(row["scene_id"], row["dataset"], row["split"]) for row in found.scenes}
    assert rows == {(scan, dataset, split) for scan, _, dataset, split in VSI_590K.values()}


@pytest.mark.parametrize("stated", ["scannetpp_v2", "scannetppv2", "ScanNet++ v2", "scannetpp"])
def test_the_version_of_a_dataset_is_no_part_of_its_name(tmp_path, stated):
    found = read_meta(written(tmp_path / "boxes.json", {"39f36da05b": scene(dataset=stated)}))
    assert found.scenes[0]["dataset"] == "scannetpp"
