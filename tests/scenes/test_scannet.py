"""Reading ScanNet scans."""

import numpy as np
import pytest

from rollout3d.geometry.camera import project
from rollout3d.releases import MissingData
from rollout3d.scenes import datasets
from rollout3d.scenes.datasets import scannet
from rollout3d.scenes.reading import ScanError
from rollout3d.scenes.release import ScanRef
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
    with datasets.read_scan(scannet, root, REF) as scan:
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
    with datasets.read_scan(scannet, root, REF) as scan:
        K, pose = scan.camera(1)
        assert pose is None and np.allclose(K, mini.COLOR_K)
        assert abs(int(scan.frame(1).mean()) - 100) <= 2


def test_video_is_every_frame_at_24_a_second(root):
    with datasets.read_scan(scannet, root, REF) as scan:
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
        datasets.read_scan(scannet, root, REF)
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


def test_files_of_the_full_resolution_mesh_are_not_mixed_in(root):
    """Their aggregation and segments have the same form, and belong to another mesh; labels.ply holds odd classes."""
    folder = root / "scans" / REF.scene_id
    plain = scannet.read_room(root, REF)
    vertices, faces = mini.sheet((5, 5, 0), (1, 0, 0), (0, 1, 0))
    for name in ("_vh_clean.ply", "_vh_clean_2.labels.ply"):
        mini.write_bytes(folder / f"{REF.scene_id}{name}", mini.ply_bytes(vertices, faces))
    mini.write_json(folder / f"{REF.scene_id}_vh_clean.segs.json", {"segIndices": [0] * len(vertices)})
    group = {"id": 0, "objectId": 0, "segments": [0], "label": "bed"}
    mini.write_json(folder / f"{REF.scene_id}_vh_clean.aggregation.json", {"segGroups": [group]})
    beside = scannet.read_room(root, REF)
    assert np.array_equal(beside.vertices, plain.vertices)
    assert [o.label for o in beside.objects] == [o.label for o in plain.objects] == ["floor", "trashcan", "couch"]


def test_files_of_version_2_go_before_those_of_version_1(root):
    (root / "scannetv1_train.txt").write_text("scene0001_00\n")
    (root / "scannet-labels.combined.tsv").write_text("id\tcategory\tcount\tnyu40id\n1\tcouch\t5\t4\n")
    assert "scene0001_00" not in {r.scene_id for r in scannet.list_scans(root, ["train"])}
    assert scannet.read_room(root, REF).objects[2].category == "sofa"
    (root / "scannetv2_train.txt").unlink()
    (root / "scannetv2-labels.combined.tsv").unlink()
    assert [r.scene_id for r in scannet.list_scans(root, ["train"])] == ["scene0001_00"]
    assert scannet.read_room(root, REF).objects[2].category == "bed", "as this table says"


@pytest.mark.parametrize("lost", [np.zeros((4, 4)), np.full((4, 4), np.nan), np.diag([1.0, 1, -1, 1])])
def test_poses_that_are_no_rigid_motion_are_lost(root, lost):
    """Zeros, which the released reader rejects too, NaN, and mirrored axes."""
    pose = np.linalg.inv(mini.ALIGN) @ mini.POSES[0]
    content = [(p, mini.jpeg(np.zeros((48, 64, 3), np.uint8)), np.ones((24, 32))) for p in (pose, lost)]
    path = root / "scans" / REF.scene_id / f"{REF.scene_id}.sens"
    path.write_bytes(mini.sens_bytes(content, mini.COLOR_K, mini.DEPTH_K, (64, 48), (32, 24)))
    with datasets.read_scan(scannet, root, REF) as scan:
        assert scan.camera(0)[1] is not None and scan.camera(1)[1] is None


def test_sizes_and_intrinsics_are_the_streams_and_no_extrinsics_are_applied(root):
    """The text file of a scan may tell another size, and its colour-to-depth motion is in the poses already."""
    with datasets.read_scan(scannet, root, REF) as scan:
        before = scan.camera(0), scan.depth_K(0)
    path = root / "scans" / REF.scene_id / f"{REF.scene_id}.txt"
    shift = " ".join(f"{v:.6f}" for v in mini.look_at((0.5, 0.2, 0.1), (1, 2, 0)).ravel())
    misleading = f"colorWidth = 1296\ncolorHeight = 968\nfx_color = 1170.2\ncolorToDepthExtrinsics = {shift}\n"
    path.write_text(path.read_text() + misleading)
    with datasets.read_scan(scannet, root, REF) as scan:
        assert (scan.source.width, scan.source.height) == (64, 48)
        for found, expected in zip((*scan.camera(0), scan.depth_K(0)), (*before[0], before[1])):
            assert np.array_equal(found, expected)


def test_text_file_is_read_defensively(root):
    path = root / "scans" / REF.scene_id / f"{REF.scene_id}.txt"
    text = path.read_text().replace("Living room / Lounge", "Living room = Lounge")
    path.write_text("\n# a comment\n" + text + "\nodd line\nempty = \n")
    room = scannet.read_room(root, REF)
    assert room.scene_type == "Living room = Lounge" and np.allclose(room.to_aligned, mini.ALIGN)
    for broken in ("1 2 3", "0 " * 16, "nan " * 16):
        path.write_text(f"axisAlignment = {broken}\n")
        with pytest.raises(ScanError) as caught:
            scannet.read_room(root, REF)
        assert caught.value.path == path
