"""Small rows for the tests of this room."""

from __future__ import annotations

from typing import Any


def question(question_id: str, kind: str, truth: str, options: int | None = None, **changes: Any) -> dict[str, Any]:
    return {
        "question_id": question_id,
        "scene_id": "scene0000_00",
        "space_id": "scene0000",
        "split": "val",
        "dataset": "scannet",
        "question_type": kind,
        "answer_type": "choice" if options else "number",
        "question": f"question {question_id}?",
        "options": [f"{'ABCD'[i]}. option" for i in range(options)] if options else None,
        "ground_truth": truth,
        "objects": [],
        "media": None,
        "source": "generated",
        "evidence": "{}",
    } | changes


def prediction(question_id: str, score: float, setting: str = "eval32", **changes: Any) -> dict[str, Any]:
    return {
        "question_id": question_id,
        "model": "run",
        "setting": setting,
        "sample": 0,
        "text": "<think>x</think>\n<answer>A</answer>",
        "answer": "A",
        "score": score,
        "scorer": "tagged",
        "n_tokens": 9,
    } | changes
