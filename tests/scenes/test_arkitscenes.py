"""Reading ARKitScenes videos."""

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

import filmed
from rollout3d.geometry.camera import project
from rollout3d.releases import MissingData
from rollout3d.scenes import datasets
from rollout3d.scenes.datasets import arkitscenes
from rollout3d.scenes.datasets._arkit_frames import poses_at, read_trajectory
from rollout3d.scenes.reading import ScanError
from rollout3d.scenes.release import ScanRef
from scenes import mini
from toyworld.writers import arkitscenes as writer

VIDEO = "41048190"
REF = ScanRef(VIDEO, "420673", "train")
START = 3403.3914
WIDTH, HEIGHT = 64, 48
YAW = np.deg2rad(30)
AXES = np.array([[np.cos(YAW), np.sin(YAW), 0], [-np.sin(YAW), np.cos(YAW), 0], [0, 0, 1]])
EYES = [(0.5 + 0.2 * i, 2.8, 1.5) for i in range(6)]
TURNS = {0: 0, 90: 3, 180: 2, 270: 1}
"""Clockwise turn that makes the stored picture upright -> quarter turns that stored it."""


def stored_pose(i, rotation):
    """The camera of frame i, rolled so that its picture needs `rotation` degrees clockwise to be upright."""
    roll = np.eye(4)
    # An upright picture turned counter-clockwise by `rotation` is taken by a camera rolled clockwise by it.
    roll[:3, :3] = Rotation.from_euler("z", rotation, degrees=True).as_matrix()
    return mini.look_at(EYES[i], mini.COUCH_CENTER) @ roll


def write_video(root, asset="raw", fold="Training", rotation=0, skipped=False, lost=(3,), label="sofa", video=VIDEO):
    folder = root / asset / fold / video
    frames = folder / f"{video}_frames" if asset == "3dod" else folder
    color_dir = "lowres_wide" if asset == "3dod" else "vga_wide"
    vertices, faces, _ = mini.world()
    mini.write_bytes(folder / f"{video}_3dod_mesh.ply", mini.ply_bytes(vertices, faces))
    box = {"centroid": mini.COUCH_CENTER.tolist(), "axesLengths": mini.COUCH_SIZE.tolist()}
    items = [
        {
            "uid": "u1",
            "objectId": 3,
            "label": label,
            "segments": {
                "obb": {
                    "centroid": [1, 2, 3],
                    "axesLengths": [100, 60, 50],
                    "normalizedAxes": np.eye(3).ravel().tolist(),
                },
                "obbAligned": {**box, "normalizedAxes": AXES.ravel().tolist()},
            },
        }
    ]
    mini.write_json(folder / f"{video}_3dod_annotation.json", {"data": [] if skipped else items, "skipped": skipped})
    lines = []
    for i in range(len(EYES)):
        time = START + 0.1 * i
        name = f"{video}_{time:.3f}"
        base = np.arange(HEIGHT * WIDTH * 3, dtype=np.uint32).reshape(HEIGHT, WIDTH, 3) * 7 + 40 * i
        (frames / color_dir).mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(frames / color_dir / f"{name}.png"), (base % 251).astype(np.uint8))
        depth = np.arange(12 * 16, dtype=np.uint16).reshape(12, 16) + 1000 * (i + 1)
        (frames / "lowres_depth").mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(frames / "lowres_depth" / f"{name}.png"), depth)
        pincam_name = f"{video}_{time + (0.001 if i == 2 else 0):.3f}.pincam"
        for folder_name, s in ((f"{color_dir}_intrinsics", 1), ("lowres_wide_intrinsics", 0.25)):
            text = f"{WIDTH * s:.0f} {HEIGHT * s:.0f} {(50 + i) * s} {(51 + i) * s} {31 * s} {23 * s}\n"
            if not (asset == "3dod" and s == 0.25):
                mini.write_bytes(frames / folder_name / pincam_name, text.encode())
        if i not in lost:
            to_camera = np.linalg.inv(stored_pose(i, rotation))
            vector = Rotation.from_matrix(to_camera[:3, :3]).as_rotvec()
            lines.append(" ".join(f"{v:.10f}" for v in (time, *vector, *to_camera[:3, 3])))
    (frames / "lowres_wide.traj").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture
def root(tmp_path):
    write_video(tmp_path)
    text = "video_id,visit_id,fold,sky_direction\n41048190,420673,Training,Up\n47333462,NA,Training,Up\n"
    mini.write_bytes(tmp_path / "raw" / "metadata.csv", (text + "41069021,420673,Validation,Left\n").encode())
    return tmp_path


def test_visits_are_spaces_and_na_stays_text(root):
    refs = arkitscenes.list_scans(root, ["train", "val"])
    assert [(r.scene_id, r.space_id, r.split, r.present) for r in refs] == [
        ("41048190", "420673", "train", True),
        ("47333462", "47333462", "train", False),
        ("41069021", "420673", "val", False),
    ]


def test_without_a_table_the_folders_decide(root):
    (root / "raw" / "metadata.csv").unlink()
    write_video(root, "3dod", "Validation", video="41069021")
    refs = arkitscenes.list_scans(root, ["val", "train"])
    assert [(r.scene_id, r.space_id, r.split) for r in refs] == [
        ("41069021", "41069021", "val"),
        (VIDEO, VIDEO, "train"),
    ]


def test_missing_release_and_missing_split(root):
    with pytest.raises(MissingData, match="Apple"):
        arkitscenes.list_scans(root / "nowhere", ["train"])
    with pytest.raises(MissingData, match="test"):
        arkitscenes.list_scans(root, ["test"])


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_frames_are_upright_and_camera_agrees_with_the_turned_pixels(tmp_path, rotation):
    write_video(tmp_path, rotation=rotation)
    with datasets.read_scan(arkitscenes, tmp_path, REF) as scan:
        source = scan.source
        assert source.rotation_deg == rotation
        turned = rotation in (90, 270)
        assert (source.width, source.height) == ((HEIGHT, WIDTH) if turned else (WIDTH, HEIGHT))
        base = ((np.arange(HEIGHT * WIDTH * 3).reshape(HEIGHT, WIDTH, 3) * 7 + 80) % 251).astype(np.uint8)
        expected = np.rot90(base[..., ::-1], TURNS[rotation])
        assert np.array_equal(scan.frame(2), expected)
        # The world's up is up in the picture.
        K, pose = scan.camera(2)
        assert pose[2, 1] < -0.7 and abs(pose[2, 0]) < 1e-6
        # Projection as stored, then the pixel moved as np.rot90 moves it.
        stored_K = np.array([[52.0, 0, 31], [0, 53.0, 23], [0, 0, 1]])
        for point in (mini.COUCH_CENTER, (2.3, 1.2, 0.4)):
            (u, v), _ = mini.pixel(stored_K, stored_pose(2, rotation), point)
            moved = {0: (u, v), 90: (HEIGHT - 1 - v, u), 180: (WIDTH - 1 - u, HEIGHT - 1 - v), 270: (v, WIDTH - 1 - u)}
            assert np.allclose(project(K, pose, [point])[0][0], moved[rotation], atol=1e-4)
        depth = scan.depth(2)
        assert np.allclose(depth, np.rot90(np.arange(192).reshape(12, 16) + 3000, TURNS[rotation]) / 1000)
        # Depth and colour show the same point at the same place: depth is a quarter of the size.
        uv_depth, _ = project(scan.depth_K(2), pose, [mini.COUCH_CENTER])
        uv, _ = project(K, pose, [mini.COUCH_CENTER])
        assert np.allclose((uv_depth + 0.5) * 4, uv + 0.5, atol=2.5)


def test_times_give_rate_and_lost_frames(root):
    with datasets.read_scan(arkitscenes, root, REF) as scan:
        assert (scan.source.fps, scan.source.n_frames) == (10, 6)
        assert [scan.camera(i)[1] is None for i in range(6)] == [False, False, False, True, False, False]
        assert scan.frame(3).shape == (HEIGHT, WIDTH, 3)


def test_intrinsics_a_millisecond_off_are_found(root):
    with datasets.read_scan(arkitscenes, root, REF) as scan:
        assert [scan.camera(i)[0][0, 0] for i in (1, 2, 4)] == [51, 52, 54]


def test_low_resolution_release_alone_is_enough(tmp_path):
    write_video(tmp_path, "3dod")
    with datasets.read_scan(arkitscenes, tmp_path, REF) as scan:
        assert scan.source.n_frames == 6 and scan.depth(1).shape == (12, 16)
        assert scan.depth_K(1)[0, 0] == pytest.approx(51 / 4)


def test_objects_are_the_aligned_boxes_and_the_vertices_inside(root):
    (couch,) = arkitscenes.read_room(root, REF).objects
    assert (couch.object_id, couch.label, couch.category) == (3, "sofa", "sofa")
    assert np.allclose(couch.box.centroid, mini.COUCH_CENTER) and np.allclose(couch.box.axes_lengths, mini.COUCH_SIZE)
    half = [0.5 * np.cos(YAW) + 0.3 * np.sin(YAW), 0.5 * np.sin(YAW) + 0.3 * np.cos(YAW), 0.25]
    assert np.allclose(couch.aabb_max, mini.COUCH_CENTER + half)
    vertices, _, _ = mini.world()
    away = vertices.astype(np.float32) - mini.COUCH_CENTER
    inside = (np.abs(away @ AXES[0]) <= 0.5) & (np.abs(away @ AXES[1]) <= 0.3) & (np.abs(away[:, 2]) <= 0.25)
    assert couch.n_points == inside.sum() > 50
    assert np.array_equal(couch.vertex_index, np.flatnonzero(inside))


def test_monitor_with_a_slash_is_a_tv(tmp_path):
    write_video(tmp_path, label="tv/monitor")
    (thing,) = arkitscenes.read_room(tmp_path, REF).objects
    assert (thing.label, thing.category) == ("tv/monitor", "tv")


def test_skipped_annotation_is_an_expected_drop(tmp_path):
    write_video(tmp_path, skipped=True)
    with pytest.raises(ScanError, match="skipped") as caught:
        arkitscenes.read_room(tmp_path, REF)
    assert caught.value.expected


@pytest.mark.parametrize("name", ["{}_3dod_annotation.json", "{}_3dod_mesh.ply", "lowres_wide.traj"])
def test_missing_files_are_named(root, name):
    path = root / "raw" / "Training" / VIDEO / name.format(VIDEO)
    path.unlink()
    with pytest.raises(ScanError) as caught:
        datasets.read_scan(arkitscenes, root, REF)
    assert caught.value.path == path and not caught.value.expected


def test_video_without_any_pose_says_so(tmp_path):
    write_video(tmp_path, lost=(1, 2, 3, 4, 5))
    path = tmp_path / "raw" / "Training" / VIDEO / "lowres_wide.traj"
    path.write_text("1.0 0 0 0 0 0 0\n")
    with datasets.read_scan(arkitscenes, tmp_path, REF) as scan:
        assert scan.camera(0)[1] is None and scan.source.rotation_deg == 0 and "no_poses" in scan.room.flags
    path.write_text("1.0 0 0 0\n")
    with pytest.raises(ScanError, match=r"lowres_wide\.traj"):
        datasets.read_scan(arkitscenes, tmp_path, REF)


def test_trajectory_is_world_to_camera(tmp_path):
    path = tmp_path / "lowres_wide.traj"
    # Camera axes seen from the world: a quarter turn about z, the camera at (1, 2, 3).
    path.write_text(f"7.25 0 0 {np.pi / 2} 2 -1 -3\n")
    times, poses = read_trajectory(path)
    assert times == [7.25]
    assert np.allclose(poses[0] @ [0, 0, 0, 1], [1, 2, 3, 1])
    assert np.allclose(poses[0][:3, :3] @ [0, 1, 0], [1, 0, 0])


def test_poses_between_entries_are_interpolated_and_gaps_are_not():
    turn = Rotation.from_euler("z", [[0], [20], [40]], degrees=True).as_matrix()
    poses = np.tile(np.eye(4), (3, 1, 1))
    poses[:, :3, :3], poses[:, 0, 3] = turn, [0, 1, 2]
    found = poses_at(np.array([9.9, 10.004, 10.025, 10.1, 10.2, 10.31]), np.array([10.0, 10.1, 10.3]), poses)
    assert found[0] is None and found[5] is None and found[4] is None
    assert np.array_equal(found[1], poses[0]) and np.array_equal(found[3], poses[1])
    assert found[2][0, 3] == pytest.approx(0.25)
    assert np.allclose(found[2][:3, :3], Rotation.from_euler("z", 5, degrees=True).as_matrix())


def test_faster_recordings_are_thinned_to_thirty_a_second(tmp_path):
    folder = write_video(tmp_path)
    for path in (folder / "vga_wide").glob("*.png"):
        path.unlink()
    for i in range(60):
        cv2.imwrite(
            str(folder / "vga_wide" / f"{VIDEO}_{START + i / 60:.3f}.png"), np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        )
    with datasets.read_scan(arkitscenes, tmp_path, REF) as scan:
        assert (scan.source.n_frames, scan.source.fps) == (30, pytest.approx(30, abs=1))


def test_videos_that_the_release_itself_lacks_files_of_are_expected_drops(root):
    for video, expected in (("47334522", True), ("41069021", False)):
        (root / "raw" / "Training" / video).mkdir(parents=True)
        with pytest.raises(ScanError, match="no such file") as caught:
            datasets.read_scan(arkitscenes, root, ScanRef(video, video, "train"))
        assert caught.value.expected == expected


def test_table_of_the_3dod_download_will_do(tmp_path):
    write_video(tmp_path, "3dod")
    table = "video_id,visit_id,fold\n41048190,420673,Training\n41069021,NA,Training\n"
    mini.write_bytes(tmp_path / "3dod" / "3dod_train_val_splits.csv", table.encode())
    refs = arkitscenes.list_scans(tmp_path, ["train"])
    assert [(r.scene_id, r.space_id, r.present) for r in refs] == [
        ("41048190", "420673", True),
        ("41069021", "41069021", False),
    ]


def test_full_precision_times_are_matched_with_names_of_three_decimals(tmp_path):
    """1627.68140546 in the trajectory is 1627.681 in the names; half a period away is no match."""
    times = np.array([1627.68140546, 1627.78149999, 1628.5])
    poses = np.tile(np.eye(4), (3, 1, 1))
    poses[:, 0, 3] = [1, 2, 3]
    found = poses_at(np.array([1627.681, 1627.781, 1628.5, 1628.55]), times, poses)
    assert [None if p is None else p[0, 3] for p in found] == [1, 2, 3, None]


def test_of_two_intrinsics_a_millisecond_off_the_earlier_is_taken(tmp_path):
    """The official reader tries the exact name, then 0.001 s less, then 0.001 s more."""
    folder = write_video(tmp_path)
    name = f"{VIDEO}_{START + 0.1:.3f}"
    exact = folder / "vga_wide_intrinsics" / f"{name}.pincam"
    for offset, focal in ((-0.001, 70), (0.001, 80)):
        beside = exact.with_name(f"{VIDEO}_{START + 0.1 + offset:.3f}.pincam")
        beside.write_text(f"{WIDTH} {HEIGHT} {focal} {focal} 31 23\n")
    with datasets.read_scan(arkitscenes, tmp_path, REF) as scan:
        assert scan.camera(1)[0][0, 0] == 51
    exact.unlink()
    with datasets.read_scan(arkitscenes, tmp_path, REF) as scan:
        assert scan.camera(1)[0][0, 0] == 70


def test_other_assets_are_not_taken_for_the_video(root):
    """Raw downloads may hold the low resolution at 60 per second, confidences and large depth as well."""
    folder = root / "raw" / "Training" / VIDEO
    for asset, shape in (("lowres_wide", (12, 16, 3)), ("wide", (144, 192, 3)), ("confidence", (12, 16))):
        (folder / asset).mkdir()
        for i in range(12):
            cv2.imwrite(str(folder / asset / f"{VIDEO}_{START + i / 60:.3f}.png"), np.full(shape, 2, np.uint8))
    with datasets.read_scan(arkitscenes, root, REF) as scan:
        assert (scan.source.n_frames, scan.source.width, scan.source.height) == (6, WIDTH, HEIGHT)


def test_mesh_without_colours_is_read(root):
    vertices, faces, _ = mini.world()
    header = f"ply\nformat ascii 1.0\nelement vertex {len(vertices)}\nproperty float x\nproperty float y\n"
    header += f"property float z\nelement face {len(faces)}\nproperty list uchar int vertex_indices\nend_header\n"
    lines = [" ".join(map(str, v)) for v in vertices] + ["3 " + " ".join(map(str, f)) for f in faces]
    path = root / "raw" / "Training" / VIDEO / f"{VIDEO}_3dod_mesh.ply"
    path.write_text(header + "\n".join(lines) + "\n")
    room = arkitscenes.read_room(root, REF)
    assert room.colors is None and room.objects[0].n_points > 50


def test_labels_outside_the_seventeen_are_flagged_and_stay_perturbable(tmp_path):
    write_video(tmp_path, label="hammock")
    room = arkitscenes.read_room(tmp_path, REF)
    assert room.flags == ["unknown_label:hammock"]
    assert (room.objects[0].category, room.objects[0].perturbable) == (None, True)


def test_trajectory_of_ten_a_second_serves_pictures_of_thirty(tmp_path, monkeypatch):
    """Between two entries the pose is interpolated: near the truth, which only every third picture has exactly."""
    monkeypatch.setattr(writer, "mesh_of", filmed.gridded)
    recording = filmed.film(fps=30)
    writer.write_scan(recording, tmp_path, VIDEO, seed=1, quirks=writer.Quirks(rotation_deg=90, layouts=("raw",)))
    move = writer.release_from_world(recording, VIDEO, seed=1)
    with datasets.read_scan(arkitscenes, tmp_path, REF) as scan:
        assert (scan.source.fps, scan.source.n_frames) == (pytest.approx(30, abs=1), 7)
        for index, pose in enumerate(recording.poses):
            _, found = scan.camera(index)
            expected = move @ pose
            exact = index % 3 == 0
            assert np.linalg.norm(found[:3, 3] - expected[:3, 3]) < (1e-6 if exact else 0.02)
            cosine = (np.trace(found[:3, :3].T @ expected[:3, :3]) - 1) / 2
            assert np.degrees(np.arccos(min(cosine, 1))) < (0.01 if exact else 1.5)


def flags_of(root):
    with datasets.read_scan(arkitscenes, root, REF) as scan:
        return scan.room.flags


def test_a_lost_frame_is_a_gap_in_time_and_its_intrinsics_are_left_over(tmp_path):
    folder = write_video(tmp_path)
    assert flags_of(tmp_path) == []
    names = sorted(path.stem for path in (folder / "vga_wide").glob("*.png"))
    (folder / "vga_wide" / f"{names[1]}.png").unlink()
    assert flags_of(tmp_path) == ["video_gaps:1", "intrinsics_without_frames:1"]
    (folder / "vga_wide" / f"{names[0]}.png").unlink()  # a video that begins later has no gap there
    assert flags_of(tmp_path) == ["intrinsics_without_frames:2"]


def test_a_frame_that_borrows_its_intrinsics_is_a_flag(tmp_path):
    folder = write_video(tmp_path)
    next((folder / "vga_wide_intrinsics").glob(f"*_{START:.3f}.pincam")).unlink()
    assert flags_of(tmp_path) == ["frames_without_intrinsics:1"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (f"{HEIGHT} {WIDTH} 50 51 31 23", "intrinsics of 48x64 pixels, for a picture of 64x48"),
        (f"{WIDTH} {HEIGHT} 5000 5100 31 23", "intrinsics of no camera with pictures of 64x48"),
        (f"{WIDTH} {HEIGHT} 50 51 310 23", "intrinsics of no camera with pictures of 64x48"),
        (f"{WIDTH} {HEIGHT} 50 5 31 23", "intrinsics of no camera with pictures of 64x48"),
    ],
)
def test_intrinsics_of_other_pictures_are_refused(tmp_path, text, reason):
    folder = write_video(tmp_path)
    next((folder / "vga_wide_intrinsics").glob(f"*_{START:.3f}.pincam")).write_text(text + "\n")
    with datasets.read_scan(arkitscenes, tmp_path, REF) as scan, pytest.raises(ScanError, match=reason):
        scan.camera(0)
