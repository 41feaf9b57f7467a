"""The rules of OCR, SpaceR and Spatial-R1 on tiny rooms whose answers are worked out by hand (docs/rules.md)."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from questions.question_rooms import map_row, object_rows, scene_row
from rollout3d.config import Questions
from rollout3d.config.question_types import PER_SCENE
from rollout3d.geometry.boxes import OrientedBox
from rollout3d.questions import generate, types, variants
from rollout3d.questions.evidence import approximations
from rollout3d.questions.templates import option_text

PAPERS = ("ocr", "spacer", "spatial_r1")
DOT = (0.2, 0.2, 0.2)
TURN = np.array([[1, 1, 0], [-1, 1, 0], [0, 0, math.sqrt(2)]]) / math.sqrt(2)
"""Axes (rows) of a box that is turned by 45 degrees about the vertical."""


def answers(
    rules, question_type, things, *, labels=(), turned=(), clouds=None, seen=(), times=None, frames=(), **changes
):
    """Question rows of one type about a room of things: (category, centre, sides), under the rules of a paper."""
    scene = scene_row(things, **{key: value for key, value in changes.items() if key != "gap_s"})
    rows = object_rows(things)
    for row, label in zip(rows, labels):
        row["label"] = label
        row["perturbable"] = label not in ("wall", "floor", "ceiling")
    for row, frame in zip(rows, frames):
        row["first_labelled_frame"] = frame
    for k in turned:
        box = OrientedBox(rows[k]["centroid"], rows[k]["axes_lengths"], TURN)
        low, high = box.aabb()
        rows[k] |= box.to_row() | {"aabb_min": low.tolist(), "aabb_max": high.tolist()}
    if clouds is not None:
        for row in rows:
            mine = [{"object_id": b, "metres": m} for (a, b), m in clouds.items() if a == row["object_id"]]
            row["point_distances"] = mine
    maps = None if times is None else map_row(np.zeros((1, 1), bool), times)
    room = variants.view(scene, rows, maps, seen, rules)
    config = Questions(
        rules=rules,
        distance="exact",
        per_scene={name: None for name in PER_SCENE if variants.asks(rules, name)},
        appearance_gap_s=changes.get("gap_s", 1.0),
    )
    if not variants.asks(rules, question_type):
        return []
    return types.load(question_type).generate(room, config, np.random.default_rng(0))[0]


def truth(row):
    return (
        row["ground_truth"]
        if row["options"] is None
        else option_text(row["options"]["ABCD".index(row["ground_truth"])])
    )


def by_objects(rows):
    """Answer of each question by the categories that it names, in their order."""
    return {tuple(each["category"] for each in row["objects"]): truth(row) for row in rows}


def evidence(row):
    return json.loads(row["evidence"])


# --- names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rules", "asked"), [("ocr", {"bed"}), ("spacer", {"bed", "cabinet"}), ("spatial_r1", {"bed", "cabinet"})]
)
def test_objects_without_a_category_go_by_their_label_unless_it_is_noise(rules, asked):
    labels = ["bed", "Cabinet", "wall", "object", "doorframe", "otherfurniture", "a, b"]
    things = [("bed" if label == "bed" else None, (k, 0, 0.5), (1, 1, 1)) for k, label in enumerate(labels)]
    rows = answers(rules, "object_size_estimation", things, labels=labels)
    assert {name for (name,) in by_objects(rows)} == asked


def test_a_category_unites_the_labels_that_it_stands_for():
    things = [("chair", (k, 0, 0.5), (1, 1, 1)) for k in range(3)]
    (row,) = answers("spacer", "object_counting", things, labels=["chair", "office chair", "armchair"])
    assert (row["question"], row["ground_truth"]) == ("How many chair(s) are in this room?", "3")


# --- sizes and counts ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rules", "centimetres"),
    [
        ("ocr", {("table",): "200", ("mouse",): "8"}),
        ("spacer", {("table",): "200"}),
        ("spatial_r1", {("table",): "212"}),  # (2 + 1) / sqrt(2) = 2.121 m
    ],
)
def test_the_longest_side_is_of_the_oriented_or_of_the_axis_aligned_box(rules, centimetres):
    things = [("table", (0, 0, 0.4), (2, 1, 0.8)), ("mouse", (3, 0, 0), (0.08, 0.04, 0.04))]
    found = by_objects(answers(rules, "object_size_estimation", things, labels=["table", "mouse"], turned=[0]))
    assert found == centimetres


@pytest.mark.parametrize(
    ("rules", "counts"),
    [
        ("ocr", {("chair",): "3", ("pen",): "2"}),
        ("spacer", {("chair",): "3", ("bed",): "1"}),
        ("spatial_r1", {("chair",): "3", ("pen",): "2"}),
    ],
)
def test_spacer_counts_from_one_and_leaves_out_what_is_too_small(rules, counts):
    things = [("chair", (k, 0, 0.5), (0.5, 0.5, 1)) for k in range(3)]
    things += [("bed", (0, 3, 0.3), (2, 1, 0.6)), ("pen", (1, 3, 0), (0.05, 0.01, 0.01)), ("pen", (2, 3, 0), DOT)]
    assert by_objects(answers(rules, "object_counting", things, labels=[c for c, _, _ in things])) == counts


# --- distances -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rules", "metres"), [("ocr", None), ("spacer", "0.1"), ("spatial_r1", "0.1")])
def test_papers_without_a_least_distance_ask_about_near_pairs(rules, metres):
    # Two parallel rods of 2 m, 0.14 m apart: some of 1,000 points lie nearly opposite each other.
    things = [("bed", (0, 0, 0), (0, 2, 0)), ("door", (0.14, 0, 0), (0, 2, 0))]
    found = by_objects(answers(rules, "object_abs_distance", things, labels=["bed", "door"]))
    assert found == ({} if metres is None else {("bed", "door"): metres})


def test_drawn_points_leave_a_gap_that_no_surface_has():
    # Cubes of 6 m whose faces are 1 m apart. A point of 1,000 has 0.216 m3 for itself, a cube of 0.6 m, so the nearest
    # lie some decimetres behind the faces.
    things = [("bed", (0, 0, 3), (6, 6, 6)), ("door", (7, 0, 3), (6, 6, 6))]
    ours = by_objects(answers("ocr", "object_abs_distance", things, labels=["bed", "door"]))
    spacer = by_objects(answers("spacer", "object_abs_distance", things, labels=["bed", "door"]))
    assert ours == {("bed", "door"): "1.0"} and 1.1 <= float(spacer["bed", "door"]) <= 1.3


@pytest.mark.parametrize(("rules", "low", "high"), [("ocr", 1.2, 1.2), ("spacer", 1.2, 1.2), ("spatial_r1", 0.3, 0.4)])
def test_an_axis_aligned_box_reaches_where_a_turned_one_does_not(rules, low, high):
    # A rod along the diagonal from (-.707, -.707) to (.707, .707) lies |1.007 + .707| / sqrt(2) = 1.212 m from the
    # lamp at (1.007, -.707); the corner (.707, -.707) of its axis-aligned box 0.3 m.
    things = [("bed", (0, 0, 0), (2, 0, 0)), ("lamp", (1.007, -0.707, 0), (0.0, 0.0, 0.1))]
    found = by_objects(answers(rules, "object_abs_distance", things, labels=["bed", "lamp"], turned=[0]))
    assert low <= float(found["bed", "lamp"]) <= high


ROW = [(name, (x, 0, 0), DOT) for name, x in (("bed", 0.0), ("door", 1.2), ("lamp", 1.25), ("tv", 3.2), ("sofa", 4.2))]
"""From face to face: 1.0, 1.05, 3.0 and 4.0 m from the bed."""


@pytest.mark.parametrize(("rules", "nearest"), [("ocr", None), ("spacer", "door"), ("spatial_r1", "door")])
def test_papers_without_margins_ask_which_of_two_near_ones_is_closest(rules, nearest):
    found = answers(rules, "object_rel_distance", ROW, labels=[c for c, _, _ in ROW])
    mine = [truth(row) for row in found if row["objects"][0]["category"] == "bed"]
    assert mine == ([] if nearest is None else [nearest])


def test_equal_distances_have_no_closest():
    things = [(c, (x, 0, 0), DOT) for c, x in (("bed", 0), ("door", 1), ("lamp", -1), ("tv", 3), ("sofa", 4))]
    found = answers("spacer", "object_rel_distance", things, labels=[c for c, _, _ in things])
    assert not [row for row in found if row["objects"][0]["category"] == "bed"]


@pytest.mark.parametrize(("rules", "asked"), [("ocr", True), ("spacer", False), ("spatial_r1", True)])
def test_spacer_chooses_among_unique_objects_alone(rules, asked):
    # Gaps from the bed: door 0.8, chair 1.8 (the other chair is farther), tv 2.8, sofa 3.8.
    places = (("bed", 0), ("door", 1), ("chair", 2), ("chair", 6), ("tv", 3), ("sofa", 4))
    things = [(c, (x, 0, 0), DOT) for c, x in places]
    found = answers(rules, "object_rel_distance", things, labels=[c for c, _, _ in things])
    mine = [truth(row) for row in found if row["objects"][0]["category"] == "bed"]
    assert mine == (["door"] if asked else [])


@pytest.mark.parametrize(
    ("rules", "measured", "nearest", "how"),
    [
        ("ocr", True, "sofa", ("exact", None)),
        ("spacer", True, "sofa", ("exact", None)),
        ("spatial_r1", True, "lamp", ("points", None)),
        ("spatial_r1", False, "sofa", ("exact", variants.POINTS_BY_BOXES)),
    ],
)
def test_spatial_r1_measures_point_clouds(rules, measured, nearest, how):
    # The bed stands in the open corner of an L-shaped sofa: its box is 0.2 m away, its points 1.5 m.
    things = [(c, (x, 0, 0), DOT) for c, x in (("bed", 0), ("sofa", 0.4), ("lamp", 1.2), ("tv", 3), ("door", 5))]
    clouds = {(a, b): 9.0 - a / 10 for a in range(10, 15) for b in range(a + 1, 15)}
    clouds |= {(10, 11): 1.5, (10, 12): 1.0, (10, 13): 2.8, (10, 14): 4.8}
    labels = [c for c, _, _ in things]
    found = answers(rules, "object_rel_distance", things, labels=labels, clouds=clouds if measured else None)
    (row,) = (row for row in found if row["objects"][0]["category"] == "bed")
    assert truth(row) == nearest
    assert (evidence(row)["method"], evidence(row).get("approximate")) == how


# --- directions ------------------------------------------------------------------------------------------------------

DIRECTIONS = [
    # Somebody at the origin who faces plus y; the query; by rules the answers of easy, medium, hard (- = not asked).
    ("ahead on the right", (2, 2.5), DOT, "right right front-right", "right right front-right", "right - -"),
    ("behind, to the right", (1, -2.5), DOT, "- back back-right", "right back back-right", "right - -"),
    ("nearly straight ahead", (0.2, 3), DOT, "- - -", "right right front-right", "- - -"),
    ("nearly abreast", (3, 0.1), DOT, "right right -", "right right front-right", "right - -"),
    ("straight behind", (0, -3), DOT, "- back -", "- back -", "- - -"),
    ("beyond five metres", (6, 4), DOT, "- - -", "right right front-right", "- - -"),
    # 5.1 m to the centre of a wardrobe, 4.7 m to its face.
    ("a large one", (5.1, 0.001), (0.6, 1, 1), "right right -", "right right front-right", "- - -"),
]


@pytest.mark.parametrize("paper", range(3))
@pytest.mark.parametrize("case", DIRECTIONS, ids=[case[0] for case in DIRECTIONS])
def test_directions_by_the_rules_of_each_paper(case, paper):
    _, place, sides, *expected = case
    things = [("bed", (0, 0, 0.1), DOT), ("door", (0, 2, 0.1), DOT), ("lamp", (*place, 0.1), sides)]
    found = []
    for level in ("easy", "medium", "hard"):
        rows = answers(PAPERS[paper], f"object_rel_direction_{level}", things, labels=["bed", "door", "lamp"])
        found.append(by_objects(rows).get(("bed", "door", "lamp"), "-"))
    assert " ".join(found) == expected[paper]


def test_spatial_r1_takes_the_centres_of_axis_aligned_boxes():
    # ScanNet's axis-aligned box need not share the oriented one's centre: here it lies on the other side.
    things = [("bed", (0, 0, 0.1), DOT), ("door", (0, 2, 0.1), DOT), ("lamp", (1, 1, 0.1), DOT)]
    rows = object_rows(things)
    rows[2] |= {"aabb_min": [-1.1, 0.9, 0.0], "aabb_max": [-0.9, 1.1, 0.2]}
    sides = {}
    for rules in PAPERS:
        room = variants.view(scene_row(things), rows, rules=rules)
        config = Questions(rules=rules, distance="exact")
        made = types.load("object_rel_direction_easy").generate(room, config, np.random.default_rng(0))[0]
        sides[rules] = by_objects(made)["bed", "door", "lamp"]
    assert sides == {"ocr": "right", "spacer": "right", "spatial_r1": "left"}


# --- order, room -----------------------------------------------------------------------------------------------------


def sight(object_id, first_faint_s, n_clear=1, sampling="full"):
    return {"object_id": object_id, "sampling": sampling, "first_faint_s": first_faint_s, "n_clear": n_clear}


FOUR = [(c, (k, 0, 0.5), (0.5, 0.5, 1)) for k, c in enumerate(("bed", "tv", "lamp", "door", "lamp"))]
SEEN = [
    *(sight(10, 0.75), sight(11, 0.5), sight(12, 4.0), sight(13, 0.25), sight(14, 0.0)),
    *(sight(10, 0.0, sampling="uniform16"), sight(13, 0.0, sampling="uniform16")),
]
"""Frames 18, 12, 96, 6 and 0 at 24 per second: of two lamps the one at frame 0 counts."""
TIMES = {"bed": 0.75, "tv": 0.5, "lamp": 0.0, "door": 0.25}


@pytest.mark.parametrize(
    ("rules", "order"), [("ocr", None), ("spacer", "lamp, door, tv, bed"), ("spatial_r1", "lamp, door, tv, bed")]
)
def test_order_follows_the_first_frame_index_without_a_gap(rules, order):
    gap_s = 1.0 if rules == "ocr" else 0.0  # as the presets set it
    labels = [c for c, _, _ in FOUR]
    rows = answers(rules, "obj_appearance_order", FOUR, labels=labels, seen=SEEN, times=TIMES, gap_s=gap_s, fps=24.0)
    assert [truth(row) for row in rows] == ([] if order is None else [order])
    for row in rows:
        assert evidence(row)["first_frame"] == {"lamp": 0, "door": 6, "tv": 12, "bed": 18}
        assert evidence(row)["approximate"] == variants.FRAMES_BY_MESH


@pytest.mark.parametrize("rules", ["spacer", "spatial_r1"])
def test_first_frames_of_label_pictures_are_the_papers_own(rules):
    """The mesh says another order, which does not count: of two lamps the one at frame 3 does."""
    labels, frames = [c for c, _, _ in FOUR], [2, 10, 9, 5, 3]
    given = {"labels": labels, "frames": frames, "seen": SEEN, "times": TIMES}
    (row,) = answers(rules, "obj_appearance_order", FOUR, **given, gap_s=0.0, fps=24.0)
    assert truth(row) == "bed, lamp, door, tv"
    assert evidence(row)["first_frame"] == {"bed": 2, "lamp": 3, "door": 5, "tv": 10}
    assert "approximate" not in evidence(row)
    assert not answers("ocr", "obj_appearance_order", FOUR, **given, fps=24.0), "OCR's rule keeps its own times"


def test_an_object_that_no_label_picture_shows_has_no_place_in_the_order():
    labels = [c for c, _, _ in FOUR]
    frames = [2, None, 9, 5, None]
    assert not answers("spatial_r1", "obj_appearance_order", FOUR, labels=labels, frames=frames, seen=SEEN, gap_s=0.0)


def test_what_is_never_clearly_seen_has_no_place_in_the_order():
    seen = [sight(10, 0.75, n_clear=0), *SEEN[1:5]]
    labels = [c for c, _, _ in FOUR]
    assert not answers("spacer", "obj_appearance_order", FOUR, labels=labels, seen=seen, gap_s=0.0)


def test_without_sights_the_order_is_that_of_the_categories():
    rows = answers("spacer", "obj_appearance_order", FOUR, labels=[c for c, _, _ in FOUR], times=TIMES, gap_s=0.0)
    assert [truth(row) for row in rows] == ["lamp, door, tv, bed"]
    assert evidence(rows[0])["approximate"] == variants.FRAMES_BY_CATEGORY


@pytest.mark.parametrize(
    ("rules", "floor", "answer", "approximate"),
    [
        ("ocr", 17.26, "20.0", None),
        ("spacer", 17.26, "20.0", None),
        ("spatial_r1", 17.26, "17.3", None),
        ("spatial_r1", None, "20.0", variants.FLOOR_BY_OUTLINE),
    ],
)
def test_spatial_r1_sums_the_triangles_of_the_floor(rules, floor, answer, approximate):
    (row,) = answers(rules, "room_size_estimation", [("bed", (0, 0, 0), DOT)], floor_area_m2=floor)
    assert (row["ground_truth"], evidence(row).get("approximate")) == (answer, approximate)


def test_what_stands_in_for_other_data_is_counted():
    made = answers("spatial_r1", "room_size_estimation", [("bed", (0, 0, 0), DOT)])
    made += answers("spatial_r1", "room_size_estimation", [("bed", (0, 0, 0), DOT)], floor_area_m2=9.0)
    assert [*approximations(row["evidence"] for row in made)] == [variants.FLOOR_BY_OUTLINE]


# --- types and texts -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rules", "missing"),
    [
        ("ocr", set()),
        ("spacer", {"route_planning"}),
        ("spatial_r1", {"route_planning", "object_rel_direction_medium", "object_rel_direction_hard"}),
    ],
)
def test_the_types_that_each_paper_asks(rules, missing):
    asked = {of_type.name for of_type in generate.asked(Questions(rules=rules))}
    assert {*PER_SCENE} - asked == missing


def test_a_cap_for_a_type_that_the_rules_do_not_ask_is_refused():
    with pytest.raises(ValidationError, match=r"questions\.rules spacer ask no route_planning: remove the line"):
        Questions(rules="spacer", per_scene={"route_planning": 4})
    assert Questions(rules="spacer", per_scene={"route_planning": None, "object_counting": 3}).rules == "spacer"


def test_texts_are_those_of_spacers_figure_5():
    for name, text in {
        "object_abs_distance": "Measuring from the closest point of each object, what is the direct distance between "
        "the {first} and the {second} (in meters)?",
        "object_rel_direction_hard": "If I am standing by the {standing} and facing the {facing}, is the {query} to my "
        "front-left, front-right, back-left, or back-right?\nDirections refer to the quadrants of a Cartesian plane "
        "(assuming I am at the origin and facing the positive y-axis).",
        "object_rel_distance": "Measuring from the closest point of each object, which of these objects ({options}) is "
        "the closest to the {category}?",
        "object_counting": "How many {category}(s) are in this room?",
    }.items():
        assert types.load(name).wording("spacer") == text


@given(label=st.text(max_size=20), perturbable=st.booleans())
def test_any_label_makes_a_name_that_a_list_of_options_can_hold_or_none(label, perturbable):
    row = object_rows([(None, (0, 0, 0), DOT)])[0] | {"label": label, "perturbable": perturbable}
    name = variants.name_of(row)
    assert name is None or (perturbable and name and "," not in name and "(" not in name and "\n" not in name)


@pytest.mark.parametrize("rules", PAPERS)
def test_the_same_room_gives_the_same_rows_twice(rules):
    labels = [c for c, _, _ in ROW]
    once, again = (answers(rules, "object_rel_distance", ROW, labels=labels) for _ in range(2))
    assert once == again
