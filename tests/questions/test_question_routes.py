"""Routes: the grid against plain searches, and generated questions walked by a robot that only reads them."""

import heapq
import json
import math
import re
from collections import Counter
from functools import cache

import numpy as np
import pytest

from questions.question_rooms import floor_of, random_things, view
from rollout3d.config import Questions
from rollout3d.geometry.topdown import Walkable
from rollout3d.questions.types import _routes
from rollout3d.questions.types._navigation import ARRIVED_M, MAX_SIDESTEP_M, MIN_LEG_M, REACH_M, Floor

# A bare room with a tv in the south, a bed in the north, a lamp west of the tv and a door far in the east.
CORNERS = [
    ("tv", (3, 0.5, 0.5), (1, 0.4, 1)),
    ("bed", (3, 5.5, 0.3), (2, 0.8, 0.6)),
    ("lamp", (0.3, 1.1, 0.7), (0.4, 0.4, 1.4)),
    ("door", (5.8, 1.1, 1), (0.3, 0.9, 2)),
]


def routes(things, grid=None, **changes):
    grid = floor_of(things) if grid is None else grid
    scene = view(things, grid=grid)
    return _routes.generate(scene, Questions(**changes), np.random.default_rng(0))


@cache
def asked_in(seed):
    """Route questions of a random room under the default caps; made once for the tests that read them."""
    return tuple(routes(random_things(seed, 10))[0])


def floor(things, grid=None, radius=0.2):
    scene = view(things)
    grid = floor_of(things) if grid is None else grid
    return Floor(Walkable(grid, np.zeros(2), 0.1), radius, {c: scene.box(c) for c in scene.unique})


def outline_distance(box, point):
    """Metres from a point to an axis-aligned outline (centre, sides)."""
    gaps = [max(abs(point[i] - box[0][i]) - box[1][i] / 2, 0) for i in (0, 1)]
    return math.hypot(*gaps)


def turns_of(row):
    return [tuple(option[3:].split(", ")) for option in row["options"]]


def right_turns(row):
    return turns_of(row)["ABCD".index(row["ground_truth"])]


def test_free_floor_keeps_the_body_radius_from_everything_blocked():
    rng = np.random.default_rng(0)
    grid = rng.random((23, 31)) > 0.03
    for radius in (0.1, 0.2, 0.35):
        free = Floor(Walkable(grid, np.zeros(2), 0.1), radius, {}).free
        blocked = [
            (r, c) for r in range(-1, 24) for c in range(-1, 32) if not (0 <= r < 23 and 0 <= c < 31 and grid[r, c])
        ]
        for r in range(23):
            for c in range(31):
                nearest = min(math.hypot(r - br, c - bc) for br, bc in blocked) * 0.1
                assert free[r, c] == (nearest > radius), (r, c, radius)


def test_shortest_path_agrees_with_a_plain_search():
    rng = np.random.default_rng(1)
    grid = rng.random((18, 26)) > 0.25
    found = Floor(Walkable(grid, np.array([-1.0, 2.0]), 0.1), 0.05, {})
    free = {(r, c) for r in range(18) for c in range(26) if found.free[r, c]}
    assert len(free) > 150

    def plain(start):
        best, queue = {start: 0.0}, [(0.0, start)]
        while queue:
            d, (r, c) = heapq.heappop(queue)
            for dr, dc in ((i, j) for i in (-1, 0, 1) for j in (-1, 0, 1) if i or j):
                cell = (r + dr, c + dc)
                if {cell, (r + dr, c), (r, c + dc)} <= free and d + math.hypot(dr, dc) < best.get(
                    cell, math.inf
                ) - 1e-12:
                    best[cell] = d + math.hypot(dr, dc)
                    heapq.heappush(queue, (best[cell], cell))
        return best

    def middle(cell):
        return (-1.0 + (cell[1] + 0.5) * 0.1, 2.0 + (cell[0] + 0.5) * 0.1)

    cells = sorted(free)
    for start in cells[:: len(cells) // 4]:
        best = plain(start)
        for end in cells[::17]:
            assert found.shortest(middle(end), middle(start)) == pytest.approx(0.1 * best.get(end, math.inf))


def test_a_walk_is_straight_stops_at_the_landmark_and_needs_free_floor():
    leg = floor(CORNERS).walk((3.05, 2.05), "bed")
    assert leg.heading_deg == pytest.approx(90, abs=2) and leg.metres == pytest.approx(5.1 - ARRIVED_M - 2.05, abs=0.06)
    assert leg.end[1] == pytest.approx(5.1 - ARRIVED_M, abs=0.06)
    assert floor(CORNERS).walk((3.05, 5.1 - ARRIVED_M - MIN_LEG_M / 2), "bed") is None, "too short to be a walk"
    walled = floor_of(CORNERS)
    walled[40:42] = False
    assert floor(CORNERS, walled).walk((3.05, 2.05), "bed") is None, "a wall stands between"
    walled[40:42, 28:34] = True
    assert floor(CORNERS, walled, radius=0.2).walk((3.05, 2.05), "bed") is not None, "through a gap of 0.6 m"
    assert floor(CORNERS, walled, radius=0.4).walk((3.05, 2.05), "bed") is None, "which a wider robot does not fit"


def test_a_robot_steps_aside_but_goes_no_other_way():
    # From (1, 3) to a door in the east; a table beside the straight line leaves less than the body's radius on its
    # side, then stands on the line.
    for edge, passes in ((-0.05, True), (0.2, False)):
        things = [("door", (5.8, 3, 1), (0.3, 0.9, 2)), ("table", (3, 3 + edge - 1, 0.4), (0.6, 2.0, 0.8))]
        leg = floor(things).walk((1.05, 3.05), "door")
        if passes:
            assert leg.heading_deg == pytest.approx(0, abs=2)
            (x, y), (dx, dy) = (leg.path - leg.start).T, np.subtract(leg.end, leg.start) / leg.metres
            assert 0.1 < np.abs(x * dy - y * dx).max() <= MAX_SIDESTEP_M
            assert (np.diff(x * dx + y * dy) > -1e-6).all(), "never back"
            assert (
                outline_distance(things[0][1:], leg.end) <= ARRIVED_M + 1e-9 and abs(leg.end[1] - 3) <= MAX_SIDESTEP_M
            )
        elif leg is not None:  # past the table, to the door's other end
            assert leg.end[1] > 3 + edge
            line = np.linspace(leg.start, leg.end, 500)
            assert min(outline_distance(things[1][1:], point) for point in line) > 0
    things = [("door", (5.8, 3, 1), (0.3, 0.9, 2))]
    path = floor(things).walk((1.05, 3.05), "door").path
    assert np.ptp(path[:, 1]) < 0.06, "a free line is walked straight"
    grid = floor_of(things)
    grid[:, 30] = False
    grid[33, 30] = True
    assert floor(things, grid).walk((1.05, 3.05), "door") is None, "no gap wide enough"


def test_a_walk_that_floor_ends_nearby_has_still_arrived():
    # The lamp stands in the middle of a table that keeps the robot 0.5 m away, then 0.8 m.
    for half, arrived in ((0.3, True), (0.6, False)):
        things = [("lamp", (3, 5, 1.2), (0.2, 0.2, 0.4)), ("table", (3, 5, 0.4), (0.2 + 2 * half, 0.2 + 2 * half, 0.8))]
        assert (floor(things).walk((3.05, 2.05), "lamp") is not None) is arrived
    assert 0.5 < REACH_M < 0.8


def test_one_stands_on_the_open_side_of_a_landmark():
    # Between fridge and walls are gaps of 0.6 m, nearer to its centre than the open floor to the south.
    things = [("refrigerator", (1.0, 5.2, 0.9), (0.8, 0.8, 1.8)), ("sofa", (1.9, 4.9, 0.4), (0.4, 1.4, 0.8))]
    x, y = floor(things).beside("refrigerator")
    assert y < 4.8 and x == pytest.approx(1.0, abs=0.1)
    assert outline_distance(things[0][1:], (x, y)) <= ARRIVED_M + 1e-9
    boxed_in = floor_of(things)
    boxed_in[:48] = False
    x, y = floor(things, boxed_in).beside("refrigerator")
    assert y > 4.8, "a gap, where there is nothing better"
    boxed_in[:, :30] = False
    assert floor(things, boxed_in).beside("refrigerator") is None


def test_the_far_side_of_a_wall_is_not_beside_a_landmark():
    # The piano stands at a wall of one cell; a robot on the other side comes within 0.45 m of it.
    things = [("piano", (3, 3.25, 0.5), (1.4, 0.5, 1.0))]
    grid = floor_of(things)
    grid[35] = False
    robot = floor(things, grid)
    assert robot.beside("piano")[1] < 3.0
    for start in ((3.05, 5.0), (2.05, 4.5), (4.5, 3.9)):
        assert robot.walk(start, "piano") is None
    assert robot.walk((3.05, 1.0), "piano") is not None
    grid[35] = True
    assert floor(things, grid).walk((3.05, 5.0), "piano") is not None, "without the wall"


def test_known_room_gives_the_known_turn():
    rows, _ = routes(CORNERS, per_scene={"route_planning": 200})
    texts = {row["question"]: right_turns(row) for row in rows}
    begin = "You are a robot beginning at the tv and facing the bed. You want to navigate to the {}. "
    note = (
        "You will perform the following actions (Note: for each [please fill in], choose either 'turn back,' 'turn "
        "left,' or 'turn right.'): "
    )
    end = "1. [please fill in] 2. Go forward until the {}. You have reached the final destination."
    assert texts[begin.format("lamp") + note + end.format("lamp")] == ("Turn Left",)
    assert texts[begin.format("door") + note + end.format("door")] == ("Turn Right",)
    back = (begin + note + end).replace("facing the bed", "facing the door").replace("{}", "lamp")
    assert texts[back] == ("Turn Back",)
    two = (
        "You are a robot beginning at the lamp and facing the door. You want to navigate to the bed. "
        + note
        + "1. Go forward until the door 2. [please fill in] 3. Go forward until the bed. You have reached the final "
        "destination."
    )
    # From the door back to the bed in the north-west: about 118 degrees to the left.
    assert texts[two] == ("Turn Left",)
    # The plant stands 45 degrees to the left of the way from the tv to the bed: no clear turn.
    with_plant = routes([*CORNERS, ("plant", (0.6, 3.4, 0.4), (0.3, 0.3, 0.8))], per_scene={"route_planning": 400})[0]
    asked = {row["question"] for row in with_plant}
    assert back in asked and (begin + note + end).replace("{}", "plant") not in asked


ACTIONS = re.compile(r"\d+\. (\[please fill in\]|Go forward until the ([a-z ]+?))(?= \d+\.|\. You)")
HEADING = re.compile(r"beginning at the (.+) and facing the (.+)\. You want to navigate to the (.+)\. You will")
DEGREES = {"Turn Left": 90, "Turn Right": -90, "Turn Back": 180}


def arrives(row, turns, boxes, grid):
    """A robot that reads the question, fills in `turns`, and walks; it knows where it starts and the blocked cells.

    Half a cell's diagonal of slack: the grid knows where a cell is, not where in it the robot is.
    """
    start, facing, target = HEADING.search(row["question"]).groups()
    x, y = json.loads(row["evidence"])["steps"][0]["from"]
    assert outline_distance(boxes[start], (x, y)) <= REACH_M + 0.01
    heading = math.atan2(boxes[facing][0][1] - y, boxes[facing][0][0] - x)
    blanks = iter(turns)
    blocked = np.argwhere(~np.pad(grid, 1)) - 1
    middles = (blocked[:, ::-1] + 0.5) * 0.1
    at = start
    for _, landmark in ACTIONS.findall(row["question"]):
        if not landmark:
            heading += math.radians(DEGREES[next(blanks)])
            continue
        box = boxes[landmark]
        goal = math.atan2(box[0][1] - y, box[0][0] - x)
        if math.cos(goal - heading) <= math.cos(math.radians(45)):
            return False
        heading = goal
        end = straight_on(box, (x, y), heading, middles) or round_obstacles(box, (x, y), heading, middles)
        if end is None:
            return False
        (x, y), at = end, landmark
    assert next(blanks, None) is None
    return at == target


def straight_on(box, place, heading, middles):
    """Where a walk in steps of a centimetre ends beside the box, None if it ends elsewhere."""
    x, y = place
    while outline_distance(box, (x, y)) > ARRIVED_M:
        nx, ny = x + 0.01 * math.cos(heading), y + 0.01 * math.sin(heading)
        if np.hypot(middles[:, 0] - nx, middles[:, 1] - ny).min() < 0.2 - 0.08:
            break
        x, y = nx, ny
    return (x, y) if outline_distance(box, (x, y)) <= REACH_M + 0.08 else None


def round_obstacles(box, place, heading, middles):
    """Flood of tenths of a metre that stay near the line to the box: the place beside the box nearest to the start."""
    ahead = (math.cos(heading), math.sin(heading))
    length = math.dist(place, box[0][:2])

    def open_floor(point):
        along = (point[0] - place[0]) * ahead[0] + (point[1] - place[1]) * ahead[1]
        lateral = (point[1] - place[1]) * ahead[0] - (point[0] - place[0]) * ahead[1]
        clear = np.hypot(middles[:, 0] - point[0], middles[:, 1] - point[1]).min()
        return abs(lateral) <= MAX_SIDESTEP_M + 0.08 and -0.18 <= along <= length and clear >= 0.2 - 0.08

    seen, queue = {(0, 0)}, [(0, 0)]
    while queue:
        i, j = queue.pop()
        for step in ((i + 1, j), (i - 1, j), (i, j + 1), (i, j - 1)):
            if step not in seen and open_floor((place[0] + step[0] * 0.1, place[1] + step[1] * 0.1)):
                seen.add(step)
                queue.append(step)
    beside = [(place[0] + i * 0.1, place[1] + j * 0.1) for i, j in seen]
    beside = [point for point in beside if outline_distance(box, point) <= ARRIVED_M + 0.08]
    return min(beside, key=lambda point: math.dist(place, point), default=None)


@pytest.mark.parametrize("seed", [0, 1, 2, 3, 4, 5, 6, 8])
def test_exactly_one_option_brings_a_reading_robot_to_its_destination(seed):
    things = CORNERS if seed == 0 else random_things(seed, 10)
    names = [c for c, _, _ in things]
    boxes = {c: (m, s) for c, m, s in things}
    grid = floor_of(things)
    rows, _ = routes(things, per_scene={"route_planning": 12})
    assert rows
    for row in rows:
        assert [turns for turns in turns_of(row) if arrives(row, turns, boxes, grid)] == [right_turns(row)]
        assert all(names.count(m["category"]) == 1 for m in row["objects"])


def test_options_fit_the_number_of_blanks():
    rows = [row for seed in range(1, 8) for row in asked_in(seed)]
    blanks = Counter()
    for row in rows:
        n = row["question"].count("[please fill in]") - 1
        blanks[n] += 1
        assert len(row["options"]) == len(set(turns_of(row))) == (3 if n == 1 else 4)
        assert all(len(turns) == n and set(turns) <= set(DEGREES) for turns in turns_of(row))
    assert set(blanks) == {1, 2, 3}
    assert len({row["question"] for row in rows}) > 30
    answers = Counter(turn for row in rows for turn in right_turns(row))
    assert set(answers) == set(DEGREES)


def test_routes_are_no_detours_and_pass_the_target_once():
    for seed in range(1, 8):
        boxes = {c: (m, s) for c, m, s in random_things(seed, 10)}
        for row in asked_in(seed):
            evidence = json.loads(row["evidence"])
            target = boxes[evidence["target"]["category"]]
            assert evidence["route_m"] <= 3 * evidence["shortest_m"] + 0.01
            assert evidence["route_m"] == pytest.approx(sum(s["metres"] for s in evidence["steps"]), abs=0.03)
            for step in evidence["steps"]:
                assert math.dist(step["from"], step["at"]) == pytest.approx(step["metres"], abs=0.02)
                assert step["metres"] >= MIN_LEG_M
            assert outline_distance(target, evidence["steps"][0]["from"]) > REACH_M - 0.01
            for step in evidence["steps"][:-1]:
                for share in np.linspace(0, 1, 50):
                    point = [(1 - share) * a + share * b for a, b in zip(step["from"], step["at"])]
                    assert outline_distance(target, point) > REACH_M - 0.1


def test_no_route_passes_its_target_before_the_end():
    # On the way from the tv to the bed the robot passes the plant; from the bed, it stands behind.
    things = [*CORNERS[:2], ("plant", (3.55, 3.8, 0.3), (0.2, 0.2, 0.6))]
    rows, reasons = routes(things, per_scene={"route_planning": 100})
    walked = [re.findall("until the ([a-z]+)", row["question"]) for row in rows]
    assert ["bed", "plant"] not in walked
    assert reasons["the destination is reached before the end"] > 0


def test_turns_are_clear_also_from_the_middle_of_the_start():
    n_first = 0
    for seed in (1, 4, 6, 8, 10, 11):
        boxes = {c: np.array(m[:2]) for c, m, _ in random_things(seed, 10)}
        for row in routes(random_things(seed, 10), per_scene={"route_planning": 40})[0]:
            evidence = json.loads(row["evidence"])
            for step in evidence["steps"]:
                if step["turn"]:
                    off = (step["turn_deg"] - DEGREES[step["turn"]] + 180) % 360 - 180
                    assert abs(off) <= 35.1
            first = evidence["steps"][0]
            if first["turn"]:
                middle = boxes[evidence["start"]["category"]]
                ahead, aside = boxes[evidence["facing"]["category"]] - middle, boxes[first["to"]] - middle
                turn = math.degrees(math.atan2(aside[1], aside[0]) - math.atan2(ahead[1], ahead[0]))
                assert abs((turn - DEGREES[first["turn"]] + 180) % 360 - 180) < 45
                n_first += 1
    assert n_first > 20


def test_no_route_leads_through_a_wall():
    things = [*CORNERS, ("sofa", (1.2, 5.3, 0.4), (0.8, 0.8, 0.8)), ("stool", (5.2, 5.2, 0.3), (0.4, 0.4, 0.6))]
    grid = floor_of(things)
    grid[30:32] = False
    north = {"bed", "sofa", "stool"}
    rows, _ = routes(things, grid, per_scene={"route_planning": 60})
    assert rows
    for row in rows:
        visited = [json.loads(row["evidence"])["start"]["category"]]
        visited += [step["to"] for step in json.loads(row["evidence"])["steps"]]
        assert len({name in north for name in visited}) == 1


def test_things_overhead_and_repeated_things_are_no_landmarks():
    things = [*CORNERS, ("ceiling light", (3, 3, 2.4), (0.6, 0.6, 0.1))]
    things += [("chair", (x, 3, 0.4), (0.5, 0.5, 0.8)) for x in (1.5, 4.5)]
    rows, _ = routes(things, per_scene={"route_planning": 60})
    assert rows
    assert not [r for r in rows if "ceiling light" in r["question"] or "chair" in r["question"]]


def test_rooms_without_floor_or_landmarks_have_no_routes():
    scene = view(CORNERS)
    rows, reasons = _routes.generate(scene, Questions(), np.random.default_rng(0))
    assert rows == [] and reasons == {"no walkable floor known": 1}
    rows, reasons = routes(CORNERS[:2])
    assert rows == [] and reasons == {"fewer than three landmarks": 1}
    rows, reasons = routes(CORNERS, np.zeros((60, 60), bool))
    assert rows == [] and reasons == {"no landmark can be stood beside": 1}


def test_no_route_squeezes_between_obstacles_that_touch(monkeypatch):
    """Two halves of a room meet at the corner of two cells: a line may pass there, a path over cells may not."""
    halves = np.zeros((60, 60), bool)
    halves[:30, :30] = halves[30:, 30:] = True
    tv = ("tv", (0.4, 0.4, 0.5), (0.3, 0.3, 1))
    start = np.array(floor([tv], halves, 0.05).beside("tv"))
    lamp = 3 + 2 * (3 - start) / np.linalg.norm(3 - start)
    things = [tv, ("bed", (2.6, 0.4, 0.3), (0.3, 0.3, 0.6)), ("lamp", (*lamp, 0.7), (0.2, 0.2, 1.4))]
    robot = floor(things, halves, 0.05)
    leg = robot.walk(tuple(start), "lamp")
    assert leg is not None and robot.shortest(leg.start, leg.end) == math.inf
    monkeypatch.setattr(_routes, "BODY_RADIUS_M", 0.05)
    rows, reasons = routes(things, halves)
    assert reasons[_routes.SQUEEZED] > 0 and not [row for row in rows if "until the lamp" in row["question"]]
