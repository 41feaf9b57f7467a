"""Predictions -> the scores of a run on a benchmark, with the guessing baselines beside them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rollout3d.evaluation import benchmarks
from rollout3d.evaluation.baselines import BASELINES, training_answers
from rollout3d.evaluation.seeing import gains
from rollout3d.scoring.aggregate import DIRECTIONS
from rollout3d.scoring.parse import well_formed

Row = Mapping[str, Any]
BLACK = "black"
"""Settings whose name starts so were answered on black frames."""
SEEN = "seen"
"""The view that is the video's scores less those on black frames."""


def score_rows(
    run: str,
    benchmark: str,
    predictions: Sequence[Row],
    questions: Sequence[Row],
    training: Iterable[Row],
    rests_on: Sequence[str] = (),
) -> list[dict[str, Any]]:
    """SCORES rows: for each view (video; black and seen if it was run; random, frequent) the tasks with questions, and
    overall.

    `training` is the table that the baselines guess from (question_type and ground_truth are read). `rests_on`: names
    of kept rules and runs, written into every row. `well_formed` is given for the tagged scorer only: direct answers
    have no format to keep. Raises ValueError if a view does not answer every question exactly once: unanswered
    questions would silently raise or lower the average.
    """
    kinds = {row["question_id"]: row["question_type"] for row in questions}
    if len(kinds) != len(questions):
        raise ValueError(f"benchmark {benchmark}: question ids are not unique")
    average = benchmarks.get(benchmark).average
    rows: list[dict[str, Any]] = []

    def add(view: str, scores: Mapping[str, list[float]], formed: Mapping[str, list[bool]] | None = None) -> None:
        for task, mean in average(scores).items():
            if mean.score is not None:
                rows.append(
                    {
                        "run": run,
                        "benchmark": benchmark,
                        "task": task,
                        "view": view,
                        "score": 100 * mean.score,
                        "low": None,
                        "high": None,
                        "n": mean.n,
                        "well_formed": _share(task, formed) if formed else None,
                    }
                )

    by_view: dict[str, dict[str, float]] = {}
    for view in ("video", BLACK):
        answered = [p for p in predictions if p["setting"].startswith(BLACK) == (view == BLACK)]
        if not answered and view == BLACK:
            continue
        _complete(answered, kinds, f"run {run} on {benchmark}, view {view}")
        scores: dict[str, list[float]] = {}
        formed: dict[str, list[bool]] = {}
        for p in answered:
            kind = kinds[p["question_id"]]
            scores.setdefault(kind, []).append(p["score"])
            if p["scorer"] == "tagged":
                formed.setdefault(kind, []).append(well_formed(p["text"], strict=False))
        add(view, scores, formed)
        by_view[view] = {p["question_id"]: p["score"] for p in answered}
    if BLACK in by_view:
        spaces = {row["question_id"]: row["space_id"] or row["scene_id"] for row in questions}
        differences = {q: score - by_view[BLACK][q] for q, score in by_view["video"].items()}
        for task, gain in gains(differences, kinds, spaces, average).items():
            interval = {name: None if x is None else 100 * x for name, x in (("low", gain.low), ("high", gain.high))}
            rows.append(
                {"run": run, "benchmark": benchmark, "task": task, "view": SEEN, "score": 100 * gain.mean}
                | interval
                | {"n": gain.n, "well_formed": None}
            )

    answers = training_answers(training)
    for view, baseline in BASELINES.items():
        guesses: dict[str, list[float]] = {}
        for row in questions:
            guesses.setdefault(row["question_type"], []).append(baseline(row, answers))
        add(view, guesses)
    return [row | {"rests_on": list(rests_on)} for row in rows]


def _share(task: str, formed: Mapping[str, list[bool]]) -> float | None:
    kinds = {"overall": tuple(formed), "object_rel_direction": DIRECTIONS}.get(task, (task,))
    values = [value for kind in kinds for value in formed.get(kind, ())]
    return sum(values) / len(values) if values else None


def _complete(answered: Sequence[Row], kinds: Mapping[str, str], what: str) -> None:
    ids = [p["question_id"] for p in answered]
    if sorted(ids) != sorted(kinds):
        lost, extra = sorted(set(kinds) - set(ids)), sorted(set(ids) - set(kinds))
        raise ValueError(
            f"{what}: {len(kinds)} questions but {len(ids)} answers; {len(lost)} unanswered {lost[:3]}, "
            f"{len(extra)} of other questions {extra[:3]}: evaluate again on this question table"
        )
