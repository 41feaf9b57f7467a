"""Vanilla GRPO: one view, with as many rollouts as the other methods draw, so that all cost the same (8)."""

from __future__ import annotations

import numpy as np

from rollout3d.tables.rows import QuestionRow
from rollout3d.training.rollouts._view import Context, View


def views(question: QuestionRow, frames: np.ndarray | None, context: Context) -> list[View]:
    """Return the video as it is, for n_clean + n_perturbed rollouts."""
    return [context.clean(frames, context.grpo.n_clean + context.grpo.n_perturbed)]
