"""Video-MME's rule: known phrases are removed, then the first capital A to D of the text counts.

Source: the rule of the authors' thanku-all/parse_answer as lmms-eval and VLMEvalKit carry it (extract_characters_regex
of lmms_eval/tasks/videomme/utils.py, 2024, and vlmeval/dataset/utils/videomme.py); the authors' own repository could
not be read. The phrases are "The best answer is", "The correct answer is", "The answer is", "The answer", and, since
two commas are missing in both lists, "The best option isThe correct option is" and "Best answer:Best option:".

Its faults are kept: "Best option: D" is B, "Best answer: C" and "Based on the video, D" are B, "A person walks to C" is
A; "b" has no answer.

Departures: the content of an `<answer>` tag stands for the text, and reasoning before `</think>` is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rollout3d.scoring.match import Numeric, Score
from rollout3d.scoring.scorers._first_capital import first_capital

READS_TAG = True

PHRASES = (
    "The best answer is",
    "The correct answer is",
    "The answer is",
    "The answer",
    "The best option isThe correct option is",
    "Best answer:Best option:",
)


def score(text: str, row: Mapping[str, Any], numeric: Numeric = "mra") -> Score:
    """Score the first capital A to D (`answer_type` and `ground_truth` of `row` are read)."""
    return first_capital(text, row, PHRASES, "ABCD", numeric)
