"""Every oddity of ScanNet++ that the synthetic release holds, in the files' bytes and through the reader."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from rollout3d.scenes import datasets
from rollout3d.scenes.datasets import scannetpp
from rollout3d.scenes.reading import ScanError
from rollout3d.scenes.release import ScanRef
from scenes.conftest import SYNTHETIC
from scenes.quirk_files import load


@pytest.fixture
def made(releases):
    return releases["scannetpp"]


def scene_of(made, plan):
    return made.root / "data" / plan.scene_id


def test_small_60_fps_video_and_intrinsics_of_the_sensor(made):
    for plan in made.plans():
        recording = made.film(plan)
        with made.open(plan) as scan:
            assert (scan.source.width, scan.source.height) == (SYNTHETIC.width, SYNTHETIC.height)
            assert scan.source.fps == 30 and scan.source._video.fps == 60
            assert np.allclose(scan.camera(5)[0], recording.K, rtol=1e-3)


def test_pose_file_is_one_entry_short(made):
    """Every second frame of a video of odd length ends on the frame without an entry: it keeps its picture."""
    n_lost = 0
    for plan in made.plans():
        with made.open(plan) as scan:
            n = scan.source._video.n_frames
            assert len(load(scene_of(made, plan) / "iphone" / "pose_intrinsic_imu.json")) == n - 1
            lost = [index for index in range(scan.source.n_frames) if scan.camera(index)[1] is None]
            assert lost == ([scan.source.n_frames - 1] if n % 2 else [])
            rgb = list(made.film(plan).frames())[-1][0]
            assert np.median(np.abs(scan.frame(scan.source.n_frames - 1).astype(int) - rgb)) <= 2
        n_lost += len(lost)
    assert n_lost == 1


def test_depth_in_each_packing_is_the_frames_own(made):
    packings = set()
    for plan in made.plans():
        packings.add(plan.quirks.depth_packing)
        depths = [depth for _, depth, _ in made.film(plan).frames()]
        with made.open(plan) as scan:
            for index in (0, 7, len(depths) * 6 - 1, 31):
                found = scan.depth(index)
                assert found.shape == (192, 256)
                # Twice as many pixels as the film each way.
                assert np.abs(found[::2, ::2] - depths[index // 6]).max() < 6e-3
    assert packings == {"stream", "records_lz4", "records_deflate"}


def test_vertices_in_two_groups_go_to_the_one_with_fewer(made):
    for plan in made.plans():
        groups = load(scene_of(made, plan) / "scans" / "segments_anno.json")["segGroups"]
        sizes = {group["objectId"]: len(group["segments"]) for group in groups}
        claims: dict[int, list[int]] = {}
        for group in groups:
            for vertex in group["segments"]:  # in this release each segment is a vertex
                claims.setdefault(vertex, []).append(group["objectId"])
        twice = {vertex: ids for vertex, ids in claims.items() if len(ids) > 1}
        assert len(twice) == 12
        with made.open(plan) as scan:
            owner = {v: item.object_id for item in scan.room.objects for v in item.vertex_index.tolist()}
            assert all(owner[vertex] == min(ids, key=sizes.get) for vertex, ids in twice.items())


def test_boxes_are_turned_and_their_hull_is_the_files_min_and_max(made):
    n_turned = 0
    for plan in made.plans():
        groups = load(scene_of(made, plan) / "scans" / "segments_anno.json")["segGroups"]
        rows = {row["object_id"]: row for row in made.of("objects", plan.scene_id)}
        for group in groups:
            row, obb = rows[group["objectId"]], group["obb"]
            assert (row["aabb_min"], row["aabb_max"]) == (obb["min"], obb["max"])
            axes = np.reshape(row["normalized_axes"], (3, 3))
            reach = np.abs(axes * np.array(row["axes_lengths"])[:, None]).sum(axis=0) / 2
            assert np.allclose(np.array(row["centroid"]) + reach, row["aabb_max"])
            n_turned += np.abs(axes).max(axis=1).min() < 0.9995  # by more than two degrees
    assert n_turned > 10


def test_mesh_is_askew_in_the_positive_octant_and_nothing_is_moved(made):
    for plan in made.plans():
        move = np.array(made.truth(plan.scene_id)["release"]["release_from_world"])
        assert 2 < abs(np.degrees(np.arctan2(move[1, 0], move[0, 0]))) < 10
        with made.open(plan) as scan:
            assert scan.room.vertices.min() > 0 and np.array_equal(scan.room.to_aligned, np.eye(4))
            assert np.allclose(scan.camera(9)[1], move @ made.film(plan).poses[1])


def copied(made, plan, base, *parts):
    """Parts of a scene, in a release of their own."""
    for part in parts:
        shutil.copytree(scene_of(made, plan) / part, base / "data" / plan.scene_id / part)
    return base / "data" / plan.scene_id, ScanRef(plan.scene_id, plan.scene_id, plan.split)


def test_registered_cameras_agree_and_a_disagreement_is_noticed(made, tmp_path):
    (plan, *_) = made.plans()
    assert (scene_of(made, plan) / "iphone" / "colmap" / "images.txt").is_file()
    (scene,) = made.of("scenes", plan.scene_id)
    assert not any("colmap" in flag or "nerfstudio" in flag for flag in scene["flags"])
    folder, ref = copied(made, plan, tmp_path, "iphone", "scans")
    path = folder / "iphone" / "pose_intrinsic_imu.json"
    entries = load(path)

    def moved(change):
        poses = {key: {"aligned_pose": change(np.array(e["aligned_pose"])).tolist()} for key, e in entries.items()}
        path.write_text(json.dumps({key: entry | poses[key] for key, entry in entries.items()}))

    def flags(scan):  # without the release's metadata most labels are unknown
        return [flag for flag in scan.room.flags if not flag.startswith("unknown_label:")]

    drift = np.eye(4)
    drift[0, 3] = 0.2
    moved(lambda pose: drift @ pose)
    with datasets.read_scan(scannetpp, tmp_path, ref) as scan:
        assert flags(scan) == ["poses_off_colmap:0.20m_0deg", "poses_off_nerfstudio:0.20m_0deg"]
    for wrong in (np.linalg.inv, lambda pose: pose @ np.diag([1.0, -1, -1, 1])):  # world-to-camera; OpenGL axes
        moved(wrong)
        with pytest.raises(ScanError, match=r"off those of .*images\.txt") as caught:
            datasets.read_scan(scannetpp, tmp_path, ref)
        assert caught.value.path == path
    moved(lambda pose: pose)
    (folder / "iphone" / "colmap" / "images.txt").write_text("1 0.5 0.5\n")
    (folder / "iphone" / "nerfstudio" / "transforms.json").unlink()
    with datasets.read_scan(scannetpp, tmp_path, ref) as scan:
        assert flags(scan) == ["colmap_unreadable"]


def test_scene_without_the_phone_is_shown_by_its_dslr_pictures(made, tmp_path):
    plan = made.plans()[1]
    folder, ref = copied(made, plan, tmp_path, "dslr", "scans")
    recording, move = (
        made.film(plan),
        np.array(made.truth(plan.scene_id)["release"]["release_from_world"]),
    )
    with datasets.read_scan(scannetpp, tmp_path, ref) as scan:
        # Every fifth frame, without the fourth of them, which is for testing; the second one is marked as bad.
        assert (scan.source.n_frames, scan.source.fps) == (3, 3.0) and "dslr_pictures" in scan.room.flags
        pictures = [rgb for rgb, _, _ in recording.frames()][::5]
        for index in range(3):
            K, pose = scan.camera(index)
            assert np.allclose(K, recording.K)
            assert np.abs(scan.frame(index).astype(int) - pictures[index]).mean() < 6
            assert (pose is None) == (index == 1)
            assert pose is None or np.allclose(pose, move @ recording.poses[5 * index])
        assert scan.depth(0) is None and scan.depth_K(0) is None
    with made.open(plan) as scan:
        assert scan.source.fps == 30 and "dslr_pictures" not in scan.room.flags, "where there is a phone, it goes first"
    (folder / "dslr" / "train_test_lists.json").write_text('{"train": []}')
    with pytest.raises(ScanError, match="no training images"):
        datasets.read_scan(scannetpp, tmp_path, ref)
