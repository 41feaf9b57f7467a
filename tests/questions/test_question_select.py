"""Caps, separated sets, letters and the total: by comparison with listing everything."""

from collections import Counter
from itertools import combinations

import numpy as np
import pytest

from rollout3d import tables
from rollout3d.config import Questions
from rollout3d.config.question_types import PER_SCENE
from rollout3d.questions import generate, letters
from rollout3d.questions.letters import balance_letters
from rollout3d.questions.select import (
    SpacedSets,
    limit_total,
    limit_values,
    sample,
    sample_evenly,
    shuffled,
)
from rollout3d.questions.templates import lettered, option_text


def choice(k, n_options=4, kind="object_rel_direction_hard", source="generated"):
    row = {
        "dataset": "scannet",
        "scene_id": f"scene{k}",
        "question_type": kind,
        "question": f"Question {k}?",
        "options": lettered([f"option {k} {i}" for i in range(n_options)]),
        "ground_truth": "A",
        "source": source,
    }
    return row | {"question_id": tables.question_id(row)}


def number(k, kind="object_counting"):
    row = choice(k, kind=kind) | {"options": None, "ground_truth": str(k)}
    return row | {"question_id": tables.question_id(row)}


@pytest.mark.parametrize("size", [1, 2, 4])
@pytest.mark.parametrize("gap", [0.0, 0.15, 1.0])
def test_spaced_sets_are_those_that_listing_finds(size, gap):
    rng = np.random.default_rng(3)
    values = {f"c{k}": float(v) for k, v in enumerate(rng.uniform(0, 4, 9))} | {"tie1": 2.0, "tie2": 2.0}
    expected = set()
    for names in combinations(values, size):
        if all(abs(values[a] - values[b]) > gap for a, b in combinations(names, 2)):
            expected.add(tuple(sorted(names, key=values.__getitem__)))
    sets = SpacedSets(values, size, gap)
    assert len(sets) == len(expected)
    assert {tuple(sets[k]) for k in range(len(sets))} == expected
    with pytest.raises(IndexError):
        sets[len(sets)]


def test_spaced_sets_of_too_few_names_are_none():
    assert len(SpacedSets({"a": 1.0, "b": 2.0, "c": 3.0}, 4, 0.1)) == 0
    assert len(SpacedSets({}, 4, 0.1)) == 0


def test_sample_caps_keeps_order_and_tells_what_it_left_out():
    reasons = Counter()
    drawn = sample(list(range(100)), 10, np.random.default_rng(0), reasons)
    assert len(drawn) == len(set(drawn)) == 10 and drawn == sorted(drawn)
    assert reasons.total() == 90
    assert sample([3, 1, 2], 3, np.random.default_rng(0), reasons) == [3, 1, 2] and reasons.total() == 90
    assert sample([3, 1, 2], None, np.random.default_rng(0), reasons) == [3, 1, 2]
    counts = Counter()
    for seed in range(400):
        counts.update(sample("abcd", 2, np.random.default_rng(seed), reasons))
    assert all(abs(n - 200) < 45 for n in counts.values()), "every candidate is drawn about equally often"


def test_sample_evenly_lets_the_answers_take_turns():
    answers = ["front"] * 80 + ["back"] * 15 + ["left"] * 3
    reasons = Counter()
    drawn = sample_evenly(range(98), answers, 20, np.random.default_rng(0), reasons)
    count = Counter(answers[k] for k in drawn)
    assert count["left"] == 3 and {count["front"], count["back"]} == {8, 9} and reasons.total() == 78
    assert drawn == sorted(set(drawn))
    assert sample_evenly(range(98), answers, None, np.random.default_rng(0), reasons) == list(range(98))
    assert sample_evenly(range(98), answers, 98, np.random.default_rng(0), reasons) == list(range(98))
    firsts = Counter(
        answers[sample_evenly(range(98), answers, 1, np.random.default_rng(s), Counter())[0]] for s in range(300)
    )
    assert all(abs(n - 100) < 30 for n in firsts.values()) and len(firsts) == 3


def test_letters_are_even_within_types_and_numbers_of_options():
    rows = [choice(k, 4) for k in range(41)] + [choice(k, 4, "obj_appearance_order") for k in range(37)]
    rows += [choice(k, 3, "object_rel_direction_medium") for k in range(50)] + [number(k) for k in range(5)]
    balanced = balance_letters(rows, seed=0)
    for kind, n in (("object_rel_direction_hard", 4), ("obj_appearance_order", 4), ("object_rel_direction_medium", 3)):
        used = Counter(row["ground_truth"] for row in balanced if row["question_type"] == kind)
        assert len(used) == n and max(used.values()) - min(used.values()) <= 1
    four = Counter(row["ground_truth"] for row in balanced if row["options"] and len(row["options"]) == 4)
    assert max(four.values()) - min(four.values()) <= 2
    assert [row["question_type"] for row in balanced] == [row["question_type"] for row in rows]


def test_balancing_moves_options_and_never_the_answer():
    rows = [choice(k) for k in range(60)] + [number(3)]
    places = Counter()
    for before, after in zip(rows, balance_letters(rows, seed=0), strict=True):
        if before["options"] is None:
            assert after == before
            continue
        old, new = (list(map(option_text, row["options"])) for row in (before, after))
        assert sorted(old) == sorted(new) and after["options"] == lettered(new)
        assert new["ABCD".index(after["ground_truth"])] == old[0]
        assert after["question_id"] == tables.question_id(after)
        places.update((text[-1], k) for k, text in enumerate(new))
    assert len(places) == 16, "wrong options are shuffled too"


def test_letters_depend_on_contents_and_seed_only():
    rows = [choice(k) for k in range(40)]
    by_question = {row["question"]: row for row in balance_letters(rows, seed=0)}
    assert {row["question"]: row for row in balance_letters(rows[::-1], seed=0)} == by_question
    assert {row["question"]: row for row in balance_letters(rows, seed=1)} != by_question


def texts(k, *options, truth="A", question=None, **changes):
    row = choice(k) | {"options": lettered(options), "ground_truth": truth, **changes}
    row |= {"question": question or row["question"]}
    return row | {"question_id": tables.question_id(row)}


@pytest.mark.parametrize(
    "row",
    [
        texts(0, "left", "right", "none of the above"),
        texts(0, "left", "right", "both A and B"),
        texts(0, "B", "A", "C"),
        texts(0, "left", "left"),
        texts(0, "left", "right", question="Which of option A or the other is it?"),
        texts(0, "left", "right", scene_id=None),
        texts(0, "left", "right", truth="C"),
        texts(0, "left", "right") | {"options": ["left", "right"]},
        texts(0, "left", "right") | {"options": ["B. left", "A. right"]},
    ],
    ids=["above", "both", "letters", "equal", "question", "general", "no such letter", "unlettered", "misnumbered"],
)
def test_what_speaks_of_letters_keeps_its_order(row):
    assert not letters.movable(row)
    assert balance_letters([row] * 3, seed=0) == [row] * 3


def test_imported_questions_move_and_those_that_cannot_are_made_up_for():
    assert letters.movable(choice(0, source="spacer")) and letters.movable(texts(0, "a chair", "a table"))
    # A third of the questions are stuck at A: the others take B, C and D more often.
    stuck = [texts(k, f"w{k}", f"x{k}", f"y{k}", "none of the above") for k in range(100)]
    rows = balance_letters([*stuck, *(choice(k, source="vlm3r_order") for k in range(300))], seed=0)
    assert Counter(row["ground_truth"] for row in rows) == {"A": 100, "B": 100, "C": 100, "D": 100}


def test_letters_of_5000_questions_are_even_after_pruning_and_imports():
    rng = np.random.default_rng(5)
    kinds = [("object_rel_direction_easy", 2), ("object_rel_direction_medium", 3), ("route_planning", 3)]
    kinds += [("route_planning", 4), ("obj_appearance_order", 4), ("object_rel_distance", 4)]
    rows = []
    for k in range(9000):
        kind, n = kinds[rng.integers(len(kinds))]
        row = choice(k, n, kind, "generated" if k % 3 else "vlm3r_route")
        # Imports arrive with a taste for the last letter, and some cannot be moved.
        if row["source"] != "generated":
            row["ground_truth"] = "ABCD"[n - 1]
            if k % 60 == 0:
                row["options"][0] = "A. none of these"
        rows.append(row | {"question_id": tables.question_id(row)})
    kept, _ = limit_total(rows, 5000, seed=0, mix={"route_planning": 0.4})
    balanced = balance_letters(kept, seed=0)
    assert len(balanced) == 5000
    for n in (2, 3, 4):
        used = Counter(row["ground_truth"] for row in balanced if len(row["options"]) == n)
        assert all(abs(used[letter] / used.total() - 1 / n) <= 0.02 for letter in "ABCD"[:n]), (n, used)
        for kind in {kind for kind, size in kinds if size == n}:
            of = [r for r in balanced if len(r["options"]) == n and r["question_type"] == kind]
            used = Counter(row["ground_truth"] for row in of)
            assert max(used.values()) - min(used[letter] for letter in "ABCD"[:n]) <= 1


def numbers(*counts, kind="object_counting"):
    rows = [
        number(k, kind) | {"scene_id": f"s{j}", "question": f"{k} {j}"} for k, n in enumerate(counts) for j in range(n)
    ]
    return [row | {"answer_type": "number", "question_id": tables.question_id(row)} for row in rows]


@pytest.mark.parametrize(
    ("counts", "share", "kept"),
    [
        ((100, 10, 10, 10), 0.25, (10, 10, 10, 10)),
        ((100, 30, 20, 10), 0.4, (40, 30, 20, 10)),
        ((100, 10, 10, 10), 1.0, (100, 10, 10, 10)),
        ((100, 7, 3), 0.25, (7, 7, 3)),
        ((50, 26, 2, 1), 0.25, (26, 26, 2, 1)),
        ((100,), 0.25, (100,)),
        ((1,) * 50, 0.25, (1,) * 50),
    ],
    ids=["even", "largest", "no limit", "too few answers", "rare others", "one answer", "all different"],
)
def test_a_number_answers_at_most_its_share(counts, share, kept):
    rows = [*numbers(*counts), *numbers(5, kind="room_size_estimation")]
    stay, left = limit_values(rows, share, seed=0)
    used = Counter(row["ground_truth"] for row in stay if row["question_type"] == "object_counting")
    assert tuple(used[str(k)] for k in range(len(counts))) == kept
    assert len(stay) + len(left) == len(rows) and sum(r["question_type"] == "room_size_estimation" for r in stay) == 5
    again = limit_values(rows[::-1], share, seed=0)[0]
    assert {r["question_id"] for r in again} == {r["question_id"] for r in stay}


def test_choices_have_no_frequent_number():
    rows = [choice(k) | {"answer_type": "choice"} for k in range(9)]
    assert limit_values(rows, 0.1, seed=0) == (rows, [])


def test_total_keeps_the_mix():
    rows = [number(k, "object_counting") for k in range(60)] + [number(k, "object_abs_distance") for k in range(30)]
    rows += [number(k, "room_size_estimation") for k in range(10)]
    kept, left = limit_total(rows, 25, seed=0)
    # Shares 15, 7.5 and 2.5: the one seat left goes by largest remainder, ties by name.
    assert Counter(row["question_type"] for row in kept) == {
        "object_counting": 15,
        "object_abs_distance": 8,
        "room_size_estimation": 2,
    }
    assert len(left) == 75 and not {r["question_id"] for r in kept} & {r["question_id"] for r in left}
    assert limit_total(rows, None, seed=0) == (rows, []) and limit_total(rows, 100, seed=0) == (rows, [])
    again = limit_total(rows[::-1], 25, seed=0)[0]
    assert {r["question_id"] for r in again} == {r["question_id"] for r in kept}
    assert {r["question_id"] for r in limit_total(rows, 25, seed=1)[0]} != {r["question_id"] for r in kept}


def test_a_mix_gives_each_type_its_share_and_fills_up_what_is_missing():
    rows = [*numbers(*[1] * 60), *numbers(*[1] * 30, kind="object_abs_distance")]
    rows += numbers(*[1] * 10, kind="room_size_estimation")

    def count(total, **mix):
        return tuple(Counter(r["question_type"] for r in limit_total(rows, total, 0, mix)[0]).values())

    assert count(40, object_abs_distance=0.5, room_size_estimation=0.1) == (16, 20, 4)
    # What is not named keeps its proportions of six to one.
    assert count(40, object_abs_distance=0.3) == (24, 12, 4)
    # Half of 80 are more than there are: the rest goes by the other shares.
    assert count(80, object_abs_distance=0.5) == (43, 30, 7)
    # Without a total: the most that keeps the shares, 10 being a quarter.
    assert count(None, room_size_estimation=0.25) == (20, 10, 10)
    assert count(None) == (60, 30, 10)


def test_order_is_seeded_and_forgets_the_order_given():
    rows = [number(k) for k in range(30)]
    assert shuffled(rows, 0) == shuffled(rows[::-1], 0) != rows
    assert shuffled(rows, 1) != shuffled(rows, 0)


def test_a_type_whose_cap_is_0_is_not_asked_and_one_without_limit_is():
    own = Questions(per_scene={"route_planning": 0, "object_counting": None})
    asked = [of_type.name for of_type in generate.asked(own)]
    assert "route_planning" not in asked and "object_counting" in asked and len(asked) == len(PER_SCENE) - 1
