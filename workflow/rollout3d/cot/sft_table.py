"""Join accepted annotations with their questions into OCR-SFT, the cold start table."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from rollout3d import tables
from rollout3d.errors import InvalidInput
from rollout3d.tables.rows import AnnotationRow, QuestionRow, SftRow


def sft_rows(annotations: Iterable[AnnotationRow], questions: Iterable[QuestionRow]) -> list[SftRow]:
    """Return SFT rows, sorted by question: the question, the accepted reasoning, and the text to be learnt.

    The answer of the target is the teacher's own, which for numbers may differ a little from the ground truth: it is
    the one that the reasoning leads to. Raises InvalidInput if an annotated question is unknown or accepted twice.
    """
    by_id = {row["question_id"]: row for row in questions}
    rows: dict[str, SftRow] = {}
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
        rows[key] = cast(SftRow, {**question, "think": note["think"], "target": target})
    return [rows[key] for key in sorted(rows)]
