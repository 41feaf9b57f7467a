"""Reading ScanNet scans."""

import numpy as np
import pytest

from rollout3d.geometry.camera import project
from rollout3d.releases import MissingData
from rollout3d.scenes import scannet
from rollout3d.scenes.scan import ScanError, ScanRef
from scenes import mini

REF = ScanRef("scene0007_01", "scene0007", "train")


@pytest.fixture
def root(tmp_path):
    """One scan: floor half annotated, a couch listed twice, a label that the table lacks, a lost frame."""
    mini.write_tsv(tmp_path / "scannetv2-labels.combined.tsv")
    (tmp_path / "scannetv2_train.txt").write_text("scene0009_00\nscene0007_01\nscene0007_00\n")
    (tmp_path / "scannetv2_val.txt").write_text("scene0011_00")
    mini.write_scannet(tmp_path / "scans" / REF.scene_id, REF.scene_id)
    return tmp_path


def test_splits_come_from_their_files_in_order_with_or_without_final_newline(root):
    refs = scannet.list_scans(root, ["train", "val"])
    assert [r.scene_id for r in refs] == ["scene0009_00", "scene0007_01", "scene0007_00", "scene0011_00"]
    assert [r.space_id for r in refs] == ["scene0009", "scene0007", "scene0007", "scene0011"]
    assert [r.split for r in refs] == ["train"] * 3 + ["val"]
    assert [r.present for r in refs] == [False, True, False, False]


def test_mesh_and_poses_are_aligned_together(root):
    vertices, _, _ = mini.world()
    with scannet.read_scan(root, REF) as scan:
        assert np.allclose(scan.room.vertices, vertices, atol=1e-6)
        assert np.allclose(scan.room.to_aligned, mini.ALIGN)
        for index, truth in ((0, mini.POSES[0]), (2, mini.POSES[1])):
            K, pose = scan.camera(index)
            assert np.allclose(pose, truth, atol=1e-5)
            # The same picture as of the raw point by the raw pose.
            expected, depth = mini.pixel(K, truth, mini.COUCH_CENTER)
            uv, z = project(K, pose, mini.COUCH_CENTER[None])
            assert np.allclose(uv[0], expected, atol=1e-3) and z[0] == pytest.approx(depth, abs=1e-5)
            wrong, _ = project(K, pose, mini.raw(mini.COUCH_CENTER)[None])
            assert np.abs(wrong[0] - expected).max() > 10, "aligning one of the two would show"


def test_golden_projection(root):
    """The worked example of the format's description."""
    pose = np.array([[0, 0, 1, 1], [-1, 0, 0, 2], [0, -1, 0, 1.5], [0, 0, 0, 1]])
    K = np.array([[577.870605, 0, 319.5], [0, 577.870605, 239.5], [0, 0, 1]])
    uv, z = project(K, pose, [[4, 1.5, 1]])
    assert np.allclose(uv, [[415.811768, 335.811768]], atol=1e-6) and z == 3


def test_lost_frame_keeps_its_picture_and_has_no_pose(root):
    with scannet.read_scan(root, REF) as scan:
        K, pose = scan.camera(1)
        assert pose is None and np.allclose(K, mini.COLOR_K)
        assert abs(int(scan.frame(1).mean()) - 100) <= 2


def test_video_is_every_frame_at_24_a_second(root):
    with scannet.read_scan(root, REF) as scan:
        source = scan.source
        assert (source.fps, source.n_frames, source.width, source.height) == (24, 3, 64, 48)
        assert source.rotation_deg == 0 and scan.room.scene_type == "Living room / Lounge"
        assert np.allclose(scan.depth(2), 1.002) and np.allclose(scan.depth_K(2), mini.DEPTH_K)


def test_objects_are_named_boxed_and_deduplicated(root):
    room = scannet.read_room(root, REF)
    assert [(o.object_id, o.label, o.category, o.perturbable) for o in room.objects] == [
        (0, "floor", None, False),
        (1, "trashcan", None, True),
        (3, "couch", "sofa", True),
    ]
    assert sorted(room.flags) == ["duplicate_objects:1", "unknown_label:trashcan"]
    couch = room.objects[2]
    _, _, what = mini.world()
    assert np.array_equal(couch.vertex_index, np.flatnonzero(what == 1)) and couch.n_points == (what == 1).sum()
    assert np.allclose(couch.aabb_min, mini.COUCH_CENTER - mini.COUCH_SIZE / 2, atol=1e-6)
    assert np.allclose(couch.aabb_max, mini.COUCH_CENTER + mini.COUCH_SIZE / 2, atol=1e-6)
    assert np.allclose(couch.box.centroid, mini.COUCH_CENTER, atol=1e-4)
    assert np.allclose(sorted(couch.box.axes_lengths), sorted(mini.COUCH_SIZE), atol=1e-3)
    flat = room.objects[1].box  # four floor vertices a side: a box without height
    assert np.allclose(sorted(flat.axes_lengths)[1:], 0.3, atol=1e-3)
    used = np.concatenate([o.vertex_index for o in room.objects])
    assert len(used) < len(room.vertices), "some vertices belong to nothing"


def test_scan_without_alignment_keeps_its_axes_and_says_so(root):
    mini.write_scannet(root / "scans" / "scene0009_00", "scene0009_00", aligned=False)
    room = scannet.read_room(root, ScanRef("scene0009_00", "scene0009", "train"))
    assert np.array_equal(room.to_aligned, np.eye(4)) and "no_axis_alignment" in room.flags
    assert np.allclose(room.vertices, mini.raw(mini.world()[0]), atol=1e-6)


def test_test_scans_have_a_folder_of_their_own_and_no_annotation(root):
    mini.write_scannet(root / "scans_test" / "scene0707_00", "scene0707_00", aligned=False)
    (root / "scans_test" / "scene0707_00" / "scene0707_00.aggregation.json").unlink()
    (root / "scannetv2_test.txt").write_text("scene0707_00\n")
    (ref,) = scannet.list_scans(root, ["test"])
    assert ref.present
    room = scannet.read_room(root, ref)
    assert room.objects == [] and "no_annotation" in room.flags


@pytest.mark.parametrize(
    "name", ["{}.sens", "{}.txt", "{}_vh_clean_2.ply", "{}.aggregation.json", "{}_vh_clean_2.0.010000.segs.json"]
)
def test_missing_files_are_named(root, name):
    path = root / "scans" / REF.scene_id / name.format(REF.scene_id)
    path.unlink()
    with pytest.raises(ScanError) as caught:
        scannet.read_scan(root, REF)
    assert caught.value.path == path and not caught.value.expected


def test_segments_of_another_mesh_are_refused(root):
    path = root / "scans" / REF.scene_id / f"{REF.scene_id}_vh_clean_2.0.010000.segs.json"
    mini.write_json(path, {"segIndices": [1, 2, 3]})
    with pytest.raises(ScanError, match="3 segment indices"):
        scannet.read_room(root, REF)
    path.write_text("{")
    with pytest.raises(ScanError, match="not valid JSON"):
        scannet.read_room(root, REF)


def test_missing_release_split_file_or_label_table_say_how_to_get_them(root, tmp_path):
    with pytest.raises(MissingData, match="Terms of Use"):
        scannet.list_scans(tmp_path / "nowhere", ["train"])
    with pytest.raises(MissingData, match=r"scannetv2_test\.txt"):
        scannet.list_scans(root, ["test"])
    (root / "scannetv2-labels.combined.tsv").unlink()
    with pytest.raises(MissingData, match=r"labels\.combined\.tsv"):
        scannet.read_room(root, REF)
