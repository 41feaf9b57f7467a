"""Measures of a study's runs, and its table: each arm beside the baseline, with intervals over seeds and rooms. Pure.

Scores are those of the texts by the official scorer of reasoned answers. A view of a probe has the questions that have
such a twin (`evaluation.probes`), so its score is not of the same questions as the clean one. `seen` and
`seen_other_room` are the video minus black frames and minus another room's video, question by question: 0 for a model
that does not look. `queried`, `context` and `absent` are shares of the names of things in thoughts about the true video
(`claims`): of things that the question names, of other things in the room, and of things that are not there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from rollout3d.config.arms import BASELINE, PILOT
from rollout3d.errors import InvalidInput
from rollout3d.evaluation import crossed
from rollout3d.evaluation.scores import scored
from rollout3d.evaluation.seeing import Average
from rollout3d.evaluation.views import VIDEO, seen_view, view_of
from rollout3d.tables.rows import PredictionRow, QuestionRow, StudyRow

SCORE = "score"
"""Measure: overall score with the true video."""
DROWNED = ("drowned_context", "drowned", "drowned_all")
"""Probes whose scores are measures: noise over other objects, over those that the question names, over all."""
BLIND = ("black", "other_room")
"""Probes whose distance from the true video is a measure."""
KINDS = ("queried", "context", "absent")
"""Kinds of names in thoughts whose shares are measures."""

Rooms = dict[str, float]
"""Room -> linearised value of a run (`crossed`)."""
Cost = tuple[float, float]
"""Tokens that a training drew, and those of rollouts in its loss."""


def measures(
    predictions: Sequence[PredictionRow],
    questions: Sequence[QuestionRow],
    claims: Iterable[Mapping[str, Any]],
    average: Average,
    scorer: str,
) -> dict[str, Rooms]:
    """Return the measures of one run, by name; those whose probe was not asked, or without claims, are left out.

    `claims`: rows of the table claims of this run; none leaves the shares of names out. Raises InvalidInput if a
    prediction is about a question that `questions` lacks.
    """
    types = {row["question_id"]: row["question_type"] for row in questions}
    rooms = {row["question_id"]: row["space_id"] or row["scene_id"] or row["question_id"] for row in questions}
    if lost := {row["question_id"] for row in predictions} - types.keys():
        raise InvalidInput(f"{len(lost)} answers are to other questions, such as {min(lost)}: evaluate on this table")
    views: dict[str, list[PredictionRow]] = {}
    for row in predictions:
        views.setdefault(view_of(row["setting"]), []).append(row)
    scores = {
        view: dict(zip((row["question_id"] for row in rows), scored(rows, questions, scorer), strict=True))
        for view, rows in views.items()
    }
    wanted = {SCORE: scores.get(VIDEO, {})} | {probe: scores[probe] for probe in DROWNED if probe in scores}
    for probe in BLIND:
        if probe in scores:
            wanted[seen_view(probe)] = {q: scores[VIDEO][q] - value for q, value in scores[probe].items()}
    found = {name: crossed.of_scores(values, types, rooms, average) for name, values in wanted.items()}
    judged = [row for row in claims if row["view"] == VIDEO and row["reason"] is None]
    for kind in KINDS if judged else ():
        counts = {row["question_id"]: (row[kind], sum(row[each] for each in KINDS)) for row in judged}
        # Every run needs the same rooms: a room without thoughts that could be judged moves nothing.
        counts = dict.fromkeys(wanted[SCORE], (0, 0)) | counts
        found[kind] = crossed.of_shares(counts, rooms)
    return found


def cost(rollouts: Iterable[Mapping[str, Any]], in_loss: Mapping[str, Sequence[bool]]) -> Cost:
    """Return the cost of one training.

    `rollouts`: rows of that table (view, sample, n_tokens). `in_loss`: view -> whether each of a question's rollouts
    enters the loss, by `sample` (`training.rollouts.in_loss`). Raises InvalidInput for rollouts that it lacks, such as
    those of a step that had nothing to alter (`grpo.ablation.reallocate_when_zero`).
    """
    drawn = taught = 0
    for row in rollouts:
        flags = in_loss.get(row["view"], ())
        if row["sample"] >= len(flags):
            raise InvalidInput(
                f"rollout {row['sample']} of the view {row['view']} is none that the configuration draws: the tokens "
                "of the loss are not known (grpo.ablation.reallocate_when_zero)"
            )
        drawn += row["n_tokens"]
        taught += row["n_tokens"] * flags[row["sample"]]
    return float(drawn), float(taught)


def design_rows(pilot: Sequence[Mapping[str, Rooms]], seeds: int, rests_on: Sequence[str] = ()) -> list[StudyRow]:
    """Return the design: for each measure, the pilot's value and the smallest difference that `seeds` seeds detect."""
    rows = []
    for name, values in _matrices(PILOT, pilot).items():
        row = _row(PILOT, name, values, rests_on)
        row["detectable"] = crossed.planned(100 * values, seeds)
        rows.append(row)
    return rows


def study_rows(
    arms: Mapping[str, Sequence[Mapping[str, Rooms]]],
    design: Iterable[StudyRow],
    rests_on: Sequence[str] = (),
    costs: Mapping[str, Sequence[Cost]] | None = None,
) -> list[StudyRow]:
    """Return each measure of each arm, and its paired difference from the baseline.

    `arms`: arm -> measures of its runs, all arms with the seeds of the baseline, in the same order. `design`: rows of
    `design_rows`, whose smallest detectable differences stand beside the differences. `costs`: arm -> cost of its runs.
    """
    stated = {row["measure"]: row["detectable"] for row in design}
    values = {arm: _matrices(arm, runs) for arm, runs in arms.items()}
    rows = []
    for arm, found in values.items():
        for name, own in found.items():
            row = _row(arm, name, own, rests_on)
            row["detectable"] = stated.get(name)
            if spent := (costs or {}).get(arm):
                row["generated_tokens"], row["gradient_tokens"] = np.mean(spent, axis=0).tolist()
            if arm != BASELINE:
                base = values[BASELINE].get(name)
                if base is None or base.shape != own.shape:
                    raise InvalidInput(
                        f"arm {arm} has the measure {name} and {BASELINE} not of the same seeds and rooms"
                    )
                gap = crossed.difference(100 * (own - base))
                row["difference"], row["low"], row["high"] = gap.mean, gap.low, gap.high
                row["error"], row["by_seed"] = gap.error, list(gap.by_seed)
            rows.append(row)
    return rows


def _matrices(arm: str, runs: Sequence[Mapping[str, Rooms]]) -> dict[str, np.ndarray]:
    if any(list(run) != list(runs[0]) for run in runs):
        raise InvalidInput(f"runs of arm {arm} have different measures: evaluate all with the same probes")
    return {name: crossed.matrix([run[name] for run in runs]) for name in runs[0]}


def _row(arm: str, measure: str, values: np.ndarray, rests_on: Sequence[str]) -> StudyRow:
    seeds, rooms = values.shape
    return {
        "arm": arm,
        "measure": measure,
        "value": 100 * float(values.mean()),
        "difference": None,
        "low": None,
        "high": None,
        "error": None,
        "by_seed": None,
        "detectable": None,
        "seeds": seeds,
        "rooms": rooms,
        "generated_tokens": None,
        "gradient_tokens": None,
        "rests_on": list(rests_on),
    }
