"""Predictions -> the scores of a run on a benchmark, with the guessing baselines beside them. Pure.

A score is worked out from the text: the number that stands beside it in the predictions is never used.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from rollout3d import doors
from rollout3d.config.choices import PROBES
from rollout3d.config.evaluation import official_scorer
from rollout3d.evaluation import benchmarks, settings
from rollout3d.evaluation.baselines import BASELINES, training_answers
from rollout3d.evaluation.maps import map_scores
from rollout3d.evaluation.seeing import Average, gains
from rollout3d.evaluation.views import VIDEO, seen_view, view_of
from rollout3d.geometry.gridmap import CognitiveMap
from rollout3d.model.wordings import is_direct
from rollout3d.questions.thought import follows
from rollout3d.scoring.maps import GRID
from rollout3d.scoring.parse import well_formed
from rollout3d.scoring.scorers import score
from rollout3d.tables.rows import PredictionRow, QuestionRow, ScoreRow

LOG = logging.getLogger(__name__)
GUESSED: Mapping[str, None] = {"scorer": None, "settings": None, "model_digest": None}
"""How a guess was made."""
SHARES = ("well_formed", "readable", "consistent", "mapped", "map_accuracy", "map_accuracy_code")
"""Columns with shares of the answers, or with means over some of them."""


def score_rows(
    run: str,
    benchmark: str,
    predictions: Sequence[PredictionRow],
    questions: Sequence[QuestionRow],
    training: Iterable[QuestionRow],
    rests_on: Sequence[str] = (),
    *,
    scorers: Sequence[str] = (settings.AUTO,),
    wanted: Mapping[str, Any] | None = None,
    maps: Mapping[str, CognitiveMap] | None = None,
    grid: int = GRID,
) -> list[ScoreRow]:
    """Score a run on a benchmark: for each scorer and view a row per task with questions, and one for overall.

    Views are the video, each probe that was run, and the video minus that probe. The same of guessing (random,
    frequent) follows, which no scorer changes.

    `training`: the table that the baselines guess from (question_type and ground_truth are read). `rests_on`: names of
    kept rules and runs, written into every row. `scorers`: the first one is the official one of this run; auto stands
    for the official scorer of the prompt style (`official_scorer`) and those beside it (`BESIDE` of the benchmark's
    file). Guesses are those of `GUESSES`. `wanted`: what the configuration asks for (`settings.configured`), with which
    the predictions must agree. `well_formed` is given for answers whose prompt asked for reasoning, and where the
    prompt is not known for scorers with a `FORMAT`: direct answers have no format to keep. For the same answers,
    `readable` is the share whose thought can be judged and `consistent` the share of those that follow from it
    (`questions.thought`). In the view of a probe only questions with such a twin have answers (`model.probes`).
    `maps`: scene -> its true map of `grid` x `grid` cells, with which the maps that answers draw, or that prompts gave,
    are compared; None compares none.

    Raises ValueError if a view does not answer each of its questions exactly once, because unanswered questions would
    silently raise or lower the average; for an unknown scorer; and what `settings.line` raises.
    """
    by_id = {row["question_id"]: row for row in questions}
    cell_of = benchmarks.cells(benchmark)
    cells = {name: cell_of(row) for name, row in by_id.items()}
    if len(cells) != len(questions):
        raise ValueError(f"benchmark {benchmark}: question ids are not unique")
    average = benchmarks.get(benchmark).average
    rows: list[ScoreRow] = []
    shared = {
        "run": run,
        "benchmark": benchmark,
        "rests_on": list(rests_on),
        "part": settings.part_of(benchmark, questions),
    }

    def add(**values: Any) -> None:
        rows.append(cast(ScoreRow, {**shared, **values}))

    def add_means(
        view: str,
        scores: Mapping[str, list[float]],
        how: Mapping[str, Any] = GUESSED,
        kept: Mapping[str, Mapping[str, list[float]]] | None = None,
    ) -> None:
        for task, mean in average(scores).items():
            if mean.score is not None:
                shares = {name: _share(task, (kept or {}).get(name, {}), average) for name in SHARES}
                numbers = {"score": 100 * mean.score, "low": None, "high": None, "n": mean.n}
                add(**how, task=task, view=view, **numbers, **shares)

    views: dict[str, list[PredictionRow]] = {}
    made: dict[str, dict[str, Any]] = {}
    for view in (VIDEO, *PROBES):
        answered = [p for p in predictions if view_of(p["setting"]) == view]
        if not answered and view != VIDEO:
            continue
        _complete(answered, cells, f"run {run} on {benchmark}, view {view}", partly=view != VIDEO)
        views[view] = answered
        made[view] = {"settings": settings.line(answered, wanted, rests_on), "model_digest": _model(answered)}
    spaces = {row["question_id"]: row["space_id"] or row["scene_id"] or row["question_id"] for row in questions}
    for scorer in _resolved(scorers, views[VIDEO], benchmark):
        by_view: dict[str, dict[str, float]] = {}
        for view, answered in views.items():
            found = scored(answered, questions, scorer)
            scores: dict[str, list[float]] = {}
            kept: dict[str, dict[str, list[float]]] = {name: {} for name in SHARES}
            for p, value in zip(answered, found, strict=True):
                cell = cells[p["question_id"]]
                scores.setdefault(cell, []).append(value)
                if maps is not None:
                    truth = maps.get(by_id[p["question_id"]]["scene_id"] or "")
                    drawn = map_scores(p, truth, grid) if truth else None
                    kept["mapped"].setdefault(cell, []).append(drawn is not None)
                    if drawn is not None:
                        kept["map_accuracy"].setdefault(cell, []).append(drawn.paper)
                        kept["map_accuracy_code"].setdefault(cell, []).append(drawn.code)
                if _has_format(p, scorer):
                    kept["well_formed"].setdefault(cell, []).append(well_formed(p["text"], strict=False))
                    led = follows(p["text"], by_id[p["question_id"]])
                    kept["readable"].setdefault(cell, []).append(led is not None)
                    if led is not None:
                        kept["consistent"].setdefault(cell, []).append(led)
            add_means(view, scores, made[view] | {"scorer": scorer}, kept)
            by_view[view] = {p["question_id"]: value for p, value in zip(answered, found, strict=True)}
        for view, theirs in by_view.items():
            if view == VIDEO:
                continue
            differences = {q: by_view[VIDEO][q] - value for q, value in theirs.items()}
            for task, gain in gains(differences, cells, spaces, average).items():
                low, high = (None if x is None else 100 * x for x in (gain.low, gain.high))
                numbers = {"score": 100 * gain.mean, "low": low, "high": high, "n": gain.n}
                add(**made[VIDEO], scorer=scorer, task=task, view=seen_view(view), **numbers, **dict.fromkeys(SHARES))

    answers = training_answers(training)
    for view in doors.BENCHMARKS.constant(benchmark, "GUESSES", tuple(BASELINES)):
        guesses: dict[str, list[float]] = {}
        for row in questions:
            guesses.setdefault(cells[row["question_id"]], []).append(BASELINES[view](row, answers))
        add_means(view, guesses)
    return rows


def _has_format(prediction: PredictionRow, scorer: str) -> bool:
    """Return whether an answer has a format to keep."""
    prompt = prediction["prompt"]
    return bool(doors.SCORERS.constant(scorer, "FORMAT", False)) if prompt is None else not is_direct(prompt)


def scored(predictions: Sequence[PredictionRow], questions: Sequence[QuestionRow], scorer: str) -> list[float]:
    """Score the text of each prediction by `scorer`, 0 to 1; log how many stored scores of that scorer differ.

    Raises ValueError for an unknown scorer.
    """
    by_id = {row["question_id"]: row for row in questions}
    found = [score(p["text"], by_id[p["question_id"]], scorer).score for p in predictions]
    differ = sum(
        p["scorer"] == scorer and abs(p["score"] - value) > 1e-9 for p, value in zip(predictions, found, strict=True)
    )
    if differ:
        LOG.warning(
            "%d of %d scores stored with the predictions are not those of their texts by %s; the texts count",
            differ,
            len(predictions),
            scorer,
        )
    return found


def _resolved(scorers: Sequence[str], answered: Sequence[PredictionRow], benchmark: str) -> list[str]:
    """Return the scorers' names in order, each once.

    For auto the prompt decides; where predictions do not name their prompt, the scorer that they were made for.
    """
    if not answered:
        return []
    style = settings.style_in(answered)
    made_for = sorted({p["scorer"] for p in answered})
    names: list[str] = []
    for name in scorers:
        if name == settings.AUTO:
            if style is None and len(made_for) != 1:
                raise ValueError(
                    f"the predictions are for several scorers ({', '.join(made_for) or 'none'}): name one in "
                    "evaluation.scorers instead of auto"
                )
            names.append(made_for[0] if style is None else official_scorer(style, benchmark))
            names += doors.BENCHMARKS.constant(benchmark, "BESIDE", ())
        else:
            names.append(name)
    return list(dict.fromkeys(names))


def _model(answered: Sequence[PredictionRow]) -> str | None:
    digests = {p.get("model_digest") for p in answered}
    if len(digests - {None}) > 1:
        raise ValueError(f"answers of {len(digests)} models stand in one table: evaluate all shards again")
    return next(iter(digests)) if len(digests) == 1 else None


def _share(task: str, of_cell: Mapping[str, list[float]], average: Average) -> float | None:
    """Mean of the values of the questions that a task of the benchmark averages; None without values."""
    values = [value for name, own in of_cell.items() if _counts(name, task, average) for value in own]
    return sum(values) / len(values) if values else None


def _counts(cell: str, task: str, average: Average) -> bool:
    """Return whether questions of a cell belong to a task of the benchmark."""
    mean = average({cell: [1.0]}).get(task)
    return mean is not None and mean.n > 0


def _complete(answered: Sequence[PredictionRow], asked: Mapping[str, str], what: str, partly: bool) -> None:
    ids = [p["question_id"] for p in answered]
    complete = set(ids) <= set(asked) and len(set(ids)) == len(ids) if partly else sorted(ids) == sorted(asked)
    if not complete:
        lost, extra = sorted(set(asked) - set(ids)), sorted(set(ids) - set(asked))
        raise ValueError(
            f"{what}: {len(asked)} questions but {len(ids)} answers; {len(lost)} unanswered {lost[:3]}, "
            f"{len(extra)} of other questions {extra[:3]}: evaluate again on this question table"
        )
