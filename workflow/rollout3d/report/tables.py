"""Cells of the papers' tables: the paper's number, ours where the result exists, and a note on how it was made.

The note of a cell without a result is "not run"; no number is ever filled in. The papers' numbers are in
`resources/reference`, a file per paper: table, row, column, value, source, the run (or the guessing baseline) of this
study that corresponds to the row, and the model that the paper's number is of. A run without a row of its own appears
under its own name; so does a run of another model than the one that names the paper's row.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from rollout3d import doors
from rollout3d.config import SETTINGS, Config, Run
from rollout3d.difficulty.select import CORRECT_ABOVE
from rollout3d.errors import InvalidInput
from rollout3d.evaluation.settings import UNKNOWN, official
from rollout3d.report.paper import Given, build_table
from rollout3d.resources import shipped
from rollout3d.scoring.aggregate import task_named, tasks
from rollout3d.tables.rows import PredictionRow, QuestionRow, ReportRow, SceneRow, ScoreRow

Row = Mapping[str, Any]

TABLES = doors.PAPER_TABLES.names
REFERENCES = shipped("resources/reference")
"""Folder of the papers' numbers."""

PAPER_BENCHMARK = "vsibench"
"""Benchmark of the paper's numbers; the notes of other scores name theirs."""
AVERAGE = "Avg."
"""Column of the average over the tasks of a benchmark."""
GUESSES = ("random", "frequent")
"""Views of the score table that use no video."""
NOT_RUN = "not run"
NO_BENCHMARK = "not run on this benchmark"
NO_QUESTIONS = "the benchmark has no questions of this task"
NOT_OURS = "reported by the paper, not part of this study"
_COLUMNS = ("table", "row", "column", "value", "source", "run", "model")


def reference_of(table: str) -> Path:
    """Return the file with the numbers of the paper that prints a table."""
    return REFERENCES / f"{doors.paper_of(table)}.csv"


def read_references(names: Iterable[str] = TABLES) -> list[dict[str, str]]:
    """Return the rows of the reference files of tables, file by file. Raises what `read_reference` does."""
    return [row for path in dict.fromkeys(map(reference_of, names)) for row in read_reference(path)]


def read_reference(path: Path | str) -> list[dict[str, str]]:
    """Return the rows of a reference file. Raises ValueError if its columns are not the expected ones."""
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if not rows or tuple(rows[0]) != _COLUMNS:
        raise InvalidInput(f"{path}: expected the columns {', '.join(_COLUMNS)}")
    return rows


def main_benchmark(scores: Iterable[Row]) -> str | None:
    """Return the benchmark that the tables report by task: that of the first scores, in the workflow the first of
    `evaluation.benchmarks`, among those without columns of their own (`own_columns`). None without such scores."""
    return next((row["benchmark"] for row in scores if not own_columns(row["benchmark"])), None)


def own_columns(benchmark: str) -> Mapping[str, str]:
    """Return the titles of a benchmark's tasks in tables (`COLUMNS` of its file); empty where it has the usual ones."""
    known = benchmark in doors.BENCHMARKS.names
    return doors.BENCHMARKS.constant(benchmark, "COLUMNS", {}) if known else {}


def task_columns(scores: Iterable[Row]) -> dict[str, str]:
    """Return the column of each task of one benchmark's SCORES rows, in order.

    Those that the benchmark's file names; else VSI-Bench's (Table 2), then the others that are question types. Of a
    benchmark none of whose tasks are, each task has a column of its own name.
    """
    scores = list(scores)
    own = next((found for row in scores if (found := own_columns(row["benchmark"]))), None)
    if own:
        return {"overall": own.get("overall", AVERAGE)} | dict(own)
    names = dict.fromkeys(row["task"] for row in scores if row["task"] != "overall")
    if names and not any(map(task_named, names)):
        return {"overall": AVERAGE} | {name: name for name in names}
    found = {"overall": AVERAGE} | {task.name: task.column for task in tasks()}
    for name in dict.fromkeys(row["task"] for row in scores):
        task = None if name in found else task_named(name)
        if task is not None:
            found[name] = task.column
    return found


def models_of(config: Config, runs: Mapping[str, Run]) -> dict[str, str]:
    """Return the model that was run, by run and by key of `models`: the one at the end of the chain of `init`."""
    found = {}
    for name in (*config.models, *runs):
        key = name
        while key in runs:
            key = runs[key].init
        model = config.models[config.models[key].same_as or key]
        found[name] = f"small model ({model.name})" if model.small else model.name
    return found


def models_of_settings(config: Config, runs: Mapping[str, Run]) -> dict[str, str]:
    """Return the model that answered in each setting of Table 1."""
    found = models_of(config, runs)
    return {
        setting: found[config.difficulty.run if setting == "frames16_grpo" else config.difficulty.model]
        for setting in SETTINGS
    }


def build(
    table: str,
    reference: Sequence[Mapping[str, str]],
    *,
    scores: Sequence[ScoreRow] = (),
    predictions: Sequence[PredictionRow] = (),
    answers: Sequence[PredictionRow] = (),
    asked: Sequence[QuestionRow] = (),
    rl: Sequence[QuestionRow] = (),
    sft: Sequence[QuestionRow] = (),
    scenes: Sequence[SceneRow] = (),
    correct_above: float = CORRECT_ABOVE,
    preset: str | None = None,
    rests_on: Sequence[str] = (),
    models: Mapping[str, str] | None = None,
    recipes: Mapping[str, Mapping[str, Any]] | None = None,
) -> list[ReportRow]:
    """Return the cells of one of `TABLES`, made from those arguments that its file needs (`report.paper`).

    `predictions`: of the filter's settings; their texts are scored against the questions in `rl`. `answers`: of the
    runs, to the questions `asked`. `rl`, `sft`: the two training tables; `scenes`: rows of all scans. `models`: name of
    the model that was really run, by run (`models_of`), or by setting for a table of predictions
    (`models_of_settings`).
    `recipes`: summaries of the runs' recipes (`config.recipes.summaries`).

    The note of a number names the preset, since its numbers must not be read as the paper's; the kept rules and runs
    that it rests on (`rests_on`, or those of its scores); scorer, settings and part of the benchmark; a model that is
    not the paper's; and each value of a run's recipe that is not the study's. Raises ValueError for an unknown table.
    """
    doors.PAPER_TABLES.check(table)
    marks = [f"preset {preset}"] if preset else []
    if "scores" not in doors.PAPER_TABLES.constant(table, "NEEDS", ()):
        marks += kept_note(rests_on)
    return build_table(
        Given(
            table,
            [row for row in reference if row["table"] == table],
            scores=cast("list[ScoreRow]", official(scores)),
            predictions=predictions,
            answers=answers,
            asked=asked,
            rl=rl,
            sft=sft,
            scenes=scenes,
            correct_above=correct_above,
            marks=marks,
            models=models or {},
            recipes=recipes or {},
        )
    )


def kept_note(names: Sequence[str]) -> list[str]:
    """Return the note of a number that rests on kept rules or runs (`keep`); none if it rests on none."""
    return [f"rests on kept {', '.join(names)}"] if names else []


def made_note(row: Row) -> list[str]:
    """Return the notes on how a score was made: scorer, settings, part of the benchmark; for a guess the part alone."""
    part = [f"part: {row['part']}"] if row.get("part") else []
    if row.get("scorer") is None:
        return part
    return [f"scorer {row['scorer']}", *(row.get("settings") or UNKNOWN).split(", "), *part]


def recipe_note(recipe: Mapping[str, Any] | None) -> list[str]:
    """Return the note of a run's recipe: its name, and each key with the run's value and the study's."""
    if not recipe:
        return []
    differences = [
        f"{key} {value_text(own)} (study: {value_text(study)})" for key, (study, own) in recipe["differs"].items()
    ]
    differences += [f"{cell} {value_text(value)}" for cell, value in recipe["run"].items()]
    return [f"recipe {recipe['recipe']}: {', '.join(differences) or 'no difference'}"]


def value_text(value: Any) -> str:
    """Return a value of the configuration as text."""
    return value if isinstance(value, str) else json.dumps(value)


def other_model(row: Mapping[str, str], model: str | None) -> list[str]:
    """Return the note of a number whose model is not the one of the paper's row; none if it is the same."""
    same = model is None or not row["model"] or _short(model) == _short(row["model"])
    return [] if same else [f"{model}, not {_short(row['model'])}"]


def _short(model: str) -> str:
    return model.rpartition("/")[2]


def score_cells(
    given: Given,
    every_task: bool = False,
    *,
    overall: str = AVERAGE,
    more: Mapping[tuple[str, str], tuple[float, int]] | None = None,
) -> list[ReportRow]:
    """Return the cells of a table of scores: the paper's rows in its order, then every run that none of them names.

    `every_task`: a column per task of the benchmark; else the average alone. `overall`: column of the average; columns
    of the paper that the study's benchmark has no task for stand behind, with the scores of the benchmarks whose files
    name such columns (`own_columns`). `more`: run and column of these -> a number of
    the study, and of how many questions it is the mean.
    """
    table, paper, scores = given.table, given.paper, given.scores
    marks, models, recipes = list(given.marks), given.models, given.recipes
    benchmark = main_benchmark(scores)
    if benchmark and benchmark != PAPER_BENCHMARK:
        marks = [f"benchmark {benchmark}", *marks]
    titles = task_columns(row for row in scores if row["benchmark"] == benchmark) | {"overall": overall}
    ours: dict[tuple[str, str], tuple[float, int]] = dict(more or {})
    evaluated = set()
    notes: dict[str, list[str]] = {}
    notes_of: dict[tuple[str, str], list[str]] = {}
    for row in scores:
        title = own_columns(row["benchmark"]).get(row["task"])
        if title is not None:
            of = row["run"] if row["view"] == "video" else row["view"]
            ours[of, title] = (row["score"], row["n"])
            evaluated.add(of)
            notes_of[of, title] = [*given.marks, *kept_note(row["rests_on"]), *made_note(row)]
        if row["benchmark"] == benchmark and row["task"] in titles:
            # Guesses depend on the benchmark only: every run has the same.
            of = row["run"] if row["view"] == "video" else row["view"]
            ours[of, titles[row["task"]]] = (row["score"], row["n"])
            evaluated.add(of)
            notes[of] = marks + kept_note(row["rests_on"]) + made_note(row)
    columns = list(titles.values()) if every_task else [overall]
    columns += [name for name in dict.fromkeys(row["column"] for row in paper) if name not in columns]
    values = {(row["row"], row["column"]): row["value"] for row in paper}
    reference: dict[str, Mapping[str, str]] = {}
    for row in paper:
        reference.setdefault(row["row"], row)
    # A row may have numbers of several runs, such as a model that is asked to think on some benchmarks only.
    of_cell = {(row["row"], row["column"]): row["run"] for row in paper}
    cells = []
    shown = set()
    for name, row in reference.items():
        for column in columns:
            run = of_cell.get((name, column), row["run"])
            other = other_model(row, models.get(run))
            if other and name.partition(", ")[0] == _short(row["model"]):
                # The row is the paper's model, which was not run; the one that was has a row of its own below.
                run = ""
            shown.add(run)
            value = values.get((name, column), "")
            if run:
                source = "guessing" if run in GUESSES else f"run {run}"
                absent = NO_QUESTIONS if column in titles.values() else NO_BENCHMARK
                missing = absent if run in evaluated else NOT_RUN
                own = recipe_note(recipes.get(run))
                notes_here = other + own + notes_of.get((run, column), notes.get(run, marks))
                missing = "; ".join([missing, *own])
                cells.append(cell(table, name, column, value, ours.get((run, column)), notes_here, source, missing))
            elif value or row["run"]:
                missing = NOT_RUN if row["run"] else NOT_OURS
                cells.append(cell(table, name, column, value, None, marks, missing=missing))
    for run in dict.fromkeys(row["run"] for row in scores):
        if run not in shown:
            named = f"{run}: {models[run]}" if run in models else run
            own = recipe_note(recipes.get(run))
            cells += [
                cell(
                    *(table, named, column, "", ours.get((run, column))),
                    own + notes_of.get((run, column), notes.get(run, marks)),
                    f"run {run}",
                    NO_QUESTIONS if column in titles.values() else NO_BENCHMARK,
                )
                for column in columns
            ]
    return cells


def cell(
    table: str,
    row: str,
    column: str,
    paper: str,
    ours: tuple[float, int] | None,
    marks: list[str],
    source: str | None = None,
    missing: str = NOT_RUN,
) -> ReportRow:
    """Return a cell: the paper's number as text (empty without one), ours with its number of questions, and its note.

    `source`: origin of our number, such as "run ocr". `marks`: notes on it; `missing`: the note where there is none.
    """
    return {
        "table": table,
        "row": row,
        "column": column,
        "paper": float(paper) if paper else None,
        "ours": ours[0] if ours else None,
        "n": ours[1] if ours else None,
        "note": "; ".join([*([source] if source else []), *(marks if ours else [missing])]),
    }
