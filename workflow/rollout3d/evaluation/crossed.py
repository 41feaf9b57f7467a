"""Compare arms of a study over seeds and rooms: paired differences, intervals, and what a design can detect. Pure.

An arm is trained with S seeds and asked about R rooms, so a measure is a matrix of S x R values whose mean is the
measure. A value is linearised (`of_scores`, `of_shares`): a room's value is the measure plus what this room's answers
move it by. The difference of two arms that share seeds and rooms is the difference of their matrices, in which what a
room or a seed does to both arms alike cancels.

Seeds and rooms are both drawn at random, and each pair of them once: a balanced crossed design without repetition. With
d_sr the differences, d_s. and d_.r the means of a seed and of a room, d the mean of all,

    MS_seed = R sum_s (d_s. - d)^2 / (S - 1)
    MS_room = S sum_r (d_.r - d)^2 / (R - 1)
    MS_rest = sum_sr (d_sr - d_s. - d_.r + d)^2 / ((S - 1) (R - 1))
    Var(d) = (MS_seed + MS_room - MS_rest) / (S R),

the estimator of the analysis of variance (Searle, Casella and McCulloch, Variance Components, 1992), which counts what
rests in both mean squares once. It may fall below either part by chance, so the larger of it and of both parts counts:
an interval may be too wide, not too narrow. Student's t has Satterthwaite's degrees of freedom, (MS_seed + MS_room)^2 /
(MS_seed^2 / (S - 1) + MS_room^2 / (R - 1)), between S - 1 and S + R - 2.

The smallest difference that a design detects is the one that its 95 % interval leaves out zero for in 80 of 100 studies
(`detectable`). Before a study it is worked out from a pilot: runs of one arm that differ by seed alone (`planned`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rollout3d.errors import InvalidInput
from rollout3d.evaluation.seeing import OVERALL, Average

CONFIDENCE, POWER = 0.95, 0.8


@dataclass(frozen=True)
class Spread:
    """Standard error of the mean of an S x R matrix, and the degrees of freedom of its Student's t."""

    error: float
    freedom: float


@dataclass(frozen=True)
class Difference:
    """Mean of an S x R matrix of differences, its 95 % interval and its standard error; `by_seed`: mean of each row."""

    mean: float
    low: float
    high: float
    error: float
    freedom: float
    by_seed: tuple[float, ...]


def difference(values: np.ndarray) -> Difference:
    """Return the mean difference and its interval. `values`: (S, R), arm minus baseline, S and R at least 2.

    Raises InvalidInput for fewer seeds or rooms, which give no interval.
    """
    from scipy.stats import t

    found, mean = spread(values), float(values.mean())
    half = float(t.ppf((1 + CONFIDENCE) / 2, found.freedom)) * found.error if found.error else 0.0
    by_seed = tuple(float(value) for value in values.mean(axis=1))
    return Difference(mean, mean - half, mean + half, found.error, found.freedom, by_seed)


def spread(values: np.ndarray) -> Spread:
    """Return the standard error of the mean of `values` (S, R) over seeds and rooms. Raises as `difference` does."""
    seeds, rooms = _shape(values)
    of_seed, of_room, rest = _mean_squares(values)
    variance = max(of_seed + of_room - rest, of_seed, of_room) / (seeds * rooms)
    weight = of_seed**2 / (seeds - 1) + of_room**2 / (rooms - 1)
    return Spread(math.sqrt(variance), (of_seed + of_room) ** 2 / weight if weight else float(seeds - 1))


def planned(pilot: np.ndarray, seeds: int) -> float:
    """Return the smallest difference from the baseline that a study of `seeds` seeds per arm detects, from a pilot.

    `pilot`: (P, R), runs of one arm that differ by seed alone, P at least 2, about the study's rooms. Two arms that do
    not differ have a difference of variance 2 V / `seeds`, with V the variance of one run's mean about what its room
    set gives: MS_seed / R, or MS_rest / R where that is larger, since few pilot runs may happen to lie close together.
    Its degrees of freedom are those of the interval that the study will have at least, `seeds` - 1. What arms differ by
    from room to room is 0 here, as it is where they do not differ, so that a true effect which varies over rooms needs
    to be larger. Raises InvalidInput for fewer than 2 runs, rooms or seeds.
    """
    _, rooms = _shape(pilot)
    if seeds < 2:
        raise InvalidInput(f"a study needs at least 2 seeds per arm for an interval, not {seeds}")
    of_seed, _, rest = _mean_squares(pilot)
    return detectable(Spread(math.sqrt(2 * max(of_seed, rest) / rooms / seeds), seeds - 1))


def detectable(of: Spread) -> float:
    """Return the difference that an interval of this spread tells from zero with probability `POWER`.

    (t_0.975 + t_0.8) standard errors, with Student's t of the spread's degrees of freedom.
    """
    from scipy.stats import t

    return float(t.ppf((1 + CONFIDENCE) / 2, of.freedom) + t.ppf(POWER, of.freedom)) * of.error


def of_scores(
    scores: Mapping[str, float], types: Mapping[str, str], rooms: Mapping[str, str], average: Average
) -> dict[str, float]:
    """Return room -> linearised overall score of a run; the mean over rooms is the score itself.

    `scores`: question id -> score, or difference of two views; `types`, `rooms`: question id -> question type, physical
    space; `average`: of the benchmark, which is linear in the scores of a type.
    """
    by_type: dict[str, list[str]] = {}
    for question in scores:
        by_type.setdefault(types[question], []).append(question)
    weight = {
        name: _overall(average, {other: [float(other == name)] * len(ids) for other, ids in by_type.items()}) / len(own)
        for name, own in by_type.items()
    }
    centre = {name: math.fsum(scores[q] for q in ids) / len(ids) for name, ids in by_type.items()}
    mean = math.fsum(weight[name] * scores[q] for name, ids in by_type.items() for q in ids)
    names = sorted({rooms[q] for q in scores})
    moved: dict[str, list[float]] = {name: [] for name in names}
    for question, value in scores.items():
        moved[rooms[question]].append(weight[types[question]] * (value - centre[types[question]]))
    return {name: mean + len(names) * math.fsum(moved[name]) for name in names}


def of_shares(counts: Mapping[str, tuple[float, float]], rooms: Mapping[str, str]) -> dict[str, float]:
    """Return room -> linearised share of a run; the mean over rooms is the sum of parts by the sum of wholes.

    `counts`: question id -> (part, whole), such as the names of queried objects in a thought and all its names. Rooms
    whose wholes are all 0 have the share itself. Raises InvalidInput if there is no whole at all.
    """
    part, whole = (math.fsum(pair[i] for pair in counts.values()) for i in (0, 1))
    if not whole:
        raise InvalidInput(
            "no answer names anything, so that shares of names do not exist: is the model's format kept?"
        )
    names = sorted({rooms[q] for q in counts})
    moved: dict[str, list[float]] = {name: [] for name in names}
    for question, (own, of) in counts.items():
        moved[rooms[question]].append((own - part / whole * of) / whole)
    return {name: part / whole + len(names) * math.fsum(moved[name]) for name in names}


def matrix(runs: Sequence[Mapping[str, float]]) -> np.ndarray:
    """Return the values of runs as (S, R), rooms in the order of their names. Raises InvalidInput if they differ."""
    rooms = sorted(runs[0])
    if any(sorted(run) != rooms for run in runs):
        raise InvalidInput(f"runs answer about {sorted(len(run) for run in runs)} rooms: evaluate all on the same ones")
    return np.array([[run[room] for room in rooms] for run in runs])


def _overall(average: Average, values: Mapping[str, Sequence[float]]) -> float:
    found = average(values)[OVERALL].score
    assert found is not None  # every type has questions
    return found


def _shape(values: np.ndarray) -> tuple[int, int]:
    seeds, rooms = values.shape
    if seeds < 2 or rooms < 2:
        raise InvalidInput(f"{seeds} seeds and {rooms} rooms give no interval: both must be at least 2")
    return seeds, rooms


def _mean_squares(values: np.ndarray) -> tuple[float, float, float]:
    """Return MS_seed, MS_room and MS_rest of values (S, R)."""
    seeds, rooms = values.shape
    mean, of_seed, of_room = values.mean(), values.mean(axis=1, keepdims=True), values.mean(axis=0, keepdims=True)
    rest = values - of_seed - of_room + mean
    return (
        float(rooms * ((of_seed - mean) ** 2).sum() / (seeds - 1)),
        float(seeds * ((of_room - mean) ** 2).sum() / (rooms - 1)),
        float((rest**2).sum() / ((seeds - 1) * (rooms - 1))),
    )
