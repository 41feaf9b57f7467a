"""The contract through readers and ingest: what a fault in lists, tables, ids, labels or boxes costs."""

import json
import logging

import numpy as np
import pytest

from rollout3d.config import Config
from rollout3d.releases import MissingData
from rollout3d.scenes import rows
from rollout3d.scenes.datasets import arkitscenes, scannet, scannetpp
from rollout3d.scenes.datasets._scannetpp_dslr import DslrSource
from rollout3d.scenes.datasets._scannetpp_fisheye import FisheyeSource
from rollout3d.scenes.ingest import shard_scans
from rollout3d.scenes.reading import ScanError
from rollout3d.scenes.release import ScanRef
from rollout3d.stages import ingest as stage
from scenes import mini
from scenes.bad import edit_json, ingested
from scenes.conftest import settings, trained
from scenes.test_arkitscenes import VIDEO, write_video
from scenes.test_scannetpp import REF as PHONE
from scenes.test_scannetpp import root as phone_root  # noqa: F401 - a fixture

SCENE = "scene0001_00"
BOX = {"centroid": [2, 1, 0.25], "axesLengths": [1, 0.6, 0.5], "normalizedAxes": np.eye(3).ravel().tolist()}


@pytest.fixture
def root(tmp_path):
    """A ScanNet of one tiny scan."""
    root = tmp_path / "scannet"
    mini.write_tsv(root / "scannetv2-labels.combined.tsv")
    (root / "scannetv2_train.txt").write_text(f"{SCENE}\n")
    mini.write_scannet(root / "scans" / SCENE, SCENE)
    return root


def stops(root, out, capsys, *says):
    """The stage ends with one line on the fault, and leaves no table."""
    text = trained("scannet").model_dump_json(include={"seed", "datasets", "scenes", "video"})
    with pytest.raises(SystemExit) as caught:
        stage.main(
            ["--config", text, "--dataset", "scannet", "--shard", "0", "--root", str(root), "--out-dir", str(out)]
        )
    said = capsys.readouterr().err
    assert caught.value.code == 1 and "Traceback" not in said and not list(out.glob("*"))
    assert all(word in said for word in says), said


# --- the release -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kept", [0, 1])
def test_a_label_table_without_rows_stops_the_stage(root, tmp_path, capsys, kept):
    path = root / "scannetv2-labels.combined.tsv"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:kept]))
    stops(root, tmp_path / "out", capsys, str(path), "download it again")


def test_a_label_table_that_knows_no_category_stops_the_stage(root, tmp_path, capsys):
    path = root / "scannetv2-labels.combined.tsv"
    path.write_text("id\traw_category\tcategory\tnyu40id\n1\tgizmo\tgizmo\t\n2\twall\twall\t1\n")
    stops(root, tmp_path / "out", capsys, str(path), "none of its 2 labels has a category")


def test_a_label_table_of_another_program_is_read(root, tmp_path):
    path = root / "scannetv2-labels.combined.tsv"
    plain = ingested(root, tmp_path / "plain")
    path.write_bytes(path.read_text().replace("\n", "\r\n").encode("utf-16"))
    assert ingested(root, tmp_path / "other") == plain and "sofa" in [row["category"] for row in plain["objects"]]


@pytest.mark.parametrize(
    ("lists", "says"),
    [
        ({"train": ""}, "names no scan"),
        ({"train": f"{SCENE}\n{SCENE}\n"}, f"names {SCENE} twice, in lines 1 and 2"),
        ({"train": f"{SCENE}\n", "val": f"scene0002_00\n{SCENE}\n"}, f"share 1 scans, such as {SCENE}"),
        ({"train": f"../scans/{SCENE}\n"}, "is no name of a scan"),
        ({"train": "scene0100_00\n"}, f"scans holds {SCENE}/"),
    ],
)
def test_a_split_list_that_is_none_stops_the_stage(root, tmp_path, capsys, lists, says):
    for split, text in lists.items():
        (root / f"scannetv2_{split}.txt").write_text(text)
    stops(root, tmp_path / "out", capsys, says)


def test_a_list_with_marks_and_windows_line_ends_lists_the_same_scans(root):
    plain = scannet.list_scans(root, ["train"])
    (root / "scannetv2_train.txt").write_bytes(f"\ufeff# mine\r\n{SCENE}  \r\n\r\n".encode())
    assert scannet.list_scans(root, ["train"]) == plain


@pytest.mark.parametrize("splits", [{"train": ["train", "train"]}, {"train": ["train"], "test": ["val", "val"]}])
def test_a_split_that_the_configuration_names_twice_is_refused(splits):
    with pytest.raises(ValueError, match="names a split twice"):
        Config.model_validate({"datasets": {"scannet": {"splits": splits}}})


def test_a_space_on_both_sides_is_named(root, caplog):
    (root / "scannetv2_val.txt").write_text("scene0001_01\nscene0002_00\n")
    with caplog.at_level(logging.WARNING):
        shard_scans("scannet", root, 0, 1, settings())
    assert "1 spaces have scans to train on and scans to test on, such as scene0001:" in caplog.text


def arkit_table(root, *rows, name="raw/metadata.csv"):
    mini.write_bytes(root / name, "\n".join(["video_id,visit_id,fold", *rows]).encode())


def test_spellings_of_a_visit_are_one_space(tmp_path):
    write_video(tmp_path)
    arkit_table(tmp_path, f"{VIDEO},420673.0,Training", "41069021,420673,Validation")
    found = arkitscenes.list_scans(tmp_path, ["train", "val"])
    assert {ref.space_id for ref in found} == {"420673"}


def test_a_visit_that_one_table_lacks_comes_from_the_other(tmp_path):
    write_video(tmp_path)
    arkit_table(tmp_path, f"{VIDEO},NA,Training")
    arkit_table(tmp_path, f"{VIDEO},420673,Training", name="3dod/metadata.csv")
    assert [ref.space_id for ref in arkitscenes.list_scans(tmp_path, ["train"])] == ["420673"]


@pytest.mark.parametrize(
    ("other", "says"),
    [
        (f"{VIDEO},420673,Validation", "in Validation, visit 420673, and elsewhere in Training"),
        (f"{VIDEO},420674,Training", "visit 420674, and elsewhere in Training, visit 420673"),
        ("../x,420673,Training", "is no name of a video"),
    ],
)
def test_tables_that_contradict_each_other_are_refused(tmp_path, other, says):
    write_video(tmp_path)
    arkit_table(tmp_path, f"{VIDEO},420673,Training")
    arkit_table(tmp_path, other, name="3dod/metadata.csv")
    with pytest.raises(MissingData, match=says):
        arkitscenes.list_scans(tmp_path, ["train", "val"])


def test_a_video_in_the_folders_of_both_folds_is_refused(tmp_path):
    for fold in ("Training", "Validation"):
        (tmp_path / "raw" / fold / VIDEO).mkdir(parents=True)
    with pytest.raises(MissingData, match=f"video {VIDEO} is in Validation"):
        arkitscenes.list_scans(tmp_path, ["train"])


def test_videos_of_unknown_folds_are_counted_in_the_log(tmp_path, caplog):
    write_video(tmp_path)
    arkit_table(tmp_path, f"{VIDEO},420673,Training", "41069021,420674,Test", "41069022,420674,")
    with caplog.at_level(logging.WARNING):
        assert len(arkitscenes.list_scans(tmp_path, ["train", "val"])) == 1
    assert "2 videos of other folds are left out: Test, none" in caplog.text


@pytest.mark.parametrize("dataset", ["scannet", "scannetpp", "arkitscenes"])
def test_a_release_without_any_scan_says_what_is_there(tmp_path, dataset):
    lists = {"scannet": "scannetv2_train.txt", "scannetpp": "splits/nvs_sem_train.txt", "arkitscenes": "notes.txt"}
    mini.write_bytes(tmp_path / lists[dataset], b"scene0000_00\n")
    for name in ("scans/elsewhere", "data/elsewhere", "raw/Training"):
        (tmp_path / name).mkdir(parents=True)
    with pytest.raises(MissingData) as caught:
        shard_scans(dataset, tmp_path, 0, 1, trained(dataset))
    folder = {"scannet": "scans", "scannetpp": "data", "arkitscenes": "raw/Training"}[dataset]
    says = str(caught.value)
    assert f"{tmp_path / folder} holds {'nothing' if dataset == 'arkitscenes' else 'elsewhere/'}" in says
    assert f"looked for as {tmp_path / folder}" in says and f"site.roots.{dataset}" in says


def test_a_benchmark_map_without_rows_stops_too(phone_root):  # noqa: F811
    path = phone_root / "metadata" / "semantic_benchmark" / "map_benchmark.csv"
    mini.write_bytes(path, b"class,instance_map_to\n")
    with pytest.raises(MissingData, match="a table without rows") as caught:
        scannetpp.read_room(phone_root, PHONE)
    assert str(path) in str(caught.value)


# --- the scan --------------------------------------------------------------------------------------------------------


def group_of(dataset, content):
    return content["data" if dataset == "arkitscenes" else "segGroups"][0]


def annotations(request, dataset):
    """Root and annotation of a tiny scan of a dataset."""
    if dataset == "scannet":
        root = request.getfixturevalue("root")
        return root, root / "scans" / SCENE / f"{SCENE}.aggregation.json"
    if dataset == "scannetpp":
        root = request.getfixturevalue("phone_root")
        return root, root / "data" / PHONE.scene_id / "scans" / "segments_anno.json"
    root = request.getfixturevalue("tmp_path") / "arkit"
    return root, write_video(root) / f"{VIDEO}_3dod_annotation.json"


READ = {
    "scannet": lambda root: scannet.read_room(root, ScanRef(SCENE, "", "train")),
    "scannetpp": lambda root: scannetpp.read_room(root, PHONE),
    "arkitscenes": lambda root: arkitscenes.read_room(root, ScanRef(VIDEO, "", "train")),
}


@pytest.mark.parametrize("dataset", READ)
@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"objectId": "1e3"}, "object id '1e3' is no whole number"),
        ({"objectId": 2**63}, "not from 0 to 2**63 - 1"),
        ({"objectId": -1}, "object id -1 is not"),
        ({"objectId": True}, "object id True is no whole number"),
        ({"objectId": 1.5}, "object id 1.5 is no whole number"),
        ({"objectId": float("nan")}, "object id nan"),
        ({"label": "cou\0ch"}, "holds characters that are no text"),
        ({"label": "cou\ud800ch"}, "holds characters that are no text"),
        ({"label": None}, "label None is no text"),
        ({"label": "c" * 201}, "a label of 201 characters"),
    ],
    ids=lambda value: ascii(value) if isinstance(value, dict) else "",
)
def test_an_object_without_an_identity_costs_the_scan(request, dataset, change, says):
    root, path = annotations(request, dataset)
    edit_json(path, lambda content: group_of(dataset, content).update(change))
    with pytest.raises(ScanError) as caught:
        READ[dataset](root)
    assert caught.value.path == path and says in caught.value.reason


@pytest.mark.parametrize("dataset", READ)
def test_blanks_around_a_label_are_no_part_of_it(request, dataset):
    root, path = annotations(request, dataset)
    before = READ[dataset](root)
    edit_json(
        path, lambda content: group_of(dataset, content).update(label=f" {group_of(dataset, content)['label']}\n")
    )
    after = READ[dataset](root)
    assert [(o.label, o.category) for o in after.objects] == [(o.label, o.category) for o in before.objects]


@pytest.mark.parametrize("dataset", READ)
def test_two_objects_of_one_id_cost_the_scan(request, dataset):
    root, path = annotations(request, dataset)

    def change(content):
        groups = content["data" if dataset == "arkitscenes" else "segGroups"]
        other = json.loads(json.dumps(groups[-1])) | {"label": "other thing", "objectId": groups[0]["objectId"]}
        if "segments" in other and dataset == "scannet":
            other["segments"] = [101]
        groups.append(other)

    edit_json(path, change)
    with pytest.raises(ScanError, match="'other thing', share the objectId"):
        READ[dataset](root)


def test_objects_without_any_id_are_numbered_and_flagged(request):
    root, path = annotations(request, "arkitscenes")
    edit_json(path, lambda content: content["data"][0].pop("objectId"))
    room = READ["arkitscenes"](root)
    assert [o.object_id for o in room.objects] == [0] and "numbered_objects" in room.flags


# --- the object ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "flag"),
    [
        ({"centroid": [500, 0, 0]}, "refused_box:9 sofa: reaches 496.5 m out of the mesh"),
        ({"axesLengths": [1e4, 1, 1]}, "refused_box:9 sofa: reaches"),
        ({"axesLengths": [-1, 1, 1]}, "refused_box:9 sofa: box with negative side"),
        ({"centroid": [float("nan"), 0, 0]}, "refused_box:9 sofa: box with centroid [nan, 0.0, 0.0]"),
        ({"axesLengths": [0, 0, 0]}, "refused_box:9 sofa: a box without extent"),
        (None, "objects_without_box:1"),
    ],
)
def test_a_box_that_cannot_be_leaves_by_name_and_counts(tmp_path, change, flag):
    root = tmp_path / "arkit"
    path = write_video(root) / f"{VIDEO}_3dod_annotation.json"

    def add(content):
        box = {} if change is None else {"obbAligned": {**BOX, **change}}
        content["data"].append({"objectId": 9, "label": "sofa", "segments": box})
        content["data"].append({"objectId": 10, "label": "stool", "segments": {"obbAligned": BOX}})

    edit_json(path, add)
    made = ingested(root, tmp_path / "out", "arkitscenes")
    (scene,) = made["scenes"]
    assert any(found.startswith(flag) for found in scene["flags"]), scene["flags"]
    assert [row["object_id"] for row in made["objects"]] == [3, 10]
    counts = {entry["category"]: entry["n"] for entry in scene["object_counts"]}
    assert counts["sofa"] == 1 + sum(row["category"] == "sofa" for row in made["objects"])


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (["../../../secret.JPG"], "leads out of its folder"),
        (["/etc/passwd"], "leads out of its folder"),
        (["a.JPG", "a.JPG"], "names the image a.JPG twice"),
        ([3], "no name of a file"),
        ("a.JPG", "names no list"),
        ([], "names no training images"),
    ],
)
def test_dslr_pictures_are_named_within_their_folder(tmp_path, names, says):
    mini.write_json(tmp_path / "dslr" / "train_test_lists.json", {"train": names})
    for source in (DslrSource, FisheyeSource):
        with pytest.raises(ScanError, match=says):
            source(tmp_path / "dslr")


def test_a_room_as_large_as_a_field_costs_the_scan(root, tmp_path, monkeypatch):
    monkeypatch.setattr(rows, "room_area", lambda *_: 2500.0)
    found = ingested(root, tmp_path / "out")
    (dropped,) = found["scenes_dropped"]
    assert dropped["reason"] == "a room of 2500 m2: no room is that large" and found["scenes"] == []
