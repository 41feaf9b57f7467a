"""Depth that cannot be used, frames turned against the others, times out of order: flags, and the mesh's depth."""

import struct
import tracemalloc
import zlib

import cv2
import lz4.block
import numpy as np
import pytest

from rollout3d.scenes import datasets
from rollout3d.scenes.datasets import scannet
from rollout3d.scenes.datasets._arkit_frames import ArkitSource
from rollout3d.scenes.oddities import depth_flags, orientation_flags, time_flags
from rollout3d.scenes.reading import ScanError
from rollout3d.scenes.release import ScanRef
from rollout3d.scenes.scan import Room, Scan
from scenes import mini
from scenes.bad import ingested, png
from scenes.test_arkitscenes import VIDEO, write_video
from scenes.test_scannetpp import REF as PHONE
from scenes.test_scannetpp import root as phone_root  # noqa: F401 - a fixture

SCENE = "scene0001_00"
REF = ScanRef(SCENE, "scene0001", "train")
COLOR = mini.jpeg(np.zeros((48, 64, 3), np.uint8))


def scannet_root(base, frames=None, **scan):
    """A ScanNet of one tiny scan; `frames` (pose, colour, depth) in place of its own."""
    mini.write_tsv(base / "scannetv2-labels.combined.tsv")
    (base / "scannetv2_train.txt").write_text(SCENE)
    folder = base / "scans" / SCENE
    mini.write_scannet(folder, SCENE, **scan)
    if frames is not None:
        data = mini.sens_bytes(frames, mini.COLOR_K, mini.DEPTH_K, (64, 48), (32, 24))
        (folder / f"{SCENE}.sens").write_bytes(data)
    return base


def seen(rows):
    return {entry["category"]: entry["first_seen_s"] for entry in rows["maps"][0]["appearances"]}


def raw_poses():
    return [np.linalg.inv(mini.ALIGN) @ pose for pose in mini.POSES]


# --- depth -----------------------------------------------------------------------------------------------------------


def true_depth(pose):
    """Depth in millimetres of the tiny world, from the rendered mesh."""
    from rollout3d.geometry.raster import rasterise

    vertices, faces, _ = mini.world()
    return np.rint(rasterise(vertices, faces, mini.DEPTH_K, pose, 32, 24)[0] * 1000)


BAD_DEPTH = {"empty": np.zeros((24, 32)), "of another size": np.full((12, 16), 1000), "cut": None}


@pytest.mark.parametrize("kind", BAD_DEPTH)
def test_frames_whose_depth_cannot_be_used_fall_back_to_the_mesh_one_by_one(tmp_path, kind):
    poses = raw_poses()
    good = [(raw, COLOR, true_depth(pose)) for raw, pose in zip(poses, mini.POSES)]
    whole = ingested(scannet_root(tmp_path / "whole", good * 2), tmp_path / "a")
    bad = list(good * 2)
    bad[0] = (poses[0], COLOR, np.zeros((24, 32)) if kind == "cut" else BAD_DEPTH[kind])
    root = scannet_root(tmp_path / "bad", bad)
    if kind == "cut":
        path = root / "scans" / SCENE / f"{SCENE}.sens"
        data, packed = path.read_bytes(), zlib.compress(np.zeros((24, 32), "<u2").tobytes())
        path.write_bytes(data.replace(packed, b"\xff" * len(packed)))
    rows = ingested(root, tmp_path / "b")
    assert rows["scenes_dropped"] == [] and "depth_missing:1" in rows["scenes"][0]["flags"]
    assert seen(rows) == seen(whole) == {"sofa": 0.0}
    assert not any(flag.startswith("depth") for flag in whole["scenes"][0]["flags"])


def test_without_any_usable_depth_the_mesh_stands_in_for_all_of_it(tmp_path):
    rows = ingested(scannet_root(tmp_path / "root", depth=lambda i: np.zeros((24, 32))), tmp_path / "out")
    flags = rows["scenes"][0]["flags"]
    assert "depth_unusable" in flags and "depth_missing:3" in flags and seen(rows) == {"sofa": 0.0}


def test_depth_that_unpacks_to_gigabytes_is_not_unpacked(tmp_path):
    root = scannet_root(tmp_path / "root")
    packer = zlib.compressobj()
    bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(32)) + packer.flush()
    data = mini.sens_bytes([], mini.COLOR_K, mini.DEPTH_K, (64, 48), (32, 24), version=3)
    frame = raw_poses()[0].astype("<f4").tobytes() + struct.pack("<4Q", 0, 0, len(COLOR), len(bomb)) + COLOR + bomb
    path = root / "scans" / SCENE / f"{SCENE}.sens"
    path.write_bytes(data[:-8] + struct.pack("<Q", 1) + frame)
    with datasets.read_scan(scannet, root, REF) as scan:
        tracemalloc.start()
        assert scan.depth(0) is None and tracemalloc.get_traced_memory()[1] < 2**20
        tracemalloc.stop()
    assert "depth_missing:1" in ingested(root, tmp_path / "out")["scenes"][0]["flags"]


def lz4_record(depth):
    data = lz4.block.compress(depth.tobytes(), store_size=False)
    return struct.pack("<I", len(data)) + data


DEPTH_BIN = {
    "gigabytes": (lz4_record(np.full((192, 256), 900, "<u2")) + b"\xff" * 4000, "depth_unusable"),
    "empty": (b"", "depth_unusable"),
    "noise": (b"\x07" * 5000, "depth_unusable"),
    "one frame": (lz4_record(np.full((192, 256), 900, "<u2")), "depth_missing:"),
}


@pytest.mark.parametrize("kind", DEPTH_BIN)
def test_a_damaged_depth_bin_costs_the_depth_and_not_the_scan(phone_root, tmp_path, kind):  # noqa: F811
    data, says = DEPTH_BIN[kind]
    (phone_root / "data" / PHONE.scene_id / "iphone" / "depth.bin").write_bytes(data)
    rows = ingested(phone_root, tmp_path / "out", "scannetpp")
    flags = rows["scenes"][0]["flags"]
    assert any(flag.startswith(says) for flag in flags) and any(flag.startswith("depth_missing:") for flag in flags)


@pytest.mark.parametrize("kind", ["cut", "colour", "another size", "all cut"])
def test_a_damaged_depth_picture_costs_its_frame(tmp_path, kind):
    folder = write_video(tmp_path / "root")
    first, *others = sorted((folder / "lowres_depth").glob("*.png"))
    for path in [first, *others] if kind == "all cut" else [first]:
        data = path.read_bytes()[:-30]
        if kind == "colour":
            data = png(np.zeros((12, 16, 3), np.uint8))
        path.write_bytes(png(np.ones((6, 8), np.uint16)) if kind == "another size" else data)
    (scene,) = ingested(tmp_path / "root", tmp_path / "out", "arkitscenes")["scenes"]
    missing = [int(flag.split(":")[1]) for flag in scene["flags"] if flag.startswith("depth_missing:")]
    # The first picture decides the size: where it is the odd one, all others are.
    n = len(others) + 1
    assert missing == [{"all cut": n, "another size": n - 1}.get(kind, 1)]
    assert ("depth_unusable" in scene["flags"]) == (kind == "all cut")


class Film:
    """A video of `n` frames at 10 per second, upright but for those of `turned`, with depth up to `end`."""

    fps, width, height, rotation_deg = 10.0, 4, 3, 0

    def __init__(self, n, end=None, turned=(), down=(), damaged=()):
        self.n_frames, self.end, self.turned, self.down, self.damaged = n, end, turned, down, damaged

    def camera(self, index):
        pose = mini.look_at((0, 0, 1.5), (1, 0.2, 0.0 if index in self.down else 1.4))
        if index in self.down:
            pose = mini.look_at((0, 0, 1.5), (0.1, 0.0, 0.0))
        if index in self.turned:
            pose[:3, :3] = pose[:3, :3] @ cv2.Rodrigues(np.array([0, 0, np.pi / 2]))[0]
        return np.eye(3), pose

    def depth_K(self, index):
        return None if self.end is None else np.eye(3)

    def depth(self, index):
        if index in self.damaged:
            raise ScanError("depth.bin", "damaged")
        return np.ones((3, 4), np.float32) if index < self.end else None


def film(*args, **changes):
    return Scan(REF, "scannet", Room(np.zeros((1, 3)), np.empty((0, 3)), None, []), Film(*args, **changes))


@pytest.mark.parametrize("end", [1, 57, 300, 596])
def test_depth_that_ends_before_the_video_says_when(end):
    flags = depth_flags(film(600, end))
    assert flags[0] == f"depth_ends_early:{end / 10:.1f}_of_60.0s" and flags[1].startswith("depth_missing:")


def test_depth_that_is_whole_or_a_frame_short_ends_nowhere():
    assert depth_flags(film(600, 600)) == [] and depth_flags(film(600)) == ["no_depth"]
    assert depth_flags(film(600, 599)) == ["depth_missing:1"]
    assert depth_flags(film(600, 600, damaged=(0, 599))) == ["depth_missing:2"]


# --- orientation and time --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("turned", "flags"),
    [((), []), (range(3), []), (range(25), ["mixed_orientation:25%"]), (range(100), ["mixed_orientation:100%"])],
)
def test_frames_turned_against_the_others_are_a_share(turned, flags):
    assert orientation_flags(film(100, turned=turned)) == flags


def test_frames_that_look_down_have_no_upright_side():
    down = range(20)
    assert orientation_flags(film(100, down=down, turned=down)) == []


@pytest.mark.parametrize(
    ("times", "flags"),
    [
        ([0, 1, 2, 3], []),
        ([0, 0, 0, 0], []),
        ([5], []),
        ([0, 1, 2, 5, 6, 9], ["video_gaps:2"]),
        ([0, 1, 1, 2, 3], ["video_repeats:1"]),
        ([0, 1, 2, 1, 2, 3], ["video_backwards:1"]),
    ],
)
def test_times_out_of_order_are_counted(times, flags):
    assert time_flags(np.array(times), "video") == flags


def test_a_sens_file_that_skips_frames_is_flagged(tmp_path):
    depth = np.full((24, 32), 1000)
    root = scannet_root(tmp_path, [(raw_poses()[i % 2], COLOR, depth) for i in range(6)])
    path = root / "scans" / SCENE / f"{SCENE}.sens"
    data = path.read_bytes()
    assert not [flag for flag in datasets.read_scan(scannet, root, REF).room.flags if flag.startswith("video")]
    late = struct.pack("<2Q", 5000, 5007)
    path.write_bytes(data.replace(late, struct.pack("<2Q", 9000, 9007)))
    assert "video_gaps:1" in datasets.read_scan(scannet, root, REF).room.flags


def test_entries_of_a_trajectory_out_of_order_are_flagged(tmp_path):
    folder = write_video(tmp_path / "root")
    path = folder / "lowres_wide.traj"
    first, second, *rest = path.read_text().splitlines(keepends=True)
    path.write_text("".join([second, first, first, *rest]))
    assert ArkitSource([folder], VIDEO).flags == ["poses_repeats:1", "poses_backwards:1"]


def test_an_untouched_release_has_none_of_these_flags(made):
    for scene in made.rows["scenes"]:
        ours = ("depth", "mixed", "video", "poses_")
        assert not [flag for flag in scene["flags"] if flag.startswith(ours)], scene["flags"]
