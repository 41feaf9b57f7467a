"""Reading ScanNet++ scans."""

import json
import zlib

import numpy as np
import pytest

from rollout3d.releases import MissingData
from rollout3d.scenes import datasets
from rollout3d.scenes.datasets import _scannetpp_room, scannetpp
from rollout3d.scenes.reading import ScanError
from rollout3d.scenes.release import ScanRef
from scenes import mini

REF = ScanRef("7b6477cb95", "7b6477cb95", "train")
N_VIDEO = 9
WIDTH, HEIGHT = 160, 120
FULL_K = np.array([[1600.0, 0, 959.5], [0, 1590.0, 719.5], [0, 0, 1]])
YAW = np.deg2rad(30)
AXES = np.array([[np.cos(YAW), np.sin(YAW), 0], [-np.sin(YAW), np.cos(YAW), 0], [0, 0, 1]])
"""Rows are the axes of a box turned by 30 degrees."""


def pose_of(i):
    return mini.look_at((0.5 + 0.1 * i, 2.8, 1.5), mini.COUCH_CENTER)


def obb(center, size, axes=AXES):
    corners = np.array([np.asarray(center) + ((2 * np.array(s) - 1) * size / 2) @ axes for s in np.ndindex(2, 2, 2)])
    return {
        "centroid": list(center),
        "axesLengths": list(size),
        "normalizedAxes": axes.ravel().tolist(),
        "min": corners.min(axis=0).tolist(),
        "max": corners.max(axis=0).tolist(),
    }


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "data" / REF.scene_id
    (tmp_path / "splits").mkdir()
    (tmp_path / "splits" / "nvs_sem_train.txt").write_text("7b6477cb95\n0a5c013435\n")
    (tmp_path / "splits" / "nvs_sem_val.txt").write_text("c50d2d1d42")
    vertices, faces, what = mini.world()
    mini.write_bytes(folder / "scans" / "mesh_aligned_0.05.ply", mini.ply_bytes(vertices, faces, alpha=False))
    painted = np.tile([255, 0, 255], (len(vertices), 1))
    mini.write_bytes(folder / "scans" / "mesh_aligned_0.05_semantic.ply", mini.ply_bytes(vertices, faces, painted))
    mini.write_json(folder / "scans" / "segments.json", {"segIndices": list(range(len(vertices)))})
    couch = np.flatnonzero(what == 1)
    cushion = couch[vertices[couch, 2] > 0.45]
    rug = np.flatnonzero((what == 0) & (vertices[:, 0] < 1.5))
    groups = [
        (1, "couch thing", couch, obb(mini.COUCH_CENTER, mini.COUCH_SIZE)),
        (2, "cushion", cushion, obb((2, 1, 0.5), np.array([1.0, 0.6, 0.02]))),
        (4, "SPLIT", rug, obb((1, 1, 0), np.array([1, 1, 0.01]))),
        (5, "office chair", np.array([], int), obb((3, 2, 0.4), np.array([0.5, 0.5, 0.8]))),
    ]
    mini.write_json(
        folder / "scans" / "segments_anno.json",
        {
            "segGroups": [
                {"id": i, "objectId": i, "label": n, "segments": s.tolist(), "obb": o} for i, n, s, o in groups
            ]
        },
    )
    pictures = [np.full((HEIGHT, WIDTH, 3), 20 + 25 * i, np.uint8) for i in range(N_VIDEO)]
    mini.write_video(folder / "iphone" / "rgb.mkv", pictures)
    entries = {
        f"frame_{i:06d}": {
            "timestamp": i / 60,
            "pose": np.eye(4).tolist(),
            "aligned_pose": pose_of(i).tolist(),
            "intrinsic": (FULL_K + np.diag([i, i, 0])).tolist(),
        }
        for i in range(N_VIDEO - 1)
    }
    mini.write_json(folder / "iphone" / "pose_intrinsic_imu.json", entries)
    depths = b"".join(np.full((192, 256), 1 + 0.1 * i, "<f4").tobytes() for i in range(N_VIDEO))
    packer = zlib.compressobj(wbits=-15)
    mini.write_bytes(folder / "iphone" / "depth.bin", packer.compress(depths) + packer.flush())
    return tmp_path


def test_splits(root):
    refs = scannetpp.list_scans(root, ["train", "val"])
    assert [(r.scene_id, r.space_id, r.split, r.present) for r in refs] == [
        ("7b6477cb95", "7b6477cb95", "train", True),
        ("0a5c013435", "0a5c013435", "train", False),
        ("c50d2d1d42", "c50d2d1d42", "val", False),
    ]
    with pytest.raises(MissingData, match=r"sem_test\.txt"):
        scannetpp.list_scans(root, ["test"])
    with pytest.raises(MissingData, match="apply for ScanNet"):
        scannetpp.list_scans(root / "nowhere", ["train"])


def test_video_is_every_second_frame_at_30_a_second(root):
    with datasets.read_scan(scannetpp, root, REF) as scan:
        source = scan.source
        assert (source.n_frames, source.width, source.height) == (5, WIDTH, HEIGHT)
        assert source.fps == pytest.approx(30)
        for index in (0, 3, 1):
            assert scan.frame(index).mean() == pytest.approx(20 + 50 * index, abs=4)
            assert np.allclose(scan.depth(index), 1 + 0.2 * index, atol=1e-5)


def test_camera_is_the_aligned_pose_with_the_frames_own_intrinsics_scaled_to_the_stream(root):
    with datasets.read_scan(scannetpp, root, REF) as scan:
        K, pose = scan.camera(3)
        assert np.allclose(pose, pose_of(6))
        scale = WIDTH / 1920
        assert np.allclose(K, [[1606 * scale, 0, 960 * scale - 0.5], [0, 1596 * scale, 720 * scale - 0.5], [0, 0, 1]])
        assert scan.depth_K(3)[0, 0] == pytest.approx(1606 / 7.5)
        assert scan.depth_K(3)[1, 2] == pytest.approx(720 / 7.5 - 0.5)


def test_frame_without_an_entry_is_lost(root):
    with datasets.read_scan(scannetpp, root, REF) as scan:
        K, pose = scan.camera(4)  # frame 8 of the file, which has no entry
        assert pose is None and K[0, 0] == pytest.approx(1607 * WIDTH / 1920)
        assert scan.frame(4).mean() == pytest.approx(220, abs=4)


def test_boxes_are_the_releases_own_with_rows_as_axes(root):
    room = scannetpp.read_room(root, REF)
    couch = next(o for o in room.objects if o.object_id == 1)
    along_x = mini.COUCH_CENTER + AXES[0] * 0.5
    assert couch.box.contains([along_x - 1e-9 * AXES[0]]).all()
    columns = mini.COUCH_CENTER + AXES[:, 0] * 0.499
    assert not couch.box.contains([columns]).all()
    # |cos 30| * 0.5 + |sin 30| * 0.3 on either side in x, |sin 30| * 0.5 + |cos 30| * 0.3 in y.
    half = [0.5 * np.cos(YAW) + 0.3 * np.sin(YAW), 0.5 * np.sin(YAW) + 0.3 * np.cos(YAW), 0.25]
    assert np.allclose(couch.aabb_min, mini.COUCH_CENTER - half)
    assert np.allclose(couch.aabb_max, mini.COUCH_CENTER + half)


def test_shared_vertices_go_to_the_smaller_instance(root):
    vertices, _, what = mini.world()
    room = scannetpp.read_room(root, REF)
    couch, cushion, _, chair = room.objects
    top = (what == 1) & (vertices[:, 2] > 0.45)
    of_mesh = cushion.vertex_index[cushion.vertex_index < len(vertices)]
    assert np.array_equal(np.sort(of_mesh), np.flatnonzero(top))
    assert (cushion.n_points, couch.n_points) == (top.sum(), ((what == 1) & ~top).sum())
    assert not set(couch.vertex_index) & set(cushion.vertex_index)
    assert [(o.category, o.perturbable) for o in room.objects] == [
        (None, True),
        ("cushion", True),
        (None, False),
        ("chair", True),
    ]
    assert chair.n_points == 0 and len(chair.vertex_index) == 0


def test_surface_points_are_added_behind_the_vertices_and_join_their_instance(root):
    vertices, _, _ = mini.world()
    room = scannetpp.read_room(root, REF)
    assert np.allclose(room.vertices[: len(vertices)], vertices, atol=1e-6) and room.faces.max() < len(vertices)
    added = room.vertices[len(vertices) :]
    area = 4 * 3 + 2 * (1.0 * 0.6 + 1.0 * 0.5 + 0.6 * 0.5)
    assert len(added) == pytest.approx(area / _scannetpp_room.SURFACE_SPACING_M**2, rel=0.05)
    assert room.colors.shape == room.vertices.shape and (room.colors == 90).all()
    couch = room.vertices[room.objects[0].vertex_index]
    assert len(couch) > 5 * room.objects[0].n_points
    low, high = mini.COUCH_CENTER - mini.COUCH_SIZE / 2 - 1e-6, mini.COUCH_CENTER + mini.COUCH_SIZE / 2 + 1e-6
    assert ((couch >= low) & (couch <= high)).all()
    again = scannetpp.read_room(root, REF)
    assert np.array_equal(again.vertices, room.vertices)


def test_scan_without_depth_or_plain_mesh_still_reads(root):
    folder = root / "data" / REF.scene_id
    (folder / "iphone" / "depth.bin").unlink()
    (folder / "scans" / "mesh_aligned_0.05.ply").unlink()
    with datasets.read_scan(scannetpp, root, REF) as scan:
        assert scan.depth(0) is None and scan.depth_K(0) is None


@pytest.mark.parametrize(
    "name", ["iphone/rgb.mkv", "iphone/pose_intrinsic_imu.json", "scans/segments.json", "scans/segments_anno.json"]
)
def test_missing_files_are_named(root, name):
    path = root / "data" / REF.scene_id / name
    path.unlink()
    with pytest.raises(ScanError) as caught:
        datasets.read_scan(scannetpp, root, REF)
    assert caught.value.path == path


def test_odd_poses_are_named(root):
    path = root / "data" / REF.scene_id / "iphone" / "pose_intrinsic_imu.json"
    mini.write_json(path, {"frame_000000": {"intrinsic": FULL_K.tolist()}})
    with pytest.raises(ScanError, match="aligned_pose"):
        datasets.read_scan(scannetpp, root, REF)


def test_a_frame_in_the_middle_may_lack_its_entry_or_a_usable_pose(root):
    path = root / "data" / REF.scene_id / "iphone" / "pose_intrinsic_imu.json"
    entries = json.loads(path.read_text())
    del entries["frame_000002"]
    entries["frame_000004"]["aligned_pose"] = np.full((4, 4), np.nan).tolist()
    path.write_text(json.dumps(entries))
    with datasets.read_scan(scannetpp, root, REF) as scan:
        assert [scan.camera(index)[1] is None for index in range(5)] == [False, True, True, False, True]
        assert np.allclose(scan.camera(3)[1], pose_of(6)), "entries go by their name, not by their place"


def test_the_video_may_be_an_mp4_and_masks_beside_it_are_no_video(root):
    folder = root / "data" / REF.scene_id / "iphone"
    (folder / "rgb.mkv").unlink()
    mini.write_video(folder / "rgb.mp4", [np.full((HEIGHT, WIDTH, 3), 200, np.uint8)] * N_VIDEO)
    mini.write_video(folder / "rgb_mask.mkv", [np.zeros((HEIGHT, WIDTH, 3), np.uint8)] * 3)
    with datasets.read_scan(scannetpp, root, REF) as scan:
        assert scan.source.n_frames == 5 and scan.frame(4).mean() == pytest.approx(200, abs=4)


def test_a_segment_may_hold_many_vertices(root):
    """The official code takes each segment for a vertex; the format says that segments hold vertices."""
    folder = root / "data" / REF.scene_id / "scans"
    vertices, _, what = mini.world()
    mini.write_json(folder / "segments.json", {"segIndices": np.where(what == 1, 700, 3).tolist()})
    groups = json.loads((folder / "segments_anno.json").read_text())["segGroups"][:1]
    groups[0]["segments"] = [700]
    mini.write_json(folder / "segments_anno.json", {"segGroups": groups})
    (couch,) = scannetpp.read_room(root, REF).objects
    assert np.array_equal(couch.vertex_index[couch.vertex_index < len(vertices)], np.flatnonzero(what == 1))
    assert couch.n_points == (what == 1).sum()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"centroid": [502, 1, 0.25]}, "out of the mesh"),
        ({"axesLengths": [400, 300, 200]}, "out of the mesh"),
    ],
)
def test_a_box_far_from_the_corners_beside_it_is_refused(root, change, why):
    path = root / "data" / REF.scene_id / "scans" / "segments_anno.json"
    content = json.loads(path.read_text())
    content["segGroups"][0]["obb"] |= change
    path.write_text(json.dumps(content))
    room = scannetpp.read_room(root, REF)
    assert 1 not in [item.object_id for item in room.objects] and len(room.objects) == 3
    assert any(flag.startswith("refused_box:1 couch thing: reaches ") and why in flag for flag in room.flags)


def test_objects_without_a_box_are_counted_and_left_out(root):
    path = root / "data" / REF.scene_id / "scans" / "segments_anno.json"
    content = json.loads(path.read_text())
    del content["segGroups"][1]["obb"]
    path.write_text(json.dumps(content))
    room = scannetpp.read_room(root, REF)
    assert "objects_without_box:1" in room.flags and [o.object_id for o in room.objects] == [1, 4, 5]


def test_labels_that_no_list_explains_are_flagged_and_stay_perturbable(root):
    couch, *_ = scannetpp.read_room(root, REF).objects
    assert (couch.label, couch.category, couch.perturbable, couch.known) == ("couch thing", None, True, False)
    table = "class,count,semantic_map_to,instance_map_to\ncouch thing,3,None,None\n"
    mini.write_bytes(root / "metadata" / "semantic_benchmark" / "map_benchmark.csv", table.encode())
    room = scannetpp.read_room(root, REF)
    assert room.objects[0].known and room.objects[0].perturbable and room.objects[0].category is None
    assert room.flags == [], "SPLIT is the annotators' mark, cushion and office chair are VSI-Bench's"


def test_a_video_that_ends_before_its_poses_is_a_flag(root):
    folder = root / "data" / REF.scene_id / "iphone"
    with datasets.read_scan(scannetpp, root, REF) as scan:
        assert scan.room.flags == ["unknown_label:couch thing"]
    pictures = [np.full((HEIGHT, WIDTH, 3), 20 + 25 * i, np.uint8) for i in range(N_VIDEO - 3)]
    mini.write_video(folder / "rgb.mkv", pictures)
    with datasets.read_scan(scannetpp, root, REF) as scan:
        assert "video_shorter_than_poses:2" in scan.room.flags


def test_a_video_of_another_shape_than_its_intrinsics_is_refused(root):
    pictures = [np.full((WIDTH, HEIGHT, 3), 20 + 25 * i, np.uint8) for i in range(N_VIDEO)]
    mini.write_video(root / "data" / REF.scene_id / "iphone" / "rgb.mkv", pictures)
    with pytest.raises(ScanError, match=r"rgb\.mkv: pictures of 120x160 pixels, for intrinsics of 1920x1440"):
        datasets.read_scan(scannetpp, root, REF)
