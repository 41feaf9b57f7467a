"""VSI-Bench's matching on what stands in the first `<answer>` tag; text without a closed tag is no answer.

Source: ours, for models that were taught to reason. The tag is Video-R1's (tulerfeng/Video-R1,
src/r1-v/src/open_r1/grpo.py). Departure: Video-R1's evaluator falls back to the raw text, which lets a model that
forgets the tag look well-behaved; see the scorer `video_r1`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rollout3d.scoring.match import NOTHING, Numeric, Score, match_first_word
from rollout3d.scoring.parse import extract_answer

READS_TAG = True
FORMAT = True


def score(text: str, row: Mapping[str, Any], numeric: Numeric = "mra") -> Score:
    """Score the first word of the tag's content."""
    answer = extract_answer(text)
    return NOTHING if answer is None else match_first_word(answer, row, numeric)
