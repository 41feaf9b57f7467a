"""SpaceR's Figure 2: sources and types of the training questions; of its shares the text prints two counts."""

from __future__ import annotations

from collections import Counter

from rollout3d.report.paper import Given
from rollout3d.report.paper._types import ASKED, words
from rollout3d.report.tables import cell
from rollout3d.tables.rows import ReportRow

PAPER = "spacer"
TITLE = "SpaceR, Figure 2. Training questions by source and type"
NEEDS = ("ocr_rl",)

COLUMN = "Questions"
ALL, GENERAL = "SpaceR-151k", "General (Video-R1-260k)"
"""Rows whose count the paper's text prints (section 3, data statistics)."""


def build(given: Given) -> list[ReportRow]:
    """Count the questions of the whole training table, of its two parts, and of each type in them."""
    scans = Counter(row["question_type"] for row in given.rl if row["scene_id"] is not None)
    general = Counter(row["question_type"] for row in given.rl if row["scene_id"] is None)
    counts = {ALL: len(given.rl), "About scans (SR-91k)": scans.total(), GENERAL: general.total()}
    counts |= {words(name): scans[name] for name in dict.fromkeys([*ASKED, *sorted(scans)])}
    counts |= {f"general: {name}": n for name, n in sorted(general.items())}
    printed = {row["row"]: row["value"] for row in given.paper}
    return [
        cell(given.table, row, COLUMN, printed.get(row, ""), (float(n), n) if given.rl else None, [*given.marks])
        for row, n in counts.items()
    ]
