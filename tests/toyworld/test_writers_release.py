"""Whole rendered releases: their scans, splits and manifest, and the true answers beside them."""

import csv
import hashlib
import json

import numpy as np
import pytest

from rollout3d import tables
from toyworld.settings import Scans
from toyworld.stages import render_scans
from toyworld.writers import release

TINY = Scans(scans_per_dataset=3, val_scans=1, seconds=1.0, fps=10, width=64, height=48, n_objects=(5, 8))
DATASETS = ("scannet", "scannetpp", "arkitscenes")


@pytest.fixture(scope="module", params=DATASETS)
def written(request, tmp_path_factory):
    """Return (dataset, root, rows) of a tiny release."""
    root = tmp_path_factory.mktemp("release") / request.param
    return request.param, root, release.write_release(request.param, root, TINY, seed=5)


def sized(n, val):
    return TINY.model_copy(update={"scans_per_dataset": n, "val_scans": val})


def test_manifest_lists_every_file_with_its_digest(written):
    dataset, root, rows = written
    assert [row["file"] for row in rows] == sorted(
        path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()
    )
    assert {row["dataset"] for row in rows} == {dataset}
    for row in rows[::7]:
        data = (root / row["file"]).read_bytes()
        assert (row["n_bytes"], row["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
    assert len({row["scene_id"] for row in rows} - {""}) == 3
    assert all(row["scene_id"] in row["file"] for row in rows)


def test_the_true_answers_lie_beside_the_release_by_scan(written):
    dataset, root, rows = written
    facts = sorted((root.parent / f"{dataset}_truth").glob("*.json"))
    assert {path.stem for path in facts} == {row["scene_id"] for row in rows} - {""}
    for path in facts:
        value = json.loads(path.read_text())["release"]
        assert (value["scene_id"], value["dataset"]) == (path.stem, dataset)
        motion = np.array(value["release_from_world"])
        np.testing.assert_allclose(motion[:3, :3] @ motion[:3, :3].T, np.eye(3), atol=1e-5)
        assert set(value["object_ids"]) == {thing for thing, label in value["labels"].items() if label} != set()


def annotated(dataset, root, scene_id):
    """Return the label by object id, from the annotation file."""
    if dataset == "arkitscenes":
        (path, *_) = root.rglob(f"{scene_id}_3dod_annotation.json")
        groups = json.loads(path.read_text())["data"]
    else:
        name = f"{scene_id}.aggregation.json" if dataset == "scannet" else f"{scene_id}/scans/segments_anno.json"
        (path,) = root.rglob(name)
        groups = json.loads(path.read_text())["segGroups"]
    return {group["objectId"]: group["label"] for group in groups}


def test_the_true_answers_name_the_annotated_object_of_each_labelled_thing(written):
    dataset, root, _ = written
    for path in (root.parent / f"{dataset}_truth").glob("*.json"):
        value = json.loads(path.read_text())["release"]
        labels = annotated(dataset, root, path.stem)
        for thing, number in value["object_ids"].items():
            assert labels[number] == value["labels"][thing]


def test_split_files_name_each_scan_once(written):
    dataset, root, rows = written
    if dataset == "arkitscenes":
        listed = list(csv.DictReader((root / "raw" / "metadata.csv").open()))
        train, val = ([r["video_id"] for r in listed if r["fold"] == fold] for fold in ("Training", "Validation"))
        assert {r["sky_direction"] for r in listed} <= {"Up", "Down", "Left", "Right"}
    else:
        stem = "scannetv2_{}.txt" if dataset == "scannet" else "splits/nvs_sem_{}.txt"
        train, val = ((root / stem.format(split)).read_text().split() for split in ("train", "val"))
    assert (len(train), len(val)) == (2, 1)
    assert sorted(train + val) == sorted({row["scene_id"] for row in rows} - {""})


def test_only_one_of_scannets_lists_ends_in_a_newline(tmp_path):
    release._share_scannet(tmp_path, release.plan("scannet", sized(4, 2), 0))
    ends = {name: (tmp_path / f"scannetv2_{name}.txt").read_text().endswith("\n") for name in ("train", "val")}
    assert ends == {"train": True, "val": False}


def test_a_release_written_again_is_the_same_bytes_and_leaves_nothing_of_the_old(written):
    dataset, root, rows = written
    (root / "left over.txt").write_text("from an older configuration")
    assert release.write_release(dataset, root, TINY, seed=5) == rows
    assert not (root / "left over.txt").exists()


def test_a_directory_with_other_files_is_never_touched(tmp_path):
    (tmp_path / "scans").mkdir()
    (tmp_path / "scans" / "real.sens").write_bytes(b"licensed")
    with pytest.raises(ValueError, match="choose another directory"):
        release.write_release("scannet", tmp_path, TINY, seed=5)
    assert [path.name for path in tmp_path.rglob("*")] == ["scans", "real.sens"]


@pytest.mark.parametrize("dataset", DATASETS)
def test_spaces_never_cross_the_splits_and_one_is_scanned_twice(dataset):
    every = release.plan(dataset, sized(8, 2), seed=0)
    assert len({scan.scene_id for scan in every}) == len(every)
    spaces = {split: {s.space for s in every if s.split == split} for split in ("train", "val", "test")}
    assert not spaces["test"] & (spaces["train"] | spaces["val"])
    planned = [scan for scan in every if not scan.aside]
    assert [scan.split for scan in planned] == ["train"] * 6 + ["val"] * 2
    assert not spaces["train"] & spaces["val"]
    assert len(spaces["train"]) == (6 if dataset == "scannetpp" else 5)
    shared = [scan for scan in planned if scan.space == planned[0].space]
    assert len({scan.space_id for scan in shared}) == 1
    ids = [scan.space_id for scan in planned]
    assert (ids.count("NA"), ids[5] == "NA") == ((1, True) if dataset == "arkitscenes" else (0, False))


def test_two_scans_of_a_space_show_the_same_things_from_elsewhere():
    first, second = (release.film("scannet", scan, TINY, 5) for scan in release.plan("scannet", sized(4, 1), 5)[:2])
    assert first.world.things == second.world.things
    assert first.world.rooms == second.world.rooms
    assert not np.allclose(first.poses[0], second.poses[0], atol=0.01)


def test_videos_cover_all_four_turns_and_sideways_ones_are_filmed_in_portrait():
    planned = release.plan("arkitscenes", sized(6, 1), 5)
    assert {scan.quirks.rotation_deg for scan in planned} == {0, 90, 180, 270}
    for scan in planned[:2]:
        recording = release.film("arkitscenes", scan, TINY, 5)
        portrait = scan.quirks.rotation_deg % 180 == 90
        assert (recording.width, recording.height) == ((48, 64) if portrait else (64, 48))


def test_quirks_that_leave_a_scan_without_questions_are_on_scans_aside():
    """A small release then has them too, without fewer questions."""
    asides = {d: [s for s in release.plan(d, sized(4, 1), 0) if s.aside] for d in DATASETS}
    (hidden,), (skipped,) = asides["scannet"], asides["arkitscenes"]
    assert asides["scannetpp"] == [] and hidden.quirks.hidden and skipped.quirks.skipped
    assert (hidden.split, hidden.scene_id, skipped.split) == ("test", "scene0707_00", "train")
    recording = release.film("scannet", hidden, TINY, 5)
    assert (len(recording.poses), recording.width, recording.height) == (4, 640, 480) and not recording.lost
    others = [s for d in DATASETS for s in release.plan(d, sized(4, 1), 0) if not s.aside]
    assert len(others) == 12
    assert not any(getattr(s.quirks, "hidden", False) or getattr(s.quirks, "skipped", False) for s in others)


def test_the_colour_of_one_scannet_scan_is_no_larger_than_its_depth_and_of_another_size():
    large, *_, small = (release.film("scannet", scan, TINY, 5) for scan in release.plan("scannet", sized(4, 2), 5))
    assert (large.width, large.height, small.width, small.height) == (64, 48, 52, 38)


def test_unknown_dataset_is_refused(tmp_path):
    with pytest.raises(ValueError, match="matterport"):
        release.write_release("matterport", tmp_path / "m", TINY, 0)


def stage(root, out, toyworld):
    config = {"seed": 5, "results": "results/tiny", "toyworld": toyworld}
    render_scans.main(["--config", json.dumps(config), "--dataset", "scannet", "--root", str(root), "--out", str(out)])


def test_stage_writes_the_release_and_its_manifest(tmp_path):
    one = TINY.model_copy(update={"scans_per_dataset": 2, "val_scans": 1})
    stage(tmp_path / "scannet", tmp_path / "scans.parquet", {"scans": one.model_dump(mode="json")})
    rows = tables.read(tables.SCANS, tmp_path / "scans.parquet")
    assert {row["file"] for row in rows} >= {"scans/scene0000_00/scene0000_00.sens", "scannetv2_train.txt"}


def test_stage_without_settings_of_the_toy_world_says_what_is_missing(tmp_path, capsys):
    with pytest.raises(SystemExit):
        stage(tmp_path / "scannet", tmp_path / "scans.parquet", None)
    assert "no section `toyworld`" in capsys.readouterr().err
    assert not (tmp_path / "scannet").exists()
