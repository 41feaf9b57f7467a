"""SpaceR's Table 3: models asked directly and with reasoning, and the tokens of their thoughts."""

from __future__ import annotations

from rollout3d.model.wordings import is_direct
from rollout3d.report.paper import Given
from rollout3d.report.paper._answers import means
from rollout3d.report.tables import score_cells
from rollout3d.scoring.reasoning import thought_tokens
from rollout3d.tables.rows import ReportRow

PAPER = "spacer"
TITLE = "SpaceR, Table 3. Answers without and with thinking"
NEEDS = ("scores", "answers", "runs")


def build(given: Given) -> list[ReportRow]:
    """Return the scores of each row that is a run on the benchmarks that were evaluated, and the mean tokens per
    thought on the first of them.

    The paper averages the tokens over its three benchmarks of spatial reasoning. Answers to direct prompts have no
    thought, so they have no number.
    """
    reasoned = [row for row in given.answers if not is_direct(row.get("prompt") or "")]
    tokens = means(reasoned, "Tokens (spatial)", lambda row: thought_tokens(row["text"], row["n_tokens"]))
    return score_cells(given, overall="VSI-Bench", more=tokens)
