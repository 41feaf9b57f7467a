"""Predictions -> the scores of a run on a benchmark, with the guessing baselines beside them. Pure.

A score is worked out from the text: the number that stands beside it in the predictions is never used.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rollout3d.config.evaluation import PROBES
from rollout3d.evaluation import benchmarks, settings
from rollout3d.evaluation.baselines import BASELINES, training_answers
from rollout3d.evaluation.seeing import gains
from rollout3d.scoring.aggregate import DIRECTIONS
from rollout3d.scoring.parse import well_formed
from rollout3d.scoring.scorers import score

LOG = logging.getLogger(__name__)
Row = Mapping[str, Any]
GUESSED = {"scorer": None, "settings": None, "model_digest": None}
"""How a guess was made."""
VIDEO = "video"
"""The view of a question's own video; the others are the probes (`config.evaluation.PROBES`)."""


def view_of(setting: str) -> str:
    """The view that a setting of the predictions belongs to: settings of a probe begin with its name."""
    return next((probe for probe in PROBES if setting.startswith(probe)), VIDEO)


def seen_view(probe: str) -> str:
    """The view that is the video's scores minus those with a probe: seen for black frames, seen_PROBE for others."""
    return "seen" if probe == "black" else f"seen_{probe}"


def score_rows(
    run: str,
    benchmark: str,
    predictions: Sequence[Row],
    questions: Sequence[Row],
    training: Iterable[Row],
    rests_on: Sequence[str] = (),
    *,
    scorers: Sequence[str] = (settings.AUTO,),
    wanted: Row | None = None,
) -> list[dict[str, Any]]:
    """SCORES rows: for each scorer and view (video; each probe that was run, and the video minus it) the tasks with
    questions, and overall; then the same of guessing (random, frequent), which no scorer changes.

    `training` is the table that the baselines guess from (question_type and ground_truth are read). `rests_on`: names
    of kept rules and runs, written into every row. `scorers`: the first one is the official one of this run; auto
    stands for the one that suits how the answers were asked for (`settings.scorer_of`). `wanted`: what the
    configuration asks for (`settings.configured`), with which the predictions must agree. `well_formed` is given for
    the tagged scorer only: direct answers have no format to keep. In the view of a probe only questions with such a
    twin have answers (`evaluation.probes`). Raises ValueError if a view does not answer each of its questions exactly
    once, because unanswered questions would silently raise or lower the average; for an unknown
    scorer; and what `settings.line` raises.
    """
    kinds = {row["question_id"]: row["question_type"] for row in questions}
    if len(kinds) != len(questions):
        raise ValueError(f"benchmark {benchmark}: question ids are not unique")
    average = benchmarks.get(benchmark).average
    rows: list[dict[str, Any]] = []
    shared = {
        "run": run,
        "benchmark": benchmark,
        "rests_on": list(rests_on),
        "part": settings.part_of(benchmark, questions),
    }

    def add(
        view: str, scores: Mapping[str, list[float]], how: Row = GUESSED, formed: Mapping[str, list[bool]] | None = None
    ) -> None:
        for task, mean in average(scores).items():
            if mean.score is not None:
                about = {"task": task, "view": view, "score": 100 * mean.score, "low": None, "high": None, "n": mean.n}
                rows.append(shared | how | about | {"well_formed": _share(task, formed) if formed else None})

    views: dict[str, list[Row]] = {}
    hows: dict[str, dict[str, Any]] = {}
    for view in (VIDEO, *PROBES):
        answered = [p for p in predictions if view_of(p["setting"]) == view]
        if not answered and view != VIDEO:
            continue
        _complete(answered, kinds, f"run {run} on {benchmark}, view {view}", partly=view not in (VIDEO, "black"))
        views[view] = answered
        hows[view] = {"settings": settings.line(answered, wanted, rests_on), "model_digest": _model(answered)}
    spaces = {row["question_id"]: row["space_id"] or row["scene_id"] for row in questions}
    for scorer in _resolved(scorers, views[VIDEO]):
        by_view: dict[str, dict[str, float]] = {}
        for view, answered in views.items():
            found = scored(answered, questions, scorer)
            scores: dict[str, list[float]] = {}
            formed: dict[str, list[bool]] = {}
            for p, value in zip(answered, found, strict=True):
                kind = kinds[p["question_id"]]
                scores.setdefault(kind, []).append(value)
                if scorer == "tagged":
                    formed.setdefault(kind, []).append(well_formed(p["text"], strict=False))
            add(view, scores, hows[view] | {"scorer": scorer}, formed)
            by_view[view] = {p["question_id"]: value for p, value in zip(answered, found, strict=True)}
        for view, theirs in by_view.items():
            if view == VIDEO:
                continue
            differences = {q: by_view[VIDEO][q] - value for q, value in theirs.items()}
            for task, gain in gains(differences, kinds, spaces, average).items():
                low, high = (None if x is None else 100 * x for x in (gain.low, gain.high))
                about = {"task": task, "view": seen_view(view), "score": 100 * gain.mean, "low": low, "high": high}
                rows.append(shared | hows[VIDEO] | about | {"n": gain.n, "scorer": scorer, "well_formed": None})

    answers = training_answers(training)
    for view, baseline in BASELINES.items():
        guesses: dict[str, list[float]] = {}
        for row in questions:
            guesses.setdefault(row["question_type"], []).append(baseline(row, answers))
        add(view, guesses)
    return rows


def scored(predictions: Sequence[Row], questions: Sequence[Row], scorer: str) -> list[float]:
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


def _resolved(scorers: Sequence[str], answered: Sequence[Row]) -> list[str]:
    """The scorers' names in order, each once. For auto the prompt decides; predictions that do not tell it, tell which
    scorer they were made for."""
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
            name = made_for[0] if style is None else settings.scorer_of(style)
        names.append(name)
    return list(dict.fromkeys(names))


def _model(answered: Sequence[Row]) -> str | None:
    digests = {p.get("model_digest") for p in answered}
    if len(digests - {None}) > 1:
        raise ValueError(f"answers of {len(digests)} models stand in one table: evaluate all shards again")
    return next(iter(digests)) if len(digests) == 1 else None


def _share(task: str, formed: Mapping[str, list[bool]]) -> float | None:
    kinds = {"overall": tuple(formed), "object_rel_direction": DIRECTIONS}.get(task, (task,))
    values = [value for kind in kinds for value in formed.get(kind, ())]
    return sum(values) / len(values) if values else None


def _complete(answered: Sequence[Row], kinds: Mapping[str, str], what: str, partly: bool) -> None:
    ids = [p["question_id"] for p in answered]
    complete = set(ids) <= set(kinds) and len(set(ids)) == len(ids) if partly else sorted(ids) == sorted(kinds)
    if not complete:
        lost, extra = sorted(set(kinds) - set(ids)), sorted(set(ids) - set(kinds))
        raise ValueError(
            f"{what}: {len(kinds)} questions but {len(ids)} answers; {len(lost)} unanswered {lost[:3]}, "
            f"{len(extra)} of other questions {extra[:3]}: evaluate again on this question table"
        )
