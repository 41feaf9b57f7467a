"""First appearances: what counts as visible, by hand, and that the shortcuts change nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest

from rollout3d.geometry.camera import project
from rollout3d.geometry.raster import rasterise
from rollout3d.geometry.visibility import first_appearances, visible_pixels

K = np.array([[80.0, 0, 39.5], [0, 80.0, 29.5], [0, 0, 1]])
W, H = 80, 60
FORWARD = np.eye(4)
"""The camera's own axes as world: z is depth."""


def patch(center, size, spacing) -> np.ndarray:
    """A square of points facing the camera, `spacing` apart, that tiles size x size metres."""
    n = round(size / spacing)
    offsets = (np.arange(n) - (n - 1) / 2) * spacing
    x, y = np.meshgrid(offsets, offsets)
    return np.stack([x.ravel(), y.ravel(), np.zeros(n * n)], 1) + center


def wall(z) -> np.ndarray:
    return np.full((H, W), z, np.float32)


def visible(points, depth, tolerance=0.2, spacing=0.05, pose=FORWARD):
    return visible_pixels(points, K, pose, depth, tolerance, spacing)


@pytest.mark.parametrize("spacing", [0.0125, 0.025, 0.05])
def test_the_count_is_that_of_the_surfaces_pixels_however_dense_the_points(spacing):
    # 0.5 m at 2 m with focal length 80 is 20 px wide; patches of 2 px reach at most 1 px over the outline
    count = visible(patch((0, 0, 2), 0.5, spacing), wall(2))
    assert 20 * 20 <= count <= 22 * 22


def test_a_patch_covers_exactly_the_centres_under_it():
    # one point at pixel (39.5, 29.5), 0.1 m at 2 m = 4 px: centres 38..41 and 28..31
    assert visible([[0, 0, 2]], wall(2), spacing=0.1) == 16
    assert visible([[0, 0, 2]], wall(2), spacing=0.001) == 1
    # never more than 32 px wide, however close
    assert visible([[0, 0, 0.1]], wall(0.1), spacing=0.1) == 32 * 32


def test_points_on_one_pixel_count_once():
    assert visible([[0.001 * k, 0.001, 2.0] for k in range(1, 9)], wall(2), spacing=0.001) == 1


@pytest.mark.parametrize(
    ("depth", "seen"),
    [(2.0, True), (1.70, True), (1.66, False), (2.49, True), (2.51, True), (2.6, False), (0.0, False), (np.nan, False)],
)
def test_depth_must_agree_within_a_share_of_itself(depth, seen):
    # |d - 2| <= 0.2 d holds for 1.667 <= d <= 2.5; 2.51 is kept out below
    expected = seen and depth <= 2.5
    assert (visible([[0, 0, 2.0]], wall(depth), spacing=0.001) == 1) == expected


def test_points_outside_or_behind_the_picture_are_not_visible():
    depth = wall(2)
    edge = 2 * 40 / 80  # pixel 79.5: just outside on the right, -0.5: just inside on the left
    assert visible([[edge, 0, 2.0]], depth, spacing=0.001) == 0
    assert visible([[edge - 1e-9, 0, 2.0]], depth, spacing=0.001) == 1
    assert visible([[-edge, 0, 2.0]], depth, spacing=0.001) == 1
    assert visible([[0, 0, -2.0], [0, 0, 0.0], [0, 0, 0.01]], depth, spacing=0.001) == 0


def test_a_patch_does_not_spill_over_what_hides_its_surroundings():
    depth = wall(2)
    depth[:, 40:] = 0.5  # something close covers the right half
    assert visible([[-0.01, 0, 2.0]], depth, spacing=0.1) == 2 * 4


def run(n, poses, depths, points, times=None, **settings):
    asked = []

    def depth_at(i):
        asked.append(i)
        return depths[i]

    def camera_at(i):
        return None if poses[i] is None else (K, poses[i])

    found = first_appearances(
        n, camera_at, depth_at, lambda i: i / 24 if times is None else times[i], points, **settings
    )
    return found, asked


def turned(degrees) -> np.ndarray:
    pose, a = np.eye(4), math.radians(degrees)
    pose[:3, :3] = [[math.cos(a), 0, math.sin(a)], [0, 1, 0], [-math.sin(a), 0, math.cos(a)]]
    return pose


def test_categories_appear_when_the_camera_turns_to_them():
    points = {
        "lamp": patch((0, 0, -2), 0.5, 0.05),  # behind at first
        "chair": patch((0, 0, 2), 0.5, 0.05),
        "bed": patch((0, 0, 2.8), 0.5, 0.05),  # hidden by the wall at 2 m throughout
        "empty": np.empty((0, 3)),
    }
    poses = [turned(10 * k) for k in range(19)]
    found, _ = run(19, poses, [wall(2)] * 19, points)
    # half the view is atan(40 / 80) = 26.6 degrees and the lamp spans 7: more than 20 px of it from 150 degrees on
    assert found == {"lamp": 15 / 24, "chair": 0.0}
    assert list(found) == ["lamp", "chair"]


def quad(center, width, height) -> np.ndarray:
    """Corners (4,3) of a rectangle that faces the camera."""
    return np.array(center) + [[s * width / 2, t * height / 2, 0] for s, t in ((-1, -1), (1, -1), (1, 1), (-1, 1))]


def mesh_of(*quads) -> tuple[np.ndarray, np.ndarray]:
    """Two faces a rectangle, in the order of the rectangles."""
    faces = [np.array([[0, 1, 2], [0, 2, 3]]) + 4 * k for k in range(len(quads))]
    return np.concatenate(quads), np.concatenate(faces)


def test_what_the_mesh_hides_is_not_seen_through_a_wall():
    """A bed 0.19 m behind a post at 1 m: the depth test forgives 0.2 m, the mesh does not. Then the camera moves."""
    points = {"bed": patch((0, 0, 1.19), 0.5, 0.05)}
    left, right = np.eye(4), np.eye(4)
    left[0, 3], right[0, 3] = -0.5, 0.5
    poses, depths = [left, right], [wall(1), wall(1.19)]
    assert run(2, poses, depths, points)[0] == {"bed": 0.0}
    # 6 x 4 pixels of the bed, in the middle of 0.5 m that the points stand for, at 80 / 1.19 pixels a metre
    bed = quad((0, 0, 1.19), 6 * 1.19 / 80, 4 * 1.19 / 80)
    post = quad((0.5 / 1.19 - 0.5, 0, 1), 0.12, 9)
    faces = {"bed": np.array([False, False, True, True])}
    settings = {"mesh": mesh_of(post, bed), "faces_by_category": faces, "min_share": 0.0}
    assert run(2, poses, depths, points, **settings)[0] == {"bed": 1 / 24}
    # 6 x 4 pixels show it: 25 are too many to ask for, and where the sensor disagrees with the mesh none counts
    assert run(2, poses, depths, points, min_points=24, **settings)[0] == {"bed": 1 / 24}
    assert run(2, poses, depths, points, min_points=25, **settings)[0] == {}
    u, v = project(K, right, [[0, 0, 1.19]])[0][0]
    depths[1][round(v) - 4 : round(v) + 4, round(u) - 5 : round(u) + 5] = 0.9
    assert run(2, poses, depths, points, **settings)[0] == {}


def test_categories_in_opposite_corners_of_a_frame_are_both_found_in_it():
    quads = [quad((-0.6, -0.4, 2), 0.3, 0.3), quad((0.6, 0.4, 2), 0.3, 0.3)]
    points = {"a": patch((-0.6, -0.4, 2), 0.3, 0.05), "b": patch((0.6, 0.4, 2), 0.3, 0.05)}
    for order in (("a", "b"), ("b", "a")):
        faces = {name: np.arange(4) // 2 == "ab".index(name) for name in order}
        both = {name: points[name] for name in order}
        found, _ = run(1, [FORWARD], [wall(2)], both, mesh=mesh_of(*quads), faces_by_category=faces)
        assert found == {"a": 0.0, "b": 0.0}


def test_the_scan_ends_with_the_last_category_and_skips_frames_that_cannot_show_any():
    points = {"lamp": patch((0, 0, -2), 0.5, 0.05), "chair": patch((0, 0, 2), 0.5, 0.05)}
    poses = [turned(0)] * 5 + [turned(180)] * 5
    found, asked = run(10, poses, [wall(2)] * 10, points)
    assert found == {"lamp": 5 / 24, "chair": 0.0}
    assert asked == [0, 5]


def test_lost_frames_and_frames_without_depth_show_nothing():
    points = {"chair": patch((0, 0, 2), 0.5, 0.05)}
    found, asked = run(4, [None, turned(0), turned(0), turned(0)], [wall(2), None, wall(0), wall(2)], points)
    assert found == {"chair": 3 / 24}
    assert asked == [1, 2, 3]


@pytest.mark.parametrize(
    ("min_points", "min_share", "appears"),
    [(16, 0.0, True), (17, 0.0, False), (1, 16 / 4800, True), (1, 16.5 / 4800, False), (1, 0.0, True)],
)
def test_the_threshold_is_the_larger_of_points_and_share(min_points, min_share, appears):
    settings = {"min_points": min_points, "min_share": min_share, "spacing_m": 0.1}
    found, _ = run(1, [FORWARD], [wall(2)], {"cup": np.array([[0, 0, 2.0]])}, **settings)
    assert ("cup" in found) == appears


def test_timestamps_are_the_callers():
    found, _ = run(2, [None, FORWARD], [None, wall(2)], {"chair": patch((0, 0, 2), 0.5, 0.05)}, times=[0.0, 7.25])
    assert found == {"chair": 7.25}


def test_depth_pictures_of_changing_size_are_refused():
    points = {"a": patch((0, 0, 2), 0.5, 0.05), "b": patch((0, 0, 5), 0.5, 0.05)}
    with pytest.raises(ValueError, match="depth picture 1"):
        run(2, [FORWARD] * 2, [wall(2), np.zeros((4, 4), np.float32)], points)


def plain_count(points, pose, depth, tolerance, spacing) -> int:
    """The rule of `visible_pixels`, one point at a time."""
    seen = set()
    for (u, v), z in zip(*project(K, pose, points)):
        if not z >= 0.05:
            continue
        col, row = math.floor(u + 0.5), math.floor(v + 0.5)
        if not (0 <= col < W and 0 <= row < H):
            continue
        if depth[row, col] == 0 or abs(depth[row, col] - z) > tolerance * depth[row, col]:
            continue
        half = min(80 * spacing / z, 32) / 2
        for y in range(H):
            for x in range(W):
                d = depth[y, x]
                near = (x, y) == (col, row) or (abs(x - u) <= half and abs(y - v) <= half)
                if near and d > 0 and abs(d - z) <= tolerance * d:
                    seen.add((x, y))
    return len(seen)


def test_shortcuts_give_what_a_full_scan_gives():
    rng = np.random.default_rng(8)
    points = {f"thing{k}": rng.normal(rng.uniform((-3, -0.5, -3), (3, 0.5, 3)), 0.15, (12, 3)) for k in range(12)}
    poses = [turned(a) for a in range(0, 360, 30)]
    poses[3] = None
    depths = [rng.choice([0, 1.0, 1.5, 2.2, 3.2], (H, W)).astype(np.float32) for _ in poses]
    expected = {}
    for i, pose in enumerate(poses):
        for name, cloud in points.items():
            if pose is not None and name not in expected:
                count = plain_count(cloud, pose, depths[i], 0.2, 0.05)
                assert visible(cloud, depths[i], pose=pose) == count
                if count >= 3:
                    expected[name] = i / 24
    assert 3 <= len(expected) < 12 and len(set(expected.values())) > 2
    found, _ = run(len(poses), poses, depths, points, min_points=3, min_share=0.0005)
    assert found == expected


def test_shortcuts_with_a_mesh_give_what_drawing_all_of_it_in_every_frame_gives():
    rng = np.random.default_rng(4)
    names = [f"thing{k}" for k in range(8)]  # two of each, and more points than share a box
    centers = rng.uniform((-3, -0.8, -3), (3, 0.8, 3), (2 * len(names), 3))
    sizes = rng.uniform(0.2, 0.9, (len(centers), 2))
    sizes[-2:] = 0.02  # never 20 pixels
    quads = [quad(c, *size) @ turned(rng.uniform(0, 360))[:3, :3].T for c, size in zip(centers, sizes)]
    mesh = mesh_of(*quads, *(quad(c, 2, 2) for c in rng.uniform((-3, -1, -3), (3, 1, 3), (9, 3))))
    faces = {name: np.arange(len(mesh[1])) // 4 == k for k, name in enumerate(names)}
    weights = np.stack(np.meshgrid(*[np.linspace(0, 1, 20)] * 2), -1).reshape(-1, 2)
    clouds = [q[0] + weights[:, :1] * (q[1] - q[0]) + weights[:, 1:] * (q[3] - q[0]) for q in quads]
    points = {name: np.concatenate(clouds[2 * k : 2 * k + 2]) for k, name in enumerate(names)}
    poses = [turned(a) for a in range(0, 720, 12)]
    for pose in poses:
        pose[:3, 3] = rng.uniform(-0.6, 0.6, 3)
    poses[5] = None
    drawn = [None if pose is None else rasterise(*mesh, K, pose, W, H) for pose in poses]
    # the sensor sees a little further than the mesh here, a little less far there, and is blind in places
    depths = [
        None if both is None else (both[0] * rng.choice([0, 0.9, 1.0, 1.1, 1.5], (H, W))).astype(np.float32)
        for both in drawn
    ]
    expected, blocked = {}, 0
    for i, pose in enumerate(poses):
        for name in names if pose is not None else ():
            z, face = drawn[i]
            mine = (face >= 0) & faces[name][face] & (np.abs(depths[i] - z) <= 0.2 * depths[i])
            enough = visible(points[name], depths[i], pose=pose) >= 20
            blocked += enough and mine.sum() < 20 and name not in expected
            if enough and mine.sum() >= 20:
                expected.setdefault(name, i / 24)
    assert 5 <= len(expected) < len(names) and len(set(expected.values())) > 3 and blocked > 3
    found, asked = run(len(poses), poses, depths, points, mesh=mesh, faces_by_category=faces, min_share=0.0)
    assert found == expected
    assert len(asked) < len(poses) - 1, "frames that cannot show what is still missing are skipped"
