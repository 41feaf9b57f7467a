"""Registered cameras of ScanNet++: both conventions against worked examples, and the comparison."""

import json

import numpy as np
import pytest

from rollout3d.scenes.datasets._scannetpp_registered import cross_check, read_colmap, read_nerfstudio
from rollout3d.scenes.reading import ScanError

POSE = np.array([[0, 0, 1, 1], [-1, 0, 0, 2], [0, -1, 0, 1.5], [0, 0, 0, 1]])
"""A camera at (1, 2, 1.5) that looks along +x, upright: the worked example of the format's description."""
STORED = [[-1, 0, 0, 2], [0, 0, -1, 1], [0, -1, 0, -1.5], [0, 0, 0, 1]]
"""The same camera in nerfstudio's file."""
# World-to-camera of POSE: the rotation by 120 degrees about (1, -1, 1), so cos 60 and sin 60 / sqrt 3 = 1/2.
QUATERNION = "0.5 0.5 -0.5 0.5"
TRANSLATION = "2 1.5 -1"


def write_colmap(path, lines):
    path.write_text("# Image list\n#   IMAGE_ID, QW, ...\n" + "\n".join(lines) + "\n")
    return path


def image(number, name, translation=TRANSLATION):
    return f"{number} {QUATERNION} {translation} 1 {name}"


def test_colmap_is_world_to_camera_with_a_line_of_points_to_skip(tmp_path):
    lines = [
        image(1, "frame_000000.jpg"),
        "1.5 2.5 -1 3 4 7",
        image(2, "video/frame_000010.jpg"),
        "",
        image(7, "c.jpg"),
    ]
    found = read_colmap(write_colmap(tmp_path / "images.txt", lines))
    assert list(found) == ["frame_000000", "frame_000010", "c"]
    for pose in found.values():
        assert np.allclose(pose, POSE, atol=1e-12)


def test_nerfstudio_swaps_world_axes_and_has_opengl_cameras(tmp_path):
    def frame(name, bad=False):
        return {"file_path": name, "transform_matrix": STORED, "is_bad": bad}

    content = {"frames": [frame("rgb/frame_000000.jpg"), frame("blurred.jpg", True)], "test_frames": [frame("t.jpg")]}
    path = tmp_path / "transforms.json"
    path.write_text(json.dumps(content))
    found = read_nerfstudio(path)
    assert list(found) == ["frame_000000", "t"]
    for pose in found.values():
        assert np.allclose(pose, POSE)


def compare(tmp_path, poses, n=4):
    colmap = write_colmap(
        tmp_path / "images.txt", [line for i in range(n) for line in (image(i + 1, f"frame_{i * 10:06d}.jpg"), "")]
    )
    return cross_check(tmp_path / "poses.json", poses, colmap, tmp_path / "transforms.json")


def named(pose, n=31):
    return {f"frame_{i:06d}": pose for i in range(n)}


def shifted(metres):
    moved = POSE.astype(float)
    moved[1, 3] += metres
    return moved


def test_a_trajectory_may_be_some_centimetres_off(tmp_path):
    assert compare(tmp_path, named(POSE)) == compare(tmp_path, named(shifted(0.09))) == []
    assert compare(tmp_path, named(shifted(0.31))) == ["poses_off_colmap:0.31m_0deg"]
    angle = np.radians(8)
    roll = np.eye(4)
    roll[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    assert compare(tmp_path, named(POSE @ roll)) == ["poses_off_colmap:0.00m_8deg"]


@pytest.mark.parametrize(
    "wrong", [shifted(0.6), np.linalg.inv(POSE), POSE @ np.diag([1, -1, -1, 1]), np.array(STORED)],
    ids=["elsewhere", "inverted", "opengl axes", "nerfstudio world"],
)  # fmt: skip
def test_poses_of_another_world_are_refused(tmp_path, wrong):
    with pytest.raises(ScanError, match=r"poses are .*deg off those of .*images\.txt") as caught:
        compare(tmp_path, named(wrong))
    assert caught.value.path == tmp_path / "poses.json"


def test_shuffled_poses_are_refused(tmp_path):
    poses = {f"frame_{i:06d}": shifted(0.2 * (i % 7 + 3)) for i in range(31)}
    with pytest.raises(ScanError):
        compare(tmp_path, poses)


def test_one_bad_registration_and_lost_frames_do_not_matter(tmp_path):
    poses = named(POSE) | {"frame_000010": shifted(9.0), "frame_000020": np.full((4, 4), np.nan)}
    assert compare(tmp_path, poses, n=6) == []


def test_without_enough_shared_images_there_is_no_opinion_and_the_flag_says_so(tmp_path):
    assert compare(tmp_path, named(shifted(5.0)), n=2) == ["colmap_shares_images:2"]
    assert cross_check(tmp_path / "poses.json", named(POSE), tmp_path / "no.txt", tmp_path / "no.json") == []


@pytest.mark.parametrize("text", ["1 0.5 0.5\n", "1 a b c d e f g 1 x.jpg\n", "1 0 0 0 0 1 2 3 1 x.jpg\n"])
def test_an_unreadable_second_opinion_costs_the_check_and_not_the_scan(tmp_path, text):
    (tmp_path / "images.txt").write_text(text)
    (tmp_path / "transforms.json").write_text("{")
    flags = cross_check(tmp_path / "poses.json", named(POSE), tmp_path / "images.txt", tmp_path / "transforms.json")
    assert flags == ["colmap_unreadable", "nerfstudio_unreadable"]
