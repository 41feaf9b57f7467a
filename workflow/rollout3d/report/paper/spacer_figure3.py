"""SpaceR's Figure 3b (Figure 4b in its text): training on the resampled questions; it prints no numbers."""

from __future__ import annotations

from rollout3d.report.paper import Given
from rollout3d.report.tables import score_cells
from rollout3d.tables.rows import ReportRow

PAPER = "spacer"
TITLE = "SpaceR, Figure 3. Before and after resampling"
NEEDS = ("scores", "runs")


def build(given: Given) -> list[ReportRow]:
    """Return the average on VSI-Bench of the runs on all and on the resampled questions."""
    return score_cells(given, overall="VSI-Bench")
