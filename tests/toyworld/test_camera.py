"""Walks of the camera: upright, slow, clear of obstacles, and past most things."""

import itertools

import numpy as np
import pytest
import shapely

from toyworld.rendering.camera import camera_path
from toyworld.rendering.recording import record
from toyworld.rooms.world import build_world

CASES = list(itertools.product(("rectangle", "l", "t", "flat"), range(100, 105)))
FILMS = {case: record(build_world(case[1], shape=case[0]), 8, 10, 160, 120) for case in CASES}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_most_things_are_seen(case):
    film = FILMS[case]
    largest = np.zeros(len(film.world.things), dtype=int)
    for _, _, thing in film.frames():
        largest = np.maximum(largest, np.bincount(thing[thing >= 0], minlength=len(largest)))
    assert (largest >= 20).mean() >= 0.85


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_eye_keeps_off_walls_and_furniture_and_goes_through_doorways_only(case):
    film = FILMS[case]
    world = film.world
    outlines = shapely.union_all([shapely.Polygon(room).exterior for room in world.rooms])
    doors = shapely.union_all([shapely.LineString([d.start, d.end]).buffer(1e-6) for d in world.doorways])
    walls = outlines.difference(doors)
    low = [t for t in world.things if t.corners()[:, 2].min() < 1.8]
    furniture = shapely.union_all([shapely.MultiPoint(t.corners()[:, :2]).convex_hull for t in low])
    walk = shapely.LineString(film.poses[:, :2, 3])
    assert walk.distance(walls) >= 0.25 and walk.distance(furniture) >= 0.25
    floor = shapely.union_all([shapely.Polygon(room) for room in world.rooms])
    assert floor.buffer(1e-9).contains(walk)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_camera_is_upright_at_eye_height_and_moves_like_a_hand(case):
    poses = FILMS[case].poses
    rotation, eye = poses[:, :3, :3], poses[:, :3, 3]
    assert np.allclose(rotation @ rotation.transpose(0, 2, 1), np.eye(3), atol=1e-12)
    assert np.allclose(np.linalg.det(rotation), 1) and np.allclose(poses[:, 3], [0, 0, 0, 1])
    assert eye[:, 2].min() > 1.4 and eye[:, 2].max() < 1.6
    roll = np.degrees(np.arcsin(rotation[:, 2, 0] / np.hypot(rotation[:, 2, 0], rotation[:, 2, 1])))
    assert np.abs(roll).max() < 2.0
    assert (rotation[:, 2, 1] < -0.7).all(), "image down is world down"
    speed = np.linalg.norm(np.diff(eye, axis=0), axis=1) * 10
    assert speed.max() < 1.8
    turn = np.arccos(np.clip((np.einsum("nij,nij->n", rotation[1:], rotation[:-1]) - 1) / 2, -1, 1))
    assert np.degrees(turn).max() * 10 < 105
    jerk = np.linalg.norm(np.diff(eye, 2, axis=0), axis=1)
    assert jerk.max() < 0.08, "no jumps"


def test_the_camera_walks_and_looks_around():
    lengths = [np.linalg.norm(np.diff(film.poses[:, :2, 3], axis=0), axis=1).sum() for film in FILMS.values()]
    assert np.median(lengths) > 2.5
    for film in FILMS.values():
        heading = np.unwrap(np.arctan2(film.poses[:, 1, 2], film.poses[:, 0, 2]))
        assert np.degrees(np.ptp(heading)) > 120


def test_a_higher_frame_rate_samples_the_same_walk():
    world = build_world(6)
    assert camera_path(world, 8, 60)[::6] == pytest.approx(camera_path(world, 8, 10), abs=1e-12)


def test_the_walk_depends_on_the_world_only():
    first, second = camera_path(build_world(7), 5, 10), camera_path(build_world(7), 5, 10)
    assert first.tobytes() == second.tobytes()
    assert not np.allclose(first, camera_path(build_world(8), 5, 10))


@pytest.mark.parametrize("seconds, fps, n", [(0.1, 10, 1), (0.4, 10, 4), (2.0, 24, 48), (30.0, 2, 60)])
def test_any_length_gives_that_many_frames_at_a_walking_pace(seconds, fps, n):
    poses = camera_path(build_world(6, shape="flat"), seconds, fps)
    assert poses.shape == (n, 4, 4) and np.isfinite(poses).all()
    assert n == 1 or (np.linalg.norm(np.diff(poses[:, :2, 3], axis=0), axis=1) * fps).max() < 1.8


def test_a_recording_without_frames_is_refused():
    with pytest.raises(ValueError, match="no frame"):
        camera_path(build_world(6), 0.01, 10)
