"""Where objects are seen: by hand, and that pictures drawn in blocks are those of the plain rasteriser."""

from __future__ import annotations

import math

import numpy as np
import pytest

from rollout3d.geometry.raster import BlockedMesh, rasterise
from rollout3d.geometry.sightings import sightings, watched

W, H = 40, 30
K = np.array([[40.0, 0, 19.5], [0, 40.0, 14.5], [0, 0, 1]])


def quads(*boxes) -> tuple[np.ndarray, np.ndarray]:
    """Rectangles (left, top, right, bottom, z) that face the camera, in metres: two faces each, in this order."""
    vertices = [[(x0, y0, z), (x1, y0, z), (x1, y1, z), (x0, y1, z)] for x0, y0, x1, y1, z in boxes]
    faces = [[[4 * k, 4 * k + 1, 4 * k + 2], [4 * k, 4 * k + 2, 4 * k + 3]] for k in range(len(boxes))]
    return np.reshape(vertices, (-1, 3)).astype(float), np.reshape(faces, (-1, 3))


def moved(x) -> np.ndarray:
    pose = np.eye(4)
    pose[0, 3] = x
    return pose


def pixels(columns, rows, z) -> tuple[float, float, float, float, float]:
    """The rectangle at depth z whose picture, from the origin, is columns x rows pixels around the picture's middle."""
    u, v = columns / 2 * z / 40, rows / 2 * z / 40
    return -u, -v, u, v, z


def look(poses, boxes, samplings, depths=None, faces_of=None, whole=("full",), **settings):
    mesh = quads(*boxes)
    faces_of = [np.array([2 * k, 2 * k + 1]) for k in range(len(boxes))] if faces_of is None else faces_of
    shares = {"clear_share": 0.01, "faint_share": 0.002, "tolerance": 0.2} | settings
    return sightings(
        samplings,
        whole,
        lambda i: None if poses[i] is None else (K, poses[i]),
        lambda i: None if depths is None else depths[i],
        lambda i: i / 10,
        (W, H),
        mesh,
        faces_of,
        **shares,
    )


def test_shares_are_those_of_the_picture_and_what_is_behind_is_hidden():
    # 12 x 10 = 120 of 1,200 pixels; of 20 x 10 behind it at twice the distance, 8 x 10 are left.
    found = look([moved(0)], [pixels(12, 10, 1.0), pixels(20, 10, 2.0)], {"one": [0]})["one"]
    assert [seen.largest_share for seen in found.objects] == pytest.approx([0.1, 80 / 1200])
    assert found.n_frames == 1 and [seen.n_clear for seen in found.objects] == [1, 1]


@pytest.mark.parametrize(
    ("depth", "share"), [(1.0, 0.1), (0.84, 0.1), (0.83, 0.0), (1.25, 0.1), (1.26, 0.0), (0.0, 0.1), (None, 0.1)]
)
def test_what_the_sensor_sees_elsewhere_is_hidden_and_what_it_does_not_know_is_not(depth, share):
    # |d - 1| <= 0.2 d holds from 0.8333 to 1.25.
    measured = None if depth is None else [np.full((H, W), depth, np.float32)]
    found = look([moved(0)], [pixels(12, 10, 1.0)], {"one": [0]}, measured)["one"]
    assert found.objects[0].largest_share == pytest.approx(share)


def test_clear_and_faint_are_told_apart_and_dated():
    # The camera passes a board of 4 columns x 10 rows: 10 pixels a column that is on the picture.
    left = (19.5 + 0.5) / 40  # metres from the axis to the picture's left edge at 1 m
    poses = [None, *(moved(left + 0.05 - shown / 40) for shown in (-1, 1, 2, 4, 2, -1))]
    found = look(poses, [pixels(4, 10, 1.0)], {"full": range(7), "few": [0, 3, 6]})
    (seen,) = found["full"].objects
    widths = [0, 1, 2, 4, 2, 0]  # columns on the picture in frames 1 to 6; clear is 12 pixels, faint 2.4
    assert found["full"].n_frames == 6
    assert seen.n_clear == sum(10 * w >= 12 for w in widths) == 3
    assert (seen.first_faint_s, seen.first_clear_s, seen.last_clear_s) == (0.2, 0.3, 0.5)
    assert seen.largest_share == pytest.approx(40 / 1200)
    assert seen.mean_share == pytest.approx(np.mean([10, 20, 40, 20]) / 1200)
    (few,) = found["few"].objects
    assert (found["few"].n_frames, few.n_clear, few.first_faint_s, few.first_clear_s) == (2, 1, 0.3, 0.3)


def test_an_object_that_is_never_seen_has_no_times():
    (seen,) = look([moved(0)], [pixels(4, 4, -1.0)], {"full": [0]})["full"].objects
    assert (seen.n_clear, seen.first_clear_s, seen.last_clear_s, seen.first_faint_s) == (0, None, None, None)
    assert seen.largest_share == seen.mean_share == 0


def test_between_two_frames_that_stand_for_the_video_an_object_may_have_been_seen():
    poses = [moved(9)] * 4 + [moved(0)]
    boxes = [pixels(12, 10, 1.0)]
    assert look(poses, boxes, {"full": range(5)})["full"].objects[0].first_faint_s == 0.4
    sparse = look(poses, boxes, {"full": [0, 4], "few": [0, 4]})
    assert sparse["full"].objects[0].first_faint_s == 0.1  # right after frame 0
    assert sparse["full"].objects[0].first_clear_s == 0.4
    assert sparse["few"].objects[0].first_faint_s == 0.4  # a set shows its frames and no others


def test_a_long_stretch_without_poses_may_have_shown_everything():
    away, here = moved(9), moved(0)
    boxes = [pixels(12, 10, 1.0)]
    for lost, earliest in ((10, 2.0), (11, 0.1)):  # a second, and more
        poses = [away, *[None] * lost, *[away] * (19 - lost), here]
        (seen,) = look(poses, boxes, {"full": range(len(poses))})["full"].objects
        assert (seen.first_faint_s, seen.first_clear_s) == (earliest, 2.0)


def test_faces_of_two_objects_count_for_both():
    faces_of = [np.array([0, 1, 2, 3]), np.array([2, 3]), np.array([], int)]
    boxes = [(-0.3, -0.1, -0.1, 0.1, 1.0), (0.1, -0.1, 0.3, 0.1, 1.0)]  # 8 x 8 pixels each
    found = look([moved(0)], boxes, {"one": [0]}, faces_of=faces_of)["one"]
    assert [seen.largest_share for seen in found.objects] == pytest.approx([128 / 1200, 64 / 1200, 0])


def test_share_of_the_plan_counts_cells_that_some_frame_shows():
    # Four tiles, one in each cell of half a metre along x; the camera sees -0.5..0.5 m around its place at 1 m.
    tiles = [(x + 0.1, -0.1, x + 0.4, 0.1, 1.0) for x in (-1.0, -0.5, 0.0, 0.5)]
    found = look([moved(-0.01), moved(0.6)], tiles, {"a": [0], "b": [1], "ab": [0, 1]})
    assert {name: each.room_share for name, each in found.items()} == {"a": 0.5, "b": 0.5, "ab": 0.75}


@pytest.mark.parametrize(
    ("n_frames", "fps", "step"), [(80, 24, 1), (499, 30, 1), (500, 30, 2), (1500, 24, 6), (9000, 30, 7), (9000, 3, 1)]
)
def test_the_video_is_looked_at_four_times_a_second_and_short_ones_more_often(n_frames, fps, step):
    found = watched(n_frames, fps)
    assert found == list(range(0, n_frames, step))
    assert len(found) >= min(n_frames, 250)


def turned(degrees) -> np.ndarray:
    pose, a = np.eye(4), math.radians(degrees)
    pose[:3, :3] = [[math.cos(a), 0, math.sin(a)], [0, 1, 0], [-math.sin(a), 0, math.cos(a)]]
    return pose


def test_blocks_draw_what_the_whole_mesh_shows():
    """From inside a crowd of triangles, some larger than a block and some around the camera."""
    rng = np.random.default_rng(5)
    centres = rng.uniform(-3, 3, (3000, 1, 3))
    vertices = (centres + rng.normal(0, rng.choice([0.05, 0.6], (3000, 1, 1)), (3000, 3, 3))).reshape(-1, 3)
    faces = np.arange(9000).reshape(-1, 3)
    drawn, shown = BlockedMesh(vertices, faces), set()
    for degrees in range(0, 360, 45):
        pose = turned(degrees)
        pose[:3, 3] = rng.uniform(-1, 1, 3)
        z, face = rasterise(vertices, faces, K, pose, W, H)
        z_blocks, face_blocks = drawn.draw(K, pose, W, H)
        assert (face == face_blocks).mean() > 0.999
        assert z_blocks == pytest.approx(z, rel=1e-5)
        shown |= set(face.ravel().tolist())
    assert len(shown) > 100


def test_a_mesh_without_faces_shows_nothing():
    z, face = BlockedMesh(np.zeros((3, 3)), np.empty((0, 3), int)).draw(K, np.eye(4), W, H)
    assert not z.any() and (face == -1).all()
