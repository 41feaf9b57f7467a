"""The bootstrap over scenes: against a plain one, its coverage, its speed."""

from __future__ import annotations

import time

import numpy as np
import pytest

from rollout3d.evaluation.intervals import bootstrap, bootstrap_of
from rollout3d.scoring.aggregate import tasks, vsibench

TASKS = tuple(task.name for task in tasks())
TYPES = sorted((name for names in tasks().values() for name in names), key=lambda name: "direction" in name)
"""Those of relative direction last."""


def naive(scores, types, scenes, draws, seed):
    """Draw scenes, collect their questions in lists, average as the benchmark does."""
    rooms = sorted(set(scenes))
    times = np.random.default_rng(seed).multinomial(len(rooms), [1 / len(rooms)] * len(rooms), draws)
    found = {}
    for draw in times:
        grouped = {}
        for score, kind, scene in zip(scores, types, scenes):
            grouped.setdefault(kind, []).extend([score] * int(draw[rooms.index(scene)]))
        for task, mean in vsibench(grouped).items():
            if mean.score is not None:
                found.setdefault(task, []).append(mean.score)
    return {task: np.quantile(values, (0.025, 0.975)) for task, values in found.items()}


def test_it_is_the_plain_bootstrap_also_where_draws_lack_a_task():
    rng = np.random.default_rng(3)
    n = 90
    types = [TYPES[k] for k in rng.integers(0, len(TYPES) - 1, n)]  # one direction type is never asked
    scenes = [f"room{k}" for k in rng.integers(0, 6, n)]
    types[0], scenes[0] = "route_planning", "alone"
    scores = rng.random((n, 2))
    found = bootstrap(scores, types, scenes, draws=200, seed=5)
    for j in range(2):
        for task, expected in naive(scores[:, j], types, scenes, 200, 5).items():
            assert found[task][j] == pytest.approx(tuple(expected)), (task, j)


def test_intervals_hold_the_truth_as_often_as_they_say_though_rooms_differ():
    rng = np.random.default_rng(0)
    scenes = [f"room{k}" for k in range(60) for _ in range(8)]
    hits, narrow = 0, 0
    for _ in range(200):
        rooms = np.repeat(rng.normal(0.5, 0.15, 60), 8)  # questions about one room are right or wrong together
        scores = np.clip(rooms + rng.normal(0, 0.1, 480), 0, 1)
        low, high = bootstrap(scores[:, None], ["object_counting"] * 480, scenes, draws=400)["overall"][0]
        hits += low <= 0.5 <= high
        independent = [str(k) for k in range(480)]
        low, high = bootstrap(scores[:, None], ["object_counting"] * 480, independent, draws=100)["overall"][0]
        narrow += low <= 0.5 <= high
    assert 0.90 <= hits / 200 <= 0.99
    assert narrow / 200 < 0.85, "as if questions were independent, intervals would be too narrow"


def test_a_task_about_one_scene_has_no_interval():
    found = bootstrap(
        np.array([[1.0], [0.0], [0.5]]), ["object_counting", "object_counting", "route_planning"], ["a", "b", "a"]
    )
    assert found["route_planning"] is None
    assert found["object_counting"] == [(0.0, 1.0)]
    assert bootstrap(np.array([[1.0]]), ["route_planning"], ["a"])["overall"] is None


def test_equal_inputs_give_equal_intervals_and_all_of_vsi_bench_takes_less_than_two_seconds():
    rng = np.random.default_rng(1)
    n = 5130
    types = [TYPES[k] for k in rng.integers(0, len(TYPES), n)]
    scenes = [f"room{k}" for k in rng.integers(0, 288, n)]
    scores = rng.random((n, 5))
    start = time.process_time()
    found = bootstrap(scores, types, scenes)
    assert time.process_time() - start < 2
    assert found == bootstrap(scores, types, scenes)
    assert set(found) == {*TASKS, "overall"}


def test_the_one_for_any_benchmark_is_that_of_vsi_bench_for_its_averages():
    rng = np.random.default_rng(5)
    types = [TYPES[k] for k in rng.integers(0, len(TYPES), 60)]
    scenes = [f"room{k}" for k in rng.integers(0, 8, 60)]
    scores = rng.random((60, 2))
    fast, any_of = bootstrap(scores, types, scenes, 50), bootstrap_of(vsibench, scores, types, scenes, 50)
    assert fast.keys() == any_of.keys()
    for task, bounds in fast.items():
        assert bounds is None or np.allclose(bounds, any_of[task] or ()), task
        assert (bounds is None) == (any_of[task] is None)
