"""The paper's tables and Figure 3 from whatever results exist, its number beside ours.

A cell without a result says "not run"; nothing is ever filled in. The paper's numbers are in
`resources/reference/ocr.csv`: table, row, column, value, source, and the run (or the guessing baseline) of this study
that answers to the row. A run without a row of its own appears under its own name.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rollout3d.config import CATEGORIES
from rollout3d.difficulty import select

Row = Mapping[str, Any]

TABLES = ("table1", "table2", "table3", "table4", "table5", "figure3")
REFERENCE = Path(__file__).resolve().parents[3] / "resources" / "reference" / "ocr.csv"

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
_COLUMNS = ("table", "row", "column", "value", "source", "run")


def read_reference(path: Path | str = REFERENCE) -> list[dict[str, str]]:
    """Rows of the reference file. Raises ValueError if its columns are not the expected ones."""
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if not rows or tuple(rows[0]) != _COLUMNS:
        raise ValueError(f"{path}: expected the columns {', '.join(_COLUMNS)}")
    return rows


def main_benchmark(scores: Iterable[Row]) -> str | None:
    """The benchmark that the tables report: VSI-Bench where it was run, else the first in alphabetical order."""
    names = sorted({row["benchmark"] for row in scores})
    return "vsibench" if "vsibench" in names else names[0] if names else None


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
) -> list[dict[str, Any]]:
    """REPORT rows of one of `TABLES`.

    `scores`: rows of SCORES (tables 2 to 5); `predictions`: rows of PREDICTIONS of the four settings (table 1); `rl`
    and `sft`: rows of the two training tables (figure 3). `preset` goes into every note, because its numbers must not
    be read as the paper's; and so do kept rules and runs that a number rests on: `rests_on` in table 1 and figure 3,
    those of its scores in the others.
    """
    paper = [row for row in reference if row["table"] == table]
    marks = [f"preset {preset}"] if preset else []
    if table in ("table1", "figure3"):
        marks += kept_note(rests_on)
    if table == "table1":
        return _table1(paper, predictions, correct_above, marks)
    if table == "figure3":
        return _figure3(rl, sft, marks)
    if table in TABLES:
        return _scores(table, paper, scores, marks)
    raise ValueError(f"unknown table '{table}': one of {', '.join(TABLES)}")


def kept_note(names: Sequence[str]) -> list[str]:
    """The note of a number that rests on what the user keeps; no note if it rests on nothing of the kind."""
    return [f"rests on kept {', '.join(names)}"] if names else []


def _table1(
    paper: Sequence[Mapping[str, str]], predictions: Sequence[Row], correct_above: float, marks: list[str]
) -> list[dict[str, Any]]:
    by_setting: dict[str, list[Row]] = {}
    for row in predictions:
        by_setting.setdefault(row["setting"], []).append(row)
    ours: dict[tuple[str, str], tuple[float, int]] = {}
    for count in select.table1(by_setting, correct_above):
        n = count.correct + count.wrong
        for column, value in (("Correct", count.correct), ("Wrong", count.wrong), ("Acc.", count.percent)):
            ours[count.setting, column] = (float(value), n)
    return [
        _cell("table1", row["row"], row["column"], row["value"], ours.get((row["row"], row["column"])), marks)
        for row in paper
    ]


def _scores(
    table: str, paper: Sequence[Mapping[str, str]], scores: Sequence[Row], marks: list[str]
) -> list[dict[str, Any]]:
    benchmark = main_benchmark(scores)
    if benchmark and benchmark != "vsibench":
        marks = [f"benchmark {benchmark}", *marks]
    ours: dict[tuple[str, str], tuple[float, int]] = {}
    evaluated = set()
    kept: dict[str, list[str]] = {}
    for row in scores:
        if row["benchmark"] == benchmark and row["task"] in TASKS:
            # Guesses depend on the benchmark only: every run has the same.
            of = row["run"] if row["view"] == "video" else row["view"]
            ours[of, TASKS[row["task"]]] = (row["score"], row["n"])
            evaluated.add(of)
            kept[of] = kept_note(row["rests_on"])
    columns = list(TASKS.values()) if table == "table2" else ["Avg."]
    values = {(row["row"], row["column"]): row["value"] for row in paper}
    run_of = {row["row"]: row["run"] for row in paper}
    cells = []
    for name, run in run_of.items():
        for column in columns:
            value = values.get((name, column), "")
            if run:
                source = "guessing" if run in GUESSES else f"run {run}"
                missing = NO_QUESTIONS if run in evaluated else NOT_RUN
                cells.append(
                    _cell(
                        table, name, column, value, ours.get((run, column)), marks + kept.get(run, []), source, missing
                    )
                )
            elif value:
                cells.append(_cell(table, name, column, value, None, marks, missing=NOT_OURS))
    for run in dict.fromkeys(row["run"] for row in scores):
        if run not in run_of.values():
            cells += [
                _cell(table, run, column, "", ours.get((run, column)), marks + kept.get(run, []), missing=NO_QUESTIONS)
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
