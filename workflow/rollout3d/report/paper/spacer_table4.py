"""SpaceR's Table 4: spatial words per answer beside the score, as training goes on."""

from __future__ import annotations

from rollout3d.report.paper import Given
from rollout3d.report.paper._answers import means
from rollout3d.report.tables import score_cells
from rollout3d.scoring.reasoning import spatial_words
from rollout3d.tables.rows import ReportRow

PAPER = "spacer"
TITLE = "SpaceR, Table 4. Spatial words per answer"
NEEDS = ("scores", "answers", "runs")


def build(given: Given) -> list[ReportRow]:
    """Return the average on VSI-Bench of each row that is a run, and the mean spatial words per answer there."""
    words = means(given.answers, "VSI-Bench words", lambda row: spatial_words(row["text"]))
    return score_cells(given, overall="VSI-Bench", more=words)
