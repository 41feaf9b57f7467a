"""Figure 3: questions of each type in the two training tables; the paper prints no numbers."""

from __future__ import annotations

from collections import Counter

from rollout3d.config import question_types
from rollout3d.report.paper import Given
from rollout3d.report.tables import cell
from rollout3d.tables.rows import ReportRow

TITLE = None
NEEDS = ("ocr_rl", "ocr_sft")


def build(given: Given) -> list[ReportRow]:
    """Count the questions of each type, most frequent first, with the sources of those of OCR-RL in the note."""
    counts = [Counter(row["question_type"] for row in part) for part in (given.rl, given.sft)]
    names = {*question_types.PER_SCENE, *counts[0], *counts[1]}
    types = sorted(names, key=lambda name: (-counts[0][name], name))
    cells = []
    for name in types:
        sources = Counter(row["source"] for row in given.rl if row["question_type"] == name)
        listing = ", ".join(f"{n} {source}" for source, n in sorted(sources.items()))
        for column, count in zip(("OCR-RL", "OCR-SFT"), counts):
            notes = [*given.marks, *([listing] if listing and column == "OCR-RL" else [])]
            cells.append(cell(given.table, name, column, "", (float(count[name]), count[name]), notes))
    return cells
