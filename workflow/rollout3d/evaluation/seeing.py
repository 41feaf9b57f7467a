"""Whether a run uses its video: the score with the true frames less the one with black frames, with its interval.

Both answer the same questions, so differences are taken question by question; questions about one room are not
independent, so the variance is the cluster-robust one over physical spaces (Liang and Zeger, 1986), with C / (C - 1)
for C spaces and Student's t. A benchmark's average is linear in the scores, hence the deviation that one space brings
to any of its tasks, the overall score among them, is the average of that space's own residuals.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rollout3d.scoring.aggregate import Mean

CONFIDENCE = 0.95

Average = Callable[[Mapping[str, Sequence[float]]], dict[str, Mean]]


@dataclass(frozen=True)
class Gain:
    """`mean` of the differences, and its interval; `low` and `high` are None where a single space was asked about."""

    mean: float
    low: float | None
    high: float | None
    n: int


def gains(
    differences: Mapping[str, float], kinds: Mapping[str, str], spaces: Mapping[str, str], average: Average
) -> dict[str, Gain]:
    """Task -> gain, tasks without questions left out.

    `differences`: question id -> score with the video less score with black frames, -1 to 1; `kinds`, `spaces`:
    question id -> question type, physical space.
    """
    from scipy.stats import t

    by_kind: dict[str, list[str]] = {}
    for question in differences:
        by_kind.setdefault(kinds[question], []).append(question)
    means = average({kind: [differences[q] for q in ids] for kind, ids in by_kind.items()})
    centre = {kind: math.fsum(differences[q] for q in ids) / len(ids) for kind, ids in by_kind.items()}
    squares = dict.fromkeys(means, 0.0)
    clusters = dict.fromkeys(means, 0)
    for space in sorted(set(spaces[q] for q in differences)):
        own = {
            kind: [differences[q] - centre[kind] if spaces[q] == space else 0.0 for q in ids]
            for kind, ids in by_kind.items()
        }
        asked = average({kind: [1.0 for q in ids if spaces[q] == space] for kind, ids in by_kind.items()})
        for task, part in average(own).items():
            if part.score is not None:
                squares[task] += part.score**2
                clusters[task] += asked[task].n > 0
    found = {}
    for task, mean in means.items():
        if mean.score is None:
            continue
        count, half = clusters[task], None
        if count > 1:
            deviation = math.sqrt(count / (count - 1) * squares[task])
            half = float(t.ppf((1 + CONFIDENCE) / 2, count - 1)) * deviation
        low, high = (None, None) if half is None else (mean.score - half, mean.score + half)
        found[task] = Gain(mean.score, low, high, mean.n)
    return found
