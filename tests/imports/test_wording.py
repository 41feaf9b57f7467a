"""Types and things of a question, in the wordings of the releases; the filter of noise works on all of them."""

import pytest

from imports import releases
from rollout3d.config import question_types
from rollout3d.imports.choices import split_options
from rollout3d.imports.records import Unusable
from rollout3d.imports.wording import patterns, read, things
from rollout3d.questions.noise import is_noise

HARD = "If I am standing by the bed and facing the tv, is the lamp to my front-left, front-right, back-left, or "
HARD += "back-right?"
FOUR = ["bed", "sofa", "stool", "lamp"]


@pytest.mark.parametrize(
    ("text", "kind", "fields"),
    [
        ("How many chair(s) are in this room?", "object_counting", {"category": "chair"}),
        ("How many walls are there in the room?", "object_counting", {"category": "walls"}),
        ("Can you count how many table(s) are in this room?", "object_counting", {"category": "table"}),
        (releases.SIZE.format("trash bin"), "object_size_estimation", {"category": "trash bin"}),
        ("Give the longest dimension of the window in feet.", "object_size_estimation", {"category": "window"}),
        (releases.ROOM, "room_size_estimation", {}),
        (releases.DISTANCE.format("bed", "tv"), "object_abs_distance", {"first": "bed", "second": "tv"}),
        (
            releases.DISTANCE.replace("direct ", "").format("bed", "tv"),
            "object_abs_distance",
            {"first": "bed", "second": "tv"},
        ),
        (
            "What is the distance between the bed and tv at their closest points in centimeters?",
            "object_abs_distance",
            {"first": "bed", "second": "tv"},
        ),
        (
            "Specify precisely how far apart the bed and the tv are in centimeters.",
            "object_abs_distance",
            {"first": "bed", "second": "tv"},
        ),
        (releases.NEAREST, "object_rel_distance", {"options": "bed, sofa, stool, lamp", "category": "tv"}),
        (releases.FOLLOWING.format("tv"), "object_rel_distance", {"category": "tv"}),
        ("Which object is nearest to the tv?", "object_rel_distance", {"category": "tv"}),
        (
            "Which of the following objects (bed, lamp) is closest to the tv?",
            "object_rel_distance",
            {"options": "bed, lamp", "category": "tv"},
        ),
        (
            "Which of these objects is the closest to the tv: bed, lamp?",
            "object_rel_distance",
            {"options": "bed, lamp", "category": "tv"},
        ),
        (
            releases.EASY.format("bed", "tv", "lamp", "tv"),
            "object_rel_direction_easy",
            {"standing": "bed", "facing": "tv", "query": "lamp"},
        ),
        ("How many chair instances are in this room?", "object_counting", {"category": "chair"}),
        ("How many chairs are in the whole scene?", "object_counting", {"category": "chairs"}),
        ("What is the longest dimension of the bed in centimeters?", "object_size_estimation", {"category": "bed"}),
        ("What is the total size of this room in square meters?", "room_size_estimation", {}),
        (
            "What is the direct distance between bed and tv in meters?",
            "object_abs_distance",
            {"first": "bed", "second": "tv"},
        ),
        (
            "Which of these objects, bed, floor lamp, or sofa, is closest to the tv?",
            "object_rel_distance",
            {"options": "bed, floor lamp, or sofa", "category": "tv"},
        ),
        (
            "If you are standing at the bed and facing the tv, where is the lamp located relative to you?",
            "object_rel_direction_hard",
            {"standing": "bed", "facing": "tv", "query": "lamp"},
        ),
        (
            "If I stand by the bed and face the tv, where is the lamp?",
            "object_rel_direction_hard",
            {"standing": "bed", "facing": "tv", "query": "lamp"},
        ),
        (HARD, "object_rel_direction_hard", {"standing": "bed", "facing": "tv", "query": "lamp"}),
        (releases.ORDER, "obj_appearance_order", {"options": "bed, tv, lamp, door"}),
        (
            releases.ROUTE.format("bed", "tv", "piano", "piano"),
            "route_planning",
            {"start": "bed", "facing": "tv", "target": "piano", "options": "sofa, piano"},
        ),
    ],
)
def test_type_and_fields_of_every_wording(text, kind, fields):
    assert read(text).question_type == kind and dict(read(text).fields) == fields


@pytest.mark.parametrize(
    "beginning",
    ["the door facing the wall", "the door and facing the wall", "the door, and you are facing towards the wall"],
)
def test_a_route_names_its_places_in_every_wording(beginning):
    reading = read(f"You are a robot beginning at {beginning}. You want to navigate to the tv. 1. [please fill in]")
    assert dict(reading.fields) == {"start": "door", "facing": "wall", "target": "tv"}


def test_general_questions_are_of_no_type():
    for text in (
        "How many rubber objects are moving in the video?",
        "What colour is the bed?",
        "Which object is the farthest from the tv?",
        "How many chairs are on the boat?",
    ):
        assert read(text) is None


@pytest.mark.parametrize(
    "name",
    ["wall", "Wall", "the walls", "wall(s)", "floor", "ceiling", "object", "doorframe", "door frame", "door-frame"],
)
def test_what_stands_for_no_single_thing_is_noise(name):
    assert is_noise(name)


@pytest.mark.parametrize(
    "name", ["wall clock", "floor lamp", "ceiling light", "door", "window", "objective lens", "bed"]
)
def test_things_whose_names_hold_such_a_word_are_none(name):
    assert not is_noise(name)


SLOTS = [
    ("How many {}(s) are in this room?", []),
    ("How many {}s are in this room?", []),
    (releases.SIZE, []),
    (releases.DISTANCE.replace("{}", "bed", 1), []),
    (releases.DISTANCE.format("{}", "bed"), []),
    (releases.FOLLOWING, FOUR),
    (releases.FOLLOWING.format("tv") + "{0:.0}", ["bed", "{}"]),
    (releases.NEAREST.replace("stool", "{}"), ["bed", "sofa", "{}", "lamp"]),
    (releases.NEAREST.replace("tv", "{}"), FOUR),
    (releases.EASY.format("{}", "tv", "lamp", "tv"), ["left", "right"]),
    (releases.EASY.format("bed", "{0}", "lamp", "{0}"), ["left", "right"]),
    (releases.EASY.format("bed", "tv", "{}", "tv"), ["left", "right"]),
    (releases.ORDER.replace("lamp", "{}"), ["bed, tv, {}, door", "tv, bed, {}, door"]),
    (releases.ORDER + "{0:.0}", ["bed, tv, {}, door", "tv, bed, {}, door"]),
    (releases.ROUTE.format("{}", "tv", "piano", "piano"), ["Turn Left", "Turn Right"]),
    (releases.ROUTE.format("bed", "{}", "piano", "piano"), ["Turn Left", "Turn Right"]),
    (releases.ROUTE.format("bed", "tv", "{0}", "{0}"), ["Turn Left", "Turn Right"]),
]


@pytest.mark.parametrize(("text", "options"), SLOTS)
@pytest.mark.parametrize("noise", ["wall", "doorframe", "object"])
def test_noise_is_refused_wherever_it_stands_and_is_no_damage(text, options, noise):
    reading = read(text.format(noise))
    with pytest.raises(Unusable, match=f"degenerate object: {noise}") as refused:
        things(reading, [option.format(noise) for option in options])
    assert refused.value.expected
    kept = things(read(text.format("chair")), [option.format("chair") for option in options])
    assert any("chair" in name for name in kept) or "{0:.0}" in text


def test_a_list_with_or_names_things_alone():
    assert read("Which of these objects, bed, floor lamp, or sofa, is closest to the tv?").listed == [
        *("bed", "floor lamp", "sofa")
    ]
    with pytest.raises(Unusable, match="degenerate object: wall"):
        things(read("Which of these objects, bed, sofa or wall, is closest to the tv?"), [])


def test_things_are_named_once_and_those_measured_between_differ():
    assert things(read(releases.FOLLOWING.format("tv")), FOUR) == ["tv", *FOUR]
    assert things(read(releases.NEAREST), FOUR) == ["tv", *FOUR]
    assert things(read(releases.ROUTE.format("bed", "tv", "bed", "bed")), []) == ["bed", "tv", "sofa"]
    for text, options in (
        (releases.DISTANCE.format("bed", "Bed"), []),
        (releases.FOLLOWING.format("bed"), FOUR),
        (releases.EASY.format("bed", "tv", "bed", "tv"), ["left", "right"]),
    ):
        with pytest.raises(Unusable, match="names one object twice") as refused:
            things(read(text), options)
        assert refused.value.expected


def test_every_type_has_a_text():
    assert all(patterns(name) for name in question_types.NAMES)


@pytest.mark.parametrize(
    "text",
    [
        "distance between the " + "a b " * 20_000,
        "which of these objects (" + "a, " * 30_000,
        "You are a robot beginning at " + "the " * 20_000,
        "A. " * 20_000,
        "x\n" * 50_000 + "Options:",
    ],
)
def test_a_damaged_text_costs_no_more_than_its_length(text):
    """Unbounded patterns would take hours here."""
    assert read(split_options(text)[0]) is None or "robot" in text
