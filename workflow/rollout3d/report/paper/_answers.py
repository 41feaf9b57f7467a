"""Means over the answers of runs, for tables of SpaceR that describe texts."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from rollout3d.evaluation.views import VIDEO, view_of
from rollout3d.tables.rows import PredictionRow, ScoreRow

MAP_ACCURACY = "Map accuracy"
"""Column of SpaceR's tables 5 and 6."""


def map_accuracy(scores: Iterable[ScoreRow]) -> dict[tuple[str, str], tuple[float, int]]:
    """Return the mean accuracy of the maps of each run's answers about the true videos, percent, and the number of
    answers with a map, by run and column."""
    return {
        (row["run"], MAP_ACCURACY): (100 * accuracy, round(row["n"] * (row.get("mapped") or 0)))
        for row in scores
        if row["task"] == "overall" and row["view"] == VIDEO and (accuracy := row.get("map_accuracy")) is not None
    }


def by_run(answers: Iterable[PredictionRow]) -> dict[str, list[PredictionRow]]:
    """Return the answers of each run about the true videos, without probes."""
    found: dict[str, list[PredictionRow]] = {}
    for row in answers:
        if view_of(row["setting"]) == VIDEO:
            found.setdefault(row["model"], []).append(row)
    return found


def means(
    answers: Iterable[PredictionRow], column: str, measure: Callable[[PredictionRow], float]
) -> dict[tuple[str, str], tuple[float, int]]:
    """Return the mean of a measure over the answers of each run, and their number, by run and column."""
    found = {run: [measure(row) for row in rows] for run, rows in by_run(answers).items()}
    return {(run, column): (sum(values) / len(values), len(values)) for run, values in found.items()}
