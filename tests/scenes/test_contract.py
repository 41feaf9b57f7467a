"""What every reader demands of a release, value by value: lists, tables, names, ids, labels and boxes."""

import re

import numpy as np
import pytest

from rollout3d.geometry.boxes import OrientedBox
from rollout3d.releases import MissingData
from rollout3d.scenes import contract, lists
from rollout3d.scenes.contract import Refused, accept
from rollout3d.scenes.reading import ScanError
from rollout3d.scenes.scan import Annotated, Room

HOW = "ask for it"


def written(folder, **texts):
    for split, text in texts.items():
        (folder / f"{split}.txt").write_bytes(text if isinstance(text, bytes) else text.encode())
    return {split: folder / f"{split}.txt" for split in ("train", "val", "test")}


# --- split lists -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "scene0000_00\nscene0001_00\n",
        "scene0000_00\nscene0001_00",
        "scene0000_00\r\nscene0001_00\r\n",
        "scene0000_00\rscene0001_00",
        "  scene0000_00  \t\n\n\n scene0001_00\t\n\n",
        "# scans of the first floor\nscene0000_00 # the kitchen\n#scene0009_00\nscene0001_00\n",
        "\ufeffscene0000_00\nscene0001_00\n",
        "scene0000_00\nscene0001_00\n".encode("utf-16"),
        "scene0000_00 scene0001_00",
    ],
)
def test_a_list_is_read_however_it_was_saved(tmp_path, text):
    found = lists.read_splits(written(tmp_path, train=text), ["train"], HOW)
    assert found == [("train", "scene0000_00"), ("train", "scene0001_00")]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "names no scan"),
        ("\n # nothing yet\n\r\n", "names no scan"),
        ("a\nb\na\n", "names a twice, in lines 1 and 3"),
        ("a a", "names a twice, in lines 1 and 1"),
        ("a\n../b\n", r"line 2: '\.\./b' is no name of a scan"),
        ("scans/scene0000_00\n", "line 1: 'scans/scene0000_00' is no name"),
        ("scene0000_00/\n", "line 1: 'scene0000_00/' is no name"),
        ("/etc/passwd\n", "line 1"),
        ("..\n", "line 1"),
        ("a\\b\n", "line 1"),
        ("a,b\n", "line 1"),
        ("scene0000\0\n", "zero byte"),
        ("x" * 101, "line 1"),
        (b"\x81\x8d\n", "neither UTF-8"),
    ],
)
def test_a_list_that_is_none_is_named_with_its_line(tmp_path, text, says):
    with pytest.raises(MissingData, match=says) as caught:
        lists.read_splits(written(tmp_path, train=text), ["train"], HOW)
    assert str(tmp_path / "train.txt") in str(caught.value)


def test_a_scan_in_two_lists_is_refused_even_if_one_of_them_is_not_wanted(tmp_path):
    places = written(tmp_path, train="a\nb\n", val="c\nb\n")
    for wanted in (["train", "val"], ["val", "train"], ["train"]):
        with pytest.raises(MissingData, match=r"train\.txt.*val\.txt.*share 1 scans, such as b \(line 2, line 2\)|val"):
            lists.read_splits(places, wanted, HOW)


def test_lists_that_nobody_wants_may_be_absent_or_empty(tmp_path):
    assert lists.read_splits(written(tmp_path, train="a", val=""), ["train"], HOW) == [("train", "a")]
    with pytest.raises(MissingData, match=rf"no split file .*test\.txt; {HOW}"):
        lists.read_splits(written(tmp_path, train="a", val="b"), ["test"], HOW)


# --- tables ----------------------------------------------------------------------------------------------------------


def test_a_table_gives_its_cells_as_text(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes('\ufeffid, name\r\n1.0," a, b "\r\n2\r\n,\r\n'.encode())
    assert lists.read_table(path, ("id", "name")) == [{"id": "1.0", "name": "a, b"}, {"id": "2", "name": ""}]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "has no column id, only nothing"),
        ("id,name\n", "without rows"),
        ("id,name\n\n , \n", "without rows"),
        ("name\nx\n", "has no column id, only name"),
        ("id\n" + '"' + "x" * 200_000, "no readable table"),
    ],
)
def test_a_table_without_content_is_refused_by_name(tmp_path, text, says):
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(MissingData, match=says) as caught:
        lists.read_table(path, ("id",))
    assert str(path) in str(caught.value) and "download it again" in str(caught.value)


# --- names, ids, labels ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["DSC00001.JPG", "frame 1.png", "été.png", "..x.png"])
def test_a_plain_file_name_passes(name):
    assert lists.file_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "../x.png",
        "a/b.png",
        "/x.png",
        "a\\b.png",
        "C:x.png",
        ".",
        "..",
        "",
        " ",
        "a\0.png",
        "a\n.png",
        "\ud800",
        3,
        None,
        "x" * 256,
    ],
)
def test_a_name_that_leads_out_of_its_folder_is_refused(name):
    with pytest.raises(ValueError, match=r"no name of a file|leads out of its folder"):
        lists.file_name(name)


@pytest.mark.parametrize(("value", "found"), [(0, 0), (7, 7), (2**63 - 1, 2**63 - 1), (3.0, 3)])
def test_an_object_id_is_a_whole_number(value, found):
    assert contract.object_id(value) == found and type(contract.object_id(value)) is int


@pytest.mark.parametrize(
    "value",
    [-1, 2**63, True, False, 1.5, float("nan"), float("inf"), 2.0**60, "1e3", "7", "", None, [1], {}],
    ids=repr,
)
def test_what_is_no_object_id_is_refused(value):
    with pytest.raises(ValueError, match="object id"):
        contract.object_id(value)


@pytest.mark.parametrize(
    ("value", "found"),
    [("chair", "chair"), (" office  chair\n", "office chair"), ("tv\nstand", "tv stand"), ("été", "été"), ("", "")],
)
def test_a_label_is_stored_with_single_blanks(value, found):
    assert contract.label_text(value) == found


@pytest.mark.parametrize("value", ["a\0b", "\ud800", "a\x07", "x" * 201, 5, None, True, ["a"]], ids=repr)
def test_a_label_that_no_table_holds_is_refused(value):
    with pytest.raises(ValueError, match="label"):
        contract.label_text(value)


# --- objects and boxes -----------------------------------------------------------------------------------------------

VERTICES = np.array([[0, 0, 0], [4, 3, 2.5]], float)
PLAIN = {"axesLengths": [1, 1, 1], "normalizedAxes": np.eye(3).ravel().tolist()}


def item(object_id=0, label="chair", centroid=(1, 1, 1), sides=(1, 1, 1), category="chair"):
    box = OrientedBox(np.array(centroid), np.array(sides), np.eye(3))
    return Annotated(object_id, label, category, True, lambda: box, *box.aabb(), 5, np.arange(1))


def sound(n):
    return [item(100 + k) for k in range(n)]


@pytest.mark.parametrize(
    ("centroid", "sides", "why"),
    [
        ((500, 0, 0), (1, 1, 1), "reaches 496.5 m out of the mesh"),
        ((1, 1, -3), (1, 1, 1), "reaches 3.5 m out of the mesh"),
        ((2, 1.5, 1), (60, 1, 1), "reaches 28.0 m out of the mesh"),
        ((1, 1, 1), (1e200, 1, 1), "out of the mesh"),
    ],
)
def test_a_box_that_cannot_be_the_rooms_leaves_and_is_named(centroid, sides, why):
    found = accept("a.json", [item(7, "my chair", centroid, sides), *sound(2)], VERTICES)
    assert [o.object_id for o in found.objects] == [100, 101] and found.unboxed == ["chair"]
    assert found.flags[0] == "refused_boxes:1" and found.flags[1].startswith("refused_box:7 my chair: ")
    assert why in found.flags[1] and found.n_annotated == 3


def test_a_box_that_reaches_a_little_out_of_the_mesh_stays():
    found = accept("a.json", [item(centroid=(4.9, 1, 1), sides=(2, 1, 1)), item(1)], VERTICES)
    assert len(found.objects) == 2 and found.flags == []


def test_a_thing_as_large_as_a_hall_is_refused_and_a_wall_is_not():
    hall = VERTICES * 10
    large = {"centroid": (20, 15, 12), "sides": (20, 20, 20)}
    found = accept("a.json", [item(1, **large), item(2, "wall", category=None, **large), *sound(3)], hall)
    assert [o.object_id for o in found.objects] == [2, 100, 101, 102]
    assert "sides of [20.0, 20.0, 20.0] m are no object's" in found.flags[1]


@pytest.mark.parametrize(
    ("centroid", "sides", "why"),
    [
        ((501, 1, 1), (1, 1, 1), "reaches 497.5 m out of the mesh"),
        ((1, 1, 1), (400, 300, 200), "reaches 199.0 m out of the mesh"),
        ((1, 1, 1), (1e308, 1e308, 1), "m out of the mesh|no box from"),
    ],
)
def test_a_stated_box_is_judged_with_the_sound_corners_beside_it(centroid, sides, why):
    box = OrientedBox(np.array(centroid), np.array(sides), np.eye(3))
    corners = np.array([0.5, 0.5, 0.5]), np.array([1.5, 1.5, 1.5])
    bad = Annotated(7, "sofa", "sofa", True, lambda: box, *corners, 5, np.arange(1), stated=True)
    found = accept("a.json", [bad, *sound(2)], VERTICES)
    assert [o.object_id for o in found.objects] == [100, 101] and found.unboxed == ["sofa"]
    assert re.search(why, found.flags[1])


def test_a_slanted_slim_box_is_judged_by_its_own_sides():
    turn = np.array([[np.sqrt(0.5), np.sqrt(0.5), 0], [-np.sqrt(0.5), np.sqrt(0.5), 0], [0, 0, 1]])
    box = OrientedBox(np.array([10.0, 10, 2]), np.array([20.0, 0.5, 2.5]), turn)
    slim = Annotated(0, "shelf", "bookshelf", True, lambda: box, *box.aabb(), 5, np.arange(1))
    assert np.prod(box.aabb()[1] - box.aabb()[0]) > 250
    assert len(accept("a.json", [slim], np.array([[0, 0, 0], [20.0, 20, 4]])).objects) == 1


def test_boxes_of_another_room_cost_the_scan():
    far = [item(k, centroid=(99, 0, 0)) for k in range(3)]
    with pytest.raises(ScanError, match=r"3 of 5 boxes cannot be this room's \(object 0, 'chair': reaches 95.5 m"):
        accept("a.json", [*far, *sound(2)], VERTICES)
    assert len(accept("a.json", [*far, *sound(3)], VERTICES).objects) == 3


def test_objects_without_a_box_are_counted_apart():
    found = accept("a.json", [Refused(1, "couch", "sofa"), Refused(2, "wall", None), *sound(1)], VERTICES, n_empty=2)
    assert found.flags == ["objects_without_box:2"] and found.unboxed == ["sofa"] and found.n_annotated == 5
    room = found.into(Room(VERTICES, np.empty((0, 3)), None, []))
    assert (room.unboxed, room.n_annotated, room.flags) == (["sofa"], 5, ["objects_without_box:2"])


def test_two_objects_of_one_id_are_both_named():
    with pytest.raises(ScanError, match="two objects, 'chair' and 'table', share the objectId 3"):
        accept("a.json", [item(3), *sound(2), Refused(3, "table", "table", "x")], VERTICES)


@pytest.mark.parametrize(("found", "expected"), [([], True), ([Refused(1, "couch", "sofa")], False)])
def test_an_annotation_that_leaves_no_object_is_refused(found, expected):
    with pytest.raises(ScanError, match=r"annotates no object|none of its 1 objects has a box") as caught:
        accept("a.json", found, VERTICES)
    assert caught.value.expected == expected


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"centroid": [float("nan"), 0, 0]}, "finite"),
        ({"axesLengths": [float("inf"), 1, 1]}, "finite"),
        ({"axesLengths": [1, -1, 1]}, "negative side"),
        ({"axesLengths": [0, 0, 0]}, "without extent"),
        ({"normalizedAxes": [1] * 9}, "not orthonormal"),
        ({"min": [1, 0, 0], "max": [0, 1, 1]}, "min below max"),
        ({"min": [0, 0, float("nan")], "max": [1, 1, 1]}, "must be finite"),
        ({"centroid": None}, "0 numbers|1 numbers|finite|NoneType"),
        ({"centroid": "abc"}, "could not convert"),
    ],
)
def test_a_box_that_is_none_says_why(change, says):
    flags = []
    why = contract.read_stated({"centroid": [0, 0, 0], **PLAIN, **change}, "chair", "chair", flags)
    assert isinstance(why, str) and re.search(says, why) and flags == []


def test_oddities_of_a_box_are_flagged_once():
    flags = []
    for _ in range(2):
        stated = {"centroid": [0, 0, 0], **PLAIN, "axesLengths": [1, 0, 1], "min": [-1, -1, -1], "max": [1, 1, 1]}
        box, (low, high) = contract.read_stated(stated, "chair", "armchair", flags)
        assert box.axes_lengths.tolist() == [1, 0.001, 1] and low.tolist() == [-1] * 3 and high.tolist() == [1] * 3
    assert flags == ["flat_box:chair", "min_max_differ_from_box:chair"]
    assert contract.read_stated(None, "chair", "chair", flags) == contract.read_stated({}, None, "x", flags) == ""


def test_a_plane_that_is_never_asked_about_stays_a_plane():
    flags = []
    box, _ = contract.read_stated({"centroid": [0, 0, 0], **PLAIN, "axesLengths": [4, 3, 0]}, None, "floor", flags)
    assert box.axes_lengths.tolist() == [4, 3, 0] and flags == []
