"""Shares of claims: how often thoughts name queried, context and absent objects, and how often answers change. Pure.

Two shares per kind. `answers`: the share of answers with a thought that name at least one object of the kind.
`mentions`: the share of all names, unknown things aside, that are of the kind; the three add up to 1. Intervals hold
95 % over physical spaces (`intervals.bootstrap`). Shares are given per question type, and over all answers alike.

A third share is causal, since a thought may name what no pixel showed: `changed` is the share of questions whose greedy
answer to an altered video is not the one to the true video (`probes`). `changed_minus_context` is that of the named
objects under noise minus that of as many other objects, of the questions that were asked with both.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from rollout3d.config.choices import PROBES
from rollout3d.evaluation.claims import KINDS
from rollout3d.evaluation.intervals import bootstrap
from rollout3d.evaluation.views import VIDEO, view_of
from rollout3d.scoring import scorers
from rollout3d.scoring.parse import option_letter, parse_number
from rollout3d.tables.rows import ClaimRow, ClaimShareRow, PredictionRow, QuestionRow

LOG = logging.getLogger(__name__)
WINDOWS = 10
"""Parts of a training whose shares are given, of as many steps each as can be. [assumed]"""
MEASURES = ("answers", "mentions", "changed", "changed_minus_context")
OVERALL = "overall"


def share_rows(claims: Iterable[ClaimRow], windows: int | None = None) -> list[ClaimShareRow]:
    """Return the shares of each view and question type, of the answers that can be judged.

    With `windows`, the steps of a training are divided into as many parts, each with rows of its own.
    """
    judged = [row for row in claims if row["reason"] is None]
    views = dict.fromkeys(row["view"] for row in judged)
    steps = sorted({row["step"] for row in judged if row["step"] is not None})
    parts = [part.tolist() for part in np.array_split(steps, min(windows, len(steps)))] if windows and steps else [None]
    found: list[ClaimShareRow] = []
    for part in parts:
        first, last = (None, None) if part is None else (part[0], part[-1])
        for view in views:
            own = [row for row in judged if row["view"] == view and _within(row["step"], first, last)]
            if own:
                found += _of_answers(own, view, (first, last))
    return found


def _within(step: int | None, first: int | None, last: int | None) -> bool:
    return first is None or last is None or (step is not None and first <= step <= last)


def _of_answers(rows: Sequence[ClaimRow], view: str, steps: tuple[int | None, int | None]) -> Iterator[ClaimShareRow]:
    run, benchmark = rows[0]["run"], rows[0]["benchmark"]
    counts = np.array([[row[kind] for kind in KINDS] for row in rows], float)
    types, spaces = [row["question_type"] for row in rows], [str(row["space_id"]) for row in rows]
    yield from _rows(run, benchmark, view, "answers", KINDS, counts > 0, types, spaces, steps)
    # One observation per name: its kind among the three, with the type and space of its answer.
    times = counts.astype(int)
    of_row = np.repeat(np.arange(len(rows)), times.sum(axis=1))
    kinds = np.concatenate([np.repeat(np.eye(len(KINDS)), each, axis=0) for each in times])
    named = [types[i] for i in of_row], [spaces[i] for i in of_row]
    if len(of_row):
        yield from _rows(run, benchmark, view, "mentions", KINDS, kinds, *named, steps)


def changed_rows(
    run: str, benchmark: str, predictions: Sequence[PredictionRow], questions: Sequence[QuestionRow]
) -> list[ClaimShareRow]:
    """Return the share of answers that change with each probe, and drowned minus drowned_context.

    Answers are read from the texts by the scorer that they were made for, and compared as letters or as numbers where
    they are such; no answer differs from every answer. Answers that were sampled change by themselves: if one was not
    greedy there are no rows.
    """
    if sampled := sum(bool(row.get("temperature")) for row in predictions):
        LOG.warning("run %s: %d answers are not greedy: no shares of changed answers", run, sampled)
        return []
    by_id = {row["question_id"]: row for row in questions}
    given: dict[str, dict[str, str | float | None]] = {}
    for row in predictions:
        if row["sample"] == 0:
            answers = given.setdefault(view_of(row["setting"]), {})
            answers[row["question_id"]] = _answer(row, by_id[row["question_id"]])
    own = given.get(VIDEO, {})
    changed = {
        probe: {name: float(own[name] != answer) for name, answer in given[probe].items() if name in own}
        for probe in PROBES
        if probe in given
    }
    found: list[ClaimShareRow] = []
    for probe, of in changed.items():
        found += _of_questions(run, benchmark, probe, "changed", of, by_id)
    drowned, others = changed.get("drowned", {}), changed.get("drowned_context", {})
    both = {name: drowned[name] - others[name] for name in drowned if name in others}
    return found + _of_questions(run, benchmark, "drowned", "changed_minus_context", both, by_id)


def _answer(row: PredictionRow, question: QuestionRow) -> str | float | None:
    """Return an answer in a form in which equal ones are equal: a letter, a number, or the text in lower case."""
    answer = scorers.score(row["text"], question, row["scorer"]).answer
    if answer is None:
        return None
    read = option_letter(answer) if question["options"] else parse_number(answer)
    return answer.strip().casefold() if read is None else read


def _of_questions(
    run: str,
    benchmark: str,
    view: str,
    measure: str,
    values: Mapping[str, float],
    questions: Mapping[str, QuestionRow],
) -> list[ClaimShareRow]:
    if not values:
        return []
    asked = [questions[name] for name in values]
    types = [row["question_type"] for row in asked]
    spaces = [row["space_id"] or row["scene_id"] or row["question_id"] for row in asked]
    column = np.array([*values.values()])[:, None]
    return list(_rows(run, benchmark, view, measure, (None,), column, types, spaces, (None, None)))


def _rows(
    run: str,
    benchmark: str | None,
    view: str,
    measure: str,
    kinds: Sequence[str | None],
    values: np.ndarray,
    types: Sequence[str],
    spaces: Sequence[str],
    steps: tuple[int | None, int | None],
) -> Iterator[ClaimShareRow]:
    """Yield a row per question type and kind, then per kind overall; `values`: (observations, kinds), with the type and
    space of each observation."""
    values = values.astype(float)
    of_type, of_space = np.asarray(types), np.asarray(spaces)
    names = sorted(dict.fromkeys(types))
    intervals = bootstrap(values, types, spaces, parts={name: (name,) for name in names})
    # As one type, so that every answer counts alike.
    intervals[OVERALL] = bootstrap(values, [OVERALL] * len(values), spaces, parts={OVERALL: (OVERALL,)})[OVERALL]
    for name in (*names, OVERALL):
        own = np.full(len(values), True) if name == OVERALL else of_type == name
        bounds = intervals[name] or [(None, None)] * len(kinds)
        for kind, share, (low, high) in zip(kinds, values[own].mean(axis=0).tolist(), bounds, strict=True):
            yield {
                "run": run,
                "benchmark": benchmark,
                "view": view,
                "step": steps[0],
                "last_step": steps[1],
                "question_type": name,
                "measure": measure,
                "kind": kind,
                "share": share,
                "low": low,
                "high": high,
                "n": int(own.sum()),
                "spaces": len(np.unique(of_space[own])),
            }
