"""T-GRPO (Video-R1): a control group has the frames shuffled, and right ordered answers earn a bonus if order helped.

The shuffled rollouts decide only the bonus (`rewards/_temporal.py`): they enter neither the group's statistics nor the
gradient. As in Video-R1 the ordered group has the full size and the control half of it, so this method draws half as
many rollouts again as the others. Pictures have no order and get no control.
"""

from __future__ import annotations

import numpy as np

from rollout3d.tables.rows import QuestionRow
from rollout3d.training.rollouts._view import Context, View


def views(question: QuestionRow, frames: np.ndarray | None, context: Context) -> list[View]:
    """Return the video in order, for G rollouts, and in one random order, for G / 2."""
    size = context.grpo.n_clean + context.grpo.n_perturbed
    ordered = context.clean(frames, size)
    if frames is None or len(frames) < 2:
        return [ordered]
    order = context.rng(question["question_id"]).permutation(len(frames))
    shuffled = View("shuffled", frames[order], max(1, size // 2), contributes_gradient=False, pooled=False)
    return [ordered, shuffled]
