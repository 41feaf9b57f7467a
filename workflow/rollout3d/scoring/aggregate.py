"""VSI-Bench's averages: eight tasks, and their unweighted mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

DIRECTIONS = ("object_rel_direction_easy", "object_rel_direction_medium", "object_rel_direction_hard")
TASKS = (
    "object_counting",
    "object_abs_distance",
    "object_size_estimation",
    "room_size_estimation",
    "object_rel_distance",
    "object_rel_direction",
    "route_planning",
    "obj_appearance_order",
)
"""The eight tasks, in the order of VSI-Bench's Table 1."""


@dataclass(frozen=True)
class Mean:
    """`score`: mean from 0 to 1, None where nothing was scored; `n`: questions behind it."""

    score: float | None
    n: int


def vsibench(scores: Mapping[str, Sequence[float]]) -> dict[str, Mean]:
    """Scores per question type (0 to 1) -> the eight tasks in order, then "overall".

    The relative direction task is the plain mean of the means of its three types, however many questions each has,
    and overall the unweighted mean of the tasks. Tasks (and direction types) without questions have score None and
    n 0 and are left out of the means above them: compare overall scores only where all eight tasks have questions.
    Raises ValueError for a question type that is not VSI-Bench's.
    """
    unknown = sorted(set(scores) - set(TASKS) - set(DIRECTIONS))
    if unknown or "object_rel_direction" in scores:
        raise ValueError(
            f"not question types of VSI-Bench: {unknown or ['object_rel_direction (a task of three types)']}"
        )
    means: dict[str, Mean] = {}
    for task in TASKS:
        kinds = DIRECTIONS if task == "object_rel_direction" else (task,)
        means[task] = _mean_of([_mean(scores.get(kind, ())) for kind in kinds])
    means["overall"] = _mean_of(list(means.values()))
    return means


def _mean(values: Sequence[float]) -> Mean:
    return Mean(sum(values) / len(values), len(values)) if len(values) else Mean(None, 0)


def _mean_of(parts: Sequence[Mean]) -> Mean:
    scored = [part.score for part in parts if part.score is not None]
    return Mean(sum(scored) / len(scored) if scored else None, sum(part.n for part in parts))
