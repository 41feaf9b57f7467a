"""T-GRPO (Video-R1): a control group sees the frames shuffled, and right ordered answers earn a bonus if order helped.

The shuffled rollouts set only the bonus (`rewards/temporal.py`): they enter neither the group's statistics nor the
gradient. As in Video-R1 the ordered group has the full size and the control half of it, so this method draws half as
many rollouts again as the others. Pictures have no order and get no control.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from rollout3d.training.rollouts._view import Context, View


def views(row: Mapping[str, Any], frames: np.ndarray | None, context: Context) -> list[View]:
    """The video in order, G times; and in one random order, G / 2 times."""
    size = context.grpo.n_clean + context.grpo.n_perturbed
    ordered = context.clean(frames, size)
    if frames is None or len(frames) < 2:
        return [ordered]
    order = context.rng(row["question_id"]).permutation(len(frames))
    shuffled = View("shuffled", frames[order], max(1, size // 2), contributes_gradient=False, pooled=False)
    return [ordered, shuffled]
