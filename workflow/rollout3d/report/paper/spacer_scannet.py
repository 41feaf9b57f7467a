"""SpaceR's gains on the questions about ScanNet and about other scans (Section 5.2, overall analysis)."""

from __future__ import annotations

from collections.abc import Sequence

from rollout3d.config.evaluation import official_scorer
from rollout3d.evaluation.settings import line, style_in
from rollout3d.report.paper import Given
from rollout3d.report.paper._answers import by_run
from rollout3d.report.tables import cell, made_note, other_model, recipe_note
from rollout3d.scoring.aggregate import vsibench
from rollout3d.scoring.scorers import score
from rollout3d.tables.rows import PredictionRow, QuestionRow, ReportRow

PAPER = "spacer"
TITLE = "SpaceR, Section 5.2. Gains on ScanNet and on other scans"
NEEDS = ("answers", "questions", "runs")

BASE = "qwen7b"
"""Run that a gain is measured from: the model before training, asked directly."""
PARTS = {"ScanNet": (True,), "Other scans": (False,), "VSI-Bench": (True, False)}
"""Column -> which questions count: those about ScanNet, the others, or all."""


def build(given: Given) -> list[ReportRow]:
    """Return the average of each run minus that of `BASE` on a part of the benchmark, in points.

    An average is the unweighted mean of VSI-Bench's tasks that the part has questions of. Both runs must have answered
    the same questions of the part; a part without questions is not run.
    """
    asked = {row["question_id"]: row for row in given.asked}
    answers = by_run(given.answers)
    cells = []
    for row in given.paper:
        run, part = row["run"], PARTS[row["column"]]
        mine, base = (_of_part(answers.get(name, ()), asked, part) for name in (run, BASE))
        gain = None
        if mine and base:
            if {p["question_id"] for p in mine} != {p["question_id"] for p in base}:
                raise ValueError(f"{run} and {BASE} answer other questions of {row['column']}: evaluate both again")
            gain = 100 * (_average(mine, asked) - _average(base, asked)), len(mine)
        notes = [*other_model(row, given.models.get(run)), *recipe_note(given.recipes.get(run)), *given.marks]
        notes += [f"minus run {BASE}", *(made_note({"scorer": _scorer(mine), "settings": line(mine)}) if mine else [])]
        cells.append(cell(given.table, row["row"], row["column"], row["value"], gain, notes, f"run {run}"))
    return cells


def _of_part(
    answers: Sequence[PredictionRow], asked: dict[str, QuestionRow], part: Sequence[bool]
) -> list[PredictionRow]:
    return [p for p in answers if (asked[p["question_id"]]["dataset"] == "scannet") in part]


def _scorer(answers: Sequence[PredictionRow]) -> str:
    return official_scorer(style_in(answers) or "think")


def _average(answers: Sequence[PredictionRow], asked: dict[str, QuestionRow]) -> float:
    scores: dict[str, list[float]] = {}
    for p in answers:
        row = asked[p["question_id"]]
        scores.setdefault(row["question_type"], []).append(score(p["text"], row, _scorer(answers)).score)
    mean = vsibench(scores)["overall"].score
    assert mean is not None
    return mean
