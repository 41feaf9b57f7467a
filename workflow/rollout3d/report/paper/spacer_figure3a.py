"""SpaceR's Figure 3a (Figure 4a in its text): training questions by type before and after resampling; it prints no
numbers."""

from __future__ import annotations

from collections import Counter

from rollout3d.difficulty.select import N_SAMPLED, outcomes
from rollout3d.report.paper import Given
from rollout3d.report.paper._types import ASKED, words
from rollout3d.report.tables import cell
from rollout3d.tables.rows import ReportRow

PAPER = "spacer"
TITLE = "SpaceR, Figure 3a. Questions before and after resampling"
NEEDS = ("sr_91k", "sampled")

COLUMNS = {"After": "mixed", "All right": "all right", "All wrong": "all wrong"}
"""Column -> outcome of the answers (`difficulty.select.outcomes`)."""


def build(given: Given) -> list[ReportRow]:
    """Count the questions of each type, and those of them whose answers are mixed, all right and all wrong."""
    questions = {row["question_id"]: row for row in given.rl}
    found = outcomes([given.predictions], questions, given.correct_above) if questions else {}
    counts = Counter((questions[name]["question_type"], outcome) for name, outcome in found.items())
    before = Counter(row["question_type"] for row in given.rl)
    marks = [f"{N_SAMPLED} answers per question", *given.marks]
    types = dict.fromkeys([*ASKED, *sorted(before)])
    cells = []
    for row, names in {"All": [*types], **{words(name): [name] for name in types}}.items():
        n = sum(before[name] for name in names)
        numbers = {"Before": n}
        numbers |= {column: sum(counts[name, outcome] for name in names) for column, outcome in COLUMNS.items()}
        cells += [
            cell(given.table, row, column, "", (float(number), n) if questions else None, marks)
            for column, number in numbers.items()
        ]
    return cells
