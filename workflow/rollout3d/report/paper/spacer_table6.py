"""SpaceR's Table 6: sizes of the cognitive map, by task of VSI-Bench."""

from __future__ import annotations

from rollout3d.report.paper import Given
from rollout3d.report.paper._answers import map_accuracy
from rollout3d.report.tables import score_cells
from rollout3d.tables.rows import ReportRow

PAPER = "spacer"
TITLE = "SpaceR, Table 6. Map sizes"
NEEDS = ("scores", "runs")


def build(given: Given) -> list[ReportRow]:
    """Return the score in every task of the run of each size, and the accuracy of its maps by equation 4."""
    return score_cells(given, every_task=True, more=map_accuracy(given.scores))
