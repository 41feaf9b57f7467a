"""Table 4: rollout methods that are compared with OCR's, by the average on VSI-Bench."""

from __future__ import annotations

from rollout3d.report.paper import Given
from rollout3d.report.tables import score_cells
from rollout3d.tables.rows import ReportRow

TITLE = "Table 4. Rollout policies"
NEEDS = ("scores", "runs")


def build(given: Given) -> list[ReportRow]:
    """Return the average of each of the paper's rows, and of runs that the paper lacks."""
    return score_cells(given)
