"""SpaceR's Table 5: random, own and true maps at inference, by task of VSI-Bench."""

from __future__ import annotations

from rollout3d.report.paper import Given
from rollout3d.report.paper._answers import map_accuracy
from rollout3d.report.tables import score_cells
from rollout3d.tables.rows import ReportRow

PAPER = "spacer"
TITLE = "SpaceR, Table 5. Maps at inference"
NEEDS = ("scores", "runs")


def build(given: Given) -> list[ReportRow]:
    """Return the score in every task and the accuracy of the maps; own maps are the run itself.

    The runs that are given maps have rows of method none with a recipe (`evaluation.given_map`). A run that is given
    the maps of its own answers stands behind the paper's rows. The paper does not say how it measures map accuracy:
    ours is equation 4.
    """
    return score_cells(given, every_task=True, more=map_accuracy(given.scores))
