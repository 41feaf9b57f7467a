"""SpaceR's Table 1: models on benchmarks of spatial reasoning and of video understanding."""

from __future__ import annotations

from rollout3d.report.paper import Given
from rollout3d.report.tables import score_cells
from rollout3d.tables.rows import ReportRow

PAPER = "spacer"
TITLE = "SpaceR, Table 1. Spatial reasoning and video understanding"
NEEDS = ("scores", "runs")


def build(given: Given) -> list[ReportRow]:
    """Return the average on VSI-Bench of each row that is a run; other benchmarks have the paper's numbers alone."""
    return score_cells(given, overall="VSI-Bench")
