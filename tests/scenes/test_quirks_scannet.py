"""Every oddity of ScanNet that the synthetic release holds, in the files' bytes and through the reader."""

from __future__ import annotations

import logging
import struct
import zipfile

import cv2
import numpy as np
import pytest

import filmed
from rollout3d.scenes import datasets
from rollout3d.scenes.datasets import scannet
from rollout3d.scenes.ingest import ingest_shard
from scenes.conftest import LINEAGE, SEED, SYNTHETIC, settings
from scenes.quirk_files import load
from toyworld.rendering.mesh import mesh_of
from toyworld.writers import release, scannet_labels
from toyworld.writers import scannet as writer


@pytest.fixture
def made(releases):
    return releases["scannet"]


def scannet_file(made, plan, suffix):
    return made.root / "scans" / plan.scene_id / f"{plan.scene_id}{suffix}"


def test_lost_frames_are_minus_infinity_and_have_no_pose(made):
    n_lost = 0
    for plan in made.plans():
        recording = made.film(plan)
        move = np.array(made.truth(plan.scene_id)["release"]["release_from_world"])
        with made.open(plan) as scan:
            for index, pose in enumerate(recording.poses):
                K, found = scan.camera(index)
                assert np.allclose(K, recording.K, rtol=1e-6)
                if index in recording.lost:
                    assert found is None and np.array_equal(scan.source._sens.poses[index], np.full((4, 4), -np.inf))
                else:
                    # Aligning cancels the motion to the raw frame, on the poses as on the mesh.
                    assert np.allclose(found, scan.room.to_aligned @ move @ pose, atol=1e-4)
                    assert np.allclose(found, pose, atol=1e-3)
        n_lost += len(recording.lost)
    assert n_lost >= 4


def test_sens_is_version_4_with_jpeg_zlib_and_inertial_records(made):
    (plan, *_) = made.plans()
    path = scannet_file(made, plan, ".sens")
    data = path.read_bytes()
    assert struct.unpack_from("<IQ", data) == (4, 15) and data[12:27] == b"StructureSensor"
    assert struct.unpack_from("<ii", data, 27 + 256) == (2, 1)
    with made.open(plan) as scan:
        n = scan.source.n_frames
        start, n_color, n_depth = scan.source._sens._where[n - 1]
        assert struct.unpack_from("<Q", data, start + n_color + n_depth) == (n,), "one inertial record a frame"
        assert len(data) == start + n_color + n_depth + 8 + 128 * n
        for index, (rgb, depth, _) in enumerate(made.film(plan).frames()):
            if index in (0, n - 1):
                assert np.abs(scan.frame(index).astype(int) - rgb).mean() < 6
                assert np.abs(scan.depth(index) - depth[::2, ::2]).max() <= 6e-4


def test_json_has_the_prefix_of_version_2(made):
    for plan in made.plans():
        content = load(scannet_file(made, plan, ".aggregation.json"))
        assert content["sceneId"] == f"scannet.{plan.scene_id}" and content["segmentsFile"].startswith("scannet.")
        assert made.of("objects", plan.scene_id), "and is read all the same"


def test_alignment_turns_about_the_vertical(made):
    for scene in made.rows["scenes"]:
        A = np.reshape(scene["to_aligned"], (4, 4))
        assert abs(np.degrees(np.arctan2(A[1, 0], A[0, 0]))) > 10 and np.allclose(A[2, :3], [0, 0, 1])
        assert "no_axis_alignment" not in scene["flags"]


def test_scan_of_the_test_split_is_read_at_640x480_without_alignment_or_annotation(made):
    assert (made.root / "scannetv2_test.txt").read_text() == "scene0707_00\n"
    (ref,) = scannet.list_scans(made.root, ["test"])
    (plan,) = (scan for scan in release.plan("scannet", SYNTHETIC, SEED) if scan.aside)
    recording = made.film(plan)
    move = np.array(made.truth(ref.scene_id)["release"]["release_from_world"])
    with datasets.read_scan(scannet, made.root, ref) as scan:
        assert sorted(scan.room.flags) == ["no_annotation", "no_axis_alignment"]
        assert scan.room.objects == [] and scan.room.scene_type is None
        assert np.array_equal(scan.room.to_aligned, np.eye(4))
        assert scan.frame(0).shape == (480, 640, 3) and scan.depth(0).shape == (480, 640)
        assert np.allclose(scan.camera(2)[1], move @ recording.poses[2], atol=1e-5)


def test_mesh_has_alpha_and_its_colours_are_the_worlds(made):
    (plan, *_) = made.plans()
    head = scannet_file(made, plan, "_vh_clean_2.ply").read_bytes()[:400]
    assert b"property uchar blue\nproperty uchar alpha\n" in head
    with made.open(plan) as scan:
        mesh = mesh_of(made.film(plan).world)
        assert np.array_equal(scan.room.colors, mesh.colors) and np.array_equal(scan.room.faces, mesh.faces)
        assert np.abs(scan.room.vertices - mesh.vertices).max() < 5e-3


def test_vertices_without_an_instance_belong_to_no_object_nor_to_the_first(made):
    """Object ids start at 0, so a 0 for "nothing" would give the unannotated vertices to the first object."""
    for plan in made.plans():
        segments = np.array(load(scannet_file(made, plan, "_vh_clean_2.0.010000.segs.json"))["segIndices"])
        groups = load(scannet_file(made, plan, ".aggregation.json"))["segGroups"]
        claimed = np.isin(segments, np.concatenate([group["segments"] for group in groups]))
        assert 0.02 < 1 - claimed.mean() < 0.5
        with made.open(plan) as scan:
            owned = np.concatenate([item.vertex_index for item in scan.room.objects])
            assert len(np.unique(owned)) == len(owned) and np.array_equal(np.sort(owned), np.flatnonzero(claimed))
            first = next(item for item in scan.room.objects if item.object_id == 0)
            mine = np.isin(segments, groups[0]["segments"])
            assert np.array_equal(np.sort(first.vertex_index), np.flatnonzero(mine))


def test_label_tables_of_both_versions_are_there_and_ids_repeat(made):
    for name, columns in (("scannetv2-labels.combined.tsv", 17), ("scannet-labels.combined.tsv", 15)):
        rows = [line.split("\t") for line in (made.root / name).read_text().splitlines()]
        assert {len(row) for row in rows} == {columns}
    ids = [line.split("\t")[0] for line in (made.root / "scannetv2-labels.combined.tsv").read_text().splitlines()]
    assert len(set(ids)) < len(ids)


def test_scan_whose_colour_is_no_larger_than_its_depth(made):
    *_, odd = made.plans()
    recording = made.film(odd)
    scenes = {scene["scene_id"]: scene for scene in made.rows["scenes"]}
    assert len({(scene["width"], scene["height"]) for scene in scenes.values()}) == 2
    assert scenes[odd.scene_id]["width"] == recording.width < SYNTHETIC.width
    with made.open(odd) as scan:
        assert scan.depth(0).shape == scan.frame(0).shape[:2] == (recording.height, recording.width)
        assert np.allclose(scan.depth_K(0), scan.camera(0)[0])


def test_scan_that_lists_its_objects_twice(made):
    plan = made.plans()[2]
    groups = load(scannet_file(made, plan, ".aggregation.json"))["segGroups"]
    half = len(groups) // 2
    assert [g["segments"] for g in groups[:half]] == [g["segments"] for g in groups[half:]]
    (scene,) = made.of("scenes", plan.scene_id)
    assert f"duplicate_objects:{half}" in scene["flags"]
    assert [row["object_id"] for row in made.of("objects", plan.scene_id)] == list(range(half))


def test_split_lists_with_and_without_a_final_newline(made):
    texts = [(made.root / f"scannetv2_{split}.txt").read_text() for split in ("train", "val")]
    assert texts[0].endswith("\n") and not texts[1].endswith("\n")
    for split, text in zip(("train", "val"), texts):
        assert [ref.scene_id for ref in scannet.list_scans(made.root, [split])] == text.split()


def test_raw_label_that_the_table_lacks_is_perturbed_counted_and_never_asked_about(made, tmp_path, caplog):
    table = (made.root / "scannetv2-labels.combined.tsv").read_text()
    assert scannet_labels.UNLISTED not in table
    with caplog.at_level(logging.WARNING):
        ingest_shard("scannet", made.root, tmp_path, 0, 1, settings(), LINEAGE)
    rows = [row for row in made.rows["objects"] if row["label"] == scannet_labels.UNLISTED]
    assert rows and all(row["category"] is None and row["perturbable"] for row in rows)
    assert f"scannet: {len(rows)} objects with 1 labels" in caplog.text and f"dishrack {len(rows)};" in caplog.text
    for row in rows:
        (scene,) = made.of("scenes", row["scene_id"])
        assert "unknown_label:dishrack" in scene["flags"]


def test_time_stamps_and_extrinsics_that_mislead_are_not_used(made):
    _, bare, corrupt, _ = made.plans()
    assert "colorToDepthExtrinsics" not in scannet_file(made, bare, ".txt").read_text()
    extrinsics = scannet_file(made, corrupt, ".txt").read_text().split("colorToDepthExtrinsics = ")[1]
    assert not np.allclose(np.array(extrinsics.split()[:16], float).reshape(4, 4), np.eye(4))
    data = scannet_file(made, corrupt, ".sens").read_bytes()
    assert struct.unpack_from("<Q", data, 319 + 64) == (0xDEADBEEF00000000,)
    frames = made.of("frames", corrupt.scene_id)
    assert [row["timestamp_s"] for row in frames] == [row["frame_index"] / 24 for row in frames]


def test_projected_annotation_names_the_object_of_each_pixel(made):
    """Both optional zips are written; the reader knows the one of the instances."""
    _, plan, *_ = made.plans()
    facts = made.truth(plan.scene_id)["release"]
    table = [line.split("\t")[:2] for line in (made.root / "scannetv2-labels.combined.tsv").read_text().splitlines()]
    id_of = {name: int(number) for number, name in table[1:]}
    objects = {row["object_id"]: row["label"] for row in made.of("objects", plan.scene_id)}
    shown = {}
    for kind, dtype in (("instance", np.uint8), ("label", np.uint16)):
        with zipfile.ZipFile(scannet_file(made, plan, f"_2d-{kind}-filt.zip")) as archive:
            data = [archive.read(f"{kind}-filt/{index}.png") for index in range(len(archive.namelist()))]
        shown[kind] = [cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED) for png in data]
        assert {picture.dtype.type for picture in shown[kind]} == {dtype}
    for instance, label, (_, _, owner) in zip(shown["instance"], shown["label"], made.film(plan).frames(), strict=True):
        for thing, object_id in facts["object_ids"].items():
            assert np.array_equal(instance == object_id + 1, owner == int(thing)), "0 is nothing, not object 0"
        for number in set(np.unique(instance).tolist()) - {0}:
            assert set(label[instance == number].tolist()) == {id_of.get(objects[number - 1], 0)}
        assert not label[instance == 0].any()
    with made.open(plan) as scan:
        for index, instance in enumerate(shown["instance"]):
            assert np.array_equal(scan.source.instances(index), instance.astype(int) - 1)


def test_release_of_the_first_version(tmp_path, monkeypatch):
    """15-column label table, other names, no prefix, no axisAlignment: the raw frame is what there is."""
    monkeypatch.setattr(writer, "mesh_of", filmed.gridded)
    recording = filmed.film(lost=(2,))
    quirks = writer.Quirks(version=1, unlisted_label=True)
    writer.write_scan(recording, tmp_path, "scene0003_00", seed=1, quirks=quirks)
    scannet_labels.write_labels(tmp_path / "scannet-labels.combined.tsv", version=1)
    (tmp_path / "scannetv1_train.txt").write_text("scene0003_00")
    (ref,) = scannet.list_scans(tmp_path, ["train"])
    move = writer.release_from_world(recording, "scene0003_00", seed=1)
    with datasets.read_scan(scannet, tmp_path, ref) as scan:
        assert sorted(scan.room.flags) == ["no_axis_alignment", "unknown_label:dishrack"]
        named = {item.object_id: (item.label, item.category) for item in scan.room.objects}
        assert [named[k][1] for k in range(5)] == ["sofa", "chair", "tv", "backpack", "trash bin"]
        assert named[1][0] == "armchair", "which only the table says is a chair"
        assert scan.camera(2)[1] is None and np.allclose(scan.camera(3)[1], move @ recording.poses[3], atol=1e-5)
        backpack = next(item for item in scan.room.objects if item.object_id == 3)
        assert np.allclose(backpack.box.centroid, move[:3, :3] @ filmed.THINGS[3].center + move[:3, 3], atol=0.02)
