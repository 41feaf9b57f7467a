"""Spatial-R1's Table 1: models on every task of VSI-Bench."""

from __future__ import annotations

from rollout3d.report.paper import Given
from rollout3d.report.tables import score_cells
from rollout3d.tables.rows import ReportRow

PAPER = "spatial_r1"
TITLE = "Spatial-R1, Table 1. Comparison on VSI-Bench"
NEEDS = ("scores", "runs")


def build(given: Given) -> list[ReportRow]:
    """Return the score of each of the paper's rows in every task, and of runs that the paper lacks."""
    return score_cells(given, every_task=True)
