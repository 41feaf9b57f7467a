"""Texts and numbers of the questions, on rooms whose answers are known by hand."""

import json

import numpy as np
import pytest

from questions.question_rooms import KINDS, object_rows, random_things, scene_row, view
from rollout3d import tables
from rollout3d.config import Questions, question_types
from rollout3d.questions import letters, templates
from rollout3d.questions.generate import asked, questions_for_scene
from rollout3d.questions.scene import SceneView
from rollout3d.questions.types import (
    obj_appearance_order,
    object_abs_distance,
    object_counting,
    object_rel_distance,
    object_size_estimation,
    room_size_estimation,
)

EXACT = Questions(distance="exact")


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_counting_asks_for_every_category_with_two_or_more(rng):
    things = [("chair", (x, 0, 0.5), (0.5, 0.5, 1)) for x in range(3)]
    things += [("lamp", (0, 3, 0.5), (0.2, 0.2, 1)), ("tv", (1, 3, 1), (1, 0.1, 0.6)), ("tv", (4, 3, 1), (1, 0.1, 0.6))]
    rows, _ = object_counting.generate(view(things), Questions(), rng)
    assert [(row["question"], row["ground_truth"]) for row in rows] == [
        ("How many chair(s) are in this room?", "3"),
        ("How many tv(s) are in this room?", "2"),
    ]
    assert rows[0]["objects"] == [{"category": "chair", "object_ids": [10, 11, 12]}]
    evidence = json.loads(rows[0]["evidence"])
    assert evidence["count"] == 3 and evidence["positions"][2] == [2.0, 0.0, 0.5]
    assert evidence["centres"]["lamp"] == [[0.0, 3.0]]


def test_counts_come_from_the_scene_and_not_from_its_boxes(rng):
    things = [("printer", (0, 0, 0.5), (0.5, 0.5, 1)), ("printer", (2, 0, 0.5), (0.5, 0.5, 1))]
    # The benchmark's metadata lists a lone printer twice.
    listed_twice = view(things, object_counts=[{"category": "printer", "n": 1}])
    assert object_counting.generate(listed_twice, Questions(), rng)[0] == []
    assert listed_twice.unique == ()
    rows, reasons = object_size_estimation.generate(listed_twice, Questions(), rng)
    assert rows == [] and reasons["counts and boxes disagree"] == 1
    boxes_missing = view(things, object_counts=[{"category": "printer", "n": 5}])
    assert [row["ground_truth"] for row in object_counting.generate(boxes_missing, Questions(), rng)[0]] == ["5"]


def test_size_is_the_longest_side_in_whole_centimetres(rng):
    things = [
        ("sofa", (0, 0, 0.4), (0.9, 2.134, 0.8)),
        ("chair", (3, 0, 0.5), (1, 1, 1)),
        ("chair", (5, 0, 0.5), (1, 1, 1)),
    ]
    rows, _ = object_size_estimation.generate(view(things), Questions(), rng)
    assert len(rows) == 1 and rows[0]["ground_truth"] == "213"
    assert rows[0]["question"] == (
        "What is the length of the longest dimension (length, width, or height) of the sofa, measured in centimeters?"
    )
    assert json.loads(rows[0]["evidence"])["object"]["sides_m"] == [0.9, 2.134, 0.8]


def test_room_size_has_one_decimal(rng):
    rows, _ = room_size_estimation.generate(view([], room_size_m2=30.249), Questions(), rng)
    assert rows[0]["ground_truth"] == "30.2"
    assert rows[0]["question"] == (
        "What is the size of this room (in square meters)? \n"
        "If multiple rooms are shown, estimate the size of the combined space."
    )
    assert room_size_estimation.generate(view([], room_size_m2=30.0), Questions(), rng)[0][0]["ground_truth"] == "30.0"
    rows, reasons = room_size_estimation.generate(view([], room_size_m2=None), Questions(), rng)
    assert rows == [] and reasons.total() == 1


def test_absolute_distance_is_between_closest_points_of_unique_objects(rng):
    things = [
        ("bed", (0, 0, 0.5), (2, 1, 1)),
        ("tv", (4, 0, 0.5), (1, 1, 1)),
        ("lamp", (1.15, 0, 0.5), (0.1, 0.1, 1)),
        ("chair", (0, 4, 0.5), (1, 1, 1)),
        ("chair", (2, 4, 0.5), (1, 1, 1)),
    ]
    rows, reasons = object_abs_distance.generate(view(things), EXACT, rng)
    # Bed to lamp: 0.1 m, too close; the chairs are two.
    assert [(row["question"], row["ground_truth"]) for row in rows] == [
        (
            "Measuring from the closest point of each object, what is the distance between the bed and the tv (in "
            "meters)?",
            "2.5",
        ),
        (
            "Measuring from the closest point of each object, what is the distance between the tv and the lamp (in "
            "meters)?",
            "2.3",
        ),
    ]
    assert reasons["closer than 0.2 m"] == 1
    assert json.loads(rows[0]["evidence"])["centre_distance_m"] == 4.0
    sampled = object_abs_distance.generate(view(things), Questions(), rng)[0]
    assert 2.5 <= float(sampled[0]["ground_truth"]) <= 2.7, "the benchmark's sampling reads a little longer"


def test_relative_distance_uses_the_nearest_instance_and_names_options_in_their_order(rng):
    things = [
        ("bed", (0, 0, 0.5), (1, 1, 1)),
        ("chair", (9, 0, 0.5), (1, 1, 1)),
        ("chair", (2, 0, 0.5), (1, 1, 1)),
        ("tv", (0, 3, 0.5), (1, 1, 1)),
        ("lamp", (0, -4, 0.5), (1, 1, 1)),
        ("door", (-5, 0, 0.5), (1, 1, 1)),
    ]
    rows, _ = object_rel_distance.generate(view(things), EXACT, rng)
    (row,) = [row for row in rows if row["question"].endswith("the closest to the bed?")]
    assert row["question"] == (
        "Measuring from the closest point of each object, which of these objects (chair, tv, lamp, door) is the "
        "closest to the bed?"
    )
    assert row["options"] == ["A. chair", "B. tv", "C. lamp", "D. door"] and row["ground_truth"] == "A"
    assert json.loads(row["evidence"])["distances_m"] == {"chair": 1.0, "tv": 2.0, "lamp": 3.0, "door": 4.0}
    moved = letters.reordered(row, [2, 0, 3, 1])
    assert "(lamp, chair, door, tv)" in moved["question"]
    assert moved["options"] == ["A. lamp", "B. chair", "C. door", "D. tv"] and moved["ground_truth"] == "B"
    assert moved["question_id"] == tables.question_id(moved) != row["question_id"]


def test_appearance_order_goes_by_first_appearance(rng):
    things = [(c, (k, 0, 0.5), (0.5, 0.5, 1)) for k, c in enumerate(["bed", "tv", "lamp", "door"])]
    scene = view(things, {"bed": 7.0, "tv": 0.0, "lamp": 2.5, "door": 4.0, "ghost": 11.0})
    (row,) = obj_appearance_order.generate(scene, Questions(), rng)[0]
    listed = row["question"].removeprefix(
        "What will be the first-time appearance order of the following categories in the video: "
    )
    assert sorted(listed.removesuffix("?").split(", ")) == ["bed", "door", "lamp", "tv"]
    assert row["options"]["ABCD".index(row["ground_truth"])].endswith(". tv, lamp, door, bed")
    assert len(set(row["options"])) == 4
    assert json.loads(row["evidence"])["first_seen_s"] == {"tv": 0.0, "lamp": 2.5, "door": 4.0, "bed": 7.0}
    # A second or less apart is ambiguous.
    close = view(things, {"bed": 7, "tv": 0, "lamp": 1, "door": 4})
    assert obj_appearance_order.generate(close, Questions(), rng)[0] == []


def test_the_listing_leaks_only_in_compatibility_mode(rng):
    things = [(c, (k, 0, 0.5), (0.5, 0.5, 1)) for k, c in enumerate("abcdefgh")]
    scene = view(things, {c: 2.0 * k for k, c in enumerate("abcdefgh")})
    for compat, leaks in (("corrected", 0), ("vsibench", 1)):
        rows, _ = obj_appearance_order.generate(scene, Questions(compat=compat), rng)
        assert len(rows) == 30
        for row in rows:
            listed = row["question"].split("video: ")[1].removesuffix("?")
            options = [templates.option_text(option) for option in row["options"]]
            assert len(set(options)) == 4 and options.count(listed) == leaks
            assert options["ABCD".index(row["ground_truth"])] != listed


def test_rows_fit_their_table_and_hash_their_content(tmp_path):
    scene = view(random_things(3), {c: 2.0 * k for k, c in enumerate(KINDS)})
    rows, dropped = questions_for_scene(scene, Questions(), seed=1)
    assert len({row["question_id"] for row in rows}) == len(rows) > 50
    assert all(row["question_id"] == tables.question_id(row) for row in rows)
    tables.write(tables.QUESTIONS, tmp_path / "q.parquet", rows, tables.Lineage("questions"))
    tables.write(tables.TABLES["questions_dropped"], tmp_path / "d.parquet", dropped, tables.Lineage("questions"))
    unmarked = dict.fromkeys(tables.MARKS)
    assert tables.read(tables.QUESTIONS, tmp_path / "q.parquet") == [row | unmarked for row in rows]


def test_types_are_asked_in_the_order_of_the_configuration():
    assert tuple(each.name for each in asked(Questions())) == question_types.NAMES


def test_unasked_objects_have_no_say():
    things = [(None, (0, 0, 1), (5, 0.1, 2)), ("bed", (1, 1, 0.5), (1, 1, 1))]
    scene = SceneView.from_rows(scene_row(things), object_rows(things))
    assert scene.unique == ("bed",) and list(scene.centres) == ["bed"]


def test_texts_of_the_papers_can_be_had():
    things = [
        (c, (2.0 * k, 0.7 * k * (k % 2), 0.5), (0.5, 0.5, 1))
        for k, c in enumerate(["bed", "tv", "lamp", "door", "sofa"])
    ]

    def asked(wording):
        rows, _ = questions_for_scene(view(things), Questions(wording=wording), seed=0)
        return {row["question_type"]: row["question"] for row in rows}

    ours, spacer, vlm3r = asked("vsibench"), asked("spacer"), asked("vlm3r")
    assert "what is the distance between" in ours["object_abs_distance"]
    for other in (spacer, vlm3r):
        assert other["object_abs_distance"] == ours["object_abs_distance"].replace(
            "the distance", "the direct distance"
        )
    assert spacer["object_rel_direction_hard"].endswith(
        "\nDirections refer to the quadrants of a Cartesian plane (assuming I am at the origin and facing the positive "
        "y-axis)."
    )
    assert vlm3r["object_rel_distance"] == ours["object_rel_distance"] + (
        "\nIf there are multiple instances of an object category, measure to the closest."
    )
    same = {"object_size_estimation", "room_size_estimation", "object_rel_direction_medium"}
    assert all(ours[kind] == spacer[kind] == vlm3r[kind] for kind in same)
    assert ours["object_rel_direction_hard"] == vlm3r["object_rel_direction_hard"]
    assert ours["object_rel_distance"] == spacer["object_rel_distance"]
