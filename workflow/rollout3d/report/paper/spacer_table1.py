"""SpaceR's Table 1: models on benchmarks of spatial reasoning and of video understanding."""

from __future__ import annotations

from rollout3d.report.paper import Given
from rollout3d.report.tables import score_cells
from rollout3d.tables.rows import ReportRow

PAPER = "spacer"
TITLE = "SpaceR, Table 1. Spatial reasoning and video understanding"
NEEDS = ("scores", "runs")


def build(given: Given) -> list[ReportRow]:
    """Return the scores of each row that is a run on the benchmarks that were evaluated (`evaluation.benchmarks`).

    The settings are those of the study and of each benchmark's file; the paper's are at most 32 frames, one per second.
    """
    return score_cells(given, overall="VSI-Bench")
