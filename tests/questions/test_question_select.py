"""Caps, separated sets, letters and the total: by comparison with listing everything."""

from collections import Counter
from itertools import combinations

import numpy as np
import pytest

from rollout3d import tables
from rollout3d.questions.select import SpacedSets, balance_letters, limit_total, sample, shuffled
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


def test_imported_questions_keep_their_letters():
    rows = [choice(k, source="spacer") for k in range(10)]
    assert balance_letters(rows, seed=0) == rows


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


def test_order_is_seeded_and_forgets_the_order_given():
    rows = [number(k) for k in range(30)]
    assert shuffled(rows, 0) == shuffled(rows[::-1], 0) != rows
    assert shuffled(rows, 1) != shuffled(rows, 0)
