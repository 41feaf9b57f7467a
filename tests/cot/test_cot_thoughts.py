"""No sentence of the geometric teacher is false: each is compared with the room that it describes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from string import Formatter
from typing import Any

import numpy as np
import pytest

from cot.cot_rows import question
from cot.thought_parser import Room, Untrue, read, sentences
from cot.thought_reader import NUMBER
from questions.question_rooms import floor_of, random_things, view
from rollout3d.config import Questions, question_types
from rollout3d.cot.geometric import SHORT, write
from rollout3d.questions import types
from rollout3d.questions.generate import questions_for_scene
from rollout3d.questions.reasoning import SENTENCES

Row = Mapping[str, Any]
CAPS = (None, 1, 2, 3, 4, 5, 6, 8)
CONFIG = Questions(distance="exact", appearance_gap_s=0.02, per_scene=dict.fromkeys(question_types.NAMES, 8))
"""Margins so small that one decimal often does not tell two numbers apart."""

OPENS = {"find", "stand", "compare", "every", "longest", "sides", "whole", "watch", "begin"}
"""What is seen, or what of: no thought of three sentences may begin with anything else."""
DECIDES = {
    "object_rel_direction_easy": "seen",
    "object_rel_direction_medium": "turn",
    "object_rel_direction_hard": "seen",
    "object_counting": "rest",
}
"""Kind of sentence that a thought of three must hold; the conclusion where none stands here."""


def drawn(seed: int) -> tuple[Room, list[Row]]:
    """A random room and its questions; few things in some rooms, many of few categories in others."""
    rng = np.random.default_rng(seed)
    kinds = None if seed % 3 else ("chair", "table", "computer mouse", "bed", "tv", "stool", "lamp")
    things = random_things(seed, int(rng.integers(4, 20)), 6.0, *([kinds] if kinds else []))
    categories = list(dict.fromkeys(category for category, _, _ in things))
    first_seen = {c: round(float(t), 3) for c, t in zip(categories, rng.uniform(0, 6, len(categories)))}
    area = float(rng.uniform(8, 45))
    scene = view(things, first_seen, floor_of(things), scene_id=f"scene{seed:04}_00", room_size_m2=area)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rollout3d.questions.types.object_rel_distance.MARGIN_M", 0.05)
        rows, _ = questions_for_scene(scene, CONFIG, seed)
    return Room(things, scene.counts, first_seen, area), rows


@pytest.fixture(scope="module")
def asked() -> list[tuple[Room, Row]]:
    return [(room, row) for room, rows in map(drawn, range(16)) for row in rows]


def thoughts(asked: list[tuple[Room, Row]], most: int | None = None, attempts: int = 1) -> Iterator[tuple]:
    """(room, row, text) of every question: the generators ask nothing that is too fine to be said."""
    for room, row in asked:
        for attempt in range(attempts):
            yield room, row, write(row, 5, attempt, most)


@pytest.mark.parametrize("most", CAPS)
def test_every_sentence_is_true_and_under_a_cap_still_makes_sense(asked, most):
    taught: Counter[str] = Counter()
    for room, row, text in thoughts(asked, most, attempts=3):
        kind = row["question_type"]
        try:
            kinds = read(text, row, room)
        except Untrue as error:
            pytest.fail(f"{error}\n{row['question']}\n{text}\n{row['evidence']}")
        taught[kind] += 1
        if most is not None:
            assert len(kinds) <= most
        if most is None or most >= 3:
            assert kinds[0] in OPENS, text
            assert {DECIDES.get(kind, "conclusion"), "conclusion"} & set(kinds), text
        if most is None or most >= 5:
            assert "conclusion" in kinds, text
    assert set(taught) == set(question_types.NAMES) and sum(taught.values()) > 1500
    assert min(taught.values()) > 40


def test_a_cap_only_leaves_out(asked):
    """But for counting, where it merges groups, and for short thoughts, whose last sentence names the option."""
    for _, row, text in thoughts(asked):
        if row["question_type"] != "object_counting":
            full = sentences(text)
            for most in (1, 3, 5, 8, 20):
                kept = sentences(write(row, 5, 0, most))
                assert len(kept) == min(most, len(full))
                if row["options"] and most <= SHORT:
                    option = row["options"]["ABCD".index(row["ground_truth"])].removeprefix(f"{row['ground_truth']}. ")
                    assert kept[-1] == f"So it is {option}, option {row['ground_truth']}."
                    kept[-1] = full[-1]
                assert kept[-1] == full[-1]
                rest = iter(full)
                assert all(sentence in rest for sentence in kept), (full, kept)


def test_every_wording_was_held_against_a_room(asked):
    patterns = {}
    every = [SENTENCES, *(types.load(name).sentences for name in question_types.NAMES)]
    for way in (way for named in every for ways in named.values() for way in ways):
        parts = ((re.escape(literal), ".+" * (name is not None)) for literal, name, _, _ in Formatter().parse(way))
        patterns[way] = re.compile("".join(part for pair in parts for part in pair), re.IGNORECASE)
    told = (text for most in (None, SHORT) for _, _, text in thoughts(asked, most, attempts=3))
    said = {each for text in told for each in sentences(text)}
    missing = [way for way, pattern in patterns.items() if not any(pattern.fullmatch(each) for each in said)]
    assert missing == []


def test_two_decimals_only_where_one_hides_something(asked):
    fine = Counter()
    for _, row, text in thoughts(asked):
        kind = row["question_type"]
        think = " ".join(sentences(text))
        assert not re.search(r"\d\.\d{3}", think)
        fine[kind] += bool(re.search(r"\d\.\d\d", think))
        if kind in ("object_abs_distance", "room_size_estimation", "object_counting", "route_planning"):
            assert not re.search(r"\d\.\d\d", think), think
    total = Counter(row["question_type"] for _, row in asked)
    assert fine["object_size_estimation"] == total["object_size_estimation"]
    for kind in ("object_rel_distance", "obj_appearance_order"):
        assert 0 < fine[kind] < 0.7 * total[kind]


# --- the reader must be able to find fault ---------------------------------------------------------------------------

OPPOSITES = (
    ("left", "right"),
    ("ahead of", "behind"),
    ("front", "back"),
    ("less than", "at least"),
    ("larger", "smaller"),
    ("plus", "minus"),
    ("First", "Last"),
    ("Then", "First"),
    ("in the room", "near the room"),
)


def spoilt(sentence: str, room: Room) -> Iterator[str]:
    """`sentence` with one number, relation or thing changed to what cannot be true as well."""
    for match in re.finditer(NUMBER, sentence):
        said = match[0]
        decimals = len(said.partition(".")[2])
        for step in (3, -3):
            other = float(said) + step * 10.0**-decimals
            yield f"{sentence[: match.start()]}{abs(other):.{decimals}f}{sentence[match.end() :]}"
    for pair in OPPOSITES:
        for word, other in (pair, pair[::-1]):
            for match in re.finditer(rf"\b{word}\b", sentence):
                yield sentence[: match.start()] + other + sentence[match.end() :]
    names = sorted({name for name, _, _ in room.things} | {"piano stool"})
    for match in re.finditer("|".join(sorted(map(re.escape, names), key=len, reverse=True)), sentence):
        for other in (name for name in names if name != match[0]):
            yield sentence[: match.start()] + other + sentence[match.end() :]


def test_a_changed_number_relation_or_thing_is_found(asked):
    """Every sentence of every type, one change at a time."""
    found: Counter[str] = Counter()
    missed = []
    for n, (room, row, text) in enumerate(thoughts(asked)):
        if n % 7:
            continue
        for sentence in sentences(text):
            for false in spoilt(sentence, room):
                if false == sentence:
                    continue
                try:
                    read(text.replace(sentence, false, 1), row, room)
                    missed.append((sentence, false, row["question"]))
                except Untrue:
                    found[row["question_type"]] += 1
    assert set(found) == set(question_types.NAMES) and sum(found.values()) > 5000
    assert missed == []


ROOM = Room(
    [
        ("bed", (1.0, 1.0, 0.5), (2.0, 0.744, 0.5)),
        ("tv", (4.0, 1.0, 0.5), (0.4, 0.4, 0.4)),
        ("lamp", (4.0, 4.0, 0.5), (0.3, 0.3, 0.7)),
        ("sofa", (1.0, 4.0, 0.5), (0.744, 0.3, 0.3)),
    ],
    {"bed": 1, "tv": 1, "lamp": 1, "sofa": 1},
    {"bed": 1.0, "tv": 2.0, "lamp": 3.0, "sofa": 4.0},
    20.0,
)
PLANTED = {
    ("object_size_estimation", "74"): (
        ["sofa"],
        [
            "The longest side of the sofa is 0.7 m. One m is 100 centimeters, so this is 74 centimeters.",
            "The longest side of the sofa is 0.7 m. One m is 100 centimeters, so this is 70 centimeters.",
            "One m is 100 centimeters, so this is 74 centimeters.",
            "The sides of the sofa are 0.7 m, 0.3 m and 0.3 m. The longest side of the sofa is 0.74 m.",
            "The sofa is 0.74 m by 0.3 m by 0.8 m.",
            "The bed is near the sofa.",
            "I wonder about the sofa.",
            "The longest side of the bed is 2.0 m.",
            "I see 1 near the bed.",
        ],
    ),
    ("room_size_estimation", "20.0"): (
        [],
        [
            "The walls are further out, so the floor is 20.0 square meters.",
            "The floor goes beyond that and is 11.0 square meters larger.",
            "I see the bed and lamp. Their centers are spread over 3.0 m by 3.0 m. "
            "3.0 m times 3.0 m is about 9.4 square meters.",
            "I see the bed and lamp. Their centers are spread over 3.0 m by 3.0 m. "
            "3.0 m times 3.0 m is about 9.0 square meters. "
            "Not all of that is floor, so the floor is 11.0 square meters smaller.",
            "I see the bed and table.",
            "9.0 plus 11.0 is 20.0.",
            "The floor is 21.0 square meters.",
        ],
    ),
    ("object_abs_distance", "1.8"): (
        ["bed", "tv"],
        [
            "I look for the bed and the lamp.",
            "I look for the bed and the tv. Between the closest points it is 1.7 m.",
            "I look for the bed and the tv. From center to center it is 3.0 m. "
            "The closest points are 1.1 m nearer, and 3.0 minus 1.1 is 1.8.",
            "I look for the bed and the tv. The closest points are 1.2 m nearer, and 3.0 minus 1.2 is 1.8.",
        ],
    ),
    ("object_rel_distance", "A"): (
        ["bed", "tv", "sofa", "lamp"],
        [
            "I measure from the bed to each one. The closest is the sofa, with 2.5 m.",
            "I measure from the bed to each one. The closest tv is 1.8 m away.",
            "The tv is 1.8 m away.",
            "I measure from the bed to each one. The tv is 1.8 m away. The closest is the tv, with 1.80 m.",
        ],
    ),
    ("obj_appearance_order", "A"): (
        ["bed", "tv", "lamp", "sofa"],
        [
            "I watch when each one comes into view. First comes the tv, at 2.0 s.",
            "I watch when each one comes into view. First comes the bed, at 1.0 s. Then comes the lamp, at 3.0 s.",
            "I watch when each one comes into view. The order is bed, lamp, tv, sofa.",
        ],
    ),
    ("object_rel_direction_medium", "C"): (
        ["bed", "tv", "sofa"],
        [
            "I stand by the bed and face the tv. To face the sofa I turn 90 degrees right.",
            "I stand by the bed and face the tv. To face the sofa I turn 90 degrees left. "
            "That is at least 135 degrees, so it is to my back.",
            "I stand by the bed and face the tv. That is less than 135 degrees, so it is to my left.",
            "I stand by the bed and face the tv. The sofa is 0.0 m ahead of me and 3.0 m to the left.",
            "I stand by the bed and face the tv. The sofa is 3.0 m ahead of me.",
        ],
    ),
}


@pytest.mark.parametrize(("kind", "truth", "names", "said"), [
    (kind, truth, names, said) for (kind, truth), (names, wrong) in PLANTED.items() for said in wrong
])  # fmt: skip
def test_a_planted_falsehood_is_found(kind, truth, names, said):
    row = question(question_type=kind, ground_truth=truth, objects=[{"category": c, "object_ids": []} for c in names])
    end = f"option {truth}" if truth.isalpha() else truth
    with pytest.raises(Untrue) as error:
        read(f"<think>{said} The answer is {end}.</think>\n<answer>{truth}</answer>", row, ROOM)
    assert str(error.value).split(" (")[0].rstrip(".") in said, "and it is the last sentence or one before it"


def test_a_thought_without_its_end_or_with_another_answer_is_found():
    row = question(question_type="object_size_estimation", ground_truth="74", objects=[{"category": "sofa"}])
    good = "<think>The longest side of the sofa is 0.74 m. In centimeters this is 74. The answer is 74.</think>"
    assert read(f"{good}\n<answer>74</answer>", row, ROOM) == ["longest", "conclusion", "answer"]
    for bad in (
        f"{good}\n<answer>75</answer>",
        f"{good.replace(' The answer is 74.', '')}\n<answer>74</answer>",
        f"{good.replace('is 74.<', 'is 75.<')}\n<answer>74</answer>",
        good,
    ):
        with pytest.raises(Untrue):
            read(bad, row, ROOM)
