"""Table 2: every run on every task of VSI-Bench, with the models that the paper compares with."""

from __future__ import annotations

from rollout3d.report.paper import Given
from rollout3d.report.tables import score_cells
from rollout3d.tables.rows import ReportRow

TITLE = "Table 2. Comparison on VSI-Bench"
NEEDS = ("scores", "runs")
EVERY_RUN = True


def build(given: Given) -> list[ReportRow]:
    """Return the score of each of the paper's rows in every task, and of all other runs."""
    return score_cells(given, every_task=True)
