"""Annotations, poses and other text of the three releases, damaged at random: a sound room or a refusal by name."""

import json

import cv2
import numpy as np
import pytest
from hypothesis import given
from scipy.spatial.transform import Rotation

from rollout3d.geometry.camera import valid_pose
from rollout3d.scenes.datasets import (
    _arkit_room,
    _scannet_room,
    _scannetpp_room,
    _scannetpp_video,
    arkitscenes,
    scannet,
    scannetpp,
)
from rollout3d.scenes.datasets._arkit_frames import ArkitSource, read_trajectory
from rollout3d.scenes.release import ScanRef
from scenes import mini
from scenes.fuzz import damaged_json, damaged_text, fuzzed, survives

FLOOR = mini.sheet((0, 0, 0), (2, 0, 0), (0, 1, 0), 0.5)
VERTICES, FACES = mini.join([FLOOR, mini.box((1, 0.5, 0.3), (0.6, 0.4, 0.6), 0.5)])
N_FLOOR = len(FLOOR[0])
BOX = {"centroid": [1, 0.5, 0.3], "axesLengths": [0.6, 0.4, 0.6], "normalizedAxes": np.eye(3).ravel().tolist()}
READERS = (_arkit_room, _scannet_room, _scannetpp_room)
"""Imported before the tests: compiling a module within a read would count as the read's memory."""
BUDGET = {"factor": 60, "fixed": 400_000}
"""Python's own objects take several times the text they are parsed from."""


def check_room(room):
    n = len(room.vertices)
    assert np.isfinite(room.vertices).all() and valid_pose(room.to_aligned)
    assert len({item.object_id for item in room.objects}) == len(room.objects)
    for item in room.objects:
        assert np.isfinite([item.aabb_min, item.aabb_max]).all() and (item.aabb_min <= item.aabb_max).all()
        assert len(item.vertex_index) == 0 or 0 <= item.vertex_index.min() <= item.vertex_index.max() < n
        assert isinstance(item.label, str)
    return room


def check_source(source):
    """Cameras of a few frames are whole, or None."""
    for index in {0, source.n_frames // 2, source.n_frames - 1}:
        K, pose = source.camera(index)
        assert np.isfinite(K).all() and K[0, 0] > 0 and (pose is None or valid_pose(pose))
    return source


# --- ScanNet -----------------------------------------------------------------------------------------------------

SCANNET = ScanRef("scene0000_00", "scene0000", "train")
SEGMENTS = {"sceneId": "scannet.scene0000_00", "segIndices": [7] * N_FLOOR + [9] * (len(VERTICES) - N_FLOOR)}
AGGREGATION = {
    "sceneId": "scannet.scene0000_00",
    "segGroups": [
        {"id": 0, "objectId": 0, "segments": [7], "label": "floor"},
        {"id": 1, "objectId": 1, "segments": [9], "label": "couch"},
    ],
}
META = (
    "axisAlignment = " + " ".join(f"{v:.6f}" for v in mini.ALIGN.ravel()) + " \nsceneType = Office\nfx_color = 60.0\n"
)


@pytest.fixture(scope="module")
def scannet_root(tmp_path_factory):
    root = tmp_path_factory.mktemp("scannet")
    mini.write_tsv(root / "scannetv2-labels.combined.tsv")
    folder = root / "scans" / SCANNET.scene_id
    mini.write_bytes(folder / f"{SCANNET.scene_id}_vh_clean_2.ply", mini.ply_bytes(VERTICES, FACES))
    return root


SCANNET_FILES = {
    "_vh_clean_2.0.010000.segs.json": (SEGMENTS, damaged_json),
    ".aggregation.json": (AGGREGATION, damaged_json),
    ".txt": (META, damaged_text),
}


@pytest.mark.parametrize("suffix", SCANNET_FILES)
def test_scannet(scannet_root, suffix):
    base = scannet_root / "scans" / SCANNET.scene_id / SCANNET.scene_id
    for name, (content, _) in SCANNET_FILES.items():
        base.with_name(base.name + name).write_text(content if isinstance(content, str) else json.dumps(content))
    path = base.with_name(base.name + suffix)

    def read():
        return check_room(scannet.read_room(scannet_root, SCANNET))

    assert survives(path, path.read_bytes(), read, **BUDGET).objects
    content, strategy = SCANNET_FILES[suffix]

    @fuzzed(80)
    @given(strategy(content))
    def check(data):
        survives(path, data, read, **BUDGET)

    check()


# --- ScanNet++ ---------------------------------------------------------------------------------------------------

SCANNETPP = ScanRef("7b6477cb95", "7b6477cb95", "train")
PP_SEGMENTS = {"segIndices": list(range(len(VERTICES)))}
PP_ANNOTATION = {
    "segGroups": [
        {"id": 1, "objectId": 1, "label": "floor", "segments": list(range(N_FLOOR)), "obb": BOX},
        {
            "id": 2,
            "objectId": 2,
            "label": "office chair",
            "segments": list(range(N_FLOOR - 3, len(VERTICES))),
            "obb": {**BOX, "min": [0.7, 0.3, 0.0], "max": [1.3, 0.7, 0.6]},
        },
    ]
}
PP_POSES = {
    f"frame_{i:06d}": {
        "aligned_pose": mini.look_at((0.5, 2.8, 1.5), (1, 0.5, 0.3)).tolist(),
        "intrinsic": [[1600.0, 0, 959.5], [0, 1590.0, 719.5], [0, 0, 1]],
    }
    for i in range(5)
}


@pytest.fixture(scope="module")
def scannetpp_root(tmp_path_factory):
    root = tmp_path_factory.mktemp("scannetpp")
    folder = root / "data" / SCANNETPP.scene_id
    mini.write_bytes(folder / "scans" / "mesh_aligned_0.05.ply", mini.ply_bytes(VERTICES, FACES))
    mini.write_video(folder / "iphone" / "rgb.mkv", [np.full((48, 64, 3), 40 * i, np.uint8) for i in range(5)])
    return root


PP_FILES = {
    "scans/segments.json": PP_SEGMENTS,
    "scans/segments_anno.json": PP_ANNOTATION,
    "iphone/pose_intrinsic_imu.json": PP_POSES,
}


@pytest.mark.parametrize("name", PP_FILES)
def test_scannetpp(scannetpp_root, name):
    folder = scannetpp_root / "data" / SCANNETPP.scene_id
    for file, content in PP_FILES.items():
        mini.write_json(folder / file, content)
    path = folder / name

    def read():
        if name.startswith("scans"):
            return check_room(scannetpp.read_room(scannetpp_root, SCANNETPP))
        source = _scannetpp_video.PhoneSource(folder / "iphone")
        try:
            return check_source(source)
        finally:
            source.close()

    assert survives(path, path.read_bytes(), read, factor=60, fixed=2_000_000)

    @fuzzed(80)
    @given(damaged_json(PP_FILES[name]))
    def check(data):
        survives(path, data, read, factor=60, fixed=2_000_000)

    check()


# --- ARKitScenes -------------------------------------------------------------------------------------------------

ARKIT = ScanRef("41048190", "420673", "train")
ANNOTATION = {
    "data": [
        {"uid": "a", "objectId": 3, "label": "sofa", "segments": {"obbAligned": BOX}},
        {"uid": "b", "objectId": 4, "label": "tv_monitor", "segments": {"obbAligned": BOX}},
    ],
    "skipped": False,
}
START = 3403.391
PINCAM = "64 48 50.5 51.5 31.25 23.75\n"


def trajectory():
    lines = []
    for i in range(4):
        to_camera = np.linalg.inv(mini.look_at((0.5 + 0.1 * i, 2.8, 1.5), (1, 0.5, 0.3)))
        vector = Rotation.from_matrix(to_camera[:3, :3]).as_rotvec()
        lines.append(" ".join(f"{v:.8f}" for v in (START + 0.1 * i, *vector, *to_camera[:3, 3])))
    return "\n".join(lines) + "\n"


TRAJECTORY = trajectory()


@pytest.fixture(scope="module")
def arkit_root(tmp_path_factory):
    root = tmp_path_factory.mktemp("arkitscenes")
    folder = root / "raw" / "Training" / ARKIT.scene_id
    mini.write_bytes(folder / f"{ARKIT.scene_id}_3dod_mesh.ply", mini.ply_bytes(VERTICES, FACES))
    for i in range(4):
        name = f"{ARKIT.scene_id}_{START + 0.1 * i:.3f}"
        (folder / "vga_wide").mkdir(exist_ok=True)
        cv2.imwrite(str(folder / "vga_wide" / f"{name}.png"), np.full((48, 64, 3), 60 * i, np.uint8))
        mini.write_bytes(folder / "vga_wide_intrinsics" / f"{name}.pincam", PINCAM.encode())
    (folder / "lowres_wide.traj").write_text(TRAJECTORY)
    return root


def test_arkit_annotation(arkit_root):
    path = arkit_root / "raw" / "Training" / ARKIT.scene_id / f"{ARKIT.scene_id}_3dod_annotation.json"

    def read():
        return check_room(arkitscenes.read_room(arkit_root, ARKIT))

    assert survives(path, json.dumps(ANNOTATION).encode(), read, **BUDGET).objects

    @fuzzed(80)
    @given(damaged_json(ANNOTATION))
    def check(data):
        survives(path, data, read, **BUDGET)

    check()


def test_arkit_trajectory(tmp_path):
    path = tmp_path / "lowres_wide.traj"

    def read():
        times, poses = read_trajectory(path)
        assert len(times) == len(poses) and (np.diff(times) > 0).all()
        return poses

    assert len(survives(path, TRAJECTORY.encode(), read, **BUDGET)) == 4

    @fuzzed(150)
    @given(damaged_text(TRAJECTORY))
    def check(data):
        survives(path, data, read, **BUDGET)

    check()


@pytest.mark.parametrize("name", ["lowres_wide.traj", f"vga_wide_intrinsics/{ARKIT.scene_id}_{START:.3f}.pincam"])
def test_arkit_cameras(arkit_root, name):
    folder = arkit_root / "raw" / "Training" / ARKIT.scene_id
    path = folder / name
    whole = path.read_text()

    def read():
        return check_source(ArkitSource([folder], ARKIT.scene_id))

    assert survives(path, whole.encode(), read, **BUDGET).has_poses

    @fuzzed(80)
    @given(damaged_text(whole))
    def check(data):
        survives(path, data, read, **BUDGET)

    check()
    path.write_text(whole)


@pytest.mark.parametrize("time", ["nan", "inf", "-1.0", "1e300", "x", ""])
def test_arkit_frame_named_by_no_time_is_refused(tmp_path, arkit_root, time):
    folder = tmp_path / ARKIT.scene_id
    (folder / "vga_wide").mkdir(parents=True)
    path = folder / "vga_wide" / f"{ARKIT.scene_id}_{time}.png"
    picture = cv2.imencode(".png", np.zeros((48, 64, 3), np.uint8))[1].tobytes()
    assert survives(path, picture, lambda: ArkitSource([folder], ARKIT.scene_id), **BUDGET) is None


def test_nested_json_deeper_than_the_parser_goes_is_refused(scannet_root):
    path = scannet_root / "scans" / SCANNET.scene_id / f"{SCANNET.scene_id}.aggregation.json"
    data = b'{"segGroups":' + b"[" * 200_000
    (path.parent / f"{SCANNET.scene_id}_vh_clean_2.0.010000.segs.json").write_text(json.dumps(SEGMENTS))
    (path.parent / f"{SCANNET.scene_id}.txt").write_text(META)
    assert survives(path, data, lambda: scannet.read_room(scannet_root, SCANNET), factor=60, fixed=400_000) is None
