"""Confidence intervals of benchmark scores by bootstrap over scenes.

Questions about one room are not independent, so whole scenes are drawn with replacement, as many as there are, and the
averages of the benchmark are taken of each draw. `seeing` has the closed form for differences of two views.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from rollout3d.evaluation.seeing import Average
from rollout3d.scoring.aggregate import tasks

DRAWS = 1000
CONFIDENCE = 0.95

Bounds = tuple[float, float]


def bootstrap(
    scores: np.ndarray,
    types: Sequence[str],
    scenes: Sequence[str],
    draws: int = DRAWS,
    seed: int = 0,
    parts: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, list[Bounds] | None]:
    """Return the 95 % interval of each scorer, for each task with questions and for "overall".

    A task whose questions are all about one scene has None instead. `scores`: (questions, scorers), 0 to 1; `types`,
    `scenes`: question type and scene of each question. All scorers are evaluated on the same draws. A draw without any
    question of a task is left out of that task's interval, and its overall is the mean of the other tasks. Percentile
    method; the seed makes equal inputs give equal intervals. `parts`: task -> its question types, by default those of
    VSI-Bench.
    """
    names, type_of = np.unique(np.asarray(types), return_inverse=True)
    rooms, room_of = np.unique(np.asarray(scenes), return_inverse=True)
    n_scorers = scores.shape[1]
    sums = np.zeros((len(rooms), len(names), n_scorers))
    counts = np.zeros((len(rooms), len(names)))
    np.add.at(sums, (room_of, type_of), scores)
    np.add.at(counts, (room_of, type_of), 1)
    # How often each scene is in each draw, in place of drawing its questions: one product then gives all sums.
    times = np.random.default_rng(seed).multinomial(len(rooms), np.full(len(rooms), 1 / len(rooms)), draws)
    drawn_sums = (times @ sums.reshape(len(rooms), -1)).reshape(draws, len(names), n_scorers)
    drawn_counts = (times @ counts)[:, :, None]
    with np.errstate(invalid="ignore"):
        means = dict(zip(names.tolist(), np.moveaxis(drawn_sums / drawn_counts, 1, 0), strict=True))
    types_of = parts or {task.name: of_task for task, of_task in tasks(names.tolist()).items()}
    averages: dict[str, np.ndarray] = {}
    for task, of_task in types_of.items():
        found = [means[name] for name in of_task if name in means]
        if found:
            averages[task] = _mean(found)
    averages["overall"] = _mean(list(averages.values()))
    types_of = {**types_of, "overall": tuple(names.tolist())}
    n_rooms = {task: _rooms(counts, names, types_of[task]) for task in averages}
    return {task: _bounds(values) if n_rooms[task] > 1 else None for task, values in averages.items()}


def bootstrap_of(
    average: Average, scores: np.ndarray, cells: Sequence[str], scenes: Sequence[str], draws: int = DRAWS, seed: int = 0
) -> dict[str, list[Bounds] | None]:
    """Return the 95 % interval of each scorer, for each task with questions of any benchmark.

    `average`, `cells`: the benchmark's averages, and the cell of each question; else as `bootstrap`, whose result this
    is for VSI-Bench, more slowly.
    """
    rooms, room_of = np.unique(np.asarray(scenes), return_inverse=True)
    places = {name: np.flatnonzero(np.asarray(cells) == name) for name in dict.fromkeys(cells)}
    times = np.random.default_rng(seed).multinomial(len(rooms), np.full(len(rooms), 1 / len(rooms)), draws)
    whole = average({name: scores[own, 0].tolist() for name, own in places.items()})
    drawn = {task: np.full((draws, scores.shape[1]), np.nan) for task, mean in whole.items() if mean.n}
    for k, of_draw in enumerate(times[:, room_of]):
        for j in range(scores.shape[1]):
            values = {name: np.repeat(scores[own, j], of_draw[own]).tolist() for name, own in places.items()}
            for task, mean in average(values).items():
                if task in drawn and mean.score is not None:
                    drawn[task][k, j] = mean.score
    in_rooms = dict.fromkeys(drawn, 0)
    for room in range(len(rooms)):
        mine = average({name: [0.0] * int((room_of[own] == room).sum()) for name, own in places.items()})
        for task in drawn:
            in_rooms[task] += mine[task].n > 0
        if min(in_rooms.values()) > 1:  # every task has questions about two rooms
            break
    return {task: _bounds(values) if in_rooms[task] > 1 else None for task, values in drawn.items()}


def _mean(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Return the mean of those parts that a draw has; NaN where it has none."""
    stacked = np.stack(parts)
    there = ~np.isnan(stacked)
    with np.errstate(invalid="ignore"):
        return np.where(there, stacked, 0.0).sum(axis=0) / there.sum(axis=0)


def _rooms(counts: np.ndarray, types: np.ndarray, wanted: Sequence[str]) -> int:
    """Return the number of scenes with a question of the types `wanted`."""
    return int((counts[:, np.isin(types, wanted)].sum(axis=1) > 0).sum())


def _bounds(values: np.ndarray) -> list[Bounds]:
    tail = (1 - CONFIDENCE) / 2
    found = [np.quantile(column[~np.isnan(column)], (tail, 1 - tail)) for column in values.T]
    return [(float(low), float(high)) for low, high in found]
