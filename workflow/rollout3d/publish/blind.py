"""What questions and models give away without a video: guesses from the text, and answers to black frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from rollout3d import doors, tables
from rollout3d.evaluation import benchmarks
from rollout3d.evaluation.intervals import bootstrap_of
from rollout3d.evaluation.scores import scored
from rollout3d.evaluation.settings import official
from rollout3d.evaluation.views import VIDEO, seen_view, view_of
from rollout3d.publish.markdown import percent, table, with_interval
from rollout3d.publish.study import first_parent_is
from rollout3d.questions.bias import bias_table
from rollout3d.report.lines import PROBE_WORDS
from rollout3d.report.questions import ABOVE, bias_lines
from rollout3d.tables.rows import QuestionRow, ScoreRow

Row = Mapping[str, Any]


def bias_rows(results: Path, train: Path, rows: Sequence[QuestionRow]) -> Sequence[Row]:
    """Return the rows of the table bias of a training table: those of the stage `bias`, if they are of these questions.

    Else they are measured here. `rows`: the questions of `train`.
    """
    made = results / "report" / "bias.parquet"
    if made.is_file() and first_parent_is(made, "questions", [train]):
        return tables.read(tables.BIAS, made)
    return bias_table(rows)


def bias_section(rows: Sequence[Row]) -> str:
    """Return, as Markdown, how well the answers are guessed from the texts alone, per question type."""
    if not rows:
        return "No question."
    _, lines = bias_lines(rows)
    shown = []
    for line in lines:
        rules = {name: value for name, value in line["scores"].items() if name != "chance"}
        best = max(rules, key=lambda name: (rules[name], name), default=None)
        far = best is not None and best in line["marked"]
        best_text = "" if best is None else f"{rules[best]:.1f} ({best})" + (" **above chance**" if far else "")
        shown.append((line["type"], line["answers"], line["n"], percent(line["chance"]), best_text))
    columns = ["Question type", "Most frequent answers", "questions", "chance, %", "best guess from the text, %"]
    note = (
        "Scores of guessing without any picture: at random, and by the best of a few rules over question and options "
        "(`rollout3d bias`), such as the answer that was frequent in other rooms. A model that reaches this score has "
        f"not shown that it uses the video. Marked are rules more than {100 * ABOVE:.0f} points above chance."
    )
    return f"{note}\n\n{table(columns, shown, numbers=3)}"


def score_rows(results: Path, run: str | None = None) -> list[ScoreRow]:
    """Return the official scores of a run, or of all runs, on every benchmark of a results folder."""
    return official(tables.read_many(tables.SCORES, sorted((results / "eval").glob(f"{run or '*'}/*/scores.parquet"))))


def blind_section(scores: Sequence[ScoreRow]) -> str:
    """Return, as Markdown, each run's overall score on its video, on videos that cannot answer, and of guessing."""
    parts = []
    for benchmark in sorted({row["benchmark"] for row in scores}):
        mine = {(r["run"], r["view"]): r for r in scores if r["benchmark"] == benchmark and r["task"] == "overall"}
        probes = [probe for probe in PROBE_WORDS if any(view == probe for _, view in mine)]
        lines = []
        for run in sorted({run for run, view in mine if view == VIDEO}):
            line = [run, percent(mine[run, VIDEO]["score"])]
            for probe in probes:
                line += [_score(mine.get((run, probe))), _score(mine.get((run, seen_view(probe))), signed=True)]
            lines.append(line)
        guesses = next(iter(lines), [None])[0]
        for view, name in (("random", "random guess"), ("frequent", "frequent answer")):
            if (guess := mine.get((str(guesses), view))) is not None:
                lines.append([name, percent(guess["score"]), *[""] * (2 * len(probes))])
        columns = ["Model", "its video, %"]
        for probe in probes:
            columns += [f"{PROBE_WORDS[probe]}, %", "video minus that"]
        parts.append(f"Benchmark {benchmark}:\n\n{table(columns, lines, numbers=len(columns) - 1)}")
    if not parts:
        return "Not measured: these results hold no scores."
    note = (
        "Overall scores of models on the same questions with their video, and with videos that cannot answer them. "
        "Differences are taken on the questions that were asked both ways, with 95 % intervals over rooms where known."
    )
    return "\n\n".join([note, *parts])


def _score(row: Row | None, signed: bool = False) -> str:
    return "" if row is None else with_interval(row["score"], row["low"], row["high"], signed)


def video_intervals(results: Path, run: str, benchmark: str, scorer: str | None) -> dict[str, tuple[float, float]]:
    """Return the 95 % interval of a run's score on its videos, percent, by task: bootstrap over rooms.

    Empty where answers or questions are no longer there.
    """
    answers = results / "eval" / run / benchmark / "predictions.parquet"
    asked = results / "benchmarks" / benchmark / "questions.parquet"
    if scorer is None or benchmark not in doors.BENCHMARKS.names or not (answers.is_file() and asked.is_file()):
        return {}
    questions = tables.read_light(tables.QUESTIONS, asked)
    by_id = {row["question_id"]: row for row in questions}
    predictions = [row for row in tables.read(tables.PREDICTIONS, answers) if view_of(row["setting"]) == VIDEO]
    if any(row["question_id"] not in by_id for row in predictions):
        return {}
    found = np.array(scored(predictions, questions, scorer))[:, None]
    mine = [by_id[row["question_id"]] for row in predictions]
    rooms = [str(row["space_id"] or row["scene_id"] or row["question_id"]) for row in mine]
    cell, average = benchmarks.cells(benchmark), benchmarks.get(benchmark).average
    bounds = bootstrap_of(average, found, [cell(row) for row in mine], rooms)
    return {task: (100 * of[0][0], 100 * of[0][1]) for task, of in bounds.items() if of is not None}


def audit_lines(files: Sequence[Path]) -> list[tuple[Any, ...]]:
    """Return a line per table of `rollout3d audit`, question type and definition of distance: answers, agreement."""
    lines = []
    for path in files:
        own = tables.lineage(path).get("table") == tables.AUDIT.name
        of: tables.Table[Any] = tables.AUDIT if own else tables.AUDIT_RELEASED
        counts: dict[tuple[str, str], list[bool]] = {}
        for row in cast("list[Row]", tables.read(of, path)):
            if row["agrees"] is not None:
                key = (str(row["question_type"]), str(row.get("definition") or ""))
                counts.setdefault(key, []).append(row["agrees"])
        for (of_type, definition), agree in sorted(counts.items()):
            lines.append((path.stem, of_type, definition, len(agree), percent(100 * sum(agree) / len(agree))))
    return lines
