"""Lessons of the small model: true statements about rooms that never repeat."""

import json
import re
from collections import Counter
from dataclasses import replace
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from rollout3d.config import read
from rollout3d.cot import geometric
from rollout3d.seeding import stable_hash
from toyworld.model import lessons
from toyworld.rendering.quick import sample_room
from toyworld.settings import StudyConfig

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "config"
STUDY = read.load(CONFIG / "config.yaml", CONFIG / "presets" / "tiny_qwen.yaml", model=StudyConfig)
REASON = partial(geometric.reasoning, seed=STUDY.seed)
REASONED = replace(lessons.EARLY, reasoned=2)


def with_model(**changes):
    """Return the study with other settings of the small model."""
    toyworld = STUDY.toyworld.model_copy(update={"model": STUDY.toyworld.model.model_copy(update=changes)})
    return STUDY.model_copy(update={"toyworld": toyworld})


@pytest.fixture(scope="module")
def room():
    return lessons.make_room(3, STUDY, REASON, REASONED)


def film_and_view(seed, dataset="scannet", n_frames=8, n_objects=(10, 18)):
    film = sample_room(stable_hash(seed), n_frames, 140, 112, n_objects=n_objects)
    return film, lessons.scene_view(film.world, dataset, film.shown, "x")


def test_a_room_is_the_same_every_time_and_unlike_the_next(room):
    again, other = (lessons.make_room(index, STUDY, REASON, REASONED) for index in (3, 4))
    assert np.array_equal(room.frames, again.frames) and room.lessons == again.lessons
    assert room.lessons != other.lessons


def test_frames_have_the_training_size(room):
    height, width = lessons.frame_size(STUDY.video)
    assert room.frames.shape[1:] == (height, width, 3) and height * width <= STUDY.video.train_max_pixels
    assert room.cells.depth.shape == (len(room.frames), height // 28, width // 28)


def test_every_moment_counts_what_its_pair_of_frames_shows():
    film, _ = film_and_view("moments", n_frames=6)
    text = lessons.describe(lessons.what_moments_show(film, "scannet")).answer
    moments = re.findall(r"(\d): ([^.]*)\.", text)
    assert [int(number) for number, _ in moments] == [1, 2, 3] and len(film.frames) == 6
    for number, listed in moments:
        pair = film.shown[2 * int(number) - 2 : 2 * int(number)]
        shown = [lessons.asked_as(film.world.things[i], "scannet") for i in {i for things in pair for i in things}]
        true = {name: shown.count(name) for name in shown if name}
        assert {name: int(n) for n, name in re.findall(r"(\d+) ([a-z ]+)", listed)} == true


def test_a_clip_is_few_frames_with_their_description():
    lengths = Counter()
    for index in range(12):
        clip = lessons.make_clip(index, STUDY)
        (lesson,) = clip.lessons
        assert lesson.question == lessons.DESCRIBE and clip.frames.any()
        assert len(re.findall(r"\d+: ", lesson.answer)) == len(clip.frames) // 2
        lengths[len(clip.frames)] += 1
    assert set(lengths) == {2, 4}
    assert not np.array_equal(lessons.make_clip(0, STUDY).frames[0], lessons.make_clip(1, STUDY).frames[0])


def test_some_rooms_are_black_and_have_no_cells():
    some, none = (with_model(blind=share) for share in (0.5, 0.0))
    black = 0
    for index in range(12):
        made, other = (lessons.make_room(index, study, REASON) for study in (some, none))
        black += not made.frames.any()
        assert (made.cells is None) == (not made.frames.any())
        assert made.lessons == other.lessons  # lessons do not depend on the frames' colour
    assert 0 < black < 12


def test_inventory_counts_the_world():
    film, view = film_and_view("inventory", "scannetpp")
    said = {name: int(n) for n, name in re.findall(r"(\d+) ([a-z ]+)", lessons.inventory(view).answer)}
    true: dict[str, int] = {}
    for thing in film.world.things:
        name = lessons.asked_as(thing, "scannetpp")
        if name:
            true[name] = true.get(name, 0) + 1
    assert said == true


def test_area_of_a_polygon():
    assert lessons.polygon_area(((0, 0), (4, 0), (4, 3), (2, 3), (2, 5), (0, 5))) == 16


@pytest.mark.parametrize("dataset", ["scannet", "scannetpp", "arkitscenes"])
def test_facts_are_true(dataset):
    """Each kind of fact, worked out once more from the things and from what the frames show."""
    kinds = Counter()
    for seed in range(4):
        film, view = film_and_view(("facts", seed), dataset)
        called = [lessons.asked_as(thing, dataset) for thing in film.world.things]
        of_frame = [{called[i] for i in shown} for shown in film.shown]
        things = {name: [t for t, c in zip(film.world.things, called) if c == name] for name in set(called) - {None}}
        first = {name: next((k for k, f in enumerate(of_frame) if name in f), None) for name in things}

        def centre_gap(a, b, things=things):
            return np.linalg.norm(np.subtract(things[a][0].center, things[b][0].center))

        for lesson in lessons.facts(view, film, dataset, np.random.default_rng(seed)):
            kind = lesson.question.split()[0].rstrip(":")
            kinds[kind] += 1
            name = re.sub(r"^(When is|Number of|Size of|Nearest to)( the)? |\?$", "", lesson.question)
            if kind == "When":
                pairs = [k + 1 for k in range(4) if name in of_frame[2 * k] | of_frame[2 * k + 1]]
                assert lesson.answer == " ".join(map(str, pairs))
            elif kind == "Number":
                assert int(lesson.answer) == len(things[name])
            elif kind == "Size":
                assert int(lesson.answer) == pytest.approx(100 * max(things[name][0].size), abs=0.51)
            elif kind == "First":
                a, b = lesson.question.removeprefix("First: ").rstrip("?").split(" or ")
                assert lesson.answer == (a if first[a] < first[b] else b)
            elif kind == "From":
                a, b = lesson.question.removeprefix("From ").rstrip("?").split(" to ")
                assert len(things[a]) == len(things[b]) == 1 and float(lesson.answer) <= centre_gap(a, b)
            elif kind == "Nearest":
                assert len(things[name]) == 1 and lesson.answer in things and lesson.answer != name
    assert set(kinds) == {"When", "Number", "Size", "First", "From", "Nearest"}


def test_choices_are_true():
    """The nearest of four things by name and letter, and three or four things by first appearance."""
    kinds = Counter()
    for seed in range(6):
        film, view = film_and_view(("choices", seed))
        first = {}
        for frame, shown in enumerate(film.shown):
            for i in shown:
                first.setdefault(lessons.asked_as(film.world.things[i], "scannet"), frame)
        for lesson in lessons.choices(view, film, np.random.default_rng(seed)):
            if lesson.question.startswith("Order of "):
                named = lesson.question.removeprefix("Order of ").rstrip("?").split(", ")
                assert lesson.answer.split(", ") == sorted(named, key=first.__getitem__)
                assert len({first[name] for name in named}) == len(set(named)) in (3, 4)
                kinds["order"] += 1
                continue
            by_letter = "A. " in lesson.question
            pattern = (
                r"Nearest to the (.+)\? A\. (.+) B\. (.+) C\. (.+) D\. (.+)"
                if by_letter
                else (r"Nearest to the (.+): (.+), (.+), (.+), (.+)\?")
            )
            name, *others = re.fullmatch(pattern, lesson.question).groups()
            distance = [view.distance(name, other, "exact") for other in others]
            nearest = others[int(np.argmin(distance))]
            assert lesson.answer == ("ABCD"[others.index(nearest)] if by_letter else nearest)
            kinds["letter" if by_letter else "name"] += 1
    assert kinds["letter"] == kinds["name"] > 5 and kinds["order"] > 5


def test_later_rooms_have_choices_in_place_of_the_description():
    study = with_model(blind=0.0)
    early, late = (lessons.make_room(3, study, REASON, asked) for asked in (lessons.EARLY, lessons.LATE))
    asked = [[lesson.question for lesson in room.lessons] for room in (early, late)]
    assert np.array_equal(early.frames, late.frames)
    assert lessons.DESCRIBE in asked[0] and lessons.DESCRIBE not in asked[1]
    assert [any(question.startswith("Order of") for question in each) for each in asked] == [False, True]
    closest = [sum("is the closest to" in question for question in each) for each in asked]
    assert closest[1] >= closest[0] > 0


def test_questions_name_only_what_the_frames_show():
    film, view = film_and_view("shown", n_frames=2, n_objects=(30, 36))
    seen = {i for shown in film.shown for i in shown}
    hidden = {c for t in film.world.things if (c := lessons.asked_as(t, "scannet")) and t.thing_id not in seen}
    asked = [
        lesson.question
        for lesson in lessons.questions(view, film, STUDY, np.random.default_rng(0), None, lessons.EARLY)
    ]
    assert hidden and asked
    assert not [q for q in asked for name in hidden if re.search(rf"\b{name}\b", q)]


def test_questions_are_spread_over_the_tasks():
    rows = [{"question_type": name, "n": k} for name in ("object_counting", "route_planning") for k in range(2)]
    rows += [{"question_type": f"object_rel_direction_{level}", "n": 0} for level in ("easy", "medium", "hard")]
    ordered = [(row["question_type"], row["n"]) for row in lessons.one_of_each_first(rows)]
    assert ordered == [
        ("object_counting", 0),
        ("route_planning", 0),
        ("object_rel_direction_easy", 0),
        ("object_counting", 1),
        ("route_planning", 1),
        ("object_rel_direction_medium", 0),
        ("object_rel_direction_hard", 0),
    ]


def test_reasoned_lessons_end_with_their_answer(room):
    reasoned = [lesson for lesson in room.lessons if lesson.answer.startswith("<think>")]
    assert reasoned
    for lesson in reasoned:
        assert re.fullmatch(r"<think>.+</think>\n<answer>.+</answer>", lesson.answer, re.S)
    without = lessons.make_room(3, STUDY, REASON)
    assert without.lessons == tuple(lesson for lesson in room.lessons if lesson not in reasoned)


def test_a_question_without_reasoning_is_no_lesson(room):
    asked = []

    def reason(row):
        asked.append(row)
        return None if len(asked) == 1 else REASON(row)

    fewer = lessons.make_room(3, STUDY, reason, REASONED)
    first = next(lesson for lesson in room.lessons if lesson.answer.startswith("<think>"))
    assert len(asked) == 2
    assert fewer.lessons == tuple(lesson for lesson in room.lessons if lesson is not first)
    assert geometric.reasoning(asked[0] | {"evidence": "{}"}, 0) is None


def test_the_last_rooms_teach_direct_answers_and_reasoning_and_the_sums_it_needs():
    room = lessons.make_room(3, with_model(blind=0.0), REASON, lessons.BOTH)
    asked = [lesson.question for lesson in room.lessons]
    assert lessons.DESCRIBE not in asked and lessons.COUNT_ALL not in asked
    reasoned = [lesson for lesson in room.lessons if lesson.answer.startswith("<think>")]
    direct = [lesson for lesson in room.lessons if lesson.weight == lessons.DIRECT_WEIGHT]
    assert 4 <= len(reasoned) <= lessons.BOTH.reasoned and 6 <= len(direct) <= lessons.BOTH.questions
    assert sum(" minus " in question for question in asked) == lessons.BOTH.sums


def test_the_third_course_has_short_thoughts_and_maps():
    room = lessons.make_room(3, with_model(blind=0.0), REASON, lessons.SHORT)
    reasoned = [lesson for lesson in room.lessons if lesson.answer.startswith("<think>")]
    mapped = [lesson for lesson in reasoned if "<map>" in lesson.answer]
    assert len(mapped) == lessons.SHORT.mapped and len(reasoned) > 4
    for lesson in reasoned:
        thought = re.sub(r"<map>.*</map> ", "", re.search("<think>(.*)</think>", lesson.answer, re.S)[1])
        assert 1 <= len(re.findall(r"[.](?: |$)", thought)) <= 3
        assert ("a 10x10 <map> </map>" in lesson.question) == (lesson in mapped)


def test_a_map_has_the_cell_of_everything_that_a_film_shows_over_the_rectangle_around_its_rooms():
    """By hand, from the world's own numbers: y up, half-open cells, sorted."""
    film, view = film_and_view("map")
    found = json.loads(lessons.map_of(view, film, 10))
    assert set(found) == set(lessons.all_shown(view, film)) and any(len(cells) > 1 for cells in found.values())
    corners = [corner for room in film.world.rooms for corner in room]
    (x0, y0), (x1, y1) = (tuple(pick(corner[k] for corner in corners) for k in (0, 1)) for pick in (min, max))
    expected = {}
    for thing in film.world.things:
        name = lessons.asked_as(thing, "scannet")
        if name in found:
            x, y, _ = thing.center
            expected.setdefault(name, []).append([int(10 * (x - x0) / (x1 - x0)), int(10 * (y - y0) / (y1 - y0))])
    assert found == {name: sorted(cells) for name, cells in expected.items()}


def test_sums_are_right_and_not_always_the_same():
    found, kinds = set(), Counter()
    for lesson in lessons.sums(np.random.default_rng(0), 200):
        said, answer = lesson.question.rstrip("?"), lesson.answer
        numbers = [Fraction(number) for number in re.findall(r"[0-9.]+", said)]
        if " minus " in said:
            right = numbers[0] - numbers[1]
            assert Fraction(answer) == right >= 0 and re.fullmatch(r"\d\.\d", answer)
        elif " times " in said:
            assert abs(Fraction(answer) - numbers[0] * numbers[1]) <= Fraction(1, 20) and "." in answer
        elif " plus " in said:
            assert int(answer) == sum(numbers)
        else:
            assert said.endswith(" m in centimeters") and int(answer) == 100 * numbers[0]
        kinds[re.sub(r"[0-9.]+", "", said).split()[-1 if "centimeters" in said else 0]] += 1
        found.add(said)
    assert len(found) > 600 and set(kinds.values()) == {200}
