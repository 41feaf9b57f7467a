"""Small rows for the tests of this room."""

from __future__ import annotations

from typing import Any

from rollout3d import tables


def question(**changes: Any) -> dict[str, Any]:
    row = {
        "scene_id": "scene0000_00",
        "space_id": "scene0000",
        "split": "train",
        "dataset": "scannet",
        "question_type": "object_rel_direction_easy",
        "answer_type": "choice",
        "question": "If I am standing by the bed and facing the tv, is the lamp to the left or the right of the tv?",
        "options": ["A. left", "B. right"],
        "ground_truth": "A",
        "objects": [],
        "media": None,
        "source": "generated",
        "evidence": "{}",
    } | changes
    return {"question_id": tables.question_id(row), **row} | changes


def number(truth: str = "4.0", **changes: Any) -> dict[str, Any]:
    return question(
        **{
            "question_type": "object_abs_distance",
            "answer_type": "number",
            "question": "What is the distance?",
            "options": None,
            "ground_truth": truth,
        }
        | changes
    )
