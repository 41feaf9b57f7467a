"""Measure whether a run uses its video: score on real frames minus score on a probe's, with a 95 % interval.

Both answer the same questions, so differences are taken question by question; questions about one room are not
independent, so the variance is the cluster-robust one over physical spaces (Liang and Zeger, 1986), with C / (C - 1)
for C spaces and Student's t. A benchmark's average is linear in the scores, hence the deviation that one space brings
to any of its tasks, the overall score among them, is the average of that space's own residuals.

Several tasks are looked at, and one of eight intervals misses by chance soon enough. So the intervals of the tasks hold
together with 95 %: each has 1 - 0.05 / m for m tasks (Bonferroni). The overall score is one number and has 95 % alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rollout3d.scoring.aggregate import Mean

CONFIDENCE = 0.95
OVERALL = "overall"
"""Task that is the average of the others."""

Average = Callable[[Mapping[str, Sequence[float]]], dict[str, Mean]]


@dataclass(frozen=True)
class Gain:
    """Mean of `n` differences and its interval; `low` and `high` are None where all questions are about one space."""

    mean: float
    low: float | None
    high: float | None
    n: int


def gains(
    differences: Mapping[str, float], cells: Mapping[str, str], spaces: Mapping[str, str], average: Average
) -> dict[str, Gain]:
    """Return the gain of each task, tasks without questions left out.

    `differences`: question id -> score on the video minus score on the probe, -1 to 1; `cells`, `spaces`: question id
    -> cell that its score is averaged in (`benchmarks.cells`), physical space; `average`: of the benchmark.
    """
    from scipy.stats import t

    by_cell: dict[str, list[str]] = {}
    for question in differences:
        by_cell.setdefault(cells[question], []).append(question)
    means = average({name: [differences[q] for q in ids] for name, ids in by_cell.items()})
    centre = {name: math.fsum(differences[q] for q in ids) / len(ids) for name, ids in by_cell.items()}
    squares = dict.fromkeys(means, 0.0)
    clusters = dict.fromkeys(means, 0)
    for space in sorted(set(spaces[q] for q in differences)):
        own = {
            name: [differences[q] - centre[name] if spaces[q] == space else 0.0 for q in ids]
            for name, ids in by_cell.items()
        }
        counts = average({name: [1.0 for q in ids if spaces[q] == space] for name, ids in by_cell.items()})
        for task, part in average(own).items():
            if part.score is not None:
                squares[task] += part.score**2
                clusters[task] += counts[task].n > 0
    tasks = sum(mean.score is not None for task, mean in means.items() if task != OVERALL)
    found = {}
    for task, mean in means.items():
        if mean.score is None:
            continue
        count, half = clusters[task], None
        if count > 1:
            deviation = math.sqrt(count / (count - 1) * squares[task])
            outside = (1 - CONFIDENCE) / (1 if task == OVERALL else tasks)
            half = float(t.ppf(1 - outside / 2, count - 1)) * deviation
        low, high = (None, None) if half is None else (mean.score - half, mean.score + half)
        found[task] = Gain(mean.score, low, high, mean.n)
    return found
