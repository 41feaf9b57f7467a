"""The true answers against hand-computed boxes and against counts of pixels."""

import itertools
import json
from dataclasses import replace

import numpy as np
import pytest
import shapely

from toyworld.rendering.recording import Recording, record
from toyworld.rooms.world import Thing, World, build_world
from toyworld.truth import distances, truth

ROOM = ((0.0, 0.0), (6.0, 0.0), (6.0, 2.0), (3.0, 2.0), (3.0, 5.0), (0.0, 5.0))


def world_of(*boxes: tuple) -> World:
    """Return a world of things (category, center, size, yaw)."""
    things = tuple(Thing(k, *box) for k, box in enumerate(boxes))
    return World("by hand", 1, (ROOM,), 2.5, things, "office")


@pytest.mark.parametrize(
    "other, expected",
    [
        (("chair", (3.0, 0.0, 0.5), (1.0, 1.0, 1.0), 0.0), 2.0),  # along x: 3 - 0.5 - 0.5
        (("chair", (3.0, 4.0, 0.5), (1.0, 1.0, 1.0), 0.0), np.hypot(2, 3)),  # corner to corner
        (("chair", (3.0, 4.0, 4.5), (1.0, 1.0, 1.0), 0.0), np.sqrt(4 + 9 + 9)),  # and 3 m above
        (("chair", (3.0, 0.0, 0.5), (1.0, 1.0, 1.0), 45.0), 2.5 - np.sqrt(0.5)),  # a corner points at the face
        (("chair", (0.2, 0.1, 2.0), (0.4, 0.4, 1.0), 10.0), 0.5),  # above it: only the heights part them
        (("chair", (0.2, 0.1, 1.25), (0.4, 0.4, 0.5), 33.0), 0.0),  # standing on it
        (("chair", (0.0, 0.0, 0.5), (3.0, 0.2, 0.5), 45.0), 0.0),  # crossing it, no corner inside
    ],
)
def test_distance_of_a_unit_box_from_another(other, expected):
    world = world_of(("table", (0.0, 0.0, 0.5), (1.0, 1.0, 1.0), 0.0), other)
    ((a, b, found),) = distances(world)
    assert (a, b) == (0, 1) and found == pytest.approx(expected, abs=1e-12)


def test_distances_of_a_drawn_world_agree_with_another_library():
    world = build_world(12, shape="flat")
    plans = [shapely.MultiPoint(thing.corners()[:, :2]).convex_hull for thing in world.things]
    spans = [(t.corners()[:, 2].min(), t.corners()[:, 2].max()) for t in world.things]
    pairs = list(itertools.combinations(range(len(plans)), 2))
    found = distances(world)
    assert [(a, b) for a, b, _ in found] == pairs
    for a, b, metres in found:
        lift = max(spans[a][0] - spans[b][1], spans[b][0] - spans[a][1], 0)
        assert metres == pytest.approx(np.hypot(plans[a].distance(plans[b]), lift), abs=1e-9)


def test_truth_of_a_room_by_hand():
    world = world_of(
        ("chair", (1.0, 1.0, 0.45), (0.5, 0.55, 0.9), 0.0),
        ("chair", (2.0, 4.0, 0.45), (0.5, 0.55, 0.9), 90.0),
        ("table", (5.0, 1.0, 0.375), (1.204, 0.8, 0.75), 10.0),
    )
    found = truth(record(world, 2, 5, 32, 24))
    assert json.loads(json.dumps(found)) == found
    assert found["counts"] == {"chair": 2, "table": 1}
    assert found["size_cm"] == {"0": 90, "1": 90, "2": 120}
    assert found["room_area_m2"] == pytest.approx(6 * 2 + 3 * 3)
    assert found["boxes"][2] == {
        "thing_id": 2,
        "kind": "table",
        "center": [5.0, 1.0, 0.375],
        "size": [1.204, 0.8, 0.75],
        "yaw_deg": 10.0,
    }
    assert found["scene_type"] == "office" and found["world_id"] == "by hand" and found["seed"] == 1


class Scripted(Recording):
    """A recording with given owners: one row of pixels per frame."""

    SCRIPT = ((0, 0), (19, 0), (10, 10), (20, 0), (0, 26))

    def frames(self):
        for first, second in self.SCRIPT:
            thing = np.full((self.height, self.width), -1, dtype=np.int32)
            thing.flat[:first] = 0
            thing.flat[first : first + second] = 1
            yield np.zeros((self.height, self.width, 3), np.uint8), np.ones(thing.shape, np.float32), thing


@pytest.mark.parametrize(
    "categories, width, first, seen",
    [
        # Twenty pixels are enough; pixels of two things add up for their category, but each is seen by itself.
        (("chair", "chair"), 100, {"chair": 0.4}, [0, 1]),
        (("chair", "table"), 100, {"chair": 0.6, "table": 0.8}, [0, 1]),
        # A thousandth of 26,000 pixels is 26, so the 20 pixels of the first thing are too few.
        (("chair", "table"), 260, {"table": 0.8}, [1]),
    ],
)
def test_a_category_is_first_seen_when_enough_pixels_show_it(categories, width, first, seen):
    box = ((1.0, 1.0, 0.5), (0.5, 0.6, 1.0), 0.0)
    world = world_of(*[(category, *box) for category in categories])
    film = Scripted(world, 5, width, 100, np.eye(3), np.tile(np.eye(4), (5, 1, 1)))
    found = truth(film)
    assert found["first_seen_s"] == pytest.approx(first) and found["seen"] == seen


def test_appearances_of_a_drawn_world_spread_over_the_recording():
    """Questions about order need categories that appear more than a second apart."""
    gaps = []
    for seed in range(5):
        film = record(build_world(seed), 8, 10, 160, 120)
        found = truth(film)
        times = sorted(found["first_seen_s"].values())
        assert 0 <= times[0] < 0.5 and times[-1] < 8
        assert len(found["seen"]) >= 0.85 * len(film.world.things)
        groups = 1
        last = times[0]
        for time in times:
            if time > last + 1:
                groups, last = groups + 1, time
        gaps.append(groups)
    assert np.median(gaps) >= 4


def test_frames_without_a_pose_count_for_appearances():
    film = record(build_world(3), 3, 10, 80, 60)
    assert truth(film) == truth(replace(film, lost=()))
