"""SpaceR's Figure 7: growing subsets of the training questions; it prints no numbers."""

from __future__ import annotations

from rollout3d.report.paper import Given
from rollout3d.report.tables import score_cells
from rollout3d.tables.rows import ReportRow

PAPER = "spacer"
TITLE = "SpaceR, Figure 7. Data scale"
NEEDS = ("scores", "runs")


def build(given: Given) -> list[ReportRow]:
    """Return the average on VSI-Bench of the run on each subset."""
    return score_cells(given, overall="VSI-Bench")
