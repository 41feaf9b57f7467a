"""Published boxes beyond what a room holds, and keys, ids and texts that no table holds."""

import codecs
import json

import numpy as np
import pytest

from rollout3d import tables
from rollout3d.scenes.meta import MetaError, read_meta
from scenes.test_meta import SMALL, TURNED, scene, written

NAME = "scannet_meta_info_val.json"


def read(tmp_path, content, scene_id="bad"):
    """The file read with three sound scenes beside the one in question."""
    return read_meta(written(tmp_path / NAME, {f"good{k}": scene() for k in range(3)} | {scene_id: content}))


def boxes(*found):
    return scene(object_counts={"chair": len(found)}, object_bbox={"chair": list(found)}, room_center=None)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (boxes(SMALL, SMALL | {"centroid": [500, 0, 1]}), "250.0 m from its middle"),
        (boxes(SMALL, TURNED, SMALL | {"centroid": [500, 0, 1]}), "a centre at [500.0, 0.0, 1.0] m is in no room with"),
        (boxes(SMALL) | {"room_center": [0, 90, 0]}, "90.0 m from its middle"),
        (boxes(SMALL | {"axesLengths": [60, 1, 1]}), "no object's in a room"),
        (boxes(SMALL | {"axesLengths": [20, 20, 20]}), "no object's in a room"),
        (boxes(SMALL | {"axesLengths": [0, 0, 0]}), "without extent"),
        (boxes(SMALL | {"min": [-0.1, -0.1, 0.9], "max": [800, 0.1, 1.1]}), "sides of [800.1, 0.2, 0.2] m are no"),
        (boxes(SMALL | {"min": [500, 0, 0], "max": [501, 1, 1]}), "sides of [501.1, 1.1, 1.1] m are no object's"),
        (boxes(SMALL | {"min": [1, 1, 1], "max": [0, 0, 0]}), "min below max"),
        (boxes(SMALL | {"min": [0, 0, float("nan")], "max": [1, 1, 1]}), "finite"),
        (scene(room_size=1e5), "no area of a room"),
        (scene(room_size=True), "no area"),
        (scene(object_counts={"ta\0ble": 1}), "no name of a category"),
        (scene(object_counts={" table": 1}), "no name of a category"),
        (scene(object_counts={"t" * 201: 1}), "no name of a category"),
        (scene(object_counts={"table": True}), "not a number of objects"),
    ],
)
def test_a_scene_that_no_room_holds_is_dropped_with_its_reason(tmp_path, content, says):
    found = read(tmp_path, content)
    (dropped,) = found.dropped
    assert dropped["scene_id"] == "bad" and says in dropped["reason"]


@pytest.mark.parametrize("scene_id", ["../other", "a/b", "", " ", "a\0", "a\n", "\ud800"])
def test_a_scene_id_that_leads_elsewhere_is_dropped(tmp_path, scene_id, caplog):
    (dropped,) = read(tmp_path, scene(), scene_id).dropped
    assert "is no name of a scene" in dropped["reason"]
    tables.write(tables.SCENES_DROPPED, tmp_path / "dropped.parquet", [dropped], tables.Lineage("test"))
    assert caplog.text.encode().count(b"\n") == 1


@pytest.mark.parametrize("ids", [(1, 1), (1, "1e3"), (1, 2**63), (1, -1), (1, True), (1, 1.5), (1, None), (None, 7)])
def test_ids_that_cannot_serve_are_numbered_and_flagged(tmp_path, ids):
    content = boxes(SMALL | {"instance_id": ids[0]}, TURNED | {"instance_id": ids[1]})
    found = read_meta(written(tmp_path / NAME, {"s": content}))
    assert [row["object_id"] for row in found.objects] == [0, 1]
    assert "renumbered_objects" in found.scenes[0]["flags"]


def test_ids_of_64_bits_are_kept(tmp_path):
    content = boxes(SMALL | {"instance_id": 2**63 - 1}, TURNED | {"instance_id": 5.0})
    found = read_meta(written(tmp_path / NAME, {"s": content}))
    assert [row["object_id"] for row in found.objects] == [2**63 - 1, 5]
    assert "renumbered_objects" not in found.scenes[0]["flags"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be", "latin-1"])
def test_metadata_in_any_encoding_is_the_same(tmp_path, encoding):
    content = {"s": scene(object_counts={"café": 1}, object_bbox={"café": [SMALL]})}
    plain = read_meta(written(tmp_path / NAME, content))
    path = tmp_path / "other" / NAME
    path.parent.mkdir()
    path.write_bytes(json.dumps(content, ensure_ascii=False).encode(encoding))
    assert read_meta(path).objects == plain.objects and plain.objects[0]["category"] == "café"


def test_a_scene_that_one_file_holds_twice_is_refused(tmp_path):
    one, other = json.dumps(scene()), json.dumps(scene(room_size=99.0))
    path = written(tmp_path / NAME, f'{{"s": {one}, "s": {other}}}')
    with pytest.raises(MetaError, match="two values for the key 's'"):
        read_meta(path)


def test_a_mark_of_another_encoding_before_damage_is_named(tmp_path):
    path = tmp_path / NAME
    path.write_bytes(codecs.BOM_UTF16_LE + b"\x00\xd8" * 3)
    with pytest.raises(MetaError, match="cannot be decoded as UTF-16"):
        read_meta(path)


def test_a_corridor_is_a_room(tmp_path):
    far = [SMALL | {"centroid": [x, 0, 1]} for x in np.linspace(-40, 40, 5)]
    found = read(tmp_path, boxes(*far))
    assert found.dropped == [] and len(found.objects) == 5 + 3 * 4
