"""SpaceR's Table 5: random, own and true maps at inference, by task of VSI-Bench."""

from __future__ import annotations

from rollout3d.report.paper import Given
from rollout3d.report.tables import score_cells
from rollout3d.tables.rows import ReportRow

PAPER = "spacer"
TITLE = "SpaceR, Table 5. Maps at inference"
NEEDS = ("scores", "runs")


def build(given: Given) -> list[ReportRow]:
    """Return the score in every task; own maps are the run itself. Map accuracy has the paper's numbers alone."""
    return score_cells(given, every_task=True)
