"""`rollout3d ask`: one scan to its questions and a picture, in its release or by itself, from any directory."""

import json
import shutil

import cv2
import numpy as np
import pytest

from rollout3d import tables
from rollout3d.scenes.datasets import _scannet_labels
from rollout3d.scenes.locate import UnusableScan, locate
from rollout3d.stages import ask as stage
from scenes import mini
from scenes.conftest import output_of
from scenes.damages import change_poses, copied
from scenes.test_arkitscenes import write_video

AS_IT_IS = ("--config", json.dumps({"scenes": {"agreement": "off"}}))
"""For scans whose pictures are of one colour: they do not show their mesh."""


@pytest.fixture
def root(tmp_path):
    mini.write_tsv(tmp_path / "rel" / "scannetv2-labels.combined.tsv")
    (tmp_path / "rel" / "scannetv2_val.txt").write_text("scene0007_01\n")
    mini.write_scannet(tmp_path / "rel" / "scans" / "scene0007_01", "scene0007_01")
    return tmp_path / "rel"


def test_a_scan_of_a_release_prints_its_questions_and_writes_them(root, tmp_path, capsys):
    out, _, status = output_of(
        stage, capsys, "scannet", root / "scans" / "scene0007_01", "--out", tmp_path / "look", *AS_IT_IS
    )
    assert status == 0
    rows = tables.read(tables.QUESTIONS, tmp_path / "look" / "questions.parquet")
    assert {row["question_type"] for row in rows} == {"object_size_estimation", "room_size_estimation"}
    assert all(row["scene_id"] == "scene0007_01" and row["split"] == "val" for row in rows)
    unseen = [row for row in rows if "full" not in row["answerable"]]
    assert len(unseen) == len(rows) == out.count("not answered by the video"), "its depth hides the couch"
    (size,) = (row for row in rows if row["question_type"] == "object_size_estimation")
    assert size["ground_truth"] == "100", "the couch is a metre long"
    assert size["question"] in out and "-> 100" in out
    assert "objects  3, of which 1 can be asked about: sofa 1" in out
    assert "route_planning: none" in out
    (scene,) = tables.read(tables.SCENES, tmp_path / "look" / "scenes.parquet")
    assert (scene["scene_id"], scene["space_id"]) == ("scene0007_01", "scene0007")


def test_the_picture_shows_the_room_and_the_frames(releases, tmp_path, capsys):
    made = releases["scannet"]
    plan = made.plans()[0]
    folder = made.root / "scans" / plan.scene_id
    out, _, status = output_of(stage, capsys, "scannet", folder, "--out", tmp_path, "--show", "1")
    assert status == 0
    picture = cv2.cvtColor(cv2.imread(str(tmp_path / "picture.png")), cv2.COLOR_BGR2RGB)
    assert picture.shape[0] == 968 and picture.shape[1] > 1300
    top, frames = picture[56:956, 12:912], picture[56:956, 924:]
    yellow = (np.abs(top.astype(int) - (255, 220, 0)) < 40).all(axis=2)
    assert yellow.sum() > 100, "the camera's path"
    assert frames.reshape(-1, 3).std() > 20, "frames"
    stored = tables.read(tables.MAPS, tmp_path / "maps.parquet")[0]["bev"]["bytes"]
    bev = cv2.imdecode(np.frombuffer(stored, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    shown = cv2.resize(top, (432, 432), interpolation=cv2.INTER_AREA).astype(float)
    assert np.corrcoef(shown.ravel(), bev.ravel())[0, 1] > 0.8
    rows = tables.read(tables.QUESTIONS, tmp_path / "questions.parquet")
    assert any("full" in row["answerable"] for row in rows), "marked by what the video shows"
    assert "object_rel_direction_easy: " in out and ", the first 1" in out
    assert "-> A (" in out or "-> B (" in out or "-> C (" in out


@pytest.mark.parametrize("dataset", ["scannetpp", "arkitscenes"])
def test_a_scan_by_itself_is_enough(releases, dataset, tmp_path, capsys, monkeypatch):
    made = releases[dataset]
    plan = made.plans()[-1]
    where = {"scannetpp": "data/*", "arkitscenes": "*/*/*"}[dataset]
    (source, *_) = (path for path in made.root.glob(where) if path.name == plan.scene_id)
    lone = tmp_path / "downloads" / plan.scene_id
    shutil.copytree(source, lone)
    monkeypatch.chdir(tmp_path)
    out, _, status = output_of(stage, capsys, dataset, f"downloads/{plan.scene_id}", "--out", "look")
    assert status == 0, out
    assert "no split list names" in out
    expected = {row["object_id"]: row["aabb_max"] for row in made.of("objects", plan.scene_id)}
    found = tables.read(tables.OBJECTS, tmp_path / "look" / "objects.parquet")
    assert {row["object_id"]: row["aabb_max"] for row in found} == expected
    assert len(tables.read(tables.QUESTIONS, tmp_path / "look" / "questions.parquet")) > 0


def test_a_scannet_scan_by_itself_says_what_it_lacks(root, tmp_path, capsys):
    lone = tmp_path / "mine"  # not even the folder's name is the scan's
    shutil.move(root / "scans" / "scene0007_01", lone)
    aggregation = lone / "scene0007_01.aggregation.json"
    aggregation.write_text(aggregation.read_text().replace('"couch"', '"sofa"'))
    shutil.rmtree(root)
    out, _, status = output_of(stage, capsys, "scannet", lone, "--out", tmp_path / "look", *AS_IT_IS)
    assert status == 0
    assert "no label table (scannetv2-labels.combined.tsv)" in out and "no split list names scene0007_01" in out
    assert "sofa 1" in out, "a name of the lists needs no table"
    flags = tables.read(tables.SCENES, tmp_path / "look" / "scenes.parquet")[0]["flags"]
    assert "no_label_table" in flags
    mini.write_tsv(tmp_path / "scannetv2-labels.combined.tsv")  # beside it
    out, _, _ = output_of(stage, capsys, "scannet", lone, "--out", tmp_path / "look")
    assert "no label table" not in out


def test_the_label_names_of_the_lists_count_without_a_table():

    meaning = _scannet_labels.meanings(None)
    assert meaning("chair") == ("chair", True, True) and meaning("Trash can").category == "trash bin"
    assert meaning("office chair") == (None, True, False)
    assert meaning("wall") == (None, False, True)


def test_without_out_the_files_go_to_a_new_folder(root, capsys, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    out, _, _ = output_of(stage, capsys, "scannet", root / "scans" / "scene0007_01")
    (made,) = tmp_path.glob("rollout3d-scene0007_01-*")
    assert f"picture: {made / 'picture.png'}" in out and (made / "picture.png").is_file()


def test_what_cannot_be_asked_is_one_message(root, tmp_path, capsys):
    _, err, status = output_of(stage, capsys, "scannet", tmp_path / "nowhere")
    assert status == 2 and "no folder" in err and "ROOT/scans/<scene>" in err
    (tmp_path / "empty").mkdir()
    for dataset, said in (("scannet", "<scene>_vh_clean_2.ply"), ("arkitscenes", "<scene>_3dod_mesh.ply")):
        _, err, status = output_of(stage, capsys, dataset, tmp_path / "empty")
        assert status == 2 and said in err
    scan = root / "scans" / "scene0007_01"
    (scan / "scene0007_01.sens").write_bytes(b"\x04\0\0\0")
    _, err, status = output_of(stage, capsys, "scannet", scan)
    assert status == 1 and "error: the scan cannot be used:" in err and "scene0007_01.sens" in err
    mini.write_scannet(scan, "scene0007_01")
    (tmp_path / "file").write_text("")
    _, err, status = output_of(stage, capsys, "scannet", scan, "--out", tmp_path / "file" / "look")
    assert status == 1 and "name another --out" in err


def test_a_folder_by_itself_is_known_by_its_files(tmp_path):
    video = write_video(tmp_path / "rel")
    lone = tmp_path / "a" / "b"
    shutil.copytree(video, lone)
    root, ref = locate("arkitscenes", lone)
    assert (root, ref.scene_id, ref.folder, ref.alone) == (lone, "41048190", lone, True)
    assert locate("arkitscenes", lone / "41048190_3dod_mesh.ply")[1] == ref, "a file of the scan names it too"
    shutil.copy(lone / "41048190_3dod_mesh.ply", lone / "41048191_3dod_mesh.ply")
    with pytest.raises(UnusableScan, match="several scans \\(41048190, 41048191\\)"):
        locate("arkitscenes", lone)


def test_an_archive_of_a_video_names_it_too(tmp_path):
    archive = tmp_path / "3dod" / "Validation" / "41048190.zip"
    archive.parent.mkdir(parents=True)
    archive.write_bytes(b"")
    for path in (archive, archive.with_suffix("")):
        root, ref = locate("arkitscenes", path)
        assert (root, ref.scene_id, ref.split) == (tmp_path, "41048190", "val")
    lone = archive.rename(tmp_path / "41048190.zip")
    assert locate("arkitscenes", lone)[1].folder == tmp_path / "41048190"


@pytest.mark.parametrize("place", ["beside", "above"])
def test_a_damaged_label_table_is_one_error(root, tmp_path, capsys, place):
    folder = root / "scans" / "scene0007_01"
    if place == "above":
        folder = shutil.move(folder, tmp_path / "downloads" / "scene0007_01")
    table = (root if place == "beside" else folder.parent) / "scannetv2-labels.combined.tsv"
    mini.write_bytes(table, b"damaged")
    _, err, status = output_of(stage, capsys, "scannet", folder, "--out", tmp_path / "look")
    assert status == 2 and f"error: {table}: has no column" in err


@pytest.mark.parametrize("mode", ["drop", "flag", "off"])
def test_a_scan_that_contradicts_itself_is_asked_about_only_where_the_configuration_says_so(
    releases, tmp_path, capsys, mode
):
    folder = copied(releases["scannet"], tmp_path / "rel")
    change_poses("scannet", folder, lambda poses: poses @ np.diag([1.0, -1, -1, 1]))
    settings = json.dumps({"scenes": {"agreement": mode}})
    out, err, status = output_of(stage, capsys, "scannet", folder, "--out", tmp_path / "look", "--config", settings)
    rows = tables.read(tables.QUESTIONS, tmp_path / "look" / "questions.parquet")
    dropped = tables.read(tables.QUESTIONS_DROPPED, tmp_path / "look" / "questions_dropped.parquet")
    text = "(colour_misfit) is 0.679"
    if mode == "drop":
        assert status == 1 and rows == [] and "no question can be asked" in err
        ((name, reason),) = ((row["question_id"], row["reason"]) for row in dropped)
        assert name == folder.name and reason.startswith("its scan contradicts itself: ") and text in reason
        assert "  lost     its scan contradicts itself: no question is asked" in out
        assert "object_counting: none (its scan contradicts itself)" in out
    else:
        assert status == 0 and rows
        assert ("  lost     the scan is flagged" in out and text in out) == (mode == "flag")
