"""Differences over seeds and rooms: by hand, on data of known variance, and what a design detects."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollout3d.errors import InvalidInput
from rollout3d.evaluation import crossed
from rollout3d.evaluation.benchmarks import get

VALUES = np.array([[1.0, 2.0, 6.0], [3.0, 4.0, 2.0]])
"""Two seeds, three rooms. Means: 3 of both seeds; 2, 3, 4 of the rooms; 3 of all."""


def test_a_difference_its_interval_and_its_degrees_of_freedom_by_hand():
    """MS_seed = 0; MS_room = 2 (1 + 0 + 1) / 2 = 2; rests -1, -1, 2, 1, 1, -2: MS_rest = 12 / 2 = 6.

    0 + 2 - 6 is below zero, so MS_room counts: Var = 2 / 6; freedom (0 + 2)^2 / (0 + 4 / 2) = 2.
    """
    found = crossed.difference(VALUES)
    assert (found.mean, found.by_seed) == (3.0, (3.0, 3.0))
    assert found.error == pytest.approx(math.sqrt(1 / 3)) and found.freedom == pytest.approx(2)
    half = 4.302653 * math.sqrt(1 / 3)
    assert (found.low, found.high) == pytest.approx((3 - half, 3 + half), abs=1e-5)


def test_what_rests_in_both_mean_squares_counts_once():
    """Seeds 0 and 4, rooms 0 and 2, rest +-0.5: MS_seed = 2 (4 + 4) = 16, MS_room = 2 (1 + 1) = 4, MS_rest = 1."""
    values = np.array([[0.0, 2.0], [4.0, 6.0]]) + np.array([[0.5, -0.5], [-0.5, 0.5]])
    found = crossed.spread(values)
    assert found.error == pytest.approx(math.sqrt((16 + 4 - 1) / 4))
    assert found.freedom == pytest.approx((16 + 4) ** 2 / (16**2 / 1 + 4**2 / 1))


def test_what_a_design_detects_by_hand():
    """t of 4 degrees: 2.776445 at 0.975, 0.940965 at 0.8. Pilot runs 0 and 2 in both rooms: MS_seed 4, MS_rest 0."""
    assert crossed.detectable(crossed.Spread(2.0, 4)) == pytest.approx(2 * (2.776445 + 0.940965), abs=1e-5)
    pilot = np.array([[0.0, 0.0], [2.0, 2.0]])
    assert crossed.planned(pilot, 5) == pytest.approx((2.776445 + 0.940965) * math.sqrt(2 * (4 / 2) / 5), abs=1e-5)


def test_pilot_runs_that_happen_to_lie_together_do_not_promise_too_much():
    """VALUES as a pilot: both means are 3, so that MS_rest = 6 counts, over 3 rooms."""
    assert crossed.planned(VALUES, 5) == pytest.approx((2.776445 + 0.940965) * math.sqrt(2 * 6 / 3 / 5), abs=1e-5)


def drawn(rng, seeds, rooms, of_seed=0.0, of_room=0.0, rest=0.0, effect=0.0):
    shape = (seeds, rooms)
    noise = of_seed * rng.standard_normal((seeds, 1)) + of_room * rng.standard_normal((1, rooms))
    return effect + noise + rest * rng.standard_normal(shape)


@pytest.mark.parametrize(
    ("of_seed", "of_room", "rest"), [(1.0, 0.0, 3.0), (0.0, 5.0, 3.0), (0.5, 3.0, 3.0), (0.0, 0.0, 4.0)]
)
def test_intervals_hold_the_true_difference_on_data_of_known_variance(of_seed, of_room, rest):
    rng = np.random.default_rng(1)
    found = [crossed.difference(drawn(rng, 5, 60, of_seed, of_room, rest, effect=2.0)) for _ in range(800)]
    assert np.mean([each.low <= 2.0 <= each.high for each in found]) >= 0.935
    true = math.sqrt(of_seed**2 / 5 + of_room**2 / 60 + rest**2 / 300)
    assert true <= 1.05 * np.sqrt(np.mean([each.error**2 for each in found])) <= 1.3 * true


def test_a_difference_of_the_size_that_was_planned_is_found_in_80_of_100_studies():
    """Two arms whose runs differ by seed alone, and by an effect of the size that a large pilot states."""
    rng = np.random.default_rng(2)
    size = crossed.planned(drawn(rng, 400, 60, of_seed=1.0, rest=4.0), 5)
    studies = [
        crossed.difference(drawn(rng, 5, 60, 1.0, 0, 4.0, effect=size) - drawn(rng, 5, 60, 1.0, 0, 4.0))
        for _ in range(800)
    ]
    assert 0.75 <= np.mean([each.low > 0 for each in studies]) <= 0.9


matrices = st.tuples(st.integers(2, 5), st.integers(2, 8)).flatmap(
    lambda shape: st.lists(st.floats(-100, 100), min_size=shape[0] * shape[1], max_size=shape[0] * shape[1]).map(
        lambda values: np.array(values).reshape(shape)
    )
)


@settings(max_examples=60, deadline=None)
@given(matrices, st.floats(-50, 50), st.randoms())
def test_a_shift_moves_the_interval_and_an_order_of_seeds_or_rooms_does_not_matter(values, shift, random):
    found, moved = crossed.difference(values), crossed.difference(values + shift)
    assert moved.low - found.low == pytest.approx(shift, abs=1e-4)
    assert found.low <= found.mean <= found.high
    rows, columns = ([*range(n)] for n in values.shape)
    random.shuffle(rows), random.shuffle(columns)
    other = crossed.difference(values[np.ix_(rows, columns)])
    assert (other.low, other.high) == pytest.approx((found.low, found.high), abs=1e-4)
    assert min(values.shape) - 1 <= found.freedom + 1e-9


TYPES = {"a": "object_counting", "b": "object_counting", "c": "room_size_estimation", "d": "object_counting"}
ROOMS = {"a": "x", "b": "y", "c": "y", "d": "y"}


def test_a_rooms_value_is_the_score_plus_what_it_moves_it_by():
    """Counting 1, 0, 0.5 (mean 0.5), room size 0.4: overall 0.45. Weights: 1/6 each, 1/2. Room x: 1/6 (1 - 0.5)."""
    found = crossed.of_scores({"a": 1.0, "b": 0.0, "c": 0.4, "d": 0.5}, TYPES, ROOMS, get("synthetic").average)
    assert found == pytest.approx({"x": 0.45 + 2 * 0.5 / 6, "y": 0.45 - 2 * 0.5 / 6})


def test_a_rooms_share_is_the_share_plus_what_it_moves_it_by():
    """3 of 6 names; room x has 2 of 2: it moves the share by (2 - 1) / 6."""
    counts = {"a": (2, 2), "b": (1, 3), "c": (0, 0), "d": (0, 1)}
    assert crossed.of_shares(counts, ROOMS) == pytest.approx({"x": 0.5 + 2 / 6, "y": 0.5 - 2 / 6})
    with pytest.raises(InvalidInput, match="no answer names anything"):
        crossed.of_shares({"a": (0, 0)}, ROOMS)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.sampled_from("abcd"), st.floats(0, 1), min_size=1))
def test_the_mean_over_rooms_is_the_benchmarks_own_score(scores):
    average = get("synthetic").average
    by_type = {}
    for name, value in scores.items():
        by_type.setdefault(TYPES[name], []).append(value)
    found = crossed.of_scores(scores, TYPES, ROOMS, average)
    assert np.mean([*found.values()]) == pytest.approx(average(by_type)["overall"].score)


def test_too_few_seeds_or_rooms_are_refused_and_runs_of_other_rooms():
    for shape in ((1, 4), (4, 1)):
        with pytest.raises(InvalidInput, match="give no interval"):
            crossed.difference(np.zeros(shape))
    with pytest.raises(InvalidInput, match="at least 2 seeds"):
        crossed.planned(VALUES, 1)
    with pytest.raises(InvalidInput, match="evaluate all on the same"):
        crossed.matrix([{"x": 0.0}, {"y": 0.0}])
