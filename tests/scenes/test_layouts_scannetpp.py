"""ScanNet++ in the layouts that people have: another container, COLMAP's poses only, DSLR pictures still distorted."""

import json
import shutil
from dataclasses import replace

import cv2
import numpy as np
import pytest

from rollout3d.geometry.camera import project
from rollout3d.scenes import datasets
from rollout3d.scenes.datasets import _scannetpp_colmap, scannetpp
from rollout3d.scenes.datasets._scannetpp_fisheye import FisheyeSource, pinhole
from rollout3d.scenes.inventory import inspect_scan
from rollout3d.scenes.reading import ScanError
from rollout3d.scenes.release import ScanRef
from scenes import mini
from scenes.conftest import SEED, SYNTHETIC
from toyworld.writers import release

SCENE = "7b6477cb95"
REF = ScanRef(SCENE, SCENE, "train")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """One scene with every asset, among them COLMAP's model of the phone and the DSLR's pictures."""
    base = tmp_path_factory.mktemp("plus") / "scannetpp"
    small = SYNTHETIC.model_copy(update={"scans_per_dataset": 2, "val_scans": 1, "seconds": 2.0, "n_objects": (8, 8)})
    planned = release.plan("scannetpp", small, SEED)[:1]
    planned = [replace(planned[0], scene_id=SCENE, quirks=replace(planned[0].quirks, dslr=True))]
    release.write_scans("scannetpp", base, planned, lambda plan: release.film("scannetpp", plan, small, SEED), SEED)
    return base


@pytest.fixture
def root(written, tmp_path):
    shutil.copytree(written, tmp_path / "copy")
    return tmp_path / "copy"


def phone(root):
    return root / "data" / SCENE / "iphone"


def opened(root):
    return scannetpp.open_video(root, REF, np.eye(4))


def as_mp4(root, name="rgb.mp4"):
    with datasets.read_scan(scannetpp, root, REF) as scan:
        pictures = [scan.frame(index) for index in range(scan.source.n_frames) for _ in range(2)]
    mini.write_video(phone(root) / name, pictures)
    return pictures


def test_the_mp4_serves_without_the_mkv(root):
    pictures = as_mp4(root)
    (phone(root) / "rgb.mkv").unlink()
    source, flags = opened(root)
    assert "video:rgb.mp4" in flags and not any(flag.startswith("damaged") for flag in flags)
    assert (source.fps, source.n_frames) == (30, len(pictures) // 2)
    assert np.abs(source.frame(7).astype(int) - pictures[14]).mean() < 6
    source.close()


def test_a_copy_with_every_second_frame_keeps_poses_and_depth_of_its_frames(root):
    whole, _ = opened(root)
    pictures = [whole.frame(index) for index in range(whole.n_frames)]
    mini.write_video(phone(root) / "rgb.mp4", pictures, rate=30)
    (phone(root) / "rgb.mkv").unlink()
    copy, flags = opened(root)
    assert "thinned_video:2" in flags and (copy.fps, copy.n_frames) == (30, whole.n_frames)
    for index in (0, 11, 50):
        assert np.allclose(copy.camera(index)[1], whole.camera(index)[1])
        assert np.allclose(copy.camera(index)[0], whole.camera(index)[0])
        assert np.array_equal(copy.depth(index), whole.depth(index))
        assert np.abs(copy.frame(index).astype(int) - pictures[index]).mean() < 6
    whole.close(), copy.close()


def test_the_mkv_goes_first_where_both_are_whole(root):
    as_mp4(root)
    source, flags = opened(root)
    assert not [flag for flag in flags if flag.startswith(("video:", "damaged:"))]
    source.close()


def cut(data):
    return data[: len(data) // 2]


def spoil(data):
    middle = len(data) // 2
    return data[:middle] + bytes(2000) + data[middle + 2000 :]


@pytest.mark.parametrize("damage", [lambda data: b"", lambda data: b"no video" * 100, cut, spoil])
def test_the_mp4_beside_a_damaged_mkv_serves_with_a_flag(root, damage):
    as_mp4(root)
    path = phone(root) / "rgb.mkv"
    path.write_bytes(damage(path.read_bytes()))
    source, flags = opened(root)
    assert {"video:rgb.mp4", "damaged:rgb.mkv"} <= set(flags)
    source.frame(source.n_frames - 1)
    source.close()


def test_where_neither_is_whole_and_no_dslr_is_there_both_are_named(root):
    shutil.rmtree(root / "data" / SCENE / "dslr")
    for name in ("rgb.mkv", "rgb.mp4"):
        (phone(root) / name).write_bytes(b"")
    shutil.rmtree(phone(root) / "colmap")
    with pytest.raises(ScanError, match=r"what could replace it is no better: rgb\.mp4") as caught:
        opened(root)
    assert caught.value.path == phone(root) / "rgb.mkv"


def test_colmaps_cameras_serve_without_the_phones_own_poses(root):
    own, _ = opened(root)
    (phone(root) / "pose_intrinsic_imu.json").unlink()
    source, flags = opened(root)
    assert "video:rgb.mkv+colmap" in flags
    lost = [index for index in range(source.n_frames) if source.camera(index)[1] is None]
    assert not lost or min(lost) > source.n_frames - 6, "only behind the last registered frame"
    point = np.array([[1.0, 1.0, 1.0]])
    for index in (0, 5, 13, 40):  # registered ones and such between
        (K, pose), (own_K, own_pose) = source.camera(index), own.camera(index)
        assert np.allclose(K, own_K, rtol=2e-3, atol=0.3)
        assert np.linalg.norm(pose[:3, 3] - own_pose[:3, 3]) < 0.25  # the writer holds a pose, interpolation moves on
    for index in (0, 5, 15):
        frame = 2 * index
        if frame % 10 == 0:
            a, b = (project(*each.camera(index), point)[0] for each in (source, own))
            assert np.allclose(a, b, atol=1.0)
    own.close(), source.close()


def test_a_video_that_ends_before_colmaps_cameras_is_a_flag(root):
    with datasets.read_scan(scannetpp, root, REF) as scan:
        pictures = [scan.frame(index) for index in range(scan.source.n_frames) for _ in range(2)]
    (phone(root) / "pose_intrinsic_imu.json").unlink()
    source, flags = opened(root)
    last = int(source._indices[-1])
    source.close()
    assert not any("shorter" in flag for flag in flags)
    mini.write_video(phone(root) / "rgb.mkv", pictures[: last - 3])
    source, flags = opened(root)
    source.close()
    assert "video_shorter_than_poses:4" in flags


def test_damaged_poses_fall_back_to_colmap_but_poses_of_another_scan_do_not(root):
    path = phone(root) / "pose_intrinsic_imu.json"
    text = path.read_text()
    path.write_text(text[: len(text) // 2])
    source, flags = opened(root)
    assert {"video:rgb.mkv+colmap", "damaged:pose_intrinsic_imu.json"} <= set(flags)
    source.close()
    entries = json.loads(text)
    for entry in entries.values():
        entry["aligned_pose"][0][3] += 3.0
    path.write_text(json.dumps(entries))
    with pytest.raises(ScanError, match="belongs to another scan"):
        opened(root)


def test_a_phone_folder_with_exif_only_gives_way_to_the_dslr_or_is_refused_with_the_remedy(root):
    for path in phone(root).iterdir():
        if path.name != "exif.json":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    source, flags = opened(root)
    assert {"video:dslr", "dslr_pictures"} <= set(flags) and source.fps == 3
    shutil.rmtree(root / "data" / SCENE / "dslr")
    with pytest.raises(ScanError) as caught:
        opened(root)
    for said in ("no such file", "rgb.mp4", "iphone/ holds exif.json", "resized_undistorted_images"):
        assert said in caught.value.reason


LENS = np.array([[100.0, 0, 63.5], [0, 100.0, 47.5], [0, 0, 1]])
K1234 = np.array([-0.03, 0.02, -0.01, 0.001])


def distorted(folder):
    """The DSLR's pictures as the fisheye lens shows them: each pixel by the model's formula, written out."""
    transforms = json.loads((folder / "nerfstudio" / "transforms_undistorted.json").read_text())
    straight_K = np.array(
        [[transforms["fl_x"], 0, transforms["cx"] - 0.5], [0, transforms["fl_y"], transforms["cy"] - 0.5], [0, 0, 1]]
    )
    v, u = np.mgrid[: transforms["h"], : transforms["w"]].astype(float)
    x, y = (u - LENS[0, 2]) / LENS[0, 0], (v - LENS[1, 2]) / LENS[1, 1]
    radius = np.hypot(x, y)  # theta_d
    theta = radius.copy()
    for _ in range(30):  # theta_d = theta (1 + k1 theta^2 + ...), solved for theta
        theta = radius / (1 + sum(k * theta ** (2 * i + 2) for i, k in enumerate(K1234)))
    scale = np.where(radius > 1e-9, np.tan(theta) / np.maximum(radius, 1e-9), 1.0)
    map_u = (x * scale * straight_K[0, 0] + straight_K[0, 2]).astype(np.float32)
    map_v = (y * scale * straight_K[1, 1] + straight_K[1, 2]).astype(np.float32)
    pictures = folder / "resized_images"
    pictures.mkdir()
    for path in (folder / "resized_undistorted_images").iterdir():
        seen = cv2.remap(cv2.imread(str(path)), map_u, map_v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
        cv2.imwrite(str(pictures / path.name), seen, [cv2.IMWRITE_JPEG_QUALITY, 98])
    lens = {"fl_x": 100.0, "fl_y": 100.0, "cx": 64.0, "cy": 48.0, "camera_model": "OPENCV_FISHEYE"}
    lens |= {f"k{i + 1}": k for i, k in enumerate(K1234.tolist())}
    (folder / "nerfstudio" / "transforms.json").write_text(json.dumps({**transforms, **lens}))
    return straight_K


def test_distorted_dslr_pictures_are_undistorted_while_reading(root):
    folder = root / "data" / SCENE / "dslr"
    shutil.rmtree(phone(root))
    reference, _ = opened(root)
    straight_K = distorted(folder)
    truth = [(reference.frame(i), reference.camera(i)) for i in range(reference.n_frames)]
    shutil.rmtree(folder / "resized_undistorted_images")
    source, flags = opened(root)
    assert {"video:dslr_fisheye", "dslr_pictures", "undistorted_here"} <= set(flags)
    assert (source.n_frames, source.width, source.height) == (reference.n_frames, reference.width, reference.height)
    inner = (slice(20, -20), slice(26, -26))
    for index, (picture, (K, pose)) in enumerate(truth):
        new_K, new_pose = source.camera(index)
        assert (pose is None) == (new_pose is None) and (pose is None or np.allclose(pose, new_pose))
        assert np.allclose(K, straight_K, atol=1e-6) and new_K[0, 2] == pytest.approx((source.width - 1) / 2)
        # The straight picture of the one camera, moved to the other's intrinsics.
        moved = cv2.warpPerspective(picture, new_K @ np.linalg.inv(K), (source.width, source.height))
        difference = np.abs(moved[inner].astype(float) - source.frame(index)[inner]).mean()
        raw = cv2.imread(str(folder / "resized_images" / source._names[index]))[..., ::-1]
        assert difference < 4, "as sharp edges blur twice"
        assert difference < np.abs(moved[inner].astype(float) - raw[inner]).mean() / 2, "the raw picture is bent"


def test_pictures_that_are_listed_and_absent_are_noticed_and_give_way(root):
    folder = root / "data" / SCENE / "dslr"
    shutil.rmtree(phone(root))
    distorted(folder)
    names = sorted(json.loads((folder / "train_test_lists.json").read_text())["train"])
    (folder / "resized_undistorted_images" / names[0]).unlink()
    source, flags = opened(root)
    assert {"video:dslr_fisheye", "damaged:resized_undistorted_images"} <= set(flags)
    assert source.n_frames == len(names) and source.frame(1) is not None
    assert "damaged:resized_undistorted_images" in inspect_scan("scannetpp", root, REF)["flags"]
    (folder / "resized_images" / names[-1]).unlink()
    with pytest.raises(ScanError, match=f"no such file: 1 of {len(names)} listed pictures are missing") as caught:
        opened(root)
    assert caught.value.path == folder / "resized_undistorted_images" / names[0]
    assert inspect_scan("scannetpp", root, REF)["state"] == "missing"
    with pytest.raises(ScanError, match=f"1 of {len(names)} listed pictures are missing; download them again"):
        FisheyeSource(folder)


def test_colmaps_lens_and_poses_serve_without_nerfstudios(root):
    folder = root / "data" / SCENE / "dslr"
    shutil.rmtree(phone(root))
    distorted(folder)
    shutil.rmtree(folder / "resized_undistorted_images")
    reference, _ = opened(root)
    cameras = folder / "colmap" / "cameras.txt"
    width, height = reference.width, reference.height
    cameras.write_text(f"# one\n1 OPENCV_FISHEYE {width} {height} 100 100 64 48 {' '.join(map(str, K1234))}\n")
    (folder / "nerfstudio" / "transforms.json").unlink()
    source, flags = opened(root)
    assert {"video:dslr_fisheye+colmap", "dslr_pictures", "undistorted_here"} <= set(flags)
    for index in range(source.n_frames):
        assert np.array_equal(source.frame(index), reference.frame(index))
        (K, pose), (own_K, own_pose) = source.camera(index), reference.camera(index)
        assert np.allclose(K, own_K) and (own_pose is None or np.allclose(pose, own_pose))
    cameras.write_text(f"1 OPENCV_FISHEYE {width} {height} 100 100 64 48\n")
    with pytest.raises(ScanError, match="4 parameters of OPENCV_FISHEYE, expected 8") as caught:
        opened(root)
    assert caught.value.path == cameras


def test_a_fisheye_picture_of_another_lens_model_is_refused(root):
    folder = root / "data" / SCENE / "dslr"
    distorted(folder)
    path = folder / "nerfstudio" / "transforms.json"
    whole = path.read_text()
    for text in ("NaN", "Infinity", '"x"'):
        path.write_text(whole.replace('"k1": -0.03', f'"k1": {text}'))
        with pytest.raises(ScanError) as caught:
            FisheyeSource(folder)
        assert caught.value.path == path
    path.write_text(whole.replace("OPENCV_FISHEYE", "OPENCV"))
    with pytest.raises(ScanError, match="camera model OPENCV: distorted pictures have OPENCV_FISHEYE"):
        FisheyeSource(folder)


def test_colmaps_cameras_of_the_phone_must_be_one_known_camera(root):
    (phone(root) / "pose_intrinsic_imu.json").unlink()
    shutil.rmtree(root / "data" / SCENE / "dslr")
    path = phone(root) / "colmap" / "cameras.txt"
    good = path.read_text()
    path.write_text(good.replace("OPENCV", "FOV"))
    with pytest.raises(ScanError, match="camera model FOV"):
        opened(root)
    path.write_text(good + good.splitlines()[-1] + "\n")
    with pytest.raises(ScanError, match="states 2 cameras"):
        opened(root)


@pytest.mark.parametrize(
    ("camera", "says"),
    [
        ("1920 1440 3 1600 960 720", "intrinsics of no camera with pictures of 1920x1440"),
        ("1920 1440 1600 1600 99999 720", "intrinsics of no camera with pictures of 1920x1440"),
        ("1080 1920 1600 1600 540 960", "a camera of 1080x1920 pixels, for pictures of 1920x1440"),
        ("0 1440 1600 1600 960 720", "a camera of 0x1440 pixels"),
    ],
)
def test_colmaps_camera_must_be_one_of_the_phones_pictures(root, camera, says):
    (phone(root) / "pose_intrinsic_imu.json").unlink()
    shutil.rmtree(root / "data" / SCENE / "dslr")
    path = phone(root) / "colmap" / "cameras.txt"
    path.write_text(f"1 PINHOLE {camera}\n")
    with pytest.raises(ScanError, match=says) as caught:
        opened(root)
    assert caught.value.path == path


def test_colmaps_camera_of_smaller_pictures_is_resized(root):
    (phone(root) / "pose_intrinsic_imu.json").unlink()
    (phone(root) / "colmap" / "cameras.txt").write_text("1 PINHOLE 960 720 800 790 480 360\n")
    found = _scannetpp_colmap.read_cameras(phone(root) / "colmap" / "images.txt", (1920, 1440), 120, 60.0)[1]
    assert np.allclose(found[0], [[1600, 0, 959.5], [0, 1580, 719.5], [0, 0, 1]])


@pytest.mark.parametrize("focal", [7.9, 790_000.0])
def test_a_lens_of_no_camera_with_such_pictures_is_refused(root, focal):
    folder = root / "data" / SCENE / "dslr"
    distorted(folder)
    path = folder / "nerfstudio" / "transforms.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"fl_x": focal, "fl_y": focal}))
    with pytest.raises(ScanError, match="intrinsics of no camera with pictures of") as caught:
        FisheyeSource(folder)
    assert caught.value.path == path


def test_a_lens_that_leaves_no_straight_picture_is_refused():
    with pytest.raises(ValueError, match="intrinsics"):
        pinhole(np.array([[7.9, 0, 63.5], [0, 7.9, 47.5], [0, 0, 1]]), np.zeros(4), (128, 96))
