"""Cameras: golden numbers, and that pixels and geometry stay together when pictures turn or change size."""

from __future__ import annotations

import numpy as np
import pytest

from rollout3d.geometry.camera import (
    project,
    resize_intrinsics,
    rotate_camera,
    rotate_image,
    sample_indices,
    unproject,
    upright_rotation,
    valid_pose,
)

GOLDEN_POSE = np.array([[0, 0, 1, 1], [-1, 0, 0, 2], [0, -1, 0, 1.5], [0, 0, 0, 1.0]])
GOLDEN_K = np.array([[577.870605, 0, 319.5], [0, 577.870605, 239.5], [0, 0, 1]])
UNEVEN_K = np.array([[310.0, 0, 21.25], [0, 290.0, 13.5], [0, 0, 1]])


def test_projection_of_the_golden_point():
    uv, z = project(GOLDEN_K, GOLDEN_POSE, [[4, 1.5, 1]])
    assert z == pytest.approx([3.0], abs=1e-12)
    # camera coordinates (0.5, 0.5, 3): 577.870605 * 0.5 / 3 + 319.5
    assert uv[0] == pytest.approx((415.811768, 335.811768), abs=1e-6)


def test_aligning_points_and_poses_together_changes_no_pixel_and_one_alone_does():
    angle = np.deg2rad(25)
    align = np.eye(4)
    align[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    align[:3, 3] = (1.5, -0.7, 0.1)
    point = np.array([[4, 1.5, 1.0]])
    moved = point @ align[:3, :3].T + align[:3, 3]
    uv, z = project(GOLDEN_K, GOLDEN_POSE, point)
    both_uv, both_z = project(GOLDEN_K, align @ GOLDEN_POSE, moved)
    assert both_uv == pytest.approx(uv, abs=1e-9)
    assert both_z == pytest.approx(z, abs=1e-12)
    one_uv, _ = project(GOLDEN_K, GOLDEN_POSE, moved)
    assert np.linalg.norm(one_uv - uv) > 100


def test_unproject_returns_the_points_even_with_skew():
    rng = np.random.default_rng(0)
    K = np.array([[500, 3.0, 320], [0, 480, 240], [0, 0, 1]])
    camera = rng.uniform((-1, -1, 0.5), (1, 1, 6), (50, 3))
    points = camera @ GOLDEN_POSE[:3, :3].T + GOLDEN_POSE[:3, 3]
    uv, z = project(K, GOLDEN_POSE, points)
    assert z == pytest.approx(camera[:, 2])
    assert unproject(K, GOLDEN_POSE, uv, z) == pytest.approx(points, abs=1e-12)


def test_points_behind_the_camera_have_no_pixel():
    uv, z = project(GOLDEN_K, GOLDEN_POSE, [[0, 2, 1.5], [1, 2, 1.5], [2, 2, 1.5]])
    assert z == pytest.approx([-1, 0, 1])
    assert np.isnan(uv[:2]).all()
    assert uv[2] == pytest.approx((319.5, 239.5))


def test_sixteen_frames_of_a_real_scan_length():
    # steps of 5577 / 15 = 371.8, rounded
    expected = [0, 372, 744, 1115, 1487, 1859, 2231, 2603, 2974, 3346, 3718, 4090, 4462, 4833, 5205, 5577]
    assert sample_indices(5578, 16) == expected


@pytest.mark.parametrize(
    ("n_frames", "n", "expected"),
    [(100, 2, [0, 99]), (100, 1, [0]), (2, 4, [0, 0, 1, 1]), (1, 3, [0, 0, 0]), (4, 4, [0, 1, 2, 3])],
)
def test_sampling_keeps_the_ends_and_repeats_in_short_videos(n_frames, n, expected):
    assert sample_indices(n_frames, n) == expected
    assert all(type(i) is int for i in sample_indices(n_frames, n))


@pytest.mark.parametrize(("n_frames", "n"), [(0, 16), (10, 0)])
def test_sampling_nothing_is_an_error(n_frames, n):
    with pytest.raises(ValueError, match="at least 1"):
        sample_indices(n_frames, n)


def test_resizing_keeps_the_borders_of_the_picture():
    K = resize_intrinsics(UNEVEN_K, (1296, 968), (640, 480))
    sx, sy = 640 / 1296, 480 / 968
    assert (K[0, 0], K[1, 1]) == pytest.approx((310 * sx, 290 * sy))
    # a ray through the picture's corner, pixel (-0.5, -0.5) or (w - 0.5, h - 0.5), still goes through the corner
    for old, new in (((-0.5, -0.5), (-0.5, -0.5)), ((1295.5, 967.5), (639.5, 479.5))):
        ray = np.linalg.solve(UNEVEN_K, [*old, 1])
        assert (K @ ray)[:2] == pytest.approx(new, abs=1e-9)


def test_halving_maps_the_middle_of_two_pixels_to_one():
    K = np.array([[100, 0, 0.5], [0, 100, 2.5], [0, 0, 1]])
    assert resize_intrinsics(K, (640, 480), (320, 240))[:2, 2] == pytest.approx((0.0, 1.0), abs=1e-12)


@pytest.mark.parametrize("degrees", [0, 90, 180, 270, -90, 360])
def test_projection_lands_on_the_turned_pixels(degrees):
    width, height = 40, 30
    image = np.arange(width * height).reshape(height, width)
    v, u = np.mgrid[:height, :width].reshape(2, -1)
    points = unproject(UNEVEN_K, GOLDEN_POSE, np.stack([u, v], 1), np.linspace(1, 5, width * height))
    K, pose = rotate_camera(UNEVEN_K, GOLDEN_POSE, width, height, degrees)
    uv, z = project(K, pose, points)
    turned = rotate_image(image, degrees)
    assert turned.flags.c_contiguous
    assert turned.shape == ((width, height) if degrees % 180 else (height, width))
    assert np.abs(uv - np.rint(uv)).max() < 1e-9
    col, row = np.rint(uv).astype(int).T
    assert (turned[row, col] == image[v, u]).all()
    assert z == pytest.approx(np.linspace(1, 5, width * height))
    assert valid_pose(pose)


def test_clockwise_means_what_people_mean():
    image = np.array([[1, 2, 3], [4, 5, 6]])
    assert rotate_image(image, 90).tolist() == [[4, 1], [5, 2], [6, 3]]
    # (u, v) -> (h - 1 - v, u)
    K, pose = rotate_camera(GOLDEN_K, GOLDEN_POSE, 640, 480, 90)
    uv, _ = project(K, pose, [[4, 1.5, 1]])
    assert uv[0] == pytest.approx((479 - 335.811768, 415.811768), abs=1e-6)
    assert K[[0, 1], [0, 1]] == pytest.approx([577.870605] * 2)


def test_pictures_turn_only_by_quarters():
    with pytest.raises(ValueError, match="quarters"):
        rotate_image(np.zeros((2, 2)), 45)


def _pose_with_up(up) -> np.ndarray:
    """Any rigid pose whose camera sees the world's up along `up`."""
    third = np.array(up, float) / np.linalg.norm(up)
    first = np.cross(third, [0.3, 0.5, 0.8])
    first /= np.linalg.norm(first)
    pose = np.eye(4)
    pose[:3, :3] = np.stack([first, np.cross(third, first), third])
    return pose


@pytest.mark.parametrize(
    ("up", "expected"),
    [
        ((0.0382, 0.8838, -0.4663), 180),  # ARKitScenes 41048143
        ((-0.7676, 0.0542, -0.6387), 90),  # ARKitScenes 41048169
        ((0.1, -0.9, -0.4), 0),
        ((0.8, 0.3, -0.5), 270),
    ],
)
def test_upright_rotation_of_known_skies(up, expected):
    pose = _pose_with_up(up)
    assert upright_rotation([pose]) == expected
    # turned by that much, the picture needs no further turn
    _, turned = rotate_camera(GOLDEN_K, pose, 640, 480, expected)
    assert upright_rotation([turned]) == 0


def test_most_frames_decide_and_lost_ones_do_not_vote():
    side, upright = _pose_with_up((-1, 0.1, 0.1)), _pose_with_up((0.1, -1, 0.1))
    lost = np.full((4, 4), -np.inf)
    assert upright_rotation([upright, side, side]) == 90
    assert upright_rotation([lost, lost, lost, upright]) == 0
    with pytest.raises(ValueError, match="no valid pose"):
        upright_rotation([lost])


def test_valid_poses():
    mirrored = GOLDEN_POSE.copy()
    mirrored[:3, 0] *= -1
    stretched = GOLDEN_POSE * np.array([1.1, 1.1, 1.1, 1])
    nan = GOLDEN_POSE.copy()
    nan[0, 3] = np.nan
    assert valid_pose(GOLDEN_POSE)
    assert valid_pose(_pose_with_up((0.2, -1, 0.3)).astype(np.float32))
    bad = (mirrored, stretched, nan, np.full((4, 4), -np.inf), np.zeros((4, 4)), np.eye(3))
    assert not any(valid_pose(pose) for pose in bad)
