"""Questions made by hand in which a rounded number, a border or a missing thing makes a false sentence likely."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from cot.cot_rows import question
from cot.thought_parser import Room, read, sentences
from questions.question_rooms import Thing, view
from rollout3d.config import Questions, question_types
from rollout3d.cot.geometric import NoEvidence, write
from rollout3d.questions.generate import questions_for_scene
from rollout3d.questions.scene import SceneView

Row = Mapping[str, Any]
CAPS = (None, 1, 2, 3, 4, 5, 6, 8)
CONFIG = Questions(distance="exact", per_scene=dict.fromkeys(question_types.NAMES, 8))


def box(category: str, x: float, y: float, sides: tuple[float, float, float] = (0.2, 0.2, 0.2)) -> Thing:
    return category, (x, y, 0.5), sides


def thought(
    scene: SceneView, things: list[Thing], row: Row, first_seen: Mapping[str, float] | None = None
) -> list[list[str]]:
    """Sentences of a row's thoughts, in several wordings and under every cap, all of which are true."""
    room = Room(things, scene.counts, first_seen or {}, scene.room_size_m2 or 0.0)
    found = []
    for attempt in range(4):
        for most in CAPS:
            text = write(row, 1, attempt, most)
            read(text, row, room)
            if most is None:
                found.append(sentences(text))
    return found


def direction(things: list[Thing], level: str, truth: str) -> list[list[str]]:
    scene = view(things)
    a, b, q = names = [category for category, _, _ in things[:3]]
    places = {"standing": scene.place(a), "facing": scene.place(b), "query": scene.place(q)}
    options = {
        "easy": ("left", "right"),
        "medium": ("left", "right", "back"),
        "hard": ("front-left", "front-right", "back-left", "back-right"),
    }[level]
    row = scene.row(f"object_rel_direction_{level}", "Where?", truth, names, places, options)
    return thought(scene, things, row)


def around(degrees: float, metres: float = 2.0) -> list[Thing]:
    """Somebody by the bed faces the tv; the lamp is `degrees` to the left."""
    x, y = metres * np.cos(np.radians(degrees)), metres * np.sin(np.radians(degrees))
    return [box("bed", 0, 0), box("tv", 3, 0), box("lamp", float(x), float(y))]


@pytest.mark.parametrize(
    ("degrees", "said", "truth"),
    [
        (135.3, "135", "back"),
        (134.8, "134.8", "left"),
        (134.973, "134.97", "left"),
        (-135.2, "135", "back"),
        (-134.6, "134.6", "right"),
        (120.4, "120", "left"),
        (179.8, "180", "back"),
    ],
)
def test_a_turn_is_said_on_its_side_of_the_border(degrees, said, truth):
    for steps in direction(around(degrees, 40.0), "medium", truth):  # so far that a millimetre turns little
        assert any(f"I turn {said} degrees {'left' if degrees > 0 else 'right'}." in step for step in steps), steps
        border = "at least 135" if truth == "back" else "less than 135"
        assert any(border in step for step in steps)


def test_a_turn_too_near_the_border_is_not_taught():
    with pytest.raises(NoEvidence, match="cannot be told apart"):
        direction(around(134.998, 40.0), "medium", "left")


def test_offsets_never_read_zero():
    for steps in direction(around(90.2), "hard", "back-left"):
        assert any("0.01 m behind me and 2.0 m to the left" in step for step in steps)
    for steps in direction(around(90.2), "easy", "left"):
        assert any(re.fullmatch("(From here the|The) lamp is 2.0 m to the left.", step) for step in steps)
    for steps in direction(around(180.2), "medium", "back"):
        assert any(re.fullmatch("(From here the|The) lamp is 2.0 m behind me.", step) for step in steps)
    for steps in direction(around(0.5), "medium", "left"):
        assert any(re.fullmatch("(From here the|The) lamp is 2.0 m ahead of me.", step) for step in steps)
    with pytest.raises(NoEvidence, match="cannot be told apart"):
        direction(around(90.05), "hard", "back-left")


@pytest.mark.parametrize(
    ("sides", "said", "centimeters"),
    [
        ((0.744, 0.3, 0.2), "0.74", 74),
        ((0.7449, 0.7449, 0.7449), "0.74", 74),
        ((0.652, 0.651, 0.2), "0.65", 65),
        ((2.0449, 0.9, 0.5), "2.04", 204),
        ((2.0451, 0.9, 0.5), "2.05", 205),
        ((1.0, 1.0, 1.0), "1.00", 100),
        ((0.05, 0.04, 0.01), "0.05", 5),
    ],
)
def test_the_longest_side_said_gives_the_centimeters_said(sides, said, centimeters):
    things = [box("sofa", 1, 1, sides)]
    scene = view(things)
    evidence = {"object": scene.place("sofa"), "longest_cm": centimeters}
    row = scene.row("object_size_estimation", "How long?", str(centimeters), ["sofa"], evidence)
    for steps in thought(scene, things, row):
        assert any(step == f"The longest side of the sofa is {said} m." for step in steps)


def rel_distance(metres: Mapping[str, float], truth: str) -> list[list[str]]:
    """Boxes 0.2 m wide in a row east, north, west and south of a clock."""
    ways = ((1, 0), (0, 1), (-1, 0), (0, -1))
    things = [
        box("clock", 0, 0),
        *(box(c, x * (m + 0.2), y * (m + 0.2)) for (c, m), (x, y) in zip(metres.items(), ways)),
    ]
    scene = view(things)
    evidence = {"object": scene.place("clock"), "distances_m": {c: round(m, 3) for c, m in metres.items()}}
    options = list(metres)
    row = scene.row("object_rel_distance", "Which?", truth, ["clock", *options], evidence, options)
    return thought(scene, things, row)


def test_distances_that_read_alike_get_another_decimal():
    for steps in rel_distance({"bed": 1.24, "tv": 1.21, "lamp": 2.0, "sofa": 3.0}, "tv"):
        assert "The bed is 1.24 m away." in steps and "The tv is 1.21 m away." in steps
    for steps in rel_distance({"bed": 1.4, "tv": 1.2, "lamp": 2.01, "sofa": 2.02}, "tv"):
        assert "The lamp is 2.0 m away." in steps and "The sofa is 2.0 m away." in steps
    with pytest.raises(NoEvidence, match="cannot be told apart"):
        rel_distance({"bed": 1.214, "tv": 1.212, "lamp": 2.0, "sofa": 3.0}, "tv")


def test_the_nearest_of_several_is_not_called_the_only_one():
    things = [box("clock", 0, 0), box("chair", 1, 0), box("chair", 2, 0), box("tv", 0, 2), box("bed", 0, -3)]
    scene = view(things)
    metres = {"chair": 0.8, "tv": 1.8, "bed": 2.8}
    evidence = {"object": scene.place("clock"), "distances_m": metres}
    row = scene.row("object_rel_distance", "Which?", "chair", ["clock", *metres], evidence, list(metres))
    for steps in thought(scene, things, row):
        assert "The closest chair is 0.8 m away." in steps and "The tv is 1.8 m away." in steps


def order(times: Mapping[str, float]) -> list[list[str]]:
    things = [box(category, k, 0) for k, category in enumerate(times)]
    scene = view(things, times)
    truth = ", ".join(sorted(times, key=times.__getitem__))
    row = scene.row("obj_appearance_order", "?", truth, list(times), {"first_seen_s": times}, [truth, "another"])
    return thought(scene, things, row, times)


def test_first_appearances_that_read_alike_get_another_decimal():
    for steps in order({"tv": 1.23, "bed": 1.21, "lamp": 4.0, "sofa": 3.0}):
        assert "First comes the bed, at 1.21 s." in steps and "Then comes the tv, at 1.23 s." in steps
    with pytest.raises(NoEvidence, match="cannot be told apart"):
        order({"tv": 1.231, "bed": 1.229, "lamp": 4.0, "sofa": 3.0})


def counted(things: list[Thing], category: str = "chair", **changes: Any) -> list[list[str]]:
    scene = view(things, **changes)
    rows, _ = questions_for_scene(scene, CONFIG, 0)
    row = next(
        row for row in rows if row["question_type"] == "object_counting" and f" {category}(s)" in row["question"]
    )
    return thought(scene, things, row)


def test_a_thing_is_near_only_within_a_limit():
    far = [box("chair", 0, 0), box("chair", 0.5, 0), box("sofa", 3, 0), box("bed", 9, 9)]
    for steps in counted(far):
        assert "I see 2 in the room." in steps and "There are no more." in steps
    for steps in counted([*far, box("tv", 0.5, 1.0)]):
        assert "I see 2 near the tv." in steps and "There are no more." in steps
    for steps in counted([*far, box("chair", 3.5, 0)]):
        assert {"I see 1 near the sofa.", "I see 2 more in the room.", "1 plus 2 is 3."} <= set(steps)


def test_what_hangs_overhead_is_not_near():
    light = ("ceiling light", (0.1, 0.0, 2.6), (0.3, 0.3, 0.1))
    for steps in counted([box("chair", 0, 0), box("chair", 0.5, 0), light]):
        assert "I see 2 in the room." in steps


def test_groups_are_named_as_far_as_sentences_go():
    things = [box("chair", 0, 0), box("chair", 0.2, 0), box("chair", 5, 0), box("tv", 0, 0.5), box("bed", 5, 0.5)]
    scene = view(things)
    row = scene.row("object_counting", "?", "3", ["chair"], {"category": "chair", "count": 3} | positions(things))
    said = {most: sentences(write(row, 0, 0, most))[1:-1] for most in (3, 4, 5, 6)}
    assert said[3] == ["I see 3 in the room."]
    assert said[4] == ["I see 3 in the room.", "There are no more."]
    assert said[5] == ["I see 2 near the tv.", "I see 1 more near the bed.", "2 plus 1 is 3."]
    assert len(said[6]) == 4 and said[5] == [*said[6][:2], said[6][3]]
    more = [*things, box("chair", 9, 9)]
    scene = view(more)
    row = scene.row("object_counting", "?", "4", ["chair"], {"category": "chair", "count": 4} | positions(more))
    assert sentences(write(row, 0, 0, 5))[1:-1] == [
        "I see 2 near the tv.",
        "I see 2 more in the room.",
        "2 plus 2 is 4.",
    ]


def positions(things: list[Thing]) -> dict[str, Any]:
    return {"positions": [list(centre) for category, centre, _ in things if category == "chair"]}


def test_nothing_of_which_there_are_several_is_a_landmark():
    for steps in counted([box("chair", 0, 0), box("chair", 0.5, 0), box("table", 0, 0.3), box("table", 5, 5)]):
        assert "I see 2 in the room." in steps


def test_a_count_without_a_box_for_each_is_still_reached():
    counts = {"object_counts": [{"category": "chair", "n": 4}, {"category": "tv", "n": 1}]}
    for steps in counted([box("chair", 0, 0), box("tv", 0.5, 0)], **counts):
        assert {"I see 1 near the tv.", "I see 3 more in the room.", "1 plus 3 is 4."} <= set(steps)


def sized(things: list[Thing], area: float) -> list[list[str]]:
    scene = view(things, room_size_m2=area)
    row = scene.row("room_size_estimation", "How large?", str(area), [], {"room_size_m2": area})
    return thought(scene, things, row)


@pytest.mark.parametrize(
    "things",
    [[], [box("tv", 1, 1)], [box("tv", 1, 1), box("bed", 4, 1.02)], [box("chair", 0, 0), box("chair", 4, 4)]],
)
def test_a_room_of_too_few_things_has_an_area_only(things):
    for steps in sized(things, 12.3):
        assert len(steps) == 3 and steps[1] == "The floor is 12.3 square meters."


def test_area_is_more_or_less_than_the_product_of_the_numbers_said():
    things = [box("tv", 0, 0), box("bed", 4.14, 3.04), box("chair", 9, 9), box("chair", -9, -9)]
    for steps in sized(things, 20.0):
        assert "4.1 m times 3.0 m is about 12.3 square meters." in steps and "12.3 plus 7.7 is 20.0." in steps
    for steps in sized(things, 10.0):
        assert "12.3 minus 2.3 is 10.0." in steps
    # 4.14 by 3.04 is 12.59 but 12.3 as said: neither larger nor smaller would hold for both.
    for steps in sized(things, 12.4):
        assert not any("larger" in step or "smaller" in step or "plus" in step for step in steps)
    for steps in sized(things, 12.3):
        assert not any("plus" in step or "minus" in step for step in steps)


def distance(metres: float, sides: float) -> list[list[str]]:
    things = [box("tv", 0, 0, (sides,) * 3), box("bed", metres, 0, (sides,) * 3)]
    scene = view(things)
    rows, _ = questions_for_scene(scene, CONFIG, 0)
    return thought(scene, things, next(row for row in rows if row["question_type"] == "object_abs_distance"))


@pytest.mark.parametrize(("metres", "sides"), [(1.849, 0.9), (1.85, 0.94), (2.25, 0.3), (1.0, 0.04), (1.04, 0.02)])
def test_what_is_subtracted_is_what_was_said(metres, sides):
    for steps in distance(metres, sides):
        assert any("minus" in step for step in steps) == (f"{metres:.1f}" != f"{metres - sides:.1f}")


def test_a_route_may_not_turn_where_no_turn_leads():
    scene = view([box("tv", 0, 0), box("bed", 3, 0)])
    steps = [{"turn": "Turn Left", "turn_deg": 30.0, "to": "bed", "from": [0, 0], "at": [2, 0], "metres": 2.0}]
    places = {"start": scene.place("tv"), "facing": scene.place("bed"), "steps": steps}
    row = scene.row("route_planning", "?", "Turn Left", ["tv", "bed"], places, ["Turn Left", "Turn Right"])
    with pytest.raises(NoEvidence, match="no turn leads"):
        write(row, 0)


def test_evidence_that_leads_nowhere_is_no_crash():
    scene = view(around(0.0, 0.0))
    places = {"standing": scene.place("bed"), "facing": scene.place("tv"), "query": scene.place("lamp")}
    for level in ("easy", "medium", "hard"):
        row = scene.row(f"object_rel_direction_{level}", "?", "left", [], places, ("left", "right"))
        with pytest.raises(NoEvidence):
            write(row, 0)
    for evidence in ("{}", "[]", "3", '{"room_size_m2": null}', '{"room_size_m2": 20.0, "centres": [1]}'):
        with pytest.raises(NoEvidence):
            write(question(question_type="room_size_estimation", options=None, evidence=evidence), 0)
