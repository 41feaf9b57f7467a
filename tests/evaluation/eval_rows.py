"""Small rows for the tests of this room."""

from __future__ import annotations

from typing import Any

from rollout3d.model.wordings import wording_digest


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


ASKED = {
    "frames": 32,
    "frame_policy": "uniform",
    "max_pixels": 200704,
    "prompt": "think_video_r1",
    "prompt_digest": wording_digest("think_video_r1"),
    "temperature": 0.0,
    "max_new_tokens": 1024,
    "backend": "vllm",
    "model_digest": "1234",
    "split": "full",
}
"""Settings of a reasoned answer under the paper's configuration."""
DIRECT = ASKED | {"prompt": "direct", "prompt_digest": wording_digest("direct"), "max_new_tokens": 16}


def answer_scoring(row: dict[str, Any], score: float) -> str:
    """An answer to the question that mean relative accuracy, or equality, gives `score`."""
    if row["answer_type"] == "choice":
        return row["ground_truth"] if score == 1 else "Z"
    truth = float(row["ground_truth"])
    return row["ground_truth"] if score == 1 else f"{truth * (1 + 0.05 * (10 - 10 * score) + 0.025):.6g}"


def prediction(row: dict[str, Any] | str, score: float, setting: str = "uniform32", **changes: Any) -> dict[str, Any]:
    """A prediction whose text scores so; the score stored beside it is wrong on purpose.

    `row`: a question, or only its id where the question does not matter: a choice whose answer is A.
    """
    if isinstance(row, str):
        row = question(row, "object_rel_distance", "A", 4)
    answer = answer_scoring(row, score)
    return {
        "question_id": row["question_id"],
        "model": "run",
        "setting": setting,
        "sample": 0,
        "text": f"<think>x</think>\n<answer>{answer}</answer>",
        "answer": answer,
        "score": 1 - score,
        "scorer": "tagged",
        "n_tokens": 9,
    } | (ASKED | changes)
