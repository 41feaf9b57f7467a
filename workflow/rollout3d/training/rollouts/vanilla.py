"""Vanilla GRPO: one view. It draws as many rollouts as the other methods do, so that all cost the same (n = 8)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from rollout3d.training.rollouts._view import Context, View


def views(row: Mapping[str, Any], frames: np.ndarray | None, context: Context) -> list[View]:
    """The video as it is, n_clean + n_perturbed times."""
    return [context.clean(frames, context.grpo.n_clean + context.grpo.n_perturbed)]
