"""ScanNet exported to color/, depth/, pose/ and intrinsic/ gives the tables that its .sens file gives."""

import shutil

import cv2
import numpy as np
import pytest

from rollout3d.geometry.camera import project
from rollout3d.scenes import datasets
from rollout3d.scenes.check import check_scan
from rollout3d.scenes.datasets import scannet
from rollout3d.scenes.ingest import ingest_scan
from rollout3d.scenes.reading import ScanError
from rollout3d.scenes.release import ScanRef
from scenes import mini
from scenes.conftest import settings

REF = ScanRef("scene0007_01", "scene0007", "train")
PICTURES = [np.full((48, 64, 3), 40 + 60 * i, np.uint8) for i in range(3)]
RAW_POSES = [np.linalg.inv(mini.ALIGN) @ mini.POSES[0], mini.LOST, np.linalg.inv(mini.ALIGN) @ mini.POSES[1]]


def text_of(matrix):
    """A 4x4 as the release's reader writes it: `np.savetxt(..., fmt='%f')`."""
    return "".join(" ".join(f"{value:f}" for value in row) + "\n" for row in np.asarray(matrix))


def write_export(folder, step=1, size=None):
    """What SensReader exports of the mini scan, whose pictures the .sens file holds."""
    for stream, K in (("color", mini.COLOR_K), ("depth", mini.DEPTH_K)):
        four = np.eye(4)
        four[:3, :3] = K
        mini.write_bytes(folder / "intrinsic" / f"intrinsic_{stream}.txt", text_of(four).encode())
        mini.write_bytes(folder / "intrinsic" / f"extrinsic_{stream}.txt", text_of(np.eye(4)).encode())
    for i in range(0, 3, step):
        picture = PICTURES[i] if size is None else cv2.resize(PICTURES[i], size)
        mini.write_bytes(folder / "color" / f"{i}.jpg", mini.jpeg(picture))
        depth = cv2.imencode(".png", np.full((24, 32), 1000 + i, np.uint16))[1]
        mini.write_bytes(folder / "depth" / f"{i}.png", depth.tobytes())
        mini.write_bytes(folder / "pose" / f"{i}.txt", text_of(RAW_POSES[i]).encode())


@pytest.fixture
def root(tmp_path):
    mini.write_tsv(tmp_path / "scannetv2-labels.combined.tsv")
    folder = tmp_path / "scans" / REF.scene_id
    mini.write_scannet(folder, REF.scene_id)
    meta = folder / f"{REF.scene_id}.txt"
    meta.write_text(meta.read_text() + "colorWidth = 64\ndepthWidth = 32\ndepthHeight = 24\nnumColorFrames = 3\n")
    return tmp_path


def folder_of(root):
    return root / "scans" / REF.scene_id


def exported(root, **layout):
    """The scan with its .sens file replaced by its export."""
    write_export(folder_of(root), **layout)
    (folder_of(root) / f"{REF.scene_id}.sens").unlink()
    return folder_of(root)


def flags(root):
    with datasets.read_scan(scannet, root, REF) as scan:
        return scan.room.flags


def test_both_forms_of_a_scan_give_the_same_tables(root):
    of_sens = ingest_scan(scannet, root, REF, settings())
    exported(root)
    of_export = ingest_scan(scannet, root, REF, settings())
    assert of_sens["objects"] == of_export["objects"]
    assert of_sens["maps"] == of_export["maps"]
    (scene,), (other) = of_sens["scenes"], of_export["scenes"][0]
    assert other.pop("flags") == [*scene.pop("flags")[:-1], "video:exported", "lost_frames:1"]
    for name, value in scene.pop("agreement").items():
        if name == "in_room":
            continue  # a camera of this world is exactly as far above the mesh as the margin: six decimals decide
        assert other["agreement"][name] == (value if value is None else pytest.approx(value, abs=2e-3)), name
    del other["agreement"]
    assert scene == other
    assert len(of_sens["frames"]) == 3
    for one, two in zip(of_sens["frames"], of_export["frames"]):
        # Six decimals of the text against 32 bits of the file.
        for name, tolerance in (("pose", 1e-5), ("K", 1e-4)):
            a, b = one.pop(name), two.pop(name)
            assert (a is None) == (b is None) and (a is None or np.allclose(a, b, atol=tolerance))
        assert one == two


def test_depth_and_pictures_are_those_of_the_frame(root):
    exported(root)
    with datasets.read_scan(scannet, root, REF) as scan:
        assert (scan.source.n_frames, scan.source.fps, scan.source.width, scan.source.height) == (3, 24, 64, 48)
        assert scan.camera(1)[1] is None, "tracking was lost"
        for index in (0, 2):
            assert np.allclose(scan.depth(index), 1 + index / 1000)
            assert abs(int(scan.frame(index).mean()) - (40 + 60 * index)) <= 2
            K, pose = scan.camera(index)
            expected, _ = mini.pixel(mini.COLOR_K, mini.POSES[index // 2], mini.COUCH_CENTER)
            assert np.allclose(project(K, pose, mini.COUCH_CENTER[None])[0][0], expected, atol=1e-2)


def test_every_nth_frame_keeps_its_time(root):
    exported(root, step=2)
    with datasets.read_scan(scannet, root, REF) as scan:
        assert (scan.source.n_frames, scan.source.fps) == (2, 12)
        assert "every_nth_frame:2" in scan.room.flags
        assert np.allclose(scan.camera(1)[1], mini.POSES[1], atol=1e-5)
        assert abs(int(scan.frame(1).mean()) - 160) <= 2


def test_resized_pictures_get_the_intrinsics_of_their_size(root):
    exported(root, size=(32, 24))
    with datasets.read_scan(scannet, root, REF) as scan:
        K, pose = scan.camera(0)
        assert "color_resized:32x24" in scan.room.flags
        expected, _ = mini.pixel(mini.COLOR_K, mini.POSES[0], mini.COUCH_CENTER)
        assert np.allclose(project(K, pose, mini.COUCH_CENTER[None])[0][0], (expected + 0.5) / 2 - 0.5, atol=1e-2)


def test_intrinsics_that_were_resized_with_the_pictures_are_left_alone(root):
    folder = exported(root, size=(32, 24))
    four = np.eye(4)
    four[:3, :3] = [[30.0, 0, 15.5], [0, 30.5, 11.5], [0, 0, 1]]
    (folder / "intrinsic" / "intrinsic_color.txt").write_text(text_of(four))
    with datasets.read_scan(scannet, root, REF) as scan:
        assert np.allclose(scan.camera(0)[0], four[:3, :3])


def test_intrinsics_of_the_scans_text_stand_in_for_those_of_the_export(root):
    folder = exported(root)
    shutil.rmtree(folder / "intrinsic")
    with pytest.raises(ScanError, match="states no fx_color: export") as caught:
        datasets.read_scan(scannet, root, REF)
    assert caught.value.path == folder / "intrinsic" / "intrinsic_color.txt"
    meta = folder / f"{REF.scene_id}.txt"
    named = {"fx": (0, 0), "fy": (1, 1), "mx": (0, 2), "my": (1, 2)}
    lines = [
        f"{name}_{stream} = {K[at]}"
        for stream, K in (("color", mini.COLOR_K), ("depth", mini.DEPTH_K))
        for name, at in named.items()
    ]
    meta.write_text(meta.read_text() + "\n".join(lines) + "\n")
    with datasets.read_scan(scannet, root, REF) as scan:
        assert np.allclose(scan.camera(0)[0], mini.COLOR_K) and np.allclose(scan.depth_K(0), mini.DEPTH_K)
        assert {"intrinsics_of_meta:color", "intrinsics_of_meta:depth"} <= set(scan.room.flags)


@pytest.mark.parametrize(("at", "value"), [((0, 0), 2.0), ((0, 0), 5000.0), ((0, 2), 64.0), ((0, 2), 5000.0)])
def test_intrinsics_of_no_camera_with_such_pictures_are_refused(root, at, value):
    folder = exported(root)
    four = np.eye(4)
    four[:3, :3] = mini.COLOR_K
    four[at] = value
    path = folder / "intrinsic" / "intrinsic_color.txt"
    path.write_text(text_of(four))
    with pytest.raises(ScanError, match="intrinsics of no camera with pictures of 64x48") as caught:
        datasets.read_scan(scannet, root, REF)
    assert caught.value.path == path


@pytest.mark.parametrize("place", ["exported", "frames", REF.scene_id, f"../../frames/{REF.scene_id}"])
def test_an_export_may_lie_in_a_folder_of_its_own(root, place):
    (folder_of(root) / f"{REF.scene_id}.sens").unlink()
    write_export(folder_of(root) / place)
    assert "video:exported" in flags(root)


def test_a_damaged_sens_file_is_replaced_by_its_export_with_a_flag(root):
    write_export(folder_of(root))
    assert not {"video:exported", f"damaged:{REF.scene_id}.sens"} & set(flags(root)), "the .sens file goes first"
    sens = folder_of(root) / f"{REF.scene_id}.sens"
    sens.write_bytes(sens.read_bytes()[:-1000])
    assert {"video:exported", f"damaged:{REF.scene_id}.sens"} <= set(flags(root))
    (folder_of(root) / "color" / "1.jpg").unlink()
    with pytest.raises(ScanError, match=r"truncated.*; what could replace it is no better: color: frame 1 is missing"):
        datasets.read_scan(scannet, root, REF)


def test_frames_without_depth_or_pose_stay_and_are_counted(root):
    folder = exported(root)
    (folder / "depth" / "0.png").unlink()
    (folder / "pose" / "2.txt").unlink()
    with datasets.read_scan(scannet, root, REF) as scan:
        assert scan.depth(0) is None and scan.depth(2) is not None and scan.camera(2)[1] is None
        assert "frames_without_depth:1" in scan.room.flags
    shutil.rmtree(folder / "depth")
    with datasets.read_scan(scannet, root, REF) as scan:
        assert scan.depth_K(0) is None and "no_depth" in scan.room.flags


@pytest.mark.parametrize("data", [b"", b"no picture"])
def test_one_damaged_depth_picture_costs_the_depth_of_its_frame(root, data):
    folder = exported(root)
    (folder / "depth" / "0.png").write_bytes(data)
    with datasets.read_scan(scannet, root, REF) as scan:
        assert scan.depth(0) is None and np.allclose(scan.depth(2), 1.002)
        assert scan.without_depth == {0} and not any("depth" in flag for flag in scan.room.flags)


@pytest.mark.parametrize(
    "change",
    [
        lambda f: shutil.copy(f / "depth" / "0.png", f / "depth" / "Thumbs (1).png"),
        lambda f: (f / "intrinsic" / "intrinsic_depth.txt").write_text("1 2 3"),
        lambda f: (f / "intrinsic" / "intrinsic_depth.txt").write_text(text_of(np.eye(4))),
        lambda f: (f / "intrinsic" / "intrinsic_depth.txt").unlink(),
        lambda f: [path.write_bytes(b"") for path in (f / "depth").iterdir()],
    ],
)
def test_depth_that_cannot_be_used_costs_the_depth_and_not_the_scan(root, change):
    change(exported(root))
    with datasets.read_scan(scannet, root, REF) as scan:
        assert scan.room.flags.count("damaged:depth") == 1
        assert scan.depth_K(0) is None and scan.depth(2) is None
        assert scan.source.n_frames == 3 and np.allclose(scan.camera(0)[0], mini.COLOR_K)


def test_an_early_end_is_a_flag(root):
    folder = exported(root)
    for name in ("color/2.jpg", "depth/2.png", "pose/2.txt"):
        (folder / name).unlink()
    assert "video_ends_early:2_of_3" in flags(root)


@pytest.mark.parametrize(
    ("change", "at", "said"),
    [
        (lambda f: (f / "color" / "1.jpg").unlink(), "color", "frame 1 is missing"),
        (lambda f: (f / "color" / "0.jpg").unlink(), "color", "starts with frame 1, not 0"),
        (lambda f: (f / "color" / "1.jpg").rename(f / "color" / "one.jpg"), "color", "one.jpg, whose name is not"),
        (lambda f: shutil.copy(f / "color" / "1.jpg", f / "color" / "01.png"), "color", "frame 1 is there twice"),
        (lambda f: [path.unlink() for path in (f / "pose").iterdir()], "pose", "holds no poses"),
        (lambda f: (f / "pose" / "0.txt").write_text("1 2 3"), "pose/0.txt", "3 numbers"),
        (lambda f: (f / "color" / "0.jpg").write_bytes(b""), "color/0.jpg", "no picture data"),
        (lambda f: cv2.imwrite(str(f / "depth" / "0.png"), np.ones((24, 32), np.uint8)), "depth/0.png", "16 bits"),
    ],
)
def test_what_is_refused_is_named(root, change, at, said):
    folder = exported(root)
    change(folder)
    with pytest.raises(ScanError, match=said) as caught, datasets.read_scan(scannet, root, REF) as scan:
        scan.camera(0), scan.source.depth(0)
    assert caught.value.path == folder / at


def test_without_any_video_the_message_says_what_is_there_and_what_to_do(root):
    (folder_of(root) / f"{REF.scene_id}.sens").unlink()
    with pytest.raises(ScanError) as caught:
        datasets.read_scan(scannet, root, REF)
    for said in ("no such file", "color", "_vh_clean_2.ply", "SensReader"):
        assert said in caught.value.reason


def test_annotation_of_the_full_mesh_alone_is_read_with_that_mesh(root):
    folder = folder_of(root)
    for old, new in (
        ("_vh_clean_2.ply", "_vh_clean.ply"),
        (".aggregation.json", "_vh_clean.aggregation.json"),
        ("_vh_clean_2.0.010000.segs.json", "_vh_clean.segs.json"),
    ):
        shutil.copy(folder / f"{REF.scene_id}{old}", folder / f"{REF.scene_id}{new}")
    expected = [(o.object_id, o.label, o.n_points) for o in scannet.read_room(root, REF).objects]
    (folder / f"{REF.scene_id}.aggregation.json").unlink()
    room = scannet.read_room(root, REF)
    assert [(o.object_id, o.label, o.n_points) for o in room.objects] == expected
    assert "mesh:vh_clean" in room.flags and room.mesh_path.name == f"{REF.scene_id}_vh_clean.ply"
    (folder / f"{REF.scene_id}_vh_clean.segs.json").unlink()
    with pytest.raises(ScanError) as caught:
        scannet.read_room(root, REF)
    assert caught.value.path == folder / f"{REF.scene_id}.aggregation.json" and "download" in caught.value.reason


def test_an_exported_synthetic_scan_passes_check_scan_with_the_releases_own_labels(releases, tmp_path):
    """Written from what the reader of the .sens file gives; the archive of instance pictures numbers frames alike."""
    made = releases["scannet"]
    (plan,) = (plan for plan in made.plans() if plan.quirks.projected)
    shutil.copytree(made.root / "scans" / plan.scene_id, tmp_path / "scans" / plan.scene_id)
    shutil.copy(made.root / "scannetv2-labels.combined.tsv", tmp_path)
    folder = tmp_path / "scans" / plan.scene_id
    with made.open(plan) as scan:
        sens = scan.source._sens
        for stream, K in (("color", sens.color_K), ("depth", sens.depth_K)):
            four = np.eye(4)
            four[:3, :3] = K
            mini.write_bytes(folder / "intrinsic" / f"intrinsic_{stream}.txt", text_of(four).encode())
        for i in range(0, sens.n_frames, 2):
            mini.write_bytes(folder / "color" / f"{i}.jpg", mini.jpeg(sens.color(i)))
            millimetres = np.rint(1000 * sens.depth(i)).astype(np.uint16)
            mini.write_bytes(folder / "depth" / f"{i}.png", cv2.imencode(".png", millimetres)[1].tobytes())
            mini.write_bytes(folder / "pose" / f"{i}.txt", text_of(sens.poses[i]).encode())
    (folder / f"{plan.scene_id}.sens").unlink()
    report = check_scan("scannet", folder)
    assert report.passed, report.text()
    assert {check.name: check.passed for check in report.checks}["labels of the release"] is True
    assert any(value.startswith("every_nth_frame:2") for what, value in report.found if what == "flag")
