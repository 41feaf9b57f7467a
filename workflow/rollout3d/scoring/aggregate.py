"""VSI-Bench's averages: eight tasks, and their unweighted mean. Question types of others are tasks beside them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rollout3d.config import question_types
from rollout3d.questions import types
from rollout3d.questions.types import Task


@dataclass(frozen=True)
class Mean:
    """`score`: mean from 0 to 1, None where nothing was scored; `n`: questions behind it."""

    score: float | None
    n: int


def tasks(names: Iterable[str] = ()) -> dict[Task, tuple[str, ...]]:
    """Return tasks with their question types: VSI-Bench's eight in the order of its Table 1, then those of `names`.

    Raises ValueError for a name that is no question type.
    """
    names = set(names)
    unknown = sorted(names - set(question_types.NAMES))
    if unknown:
        raise ValueError(f"no question types: {', '.join(unknown)}; a type is a file of questions/types")
    found: dict[Task, list[str]] = {}
    for name in question_types.asked(names):
        found.setdefault(types.load(name).scored_as, []).append(name)
    return {task: tuple(found[task]) for task in sorted(found, key=lambda task: (task.place, task.name))}


def task_named(name: str) -> Task | None:
    """Return the task of a name in a table of scores; None for "overall"."""
    names = (*question_types.PER_SCENE, *question_types.NAMES)
    return next((task for each in names if (task := types.load(each).scored_as).name == name), None)


def vsibench(scores: Mapping[str, Sequence[float]]) -> dict[str, Mean]:
    """Return the mean of each task, and "overall", of scores per question type (0 to 1).

    The relative direction task is the plain mean of the means of its three types, however many questions each has,
    and overall the unweighted mean of the tasks. Tasks (and direction types) without questions have score None and
    n 0 and are left out of the means above them: compare overall scores only where the same tasks have questions.
    Raises ValueError for a name that is no question type.
    """
    means = {
        task.name: _mean_of([_mean(scores.get(name, ())) for name in names]) for task, names in tasks(scores).items()
    }
    means["overall"] = _mean_of(list(means.values()))
    return means


def _mean(values: Sequence[float]) -> Mean:
    return Mean(sum(values) / len(values), len(values)) if len(values) else Mean(None, 0)


def _mean_of(parts: Sequence[Mean]) -> Mean:
    scored = [part.score for part in parts if part.score is not None]
    return Mean(sum(scored) / len(scored) if scored else None, sum(part.n for part in parts))
