"""The paper's tables and Figure 3 from whatever results exist, its number beside ours.

A cell without a result says "not run"; nothing is ever filled in. The paper's numbers are in
`resources/reference/ocr.csv`: table, row, column, value, source, the run (or the guessing baseline) of this study that
answers to the row, and the model that the paper's number is of. A run without a row of its own appears under its own
name; so does a run of another model than the one that names the paper's row.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rollout3d.config import CATEGORIES, SETTINGS, Config, Run
from rollout3d.difficulty import select
from rollout3d.errors import InvalidInput
from rollout3d.evaluation.settings import UNKNOWN, line, official
from rollout3d.resources import shipped

Row = Mapping[str, Any]

TABLES = ("table1", "table2", "table3", "table4", "table5", "figure3")
REFERENCE = shipped("resources/reference/ocr.csv")

TASKS = {
    "overall": "Avg.",
    "object_counting": "Obj. Count",
    "object_abs_distance": "Abs. Dist.",
    "object_size_estimation": "Obj. Size",
    "room_size_estimation": "Room Size",
    "object_rel_distance": "Rel. Dist.",
    "object_rel_direction": "Rel. Dir.",
    "route_planning": "Route Plan",
    "obj_appearance_order": "Appr. Order",
}
"""Task of a benchmark -> column of Table 2, in its order."""

GUESSES = ("random", "frequent")
"""Views of SCORES that look at no video."""
NOT_RUN = "not run"
NO_QUESTIONS = "the benchmark has no questions of this task"
NOT_OURS = "reported by the paper, not part of this study"
_COLUMNS = ("table", "row", "column", "value", "source", "run", "model")


def read_reference(path: Path | str = REFERENCE) -> list[dict[str, str]]:
    """Rows of the reference file. Raises ValueError if its columns are not the expected ones."""
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if not rows or tuple(rows[0]) != _COLUMNS:
        raise InvalidInput(f"{path}: expected the columns {', '.join(_COLUMNS)}")
    return rows


def main_benchmark(scores: Iterable[Row]) -> str | None:
    """The benchmark that the tables report: VSI-Bench where it was run, else the first in alphabetical order."""
    names = sorted({row["benchmark"] for row in scores})
    return "vsibench" if "vsibench" in names else names[0] if names else None


def models_of(config: Config, runs: Mapping[str, Run]) -> dict[str, str]:
    """Return which model was really run, by run and by key of `models`: the one at the end of its chain of `init`."""
    found = {}
    for name in (*config.models, *runs):
        key = name
        while key in runs:
            key = runs[key].init
        model = config.models[config.models[key].same_as or key]
        found[name] = f"small model trained here ({model.name})" if model.tiny else model.name
    return found


def models_of_settings(config: Config, runs: Mapping[str, Run]) -> dict[str, str]:
    """Return which model really answered in each setting of Table 1."""
    found = models_of(config, runs)
    return {
        setting: found[config.difficulty.run if setting == "frames16_grpo" else config.difficulty.model]
        for setting in SETTINGS
    }


def build(
    table: str,
    reference: Sequence[Mapping[str, str]],
    *,
    scores: Sequence[Row] = (),
    predictions: Sequence[Row] = (),
    rl: Sequence[Row] = (),
    sft: Sequence[Row] = (),
    correct_above: float = 0.5,
    preset: str | None = None,
    rests_on: Sequence[str] = (),
    models: Mapping[str, str] | None = None,
    recipes: Mapping[str, Mapping[str, Any]] | None = None,
) -> list[dict[str, Any]]:
    """REPORT rows of one of `TABLES`.

    `scores`: rows of SCORES (tables 2 to 5); `predictions`: rows of PREDICTIONS of the four settings (table 1), whose
    texts are scored against the questions in `rl`; `rl` and `sft`: rows of the two training tables (figure 3).
    `models`: which model was run, by run (`models_of`), or by setting for table 1 (`models_of_settings`). `recipes`:
    what runs have for themselves (`config.recipes.summaries`).

    `preset` goes into every note, because its numbers must not be read as the paper's; and so do kept rules and runs
    that a number rests on (`rests_on` in table 1 and figure 3, those of its scores in the others), scorer and settings
    of a number, the part of the benchmark that it is of, a model that is not the paper's, and what a run's recipe says
    otherwise than the configuration of the study.
    """
    paper = [row for row in reference if row["table"] == table]
    marks = [f"preset {preset}"] if preset else []
    if table in ("table1", "figure3"):
        marks += kept_note(rests_on)
    if table == "table1":
        return _table1(paper, predictions, {row["question_id"]: row for row in rl}, correct_above, marks, models or {})
    if table == "figure3":
        return _figure3(rl, sft, marks)
    if table in TABLES:
        return _scores(table, paper, official(scores), marks, models or {}, recipes or {})
    raise InvalidInput(f"unknown table '{table}': one of {', '.join(TABLES)}")


def kept_note(names: Sequence[str]) -> list[str]:
    """The note of a number that rests on what the user keeps; no note if it rests on nothing of the kind."""
    return [f"rests on kept {', '.join(names)}"] if names else []


def made_note(row: Row) -> list[str]:
    """The notes of a number on how it was made: scorer, settings, part of the benchmark; for a guess the part alone."""
    part = [f"part: {row['part']}"] if row.get("part") else []
    if row.get("scorer") is None:
        return part
    return [f"scorer {row['scorer']}", *(row.get("settings") or UNKNOWN).split(", "), *part]


def recipe_note(told: Mapping[str, Any] | None) -> list[str]:
    """The note of a run's recipe: its name, and each key with the run's value and the study's."""
    if not told:
        return []
    said = [f"{key} {value_text(own)} (study: {value_text(study)})" for key, (study, own) in told["differs"].items()]
    said += [f"{cell} {value_text(value)}" for cell, value in told["run"].items()]
    return [f"recipe {told['recipe']}: {', '.join(said) or 'no difference'}"]


def value_text(value: Any) -> str:
    """A value of the configuration as a reader sees it."""
    return value if isinstance(value, str) else json.dumps(value)


def other_model(row: Mapping[str, str], model: str | None) -> list[str]:
    """The note of a number beside a row of the paper, of another model than the paper's; none if it is the same."""
    same = model is None or not row["model"] or _short(model) == _short(row["model"])
    return [] if same else [f"{model}, not {_short(row['model'])}"]


def _short(model: str) -> str:
    return model.rpartition("/")[2]


def _table1(
    paper: Sequence[Mapping[str, str]],
    predictions: Sequence[Row],
    questions: Mapping[str, Row],
    correct_above: float,
    marks: list[str],
    models: Mapping[str, str],
) -> list[dict[str, Any]]:
    by_setting: dict[str, list[Row]] = {}
    for row in predictions:
        by_setting.setdefault(row["setting"], []).append(row)
    ours: dict[tuple[str, str], tuple[float, int]] = {}
    for count in select.table1(by_setting, questions, correct_above):
        n = count.correct + count.wrong
        for column, value in (("Correct", count.correct), ("Wrong", count.wrong), ("Acc.", count.percent)):
            ours[count.setting, column] = (float(value), n)
    made = {
        setting: made_note({"scorer": select.scorer_of(setting), "settings": line(rows)})
        for setting, rows in by_setting.items()
    }
    cells = []
    for row in paper:
        setting = row["row"]
        notes = [*other_model(row, models.get(setting)), *marks, *made.get(setting, [])]
        cells.append(_cell("table1", setting, row["column"], row["value"], ours.get((setting, row["column"])), notes))
    return cells


def _scores(
    table: str,
    paper: Sequence[Mapping[str, str]],
    scores: Sequence[Row],
    marks: list[str],
    models: Mapping[str, str],
    recipes: Mapping[str, Mapping[str, Any]],
) -> list[dict[str, Any]]:
    benchmark = main_benchmark(scores)
    if benchmark and benchmark != "vsibench":
        marks = [f"benchmark {benchmark}", *marks]
    ours: dict[tuple[str, str], tuple[float, int]] = {}
    evaluated = set()
    notes: dict[str, list[str]] = {}
    for row in scores:
        if row["benchmark"] == benchmark and row["task"] in TASKS:
            # Guesses depend on the benchmark only: every run has the same.
            of = row["run"] if row["view"] == "video" else row["view"]
            ours[of, TASKS[row["task"]]] = (row["score"], row["n"])
            evaluated.add(of)
            notes[of] = marks + kept_note(row["rests_on"]) + made_note(row)
    columns = list(TASKS.values()) if table == "table2" else ["Avg."]
    values = {(row["row"], row["column"]): row["value"] for row in paper}
    reference = {row["row"]: row for row in paper}
    cells = []
    shown = set()
    for name, row in reference.items():
        run = row["run"]
        other = other_model(row, models.get(run))
        if other and name == _short(row["model"]):
            run = ""  # the row is the paper's model, which was not run: what was run has a row of its own below
        shown.add(run)
        for column in columns:
            value = values.get((name, column), "")
            if run:
                source = "guessing" if run in GUESSES else f"run {run}"
                missing = NO_QUESTIONS if run in evaluated else NOT_RUN
                own = recipe_note(recipes.get(run))
                told = other + own + notes.get(run, marks)
                missing = "; ".join([missing, *own])
                cells.append(_cell(table, name, column, value, ours.get((run, column)), told, source, missing))
            elif value or row["run"]:
                missing = NOT_RUN if row["run"] else NOT_OURS
                cells.append(_cell(table, name, column, value, None, marks, missing=missing))
    for run in dict.fromkeys(row["run"] for row in scores):
        if run not in shown:
            named = f"{run}: {models[run]}" if run in models else run
            told = recipe_note(recipes.get(run)) + notes.get(run, marks)
            cells += [
                _cell(table, named, column, "", ours.get((run, column)), told, f"run {run}", NO_QUESTIONS)
                for column in columns
            ]
    return cells


def _figure3(rl: Sequence[Row], sft: Sequence[Row], marks: list[str]) -> list[dict[str, Any]]:
    """Questions of each type in both training tables, most frequent first; the paper prints no numbers."""
    counts = [Counter(row["question_type"] for row in part) for part in (rl, sft)]
    kinds = sorted(set(CATEGORIES) | set(counts[0]) | set(counts[1]), key=lambda kind: (-counts[0][kind], kind))
    cells = []
    for kind in kinds:
        sources = Counter(row["source"] for row in rl if row["question_type"] == kind)
        told = ", ".join(f"{n} {source}" for source, n in sorted(sources.items()))
        for column, count in zip(("OCR-RL", "OCR-SFT"), counts):
            note = marks + ([told] if told and column == "OCR-RL" else [])
            cells.append(_cell("figure3", kind, column, "", (float(count[kind]), count[kind]), note))
    return cells


def _cell(
    table: str,
    row: str,
    column: str,
    paper: str,
    ours: tuple[float, int] | None,
    marks: list[str],
    source: str | None = None,
    missing: str = NOT_RUN,
) -> dict[str, Any]:
    """`missing` is the note of a cell that has no number of ours."""
    return {
        "table": table,
        "row": row,
        "column": column,
        "paper": float(paper) if paper else None,
        "ours": ours[0] if ours else None,
        "n": ours[1] if ours else None,
        "note": "; ".join([*([source] if source else []), *(marks if ours else [missing])]),
    }
