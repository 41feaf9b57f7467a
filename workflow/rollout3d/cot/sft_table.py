"""Accepted annotations and their questions -> OCR-SFT, the cold start table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rollout3d import tables
from rollout3d.errors import InvalidInput


def sft_rows(annotations: Iterable[Mapping[str, Any]], questions: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """OCR_SFT rows, sorted by question: the question, the accepted reasoning, and the text to be learnt.

    The answer of the target is the teacher's own, which for numbers may differ a little from the ground truth: it is
    what the reasoning leads to. Raises ValueError if an annotated question is unknown or accepted twice.
    """
    by_id = {row["question_id"]: row for row in questions}
    rows: dict[str, dict[str, Any]] = {}
    for note in annotations:
        if note["verdict"] != "accepted":
            continue
        key = note["question_id"]
        if key not in by_id:
            raise InvalidInput(f"annotated question {key} is not in the question table: rerun the teacher")
        if key in rows:
            raise InvalidInput(f"question {key} has two accepted annotations")
        target = f"<think>{note['think']}</think>\n<answer>{note['answer']}</answer>"
        question = {name: value for name, value in by_id[key].items() if name not in tables.MARKS}
        rows[key] = {**question, "think": note["think"], "target": target}
    return [rows[key] for key in sorted(rows)]
