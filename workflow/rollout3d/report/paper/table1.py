"""Table 1: number of training questions that the filter model answers in each of the four settings."""

from __future__ import annotations

from rollout3d.difficulty import select
from rollout3d.evaluation.settings import line
from rollout3d.report.paper import Given
from rollout3d.report.tables import cell, made_note, other_model
from rollout3d.tables.rows import PredictionRow, ReportRow

TITLE = "Table 1. Model-based data filtering"
NEEDS = ("predictions", "ocr_rl", "runs")
KEYS = ("difficulty.correct_above", "difficulty.model")


def build(given: Given) -> list[ReportRow]:
    """Score the predictions' texts against the questions, and count answers above `correct_above` per setting."""
    by_setting: dict[str, list[PredictionRow]] = {}
    for row in given.predictions:
        by_setting.setdefault(row["setting"], []).append(row)
    questions = {row["question_id"]: row for row in given.rl}
    ours: dict[tuple[str, str], tuple[float, int]] = {}
    for count in select.table1(by_setting, questions, given.correct_above):
        n = count.correct + count.wrong
        for column, value in (("Correct", count.correct), ("Wrong", count.wrong), ("Acc.", count.percent)):
            ours[count.setting, column] = (float(value), n)
    made = {
        setting: made_note({"scorer": select.scorer_of(setting), "settings": line(rows)})
        for setting, rows in by_setting.items()
    }
    cells = []
    for row in given.paper:
        setting = row["row"]
        notes = [*other_model(row, given.models.get(setting)), *given.marks, *made.get(setting, [])]
        number = ours.get((setting, row["column"]))
        cells.append(cell(given.table, setting, row["column"], row["value"], number, notes))
    return cells
