"""`rollout3d inventory`: a whole release by its headers, with the readers' own way of finding files."""

import shutil

import numpy as np
import pytest

from rollout3d import tables
from rollout3d.scenes import datasets
from rollout3d.scenes.datasets import arkitscenes, scannet, scannetpp
from rollout3d.scenes.formats import headers
from rollout3d.scenes.formats.video import Video
from rollout3d.scenes.inventory import inspect_scan, take_inventory
from rollout3d.scenes.reading import ScanError, read_json
from rollout3d.scenes.release import ScanRef
from rollout3d.stages import inventory as stage
from scenes import mini
from scenes.conftest import output_of
from scenes.test_arkitscenes import VIDEO, write_video
from scenes.test_exported import write_export
from scenes.test_scannetpp import root as scannetpp_root  # noqa: F401 - a fixture

SCANS = [f"scene000{i}_00" for i in range(6)]


@pytest.fixture
def root(tmp_path):
    """Of six listed scans one is whole, one exported, one lacks its mesh, one has a cut video, one is not on disk, one
    is of the test split; one more is in no list."""
    root = tmp_path / "scannet"
    mini.write_tsv(root / "scannetv2-labels.combined.tsv")
    for scene in (*SCANS[:4], "scene0009_00"):
        mini.write_scannet(root / "scans" / scene, scene)
    mini.write_scannet(root / "scans_test" / SCANS[5], SCANS[5])
    (root / "scans_test" / SCANS[5] / f"{SCANS[5]}.aggregation.json").unlink()
    write_export(root / "scans" / SCANS[1])
    (root / "scans" / SCANS[1] / f"{SCANS[1]}.sens").unlink()
    (root / "scans" / SCANS[2] / f"{SCANS[2]}_vh_clean_2.ply").unlink()
    sens = root / "scans" / SCANS[3] / f"{SCANS[3]}.sens"
    sens.write_bytes(sens.read_bytes()[:-1500])
    (root / "scannetv2_train.txt").write_text("\n".join(SCANS[:4]))
    (root / "scannetv2_val.txt").write_text(SCANS[4])
    (root / "scannetv2_test.txt").write_text(SCANS[5])
    return root


def test_every_scan_is_listed_with_state_file_and_reason(root, tmp_path, capsys):
    out, _, status = output_of(stage, capsys, "scannet", root, "--out", tmp_path / "inventory.parquet")
    assert status == 0
    rows = {row["scene_id"]: row for row in tables.read(tables.INVENTORY, tmp_path / "inventory.parquet")}
    found = {scene: (row["split"], row["state"], row["asset"]) for scene, row in rows.items()}
    assert found == {
        SCANS[0]: ("train", "usable", ""),
        SCANS[1]: ("train", "usable", ""),
        SCANS[2]: ("train", "missing", "mesh"),
        SCANS[3]: ("train", "damaged", "video"),
        SCANS[4]: ("val", "missing", "scan"),
        SCANS[5]: ("test", "usable", ""),
        "scene0009_00": ("unlisted", "usable", ""),
    }
    assert rows[SCANS[1]]["flags"] == ["video:exported"] and rows[SCANS[0]]["flags"] == []
    assert rows[SCANS[2]]["file"] == f"scans/{SCANS[2]}/{SCANS[2]}_vh_clean_2.ply"
    assert "truncated" in rows[SCANS[3]]["reason"] and rows[SCANS[0]]["space_id"] == "scene0000"
    assert f"scannet at {root}: 7 scans, 3 usable" in out
    table = [line.split() for line in out.splitlines() if line.startswith(("train", "val", "test", "all"))]
    assert ["train", "4", "2", "1", "1", "0"] in table and ["all", "7", "4", "2", "1", "0"] in table
    assert "1  mesh: <scan>_vh_clean_2.ply: no such file" in out and "1  video:exported" in out
    assert "1 scans on disk are in no split list" in out


def test_an_export_with_a_gap_is_damaged_here_too(root):
    folder = root / "scans" / SCANS[1]
    (folder / "color" / "1.jpg").unlink()
    row = inspect_scan("scannet", root, ScanRef(SCANS[1], "scene0001", "train"))
    assert (row["state"], row["asset"]) == ("damaged", "video") and "frame 1 is missing" in row["reason"]


def test_the_list_option_names_every_scan_with_its_whole_reason(root, capsys):
    out, _, _ = output_of(stage, capsys, "scannet", root, "--list")
    (line,) = (line for line in out.splitlines() if line.startswith(f"  {SCANS[2]}"))
    assert "download" in line and "holds" in line


def test_none_usable_or_no_release_is_no_success(root, tmp_path, capsys):
    (root / "scannetv2_train.txt").write_text(SCANS[3])
    (root / "scannetv2_test.txt").write_text("")
    _, err, status = output_of(stage, capsys, "scannet", root)
    assert status == 1 and "no scan of scannet" in err
    _, err, status = output_of(stage, capsys, "scannet", tmp_path / "nowhere")
    assert status == 2 and "Terms of Use" in err
    _, err, status = output_of(stage, capsys, "scannet", root / "scans")
    assert status == 2 and "name the one above it" in err


def test_without_lists_the_folders_are_looked_at_and_without_labels_nothing_is_usable(root, capsys):
    for path in root.glob("scannetv2_*.txt"):
        path.unlink()
    out, _, status = output_of(stage, capsys, "scannet", root)
    assert status == 0 and "6 scans, 4 usable" in out and "split 'train': scannet: no split file" in out
    (root / "scannetv2-labels.combined.tsv").unlink()
    out, _, status = output_of(stage, capsys, "scannet", root)
    assert status == 1 and "label table: " in out and "no scannetv2-labels.combined.tsv" in out


def test_the_label_files_place_is_that_of_the_readers(root, capsys):
    shutil.move(root / "scannetv2-labels.combined.tsv", root.parent / "scannetv2-labels.combined.tsv")
    (root / "Tasks" / "Benchmark").mkdir(parents=True)
    shutil.move(root / "scannetv2_train.txt", root / "Tasks" / "Benchmark" / "scannetv2_train.txt")
    out, _, status = output_of(stage, capsys, "scannet", root)
    assert status == 0 and "7 scans, 3 usable" in out


@pytest.mark.parametrize("dataset", ["scannet", "scannetpp", "arkitscenes"])
def test_whatever_file_is_removed_or_emptied_inventory_and_reader_agree(dataset, tmp_path, request):
    """Usable is what can be read; the file at fault is the same."""
    if dataset == "scannet":
        reader, ref, where = scannet, ScanRef("scene0007_01", "scene0007", "train"), tmp_path
        mini.write_tsv(where / "scannetv2-labels.combined.tsv")
        mini.write_scannet(where / "scans" / ref.scene_id, ref.scene_id)
    elif dataset == "scannetpp":
        reader, ref = scannetpp, ScanRef("7b6477cb95", "7b6477cb95", "train")
        where = request.getfixturevalue("scannetpp_root")
    else:
        reader, ref, where = arkitscenes, ScanRef(VIDEO, "420673", "train"), tmp_path
        write_video(where)
    assert inspect_scan(dataset, where, ref)["state"] == "usable"
    (folder, *_) = reader.folders(where, ref)
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    # Of the pictures and their intrinsics: all of a folder, below.
    files = [path for path in files if path.suffix not in (".png", ".pincam")]
    assert len(files) >= 3
    for path in files:
        data = path.read_bytes()
        for damaged in (None, b""):
            path.unlink()
            if damaged is not None:
                path.write_bytes(damaged)
            row = inspect_scan(dataset, where, ref)
            try:
                datasets.read_scan(reader, where, ref).source.close()
            except ScanError as error:
                assert row["state"] == ("missing" if damaged is None else "damaged"), path
                assert row["file"] == error.path.relative_to(where).as_posix()
            else:
                assert row["state"] == "usable", (path, row)
            path.write_bytes(data)
    assert inspect_scan(dataset, where, ref)["state"] == "usable"


def test_arkitscenes_folders_archives_and_what_the_release_leaves_out(tmp_path, capsys):
    table = "video_id,visit_id,fold\n"
    for i, video in enumerate(("41048190", "41048191", "41048192", "41048193", "47334522")):
        table += f"{video},42067{i},Training\n"
        write_video(tmp_path, video=video, skipped=video == "41048193")
    mini.write_bytes(tmp_path / "raw" / "metadata.csv", table.encode())
    base = tmp_path / "raw" / "Training"
    shutil.rmtree(base / "41048191" / "vga_wide_intrinsics")
    (base / "41048192" / "lowres_wide.traj").write_text("<Error>AccessDenied</Error>")
    (base / "47334522" / "47334522_3dod_mesh.ply").unlink()
    rows = {row["scene_id"]: row for row in take_inventory("arkitscenes", tmp_path).rows}
    states = {video: (row["state"], row["asset"]) for video, row in rows.items()}
    assert states == {
        "41048190": ("usable", ""),
        "41048191": ("missing", "video"),
        "41048192": ("damaged", "trajectory"),
        "41048193": ("left_out", "annotation"),
        "47334522": ("left_out", "mesh"),
    }
    assert "download vga_wide and vga_wide_intrinsics" in rows["41048191"]["reason"]
    out, _, status = output_of(stage, capsys, "arkitscenes", tmp_path)
    assert status == 0 and "5 scans, 1 usable" in out


def test_no_video_is_decoded(scannetpp_root, monkeypatch):  # noqa: F811
    def refuse(*_, **__):
        raise AssertionError("a video was opened")

    monkeypatch.setattr(Video, "__init__", refuse)
    ref = ScanRef("7b6477cb95", "7b6477cb95", "train")
    assert inspect_scan("scannetpp", scannetpp_root, ref)["state"] == "usable"
    path = scannetpp_root / "data" / ref.scene_id / "iphone" / "rgb.mkv"
    path.write_bytes(path.read_bytes()[:-500])
    row = inspect_scan("scannetpp", scannetpp_root, ref)
    assert row["state"] == "damaged" and "truncated" in row["reason"]


@pytest.mark.parametrize(("name", "rate"), [("v.mkv", 60), ("v.mp4", 30)])
def test_a_container_that_is_cut_anywhere_is_noticed(tmp_path, name, rate):
    from rollout3d.scenes.formats.containers import check_container

    path = tmp_path / name
    mini.write_video(path, [np.full((48, 64, 3), 10 * i, np.uint8) for i in range(20)], rate)
    whole = path.read_bytes()
    check_container(path)
    for share in (0.0, 0.01, 0.1, 0.5, 0.9, 0.999):
        path.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(ScanError):
            check_container(path)
    for text in (b"<html>Access denied</html>" * 10, bytes(1000)):
        path.write_bytes(text)
        with pytest.raises(ScanError, match="neither a Matroska nor an MP4"):
            check_container(path)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_a_large_json_file_is_whole_in_every_encoding_that_readers_know(tmp_path, encoding, monkeypatch):
    monkeypatch.setattr(headers, "SMALL_BYTES", 100)
    path = tmp_path / "poses.json"
    mark = "\ufeff" if encoding == "utf-16-be" else ""
    text = mark + '{"poses": [' + ", ".join(map(str, range(200))) + "]}"
    path.write_bytes(text.encode(encoding))
    assert len(read_json(path)["poses"]) == 200
    headers.check_header(path)
    path.write_bytes(text[:-30].encode(encoding))
    with pytest.raises(ScanError, match="not valid JSON"):
        headers.check_header(path)
