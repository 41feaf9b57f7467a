"""VSI-Bench's rules restated object by object, in plain loops, for metadata in the published format.

Nothing of the package is imported. NumPy turns the sampled points (the benchmark's crop depends on how its product
rounds) and takes the smallest of all distances between them; the rest is scalar arithmetic.
"""

from __future__ import annotations

import itertools
import math
import random
from typing import Any

import numpy as np

KINDS = (
    "bed",
    "chair",
    "trash bin",
    "table",
    "sofa",
    "tv",
    "lamp",
    "door",
    "computer mouse",
    "plant",
    "stool",
    "printer",
)

Item = tuple[str, str, str, tuple[str, ...]]
"""Question type, text, answer (of a choice: the option's text), options (sorted; empty for numbers)."""


def random_scene(
    seed: int, n_objects: int = 7, largest_m: float = 0.45, kinds: tuple[str, ...] = KINDS
) -> dict[str, Any]:
    """One entry of a metadata file. Some scenes have copied printers, a count that is not that of the boxes, tilted
    boxes, sides below the sampling step, or no area."""
    draw = random.Random(seed)
    boxes: dict[str, list[dict[str, Any]]] = {}
    tilted = draw.random() < 0.4
    for _ in range(n_objects):
        category = draw.choice(kinds)
        axes = _rotation(draw, tilted)
        sides = [draw.uniform(0.02, largest_m) for _ in range(3)]
        centre = [draw.uniform(-2.0, 2.0), draw.uniform(-2.0, 2.0), draw.uniform(0.0, 1.0)]
        boxes.setdefault(category, []).append(_box(centre, sides, axes))
    counts = {category: len(found) for category, found in boxes.items()}
    if "printer" in boxes and draw.random() < 0.7:
        boxes["printer"] = boxes["printer"] * 2
    if draw.random() < 0.2:
        counts[draw.choice(list(counts))] += draw.choice((-1, 1, 2))
    shuffled = list(boxes)
    draw.shuffle(shuffled)
    return {
        "dataset": "scannet",
        "video_path": "scene.mp4",
        "room_size": None if draw.random() < 0.05 else draw.uniform(8.0, 60.0),
        "room_center": [0.0, 0.0, 1.0],
        "object_counts": counts,
        "object_bbox": {category: boxes[category] for category in shuffled},
    }


def _rotation(draw: random.Random, tilted: bool) -> list[list[float]]:
    """Rows are the axes, right-handed: of a random quaternion, or of a turn about the vertical."""
    w, x, y, z = (draw.gauss(0, 1) for _ in range(4))
    if not tilted:
        x = y = 0.0
    length = math.sqrt(w * w + x * x + y * y + z * z)
    w, x, y, z = w / length, x / length, y / length, z / length
    return [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]


def _box(centre: list[float], sides: list[float], axes: list[list[float]]) -> dict[str, Any]:
    corners = list(_corners(centre, sides, axes))
    return {
        "centroid": centre,
        "axesLengths": sides,
        "normalizedAxes": [number for axis in axes for number in axis],
        "min": [min(corner[k] for corner in corners) for k in range(3)],
        "max": [max(corner[k] for corner in corners) for k in range(3)],
    }


def _corners(centre, sides, axes):
    for signs in itertools.product((-1, 1), repeat=3):
        yield [
            centre[k] + sum(sign * side / 2 * axis[k] for sign, side, axis in zip(signs, sides, axes)) for k in range(3)
        ]


# --- distance (2.5) --------------------------------------------------------------------------------------------------


def _points(box: dict[str, Any]) -> np.ndarray:
    centre, sides = box["centroid"], box["axesLengths"]
    axes = [box["normalizedAxes"][3 * k : 3 * k + 3] for k in range(3)]
    step = 0.05
    while True:
        values = []
        for side in sides:
            n = math.ceil(side / step)
            start, gap = -side / 2, side / (n - 1) if n > 1 else 0.0
            line = [k * gap + start for k in range(n)]
            if n > 1:
                line[-1] = side / 2
            values.append(line)
        grid = [
            (x, y, z)
            for x, y, z in itertools.product(*values)
            if not (abs(x) <= sides[0] / 4 and abs(y) <= sides[1] / 4 and abs(z) <= sides[2] / 4)
        ]
        kept = []
        for point in (np.array(grid) @ np.array(axes)).tolist() if grid else ():
            moved = [point[k] + centre[k] for k in range(3)]
            x, y, z = (moved[k] - centre[k] for k in range(3))
            inside = [abs((x * axis[0] + y * axis[1]) + z * axis[2]) <= side / 2 for axis, side in zip(axes, sides)]
            if all(inside):
                kept.append(moved)
        if kept:
            return np.array(kept)
        step /= 2


class Distances:
    """Smallest distance between the boxes of two categories of a scene, metres."""

    def __init__(self, scene: dict[str, Any]):
        self._points = {c: [_points(box) for box in some] for c, some in scene["object_bbox"].items()}
        self._known: dict[tuple[str, str], float] = {}

    def __call__(self, a: str, b: str) -> float:
        if (a, b) not in self._known:
            best = math.inf
            for p, q in itertools.product(self._points[a], self._points[b]):
                for k in range(0, len(p), 200):
                    best = min(best, float(np.sqrt(((p[k : k + 200, None] - q[None]) ** 2).sum(axis=2)).min()))
            self._known[a, b] = self._known[b, a] = best
        return self._known[a, b]


# --- the six geometric categories (2.5 to 2.9) -----------------------------------------------------------------------


def all_items(scene: dict[str, Any], compat: str, away: Distances | None = None) -> dict[str, set[Item]]:
    """Every eligible item, by question type. Relative distance: all sets of four, however many."""
    away = away or Distances(scene)
    counts = scene["object_counts"]
    boxes = {category: _without_copies(some, counts[category]) for category, some in scene["object_bbox"].items()}
    located = [c for c, n in counts.items() if n > 0 and len(boxes[c]) == n]
    unique = [c for c in located if counts[c] == 1]
    items: dict[str, set[Item]] = {}

    def add(kind: str, text: str, answer: str, options: tuple[str, ...] = ()) -> None:
        items.setdefault(kind, set()).add((kind, text, answer, tuple(sorted(options))))

    for category, n in counts.items():
        if n >= 2:
            add("object_counting", f"How many {category}(s) are in this room?", str(n))
    for category in unique:
        add(
            "object_size_estimation",
            "What is the length of the longest dimension (length, width, or height) of the "
            f"{category}, measured in centimeters?",
            str(round(100 * max(boxes[category][0]["axesLengths"]))),
        )
    if scene["room_size"] is not None:
        add(
            "room_size_estimation",
            "What is the size of this room (in square meters)? \nIf multiple rooms are shown, estimate the size of the "
            "combined space.",
            str(round(scene["room_size"], 1)),
        )
    for a, b in itertools.combinations(unique, 2):
        metres = round(away(a, b), 1)
        if metres >= 0.2:
            text = f"what is the distance between the {a} and the {b} (in meters)?"
            add("object_abs_distance", "Measuring from the closest point of each object, " + text, str(metres))
    gap = 0.30 if scene["room_size"] is None or scene["room_size"] > 40 else 0.15
    for primary in unique:
        for four in itertools.combinations([c for c in located if c != primary], 4):
            metres = sorted(away(primary, c) for c in four)
            if metres[0] >= 0.15 and all(b - a > gap for a, b in itertools.pairwise(metres)):
                text = f"which of these objects ({', '.join(four)}) is the closest to the {primary}?"
                nearest = min(four, key=lambda c: away(primary, c))
                text = "Measuring from the closest point of each object, " + text
                add("object_rel_distance", text, nearest, four)
    for a, b, c in itertools.combinations(unique, 3):
        orders = [(a, b, c), (a, c, b), (b, a, c)]
        if compat == "corrected":
            orders += [(b, c, a), (c, a, b), (c, b, a)]
        for p, o, q in orders:
            for kind, text, answer, options in _directions(boxes, away, p, o, q, compat):
                add(kind, text, answer, options)
    return items


def _without_copies(boxes: list[dict[str, Any]], n: int) -> list[dict[str, Any]]:
    kept: list[dict[str, Any]] = []
    for box in boxes:
        if len(boxes) <= n or box not in kept:
            kept.append(box)
    return kept


HARD = {0: "front-left", 1: "back-left", 2: "back-right", 3: "front-right"}


def _directions(boxes, away, p, o, q, compat):
    (standing,), (facing,), (query,) = boxes[p], boxes[o], boxes[q]
    here, ahead, there = standing["centroid"], facing["centroid"], query["centroid"]
    for a, b in ((p, o), (p, q), (o, q)):
        if not 0.30 <= away(a, b) <= 5.0:
            return
        (one,), (other,) = boxes[a], boxes[b]
        if compat == "corrected" and math.dist(one["centroid"][:2], other["centroid"][:2]) < 0.30:
            return
    angle = _angle(here, ahead, there)
    axes = [query["normalizedAxes"][3 * k : 3 * k + 3] for k in range(3)]
    corners = [_angle(here, ahead, corner) for corner in _corners(there, query["axesLengths"], axes)]
    start = f"If I am standing by the {p} and facing the {o}, is the {q} "

    quadrant = HARD[int(angle // 90)]
    wrong_side = sum(HARD[int(corner // 90)] != quadrant for corner in corners)
    beyond = 90 - angle % 90
    near = beyond < 10 if compat == "vsibench" else beyond < 10 or angle % 90 < 10
    if wrong_side <= 2 and not near:
        yield (
            "object_rel_direction_hard",
            start + "to my front-left, front-right, back-left, or back-right?\nThe directions refer to the quadrants "
            "of a Cartesian plane (if I am standing at the origin and facing along the positive y-axis).",
            quadrant,
            tuple(HARD.values()),
        )
    side = _side(angle)
    wrong_side = sum(_side(corner) != side for corner in corners)
    if wrong_side <= 2 and min(abs(angle - border) for border in (0, 135, 225, 360)) >= 10:
        yield (
            "object_rel_direction_medium",
            start + "to my left, right, or back?\nAn object is to my back if I would have to turn at least 135 "
            "degrees in order to face it.",
            side,
            ("left", "right", "back"),
        )
        if side != "back":
            yield (
                "object_rel_direction_easy",
                start + f"to the left or the right of the {o}?",
                side,
                ("left", "right"),
            )


def _angle(here, ahead, there) -> float:
    """Degrees from here->ahead to here->there, counter-clockwise, in [0, 360)."""
    first = math.atan2(ahead[1] - here[1], ahead[0] - here[0])
    second = math.atan2(there[1] - here[1], there[0] - here[0])
    degrees = math.degrees(second - first) % 360.0
    return 0.0 if degrees >= 360.0 else degrees


def _side(angle: float) -> str:
    if angle < 135:
        return "left"
    return "back" if angle < 225 else "right"


# --- released answers ------------------------------------------------------------------------------------------------


def released_rows(
    scenes: dict[str, dict[str, Any]], away: dict[str, Distances], per_kind: int, compat: str, seed: int = 0
) -> list[dict[str, Any]]:
    """Rows as VSI-Bench has them, some of each type a scene, with shuffled options."""
    draw = random.Random(seed)
    rows: list[dict[str, Any]] = []
    for name, scene in scenes.items():
        for kind, items in sorted(all_items(scene, compat, away[name]).items()):
            for _, text, answer, options in draw.sample(sorted(items), min(per_kind, len(items))):
                order = list(options)
                draw.shuffle(order)
                if kind == "object_rel_distance":
                    head, rest = text.split("(", 1)
                    text = f"{head}({', '.join(order)}){rest.split(')', 1)[1]}"
                rows.append(
                    {
                        "id": 3 * len(rows) + 1,
                        "dataset": scene["dataset"],
                        "scene_name": name,
                        "question_type": kind,
                        "question": text,
                        "ground_truth": "ABCD"[order.index(answer)] if order else answer,
                        "options": [f"{letter}. {option}" for letter, option in zip("ABCD", order)] or None,
                    }
                )
    return rows
