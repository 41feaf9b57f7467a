"""The written ARKitScenes format, read back by a parser made from the published layout alone."""

import json

import cv2
import numpy as np
import pytest

import filmed
from toyworld.rooms.vocabulary import CATEGORIES
from toyworld.writers import arkitscenes

SCENE = "41048190"
TURNS = (0, 90, 180, 270)


@pytest.fixture(autouse=True)
def _box_mesh(monkeypatch):
    monkeypatch.setattr(arkitscenes, "mesh_of", filmed.gridded)


@pytest.fixture
def recording():
    return filmed.film(lost=(3,))


def write(recording, root, split="train", **quirks):
    arkitscenes.write_scan(recording, root, SCENE, seed=filmed.SEED, split=split, quirks=arkitscenes.Quirks(**quirks))
    return root / "raw" / "Training" / SCENE


def stamps(folder):
    """Return the time stamps in the names of a folder's files, as text, sorted."""
    return sorted((path.stem.removeprefix(f"{SCENE}_") for path in folder.iterdir()), key=float)


def picture(path):
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


def rodrigues(r):
    """Return the rotation matrix of an axis-angle vector: cos I + sin [k] + (1 - cos) k k^T."""
    angle = np.linalg.norm(r)
    k = r / angle
    cross = np.array([[0, -k[2], k[1]], [k[2], 0, -k[0]], [-k[1], k[0], 0]])
    return np.cos(angle) * np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * np.outer(k, k)


def trajectory(path):
    """Return camera-to-world poses by the time stamp with three decimals."""
    found = {}
    for line in path.read_text().splitlines():
        stamp, *values = line.split()
        assert len(stamp.split(".")[1]) > 3, "full precision in the file, three decimals in the names"
        values = np.array(values, float)
        w2c = np.vstack([np.column_stack([rodrigues(values[:3]), values[3:]]), [0, 0, 0, 1]])
        found[f"{round(float(stamp), 3):.3f}"] = np.linalg.inv(w2c)
    return found


def intrinsics(folder, stamp):
    """Return (K, width, height) of the .pincam nearest in time."""
    nearest = min(folder.glob("*.pincam"), key=lambda p: abs(float(p.stem.split("_")[1]) - float(stamp)))
    w, h, fx, fy, cx, cy = map(float, nearest.read_text().split())
    return np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]]), int(w), int(h)


def annotation(folder):
    return json.loads((folder / f"{SCENE}_3dod_annotation.json").read_text())


def mesh(folder):
    head, body = (folder / f"{SCENE}_3dod_mesh.ply").read_bytes().split(b"end_header\n", 1)
    n = int(head.split(b"element vertex ")[1].split()[0])
    return np.frombuffer(body, [("xyz", "<f4", 3), ("rgb", "u1", 3)], n)["xyz"].astype(float)


def upright(image, turn):
    return np.rot90(image, -turn // 90)


@pytest.mark.parametrize("turn", TURNS)
def test_turning_stored_pictures_clockwise_gives_the_recording_back(recording, tmp_path, turn):
    folder = write(recording, tmp_path, rotation_deg=turn)
    names = stamps(folder / "vga_wide")
    assert len(names) == 7
    for stamp, (rgb, _, _) in zip(names, recording.frames()):
        stored = picture(folder / "vga_wide" / f"{SCENE}_{stamp}.png")[:, :, ::-1]
        assert np.array_equal(upright(stored, turn), rgb)
        _, w, h = intrinsics(folder / "vga_wide_intrinsics", stamp)
        assert stored.shape[:2] == (h, w)


@pytest.mark.parametrize("turn", TURNS)
@pytest.mark.parametrize("layout", ["raw", "3dod"])
def test_vertices_in_a_box_land_on_their_own_pixels_of_the_stored_picture(recording, tmp_path, turn, layout):
    write(recording, tmp_path, rotation_deg=turn)
    folder = tmp_path / layout / "Training" / SCENE
    home, asset = (folder, "vga_wide") if layout == "raw" else (folder / f"{SCENE}_frames", "lowres_wide")
    poses, xyz = trajectory(home / "lowres_wide.traj"), mesh(folder)
    right = total = 0
    for stamp, (_, depth, owner) in zip(stamps(home / asset), recording.frames()):
        if stamp not in poses:
            continue
        K, _, _ = intrinsics(home / f"{asset}_intrinsics", stamp)
        sky = poses[stamp][2, :2]
        assert np.argmax([-sky[1], -sky[0], sky[1], sky[0]]) * 90 == turn
        for entry in annotation(folder)["data"]:
            obb = {key: np.array(value) for key, value in entry["segments"]["obbAligned"].items()}
            local = (xyz - obb["centroid"]) @ obb["normalizedAxes"].reshape(3, 3).T
            inside = (np.abs(local) <= obb["axesLengths"] / 2 + 1e-4).all(axis=1)
            # On a sloping surface the depth changes by centimetres per pixel, hence exact images and a small slack.
            hits, seen = filmed.landing(
                K, poses[stamp], xyz[inside], np.rot90(owner, turn // 90), entry["objectId"] - 1,
                np.rot90(depth, turn // 90),
            )  # fmt: skip
            right, total = right + hits, total + seen
    assert total > 200
    assert right / total > 0.94


def test_depth_is_256x192_in_the_raw_layout_and_the_pictures_size_in_the_other(recording, tmp_path):
    folder = write(recording, tmp_path)
    frames = tmp_path / "3dod" / "Training" / SCENE / f"{SCENE}_frames"
    for stamp, (_, depth, _) in zip(stamps(folder / "lowres_depth"), recording.frames()):
        large = picture(folder / "lowres_depth" / f"{SCENE}_{stamp}.png")
        assert (large.dtype, large.shape) == (np.uint16, (192, 256))
        assert np.array_equal(large[1::4, 2::4], np.round(depth * 1000))
        assert np.array_equal(picture(frames / "lowres_depth" / f"{SCENE}_{stamp}.png"), np.round(depth * 1000))


def test_a_portrait_recording_is_stored_as_a_landscape_sensor_sees_it(tmp_path):
    folder = write(filmed.film(width=48, height=64), tmp_path, rotation_deg=90)
    (stamp, *_) = stamps(folder / "vga_wide")
    assert picture(folder / "vga_wide" / f"{SCENE}_{stamp}.png").shape == (48, 64, 3)
    assert picture(folder / "lowres_depth" / f"{SCENE}_{stamp}.png").shape == (192, 256)


def test_lost_frames_have_no_line_in_the_trajectory(recording, tmp_path):
    folder = write(recording, tmp_path)
    names = stamps(folder / "vga_wide")
    poses = trajectory(folder / "lowres_wide.traj")
    assert sorted(set(names) - set(poses)) == [names[3]]
    assert set(poses) < set(names)


def test_the_trajectory_has_ten_lines_per_second_whatever_the_frame_rate(tmp_path):
    folder = write(filmed.film(fps=30), tmp_path)
    names = stamps(folder / "vga_wide")
    assert len(names) == 7 and sorted(trajectory(folder / "lowres_wide.traj")) == [names[0], names[3], names[6]]


def test_world_starts_at_the_first_camera_and_is_turned(recording, tmp_path):
    folder = write(recording, tmp_path)
    poses = trajectory(folder / "lowres_wide.traj")
    first = poses[stamps(folder / "vga_wide")[0]]
    np.testing.assert_allclose(first[:3, 3], 0, atol=1e-9)
    assert np.abs(first[:3, :3] - recording.poses[0][:3, :3]).max() > 0.1


def test_some_pincams_are_named_a_millisecond_off(recording, tmp_path):
    folder = write(recording, tmp_path)
    times, pincams = (np.array(stamps(folder / name), float) for name in ("vga_wide", "vga_wide_intrinsics"))
    offsets = np.round((pincams - times) * 1000).astype(int)
    assert sorted(offsets.tolist()) == [-1, 0, 0, 0, 0, 0, 1]


def test_boxes_are_the_things_in_metres_and_the_other_obb_misleads(recording, tmp_path):
    value = annotation(write(recording, tmp_path))
    assert (value["skipped"], set(value)) == (False, {"data", "stats", "comment", "confirm", "skipped"})
    labelled = [thing for thing in filmed.THINGS if "arkitscenes" in CATEGORIES[thing.category].labels]
    assert [entry["label"] for entry in value["data"]] == ["sofa", "chair", "tv_monitor"]
    assert len({entry["uid"] for entry in value["data"]}) == 3
    centroids = []
    for entry, thing in zip(value["data"], labelled):
        aligned, other = entry["segments"]["obbAligned"], entry["segments"]["obb"]
        assert np.array_equal(aligned["axesLengths"], thing.size)
        np.testing.assert_allclose(other["axesLengths"], np.array(thing.size) * 100)
        assert not np.allclose(np.array(other["centroid"]) / 100, aligned["centroid"], atol=0.05)
        centroids.append(aligned["centroid"])
    truth = [thing.center for thing in labelled]
    for a, b in ((0, 1), (0, 2), (1, 2)):
        expected = np.linalg.norm(np.subtract(truth[a], truth[b]))
        assert np.linalg.norm(np.subtract(centroids[a], centroids[b])) == pytest.approx(expected)


def test_quirks_show_in_the_files(recording, tmp_path):
    slashed = annotation(write(recording, tmp_path / "a", delimiter="/", layouts=("raw",)))
    assert "tv/monitor" in {entry["label"] for entry in slashed["data"]}
    assert not (tmp_path / "a" / "3dod").exists()
    skipped = annotation(write(recording, tmp_path / "b", skipped=True))
    assert skipped["skipped"] is True and skipped["data"] == []


def test_validation_videos_stand_in_their_own_fold(recording, tmp_path):
    write(recording, tmp_path, split="val")
    for layout in ("raw", "3dod"):
        assert (tmp_path / layout / "Validation" / SCENE / f"{SCENE}_3dod_annotation.json").exists()
        assert not (tmp_path / layout / "Training").exists()
    with pytest.raises(ValueError, match="'test'"):
        write(recording, tmp_path, split="test")


def test_a_turn_that_is_no_quarter_is_refused(recording, tmp_path):
    with pytest.raises(ValueError, match="45"):
        write(recording, tmp_path, rotation_deg=45)


def test_a_video_written_twice_is_the_same_bytes(recording, tmp_path):
    write(recording, tmp_path / "a")
    write(recording, tmp_path / "b")
    names = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*") if path.is_file())
    assert len(names) == 2 * (3 * 7 + 3)
    assert all((tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes() for name in names)
