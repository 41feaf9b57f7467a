"""Generators against plain re-statements of VSI-Bench's rules, on random rooms."""

import math
from itertools import combinations, pairwise, permutations

import numpy as np
import pytest

from questions.question_rooms import random_things, view
from rollout3d.config import Questions
from rollout3d.config.question_types import PER_SCENE
from rollout3d.geometry.distance import box_distance
from rollout3d.questions.templates import option_text
from rollout3d.questions.types import _rel_direction, obj_appearance_order, object_rel_distance

UNCAPPED = {"per_scene": dict.fromkeys(PER_SCENE), "distance": "exact"}
ROOMS = [random_things(seed, 12) for seed in range(6)]


def rng():
    return np.random.default_rng(0)


def truth(row):
    return option_text(row["options"]["ABCD".index(row["ground_truth"])])


def unique_things(things):
    names = [category for category, _, _ in things]
    return {c: (np.array(m), np.array(s)) for c, m, s in things if names.count(c) == 1}


def gap(a, b):
    """Distance of two axis-aligned boxes."""
    return float(np.linalg.norm(np.maximum(abs(a[0] - b[0]) - (a[1] + b[1]) / 2, 0)))


@pytest.mark.parametrize("area", [20.0, 40.0, 40.1, None])
def test_relative_distance_makes_every_set_that_passes_and_no_other(area):
    margin = 0.15 if area and area <= 40 else 0.30
    found_any = False
    for things in ROOMS:
        expected = set()
        for primary, box in unique_things(things).items():
            away = {}
            for category, middle, sides in things:
                if category != primary:
                    d = gap(box, (np.array(middle), np.array(sides)))
                    away[category] = min(d, away.get(category, math.inf))
            for chosen in combinations(sorted(away), 4):
                values = sorted(away[c] for c in chosen)
                if values[0] >= 0.15 and all(b - a > margin for a, b in pairwise(values)):
                    expected.add((primary, chosen, min(chosen, key=away.__getitem__)))
        rows, _ = object_rel_distance.generate(view(things, room_size_m2=area), Questions(**UNCAPPED), rng())
        found = {
            (r["question"].split("closest to the ")[1][:-1], tuple(sorted(map(option_text, r["options"]))), truth(r))
            for r in rows
        }
        assert found == expected and len(rows) == len(expected)
        found_any = found_any or bool(found)
    assert found_any


def naive_direction(level, p, o, q):
    """Answer for Q in the frame of somebody at P who looks at O, by turning Q into that frame."""
    heading = math.atan2(o[1] - p[1], o[0] - p[0])
    dx, dy = q[0] - p[0], q[1] - p[1]
    forward = dx * math.cos(heading) + dy * math.sin(heading)
    right = dx * math.sin(heading) - dy * math.cos(heading)
    if level == "hard":
        return ("front" if forward > 0 else "back") + ("-right" if right > 0 else "-left")
    if math.degrees(math.acos(max(-1, min(1, forward / math.hypot(dx, dy))))) > 135:
        return "back"
    return "right" if right > 0 else "left"


def naive_margin(level, p, o, q, one_sided):
    """Degrees between Q and the nearest border, found by turning Q about P until the answer changes."""
    answer = naive_direction(level, p, o, q)
    for step in range(1, 1000):
        for sign in (1,) if one_sided else (1, -1):
            turn = math.radians(sign * step * 0.1)
            dx, dy = q[0] - p[0], q[1] - p[1]
            turned = (
                p[0] + dx * math.cos(turn) - dy * math.sin(turn),
                p[1] + dx * math.sin(turn) + dy * math.cos(turn),
            )
            if naive_direction(level, p, o, turned) != answer:
                return step * 0.1
    return 100.0


@pytest.mark.parametrize("compat", ["corrected", "vsibench"])
@pytest.mark.parametrize("level", ["easy", "medium", "hard"])
def test_direction_makes_every_triple_that_passes_and_no_other(level, compat):
    total = 0
    for things in ROOMS:
        boxes = unique_things(things)
        expected, unclear = set(), set()
        for p, o, q in permutations(boxes, 3):
            order = [list(boxes).index(c) for c in (p, o, q)]
            if compat == "vsibench" and np.argsort(np.argsort(order)).tolist() not in ([0, 1, 2], [0, 2, 1], [1, 0, 2]):
                continue
            if not all(0.3 <= gap(boxes[a], boxes[b]) <= 5 for a, b in combinations((p, o, q), 2)):
                continue
            places = [boxes[c][0] for c in (p, o, q)]
            if compat == "corrected" and min(math.dist(a[:2], b[:2]) for a, b in combinations(places, 2)) < 0.3:
                continue
            answer = naive_direction(level, *places)
            margin = naive_margin(level, *places, one_sided=compat == "vsibench" and level == "hard")
            unclear |= {(p, o, q)} if 9.8 < margin < 10.2 else set()
            middle, sides = boxes[q]
            corners = [middle + sides / 2 * (i, j, k) for i in (-1, 1) for j in (-1, 1) for k in (-1, 1)]
            stray = sum(naive_direction(level, *places[:2], corner) != answer for corner in corners)
            if margin > 10 and stray <= 2 and not (level == "easy" and answer == "back"):
                expected.add((p, o, q, answer))
        rows, _ = _rel_direction.generate(view(things), Questions(**UNCAPPED, compat=compat), rng(), level)
        found = {(*(m["category"] for m in r["objects"]), truth(r)) for r in rows}
        assert len(rows) == len(found)
        # The naive margin is a multiple of 0.1 degrees: too coarse to judge triples at the limit itself.
        assert {t for t in found if t[:3] not in unclear} == {t for t in expected if t[:3] not in unclear}
        total += len(expected)
    assert total > 100


@pytest.mark.parametrize(
    ("query", "easy", "medium", "hard"),
    [
        ((3, 0), "right", "right", None),
        ((-3, 0), "left", "left", None),
        ((2, 2.5), "right", "right", "front-right"),
        ((-2, 2.5), "left", "left", "front-left"),
        ((0, -3), None, "back", None),
        ((1, -3), None, "back", "back-right"),
        ((-1, -3), None, "back", "back-left"),
        ((2.5, -2), None, None, "back-right"),
        ((3, -1), "right", "right", "back-right"),
    ],
)
def test_somebody_at_the_origin_who_faces_plus_y(query, easy, medium, hard):
    things = [
        ("bed", (0, 0, 0.1), (0.2, 0.2, 0.2)),
        ("door", (0, 2, 0.1), (0.2, 0.2, 0.2)),
        ("lamp", (*query, 0.1), (0.2, 0.2, 0.2)),
    ]
    for level, expected in (("easy", easy), ("medium", medium), ("hard", hard)):
        rows, _ = _rel_direction.generate(view(things), Questions(distance="exact"), rng(), level)
        asked = [r for r in rows if [m["category"] for m in r["objects"]] == ["bed", "door", "lamp"]]
        assert [truth(row) for row in asked] == ([expected] if expected else []), level


def test_direction_texts_are_the_benchmarks():
    things = [(c, (x, y, 0.1), (0.2, 0.2, 0.2)) for c, x, y in (("bed", 0, 0), ("door", 0, 4), ("lamp", 3, 1))]
    texts = {}
    for level in ("easy", "medium", "hard"):
        rows, _ = _rel_direction.generate(view(things), Questions(), rng(), level)
        texts[level] = next(r for r in rows if "standing by the bed and facing the door" in r["question"])
    assert texts["easy"]["question"] == (
        "If I am standing by the bed and facing the door, is the lamp to the left or the right of the door?"
    )
    assert texts["medium"]["question"] == (
        "If I am standing by the bed and facing the door, is the lamp to my left, right, or back?\n"
        "An object is to my back if I would have to turn at least 135 degrees in order to face it."
    )
    assert texts["hard"]["question"] == (
        "If I am standing by the bed and facing the door, is the lamp to my front-left, front-right, back-left, or "
        "back-right?\nThe directions refer to the quadrants of a Cartesian plane (if I am standing at the origin and "
        "facing along the positive y-axis)."
    )
    assert texts["easy"]["options"] == ["A. left", "B. right"]
    assert texts["medium"]["options"] == ["A. left", "B. right", "C. back"]
    assert texts["hard"]["options"] == ["A. front-left", "B. front-right", "C. back-left", "D. back-right"]


def test_what_hangs_over_the_other_has_no_direction_unless_compatible():
    # The lamp hangs two metres above the bed, 5 cm off its centre.
    things = [
        ("bed", (0, 0, 0.2), (1, 1, 0.4)),
        ("lamp", (0.05, 0, 2.5), (0.2, 0.2, 0.2)),
        ("door", (3, 2, 0.5), (0.2, 0.2, 1)),
    ]
    for compat, asked in (("corrected", False), ("vsibench", True)):
        config = Questions(compat=compat, distance="exact")
        rows = [
            r for level in _rel_direction.RULES for r in _rel_direction.generate(view(things), config, rng(), level)[0]
        ]
        assert bool(rows) is asked


def test_appearance_order_makes_every_set_that_is_far_enough_apart():
    names = ["bed", "tv", "lamp", "door", "sofa", "stool", "fan"]
    things = [(c, (k, 0, 0.5), (0.5, 0.5, 1)) for k, c in enumerate(names)]
    times = dict(zip(names, [0.0, 0.4, 1.5, 3.0, 4.1, 5.1, 9.0]))
    rows, reasons = obj_appearance_order.generate(view(things, times), Questions(**UNCAPPED), rng())
    expected = {
        tuple(sorted(four, key=times.__getitem__))
        for four in combinations(names, 4)
        if all(abs(times[a] - times[b]) > 1.0 for a, b in combinations(four, 2))
    }
    assert {tuple(truth(row).split(", ")) for row in rows} == expected and len(rows) == len(expected) > 5
    assert reasons["first appearances within 1 s"] == 35 - len(expected)


def test_the_configured_distance_is_the_one_used():
    things = ROOMS[0]
    for method in ("exact", "vsibench"):
        scene = view(things)
        a, b = scene.unique[:2]
        assert scene.distance(b, a, method) == box_distance(scene.box(a), scene.box(b), method)
