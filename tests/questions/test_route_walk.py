"""The executor of routes: planted bad routes are refused, good ones kept, and kept ones hold in the true rooms."""

import json
import math
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from questions.question_rooms import floor_of, view
from questions.true_walk import ACTIONS, HEADING, TrueRoom, arrivals
from rollout3d.config import Questions
from rollout3d.geometry.boxes import OrientedBox
from rollout3d.geometry.topdown import WALKABLE_CELL_M, Walkable, walkable_grid
from rollout3d.questions import walk
from rollout3d.questions.types import _routes
from rollout3d.questions.types._navigation import Floor
from rollout3d.questions.walk import Instructions, Walker
from toyworld.rendering.mesh import coarse_mesh_of
from toyworld.rooms.vocabulary import FORMATS
from toyworld.rooms.world import build_world
from toyworld.settings import Scans

# A bare room of 6 x 6 m: a stove in the south, a bed in the north, a lamp in the west, a door in the east.
STOVE = ("stove", (3, 0.4, 0.5), (0.6, 0.6, 1))
BED = ("bed", (3, 5.5, 0.3), (1.6, 0.8, 0.6))
LAMP = ("lamp", (0.4, 1.0, 0.7), (0.4, 0.4, 1.4))
DOOR = ("door", (5.8, 1.0, 1), (0.3, 0.9, 2))
CORNERS = [STOVE, BED, LAMP, DOOR]


def walker(things, grid=None, **more):
    scene = view(things)
    grid = floor_of(things) if grid is None else grid
    return Walker(Walkable(grid, np.zeros(2), 0.1), {c: scene.box(c) for c in scene.unique}, 0.2, **more)


def refusal(things, start, facing, steps, answer, **more):
    """Why a route is refused; steps as words, "?" for a turn that is left open."""
    steps = tuple(None if step == "?" else step for step in steps.split())
    return walker(things, **more).refusal(Instructions(start, facing, steps), answer.split(", "))


def test_good_routes_are_kept_with_their_answer_alone():
    for facing, steps, answer in (
        ("bed", "? lamp", "Turn Left"),
        ("bed", "? door", "Turn Right"),
        ("door", "? lamp", "Turn Back"),
        ("bed", "bed ? stove", None),
    ):
        if answer:
            assert refusal(CORNERS, "stove", facing, steps, answer) is None
            others = {"Turn Left", "Turn Right", "Turn Back"} - {answer}
            assert {refusal(CORNERS, "stove", facing, steps, other) for other in others} == {walk.OTHERS}
    assert refusal(CORNERS, "lamp", "door", "door ? bed", "Turn Left") is None
    assert refusal(CORNERS, "stove", "bed", "? door ? bed", "Turn Right, Turn Left") is None


def test_shares_count_the_places_beside_the_start():
    options = [("Turn Left",), ("Turn Right",), ("Turn Back",)]
    walked = walker(CORNERS).walk(Instructions("stove", "bed", (None, "lamp")), options)
    # Free cells: at least 0.2 m of floor around their middles; the stove stands at 0.1 m from the southern border.
    x, y = np.meshgrid((np.arange(60) + 0.5) / 10, (np.arange(60) + 0.5) / 10)
    free = walker(CORNERS).free
    away = np.hypot(np.maximum(abs(x - 3) - 0.3, 0), np.maximum(abs(y - 0.4) - 0.3, 0))
    assert walked.places == (free & (away <= 0.6)).sum() > 50
    assert walked.surely == walked.possibly == (1.0, 0.0, 0.0) and walked.trouble is None


def test_a_route_through_a_sofa_is_refused():
    # The sofa reaches from wall to wall but for a gap: the way round it is no straight walk.
    sofa = ("sofa", (2.6, 3.0, 0.4), (5.2, 0.9, 0.8))
    assert refusal([*CORNERS, sofa], "lamp", "door", "door ? bed", "Turn Left") is not None
    assert refusal([*CORNERS, sofa], "stove", "bed", "bed ? door", "Turn Back") == walk.NOT_STRAIGHT
    whole = ("sofa", (3.0, 3.0, 0.4), (6.0, 0.9, 0.8))
    assert refusal([*CORNERS, whole], "stove", "bed", "bed ? door", "Turn Back") == walk.NO_WAY
    small = ("sofa", (2.6, 3.0, 0.4), (0.8, 0.6, 0.8))
    assert refusal([*CORNERS, small], "stove", "bed", "bed ? stove", "Turn Back") == walk.THERE, "back at the start"
    assert refusal([*CORNERS, small], "lamp", "door", "door ? bed", "Turn Left") is None, "one steps round a chair"


def test_a_start_from_whose_sides_the_turns_differ_is_ambiguous():
    # From the west of the long table the lamp is to the left of the bed, from its east the bed is nearly ahead of it.
    table = ("table", (3, 2.6, 0.4), (3.6, 0.8, 0.8))
    things = [table, ("bed", (3, 5.5, 0.3), (0.8, 0.8, 0.6)), ("lamp", (3, 0.4, 0.7), (0.6, 0.6, 1.4))]
    assert refusal(things, "table", "lamp", "? bed", "Turn Back") in (walk.OTHERS, walk.NOT_STRAIGHT)
    options = [("Turn Left",), ("Turn Right",), ("Turn Back",)]
    walked = walker(things).walk(Instructions("table", "lamp", (None, "bed")), options)
    assert sum(share > walk.OTHERS_SHARE for share in walked.possibly) >= 2


def test_a_turn_of_about_45_degrees_is_nobodys():
    for degrees, verdict in (
        (90, None),
        (60, None),
        (45, walk.TURNS),
        (40, walk.TURNS),
        (120, None),
        (135, walk.OTHERS),
    ):
        x, y = 3 + 2.2 * math.sin(math.radians(degrees)), 3 + 2.2 * math.cos(math.radians(degrees))
        things = [
            ("stool", (3, 3, 0.3), (0.1, 0.1, 0.6)),
            ("bed", (3, 30, 0.3), (0.8, 0.8, 0.6)),
            ("plant", (x, y, 0.4), (0.1, 0.1, 0.8)),
        ]
        found = refusal(things, "stool", "bed", "? plant", "Turn Right")
        if verdict is None and degrees != 90:
            assert found in (None, walk.OTHERS, walk.TURNS)
        else:
            assert found == verdict, degrees


def test_a_landmark_must_be_long_or_high_enough():
    for sides, small in (((0.5, 0.3, 0.5), True), ((0.51, 0.1, 0.1), False), ((0.1, 0.1, 0.52), False)):
        thing = ("radio", (0.4, 1.0, 0.3), sides)
        assert (refusal([STOVE, BED, thing], "stove", "bed", "? radio", "Turn Left") == walk.SMALL) is small
        assert (refusal([STOVE, BED, thing], "radio", "stove", "? bed", "Turn Left") == walk.SMALL) is small


def test_what_the_video_does_not_show_is_no_landmark():
    seen = frozenset({"stove", "bed", "lamp"})
    assert refusal(CORNERS, "stove", "bed", "? lamp", "Turn Left", seen=seen) is None
    for missing in ("stove", "bed", "lamp"):
        assert refusal(CORNERS, "stove", "bed", "? lamp", "Turn Left", seen=seen - {missing}) == walk.UNSEEN


def test_one_must_be_able_to_stand_beside_the_start():
    walled = floor_of(CORNERS)
    walled[:14, 20:40] = False
    assert refusal(CORNERS, "stove", "bed", "? lamp", "Turn Left", grid=walled) == walk.NO_PLACE
    gap = walled.copy()
    gap[8:12, 27:33] = True
    assert walker(CORNERS, gap).free.sum() == walker(CORNERS, walled).free.sum(), "a gap shut in by furniture"
    assert refusal(CORNERS, "stove", "bed", "? lamp", "Turn Left", grid=gap) == walk.NO_PLACE


def test_the_robot_does_not_face_what_it_stands_at():
    things = [*CORNERS, ("tv", (3, 0.4, 1.3), (0.5, 0.3, 0.6))]
    assert refusal(things, "tv", "stove", "? lamp", "Turn Left") == walk.SAME_PLACE


def test_an_end_that_is_reached_before_the_last_step_is_no_end():
    # On the way from the stove to the bed the robot passes the plant.
    things = [*CORNERS, ("plant", (3.0, 3.0, 0.4), (0.3, 0.3, 0.8))]
    assert refusal(things, "stove", "bed", "bed ? plant", "Turn Back") == walk.THERE
    aside = [*CORNERS, ("plant", (4.6, 3.0, 0.4), (0.3, 0.3, 0.8))]
    assert refusal(aside, "stove", "bed", "bed ? plant", "Turn Back") != walk.THERE


def test_a_landmark_beside_the_start_is_no_walk():
    # The stove is 0.35 m from the lamp: whoever stands between them has nowhere to go.
    things = [BED, LAMP, ("stove", (1.25, 1.0, 0.5), (0.6, 0.6, 1))]
    assert refusal(things, "stove", "bed", "? lamp", "Turn Left") is not None
    assert walker(things).walk(Instructions("stove", "bed", (None, "lamp")), [("Turn Left",)]).trouble == walk.THERE


def test_a_leg_past_its_landmark_and_back_is_no_straight_walk():
    # The lamp stands behind a long shelf: who goes there from the door passes it south of the shelf, and comes back.
    things = [("door", (5.8, 3.0, 1), (0.3, 0.9, 2)), ("oven", (5.6, 5.6, 0.5), (0.6, 0.6, 1))]
    things.append(("lamp", (0.5, 3.0, 0.7), (0.4, 0.4, 1.4)))
    assert refusal(things, "door", "oven", "? lamp", "Turn Left") is None
    shelf = floor_of(things)
    shelf[15:, 12:14] = False
    assert refusal(things, "door", "oven", "? lamp", "Turn Left", grid=shelf) == walk.NOT_STRAIGHT


def corridor():
    """A corridor in three lanes, open at alternate ends: the way to the lamp at its end leads forth, back and forth."""
    grid = np.zeros((60, 170), bool)
    grid[20:41, 10:160] = True
    grid[26:28, 40:120] = False
    grid[33:35, 64:126] = False
    grid[20:35, 124:126] = False
    grid[26:41, 58:60] = False
    lamp = OrientedBox(np.array([7.6, 1.5, 0.5]), np.array([0.2, 0.2, 1.0]), np.eye(3))
    return Walkable(grid, (0.0, 0.0), 0.05), lamp


def test_a_walk_never_goes_back():
    # 6.2 m as the crow flies, 12.7 m on foot.
    room, lamp = corridor()
    assert Floor(room, 0.05, {"lamp": lamp}).walk((1.02, 1.52), "lamp") is None
    robot = Walker(room, {"lamp": lamp}, 0.05)
    cell = np.array([30 * 170 + 20])
    assert robot._walks("lamp", cell).state[cell[0]] == walk.paths.NOT_STRAIGHT
    room.grid[20:41, 40:126] = True
    assert Floor(room, 0.05, {"lamp": lamp}).walk((1.02, 1.52), "lamp") is not None
    robot = Walker(room, {"lamp": lamp}, 0.05)
    assert robot._walks("lamp", cell).state[cell[0]] == walk.paths.ARRIVED


def synthetic(seed):
    """A synthetic world, its scene as the generators see it, and the true room."""
    from toyworld.model.lessons import asked_as, scene_view

    world = build_world(seed, Scans().n_objects)
    mesh, scene = coarse_mesh_of(world), scene_view(world, FORMATS[seed % 3], [], f"room{seed}")
    scene.walkable = walkable_grid(mesh.vertices, mesh.faces, WALKABLE_CELL_M, 0.0)
    names = {thing.thing_id: asked_as(thing, scene.dataset) for thing in world.things}
    return scene, TrueRoom(world, {i: name for i, name in names.items() if name in scene.unique})


def test_kept_routes_hold_in_the_true_rooms():
    """From 90 % of the true places beside the start the answer arrives, and no other option from more than 5 %."""
    verdicts = Counter()
    for seed in (2, 8, 13, 14, 24, 29):
        scene, room = synthetic(seed)
        for row in _routes.generate(scene, Questions(), np.random.default_rng(seed))[0]:
            shares = np.mean(list(arrivals(room, row)), axis=0)
            right = "ABCD".index(row["ground_truth"])
            verdicts[bool(shares[right] >= 0.9 and np.delete(shares, right).max() <= 0.05)] += 1
    assert verdicts[True] >= 0.99 * verdicts.total() and verdicts.total() > 20


def test_no_straight_line_of_a_kept_route_crosses_what_stands_there():
    n_legs = 0
    for seed in (2, 14, 20, 25):
        scene, _ = synthetic(seed)
        room = scene.walkable
        for row in _routes.generate(scene, Questions(), np.random.default_rng(seed))[0]:
            assert all(max(scene.box(m["category"]).axes_lengths) > 0.5 for m in row["objects"])
            for step in json.loads(row["evidence"])["steps"]:
                line = np.linspace(step["from"], step["at"], 2000)
                col, at = np.floor((line - room.origin) / room.cell_m).astype(int).T
                assert room.grid[at, col].all()
                n_legs += 1
    assert n_legs > 40


def test_the_executor_does_not_walk_for_the_benchmarks_defects():
    rows, reasons = _routes.generate(synthetic(2)[0], Questions(compat="vsibench"), np.random.default_rng(0))
    assert rows and not set(reasons) & set(walk.REFUSED.values())
    _, reasons = _routes.generate(synthetic(2)[0], Questions(), np.random.default_rng(0))
    assert set(reasons) & set(walk.REFUSED.values())


def test_the_summary_counts_kept_and_refused_routes():
    reasons = [
        f"12 candidates: {walk.REFUSED[walk.OTHERS]}",
        f"3 candidates: {walk.REFUSED[walk.THERE]}",
        "4 candidates: a detour",
    ]
    reasons.append(f"1 candidates: {walk.REFUSED[walk.OTHERS]}")
    told = walk.summary(8, reasons, 4)
    assert told == (
        "routes executed: 8 of 24 kept, 2.0 a scan (refused: 13 other turns may arrive as well, 3 a landmark or the "
        "destination is reached too soon)"
    )
    assert walk.summary(0, ["4 candidates: a detour"], 4) == ""


def test_questions_are_read_back_as_they_were_executed():
    scene, _ = synthetic(2)
    for row in _routes.generate(scene, Questions(), np.random.default_rng(0))[0]:
        start, facing, target = HEADING.search(row["question"]).groups()
        steps = tuple(action or None for action in ACTIONS.findall(row["question"]))
        assert steps[-1] == target and len(re.findall(r"\d+\. ", row["question"])) == len(steps)
        boxes = {name: scene.box(name) for name in scene.unique}
        answer = row["options"]["ABCD".index(row["ground_truth"])][3:].split(", ")
        assert Walker(scene.walkable, boxes, 0.2).refusal(Instructions(start, facing, steps), answer) is None


@pytest.mark.parametrize("name", ["navigation", "route_planning"])
def test_the_executor_shares_no_code_with_the_generator(name):
    text = Path(walk.__file__).read_text() + Path(walk.paths.__file__).read_text()
    assert not re.search(rf"import.*{name}|from rollout3d.questions.{name}", text)


def test_a_route_that_works_from_too_few_places_is_refused_though_no_other_option_works_from_more(monkeypatch):
    """Three other options of at most a twentieth each leave less than nine tenths to the right one."""
    walked = walk.Walked(25, (0.88, 0.04, 0.04), (0.88, 0.04, 0.04), None)
    monkeypatch.setattr(Walker, "walk", lambda self, route, options: walked)
    route = Instructions("bed", "door", (None, "table"))
    assert Walker.__new__(Walker).refusal(route, ("Turn Left",)) == walk.OTHERS
