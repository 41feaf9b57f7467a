"""One named test for each convention of the three releases, with a value worked out by hand from their description.

`test_mutated_convention_is_noticed` breaks each convention in turn and asserts that its test does notice.
"""

import inspect

import cv2
import numpy as np
import pytest

from rollout3d.geometry import boxes, camera, raster
from rollout3d.scenes import datasets, scan
from rollout3d.scenes.datasets import _arkit_frames as arkit_frames
from rollout3d.scenes.datasets import _scannet_room, _scannet_video, _scannetpp_video, scannet
from rollout3d.scenes.formats.ply import read_ply
from rollout3d.scenes.release import ScanRef
from scenes import mini

POSE = np.array([[0.0, 0, 1, 1], [-1, 0, 0, 2], [0, -1, 0, 1.5], [0, 0, 0, 1]])
"""Camera at (1, 2, 1.5), looking along +x, upright: its right is -y, its down is -z."""
K = np.array([[577.870605, 0, 319.5], [0, 577.870605, 239.5], [0, 0, 1]])


def test_rows_of_normalized_axes_are_the_axes():
    """Sides of 1, 2 and 3 m along y, z and x: a cycle, which its transpose turns the other way round."""
    cycle = [[0, 1, 0], [0, 0, 1], [1, 0, 0]]
    box = scan.released_box(
        {"centroid": [10, 20, 30], "axesLengths": [1, 2, 3], "normalizedAxes": np.ravel(cycle).tolist()}
    )
    low, high = box.aabb()
    assert np.allclose(low, [8.5, 19.5, 29]) and np.allclose(high, [11.5, 20.5, 31])
    assert box.contains([[11.4, 20, 30], [10, 21, 30], [10, 20, 30.9]]).tolist() == [True, False, True]
    assert np.allclose(np.sort(box.corners(), axis=0)[[0, -1]], [low, high])


def test_poses_are_camera_to_world():
    """The point 3 m ahead, half a metre to the right and below."""
    uv, z = camera.project(K, POSE, [[4, 1.5, 1]])
    assert np.allclose(uv, [[415.811768, 335.811768]], atol=1e-5) and np.allclose(z, 3)


def test_trajectory_of_arkitscenes_is_world_to_camera(tmp_path):
    """R^T turns by 120 degrees about (1, -1, 1), and -R^T t = (2, 1.5, -1)."""
    turn = 2 * np.pi / 3 / np.sqrt(3)
    path = tmp_path / "lowres_wide.traj"
    path.write_text(f"5.0 {turn} {-turn} {turn} 2 1.5 -1\n")
    times, poses = arkit_frames.read_trajectory(path)
    assert times.tolist() == [5.0] and np.allclose(poses[0], POSE, atol=1e-9)


def test_alignment_of_scannet_moves_mesh_and_poses_alike(tmp_path):
    """Both cameras look at the couch, so its middle lands on the principal point; and both are where they stand."""
    mini.write_tsv(tmp_path / "scannetv2-labels.combined.tsv")
    mini.write_scannet(tmp_path / "scans" / "scene0001_00", "scene0001_00")
    with datasets.read_scan(scannet, tmp_path, ScanRef("scene0001_00", "scene0001", "train")) as found:
        (couch,) = (item for item in found.room.objects if item.label == "couch")
        middle = (couch.aabb_min + couch.aabb_max) / 2
        assert np.allclose(middle, mini.COUCH_CENTER, atol=1e-5), "the mesh is aligned"
        for index, stands in ((0, (0.5, 2.8, 1.5)), (2, (3.5, 2.5, 1.4))):
            intrinsics, pose = found.camera(index)
            assert np.allclose(pose[:3, 3], stands, atol=1e-5), "so are the poses"
            assert np.allclose(camera.project(intrinsics, pose, middle)[0], [[31.5, 23.5]], atol=1e-3)


def test_scannetpp_uses_the_aligned_pose_at_the_size_of_the_video(tmp_path):
    """Not `pose`; K is of 1920 x 1440 pixels, the video has 64 x 48: 959.5 is the middle of both, 31.5."""
    mini.write_video(tmp_path / "rgb.mkv", [np.zeros((48, 64, 3), np.uint8)] * 4)
    intrinsic = [[1500.0, 0, 959.5], [0, 1500, 719.5], [0, 0, 1]]
    entry = {"pose": np.eye(4).tolist(), "aligned_pose": POSE.tolist(), "intrinsic": intrinsic}
    mini.write_json(tmp_path / "pose_intrinsic_imu.json", {f"frame_{i:06d}": entry for i in range(4)})
    source = _scannetpp_video.PhoneSource(tmp_path)
    intrinsics, pose = source.camera(0)
    source.close()
    assert np.allclose(pose, POSE)
    # 3 m ahead, 0.5 m to the right: 1500 / 30 pixels of focal length.
    assert np.allclose(camera.project(intrinsics, pose, [4, 1.5, 1.5])[0], [[31.5 + 50 * 0.5 / 3, 23.5]])


def test_masks_turn_with_the_picture(tmp_path):
    """A sensor on its side: up is left. Pixel (1, 4) of the 8 x 6 picture is (6 - 1 - 4, 1) of the upright one."""
    on_its_side = np.array([[0.0, 0, 1, 0], [0, 1, 0, 0], [-1, 0, 0, 1.5], [0, 0, 0, 1]])
    point = [2.0, 0.75, 2.75]  # x = -1.25, y = 0.75, z = 2 for the camera: u = 3.5 - 2.5, v = 2.5 + 1.5
    stored = np.zeros((6, 8, 3), np.uint8)
    stored[4, 1] = 255
    to_camera = np.linalg.inv(on_its_side)
    numbers = [*cv2.Rodrigues(to_camera[:3, :3])[0].ravel(), *to_camera[:3, 3]]
    lines = []
    for name in ("5.000", "5.100"):
        for folder, suffix, data in (
            ("lowres_wide", "png", cv2.imencode(".png", stored)[1].tobytes()),
            ("lowres_wide_intrinsics", "pincam", b"8 6 4 4 3.5 2.5\n"),
        ):
            mini.write_bytes(tmp_path / folder / f"41_{name}.{suffix}", data)
        lines.append(" ".join([name, *map(str, numbers)]))
    (tmp_path / "lowres_wide.traj").write_text("\n".join(lines) + "\n")
    source = arkit_frames.ArkitSource([tmp_path], "41")
    assert source.rotation_deg == 90 and (source.width, source.height) == (6, 8)
    picture, (intrinsics, pose) = source.frame(0), source.camera(0)
    assert picture.shape == (8, 6, 3) and np.argwhere(picture[..., 0]).tolist() == [[1, 1]]
    assert np.allclose(camera.project(intrinsics, pose, point)[0], [[1, 1]])
    assert np.allclose(pose[2, :3], [0, -1, 0]), "up is up"


def test_centres_of_pixels_are_integers():
    """Half the size joins pixels 2 and 3, around 2.5, in pixel 1; a face over 0.6 < u < 2.4 shows in pixels 1 and 2."""
    halved = camera.resize_intrinsics([[4.0, 0, 2.5], [0, 4, 2.5], [0, 0, 1]], (4, 4), (2, 2))
    assert np.allclose(halved, [[2, 0, 1], [0, 2, 1], [0, 0, 1]])
    step = np.zeros((4, 4), np.float32)
    step[:, 2:] = 1
    assert cv2.resize(step, (2, 2), interpolation=cv2.INTER_AREA).tolist() == [[0, 1], [0, 1]]
    corners = np.array([[0.6, 0.6, 1], [2.4, 0.6, 1], [2.4, 2.4, 1], [0.6, 2.4, 1]])
    depth, _ = raster.rasterise(corners, [[0, 1, 2], [0, 2, 3]], np.eye(3), np.eye(4), 4, 4)
    assert np.argwhere(depth > 0).tolist() == [[1, 1], [1, 2], [2, 1], [2, 2]]


def inverted(function):
    """`project` with the pose taken for world-to-camera."""
    return lambda K, pose, points: function(K, np.linalg.inv(pose), points)


def turned_back(read):
    def wrong(path):
        times, poses = read(path)
        return times, np.linalg.inv(poses)

    return wrong


def raw_mesh(read):
    return lambda path: (mesh := read(path))._replace(vertices=(mesh.vertices - mini.ALIGN[:3, 3]) @ mini.ALIGN[:3, :3])


def columns(box):
    return lambda centre, sides, axes: box(centre, sides, np.transpose(axes))


def corner_centres(K, size, new_size):
    sx, sy = new_size[0] / size[0], new_size[1] / size[1]
    return np.diag([sx, sy, 1.0]) @ np.asarray(K, float)


def shifted(rasterise):
    half = np.array([[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]])
    return lambda v, f, K, pose, width, height: rasterise(v, f, K - half, pose, width, height)


class Unaligned(_scannet_video.SensSource):
    def __init__(self, path, to_aligned, *more):
        super().__init__(path, np.eye(4), *more)


MUTATIONS = {
    "axes in columns": (scan, "OrientedBox", columns(boxes.OrientedBox), test_rows_of_normalized_axes_are_the_axes),
    "poses world-to-camera": (camera, "project", inverted(camera.project), test_poses_are_camera_to_world),
    "trajectory camera-to-world": (
        arkit_frames, "read_trajectory", turned_back(arkit_frames.read_trajectory),
        test_trajectory_of_arkitscenes_is_world_to_camera,
    ),
    "alignment of the mesh only": (
        _scannet_video, "SensSource", Unaligned, test_alignment_of_scannet_moves_mesh_and_poses_alike
    ),
    "alignment of the poses only": (
        _scannet_room, "read_ply", raw_mesh(read_ply), test_alignment_of_scannet_moves_mesh_and_poses_alike
    ),
    "pixels not turned": (
        arkit_frames, "rotate_image", lambda image, degrees: image, test_masks_turn_with_the_picture
    ),
    "cameras not turned": (
        arkit_frames, "rotate_camera", lambda K, pose, *rest: (K, pose), test_masks_turn_with_the_picture
    ),
    "turned the wrong way": (
        arkit_frames, "rotate_image", lambda image, degrees: camera.rotate_image(image, -degrees),
        test_masks_turn_with_the_picture,
    ),
    "half a pixel, resized": (camera, "resize_intrinsics", corner_centres, test_centres_of_pixels_are_integers),
    "half a pixel, drawn": (raster, "rasterise", shifted(raster.rasterise), test_centres_of_pixels_are_integers),
    "half a pixel, ScanNet++": (
        _scannetpp_video, "resize_intrinsics", corner_centres,
        test_scannetpp_uses_the_aligned_pose_at_the_size_of_the_video,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MUTATIONS)
def test_mutated_convention_is_noticed(name, monkeypatch, tmp_path):
    module, attribute, mutant, test = MUTATIONS[name]
    monkeypatch.setattr(module, attribute, mutant)
    with pytest.raises(AssertionError):
        test(**({"tmp_path": tmp_path} if "tmp_path" in inspect.signature(test).parameters else {}))
