"""Means over the answers of runs, for tables of SpaceR that describe texts."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from rollout3d.evaluation.views import VIDEO, view_of
from rollout3d.tables.rows import PredictionRow


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
