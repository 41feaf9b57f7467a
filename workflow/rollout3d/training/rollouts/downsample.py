"""Downsample rollout (OCR, Table 4): half of the group sees fewer frames, more of them as training goes on.

The paper names the ablation and no more. Here the share delta_t of the frames is dropped, the rest evenly spread; an
even number stays, at least two, because the model takes frames in pairs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from rollout3d.geometry.camera import sample_indices
from rollout3d.training.rollouts.view import Context, View


def views(row: Mapping[str, Any], frames: np.ndarray | None, context: Context) -> list[View]:
    """The video as it is, n_clean times; and with fewer frames, n_perturbed times."""
    grpo = context.grpo
    clean = context.clean(frames, grpo.n_clean)
    if not grpo.n_perturbed:
        return [clean]
    kept = 0 if frames is None else frames_kept(len(frames), context.delta)
    fewer = frames if frames is None or kept == len(frames) else frames[sample_indices(len(frames), kept)]
    return [clean, View("fewer", fewer, grpo.n_perturbed, contributes_gradient=context.altered_gives_gradient)]


def frames_kept(n: int, delta: float | None) -> int:
    """Frames of `n` that stay at delta_t: the even number nearest to n (1 - delta), at least 2 (and never above n)."""
    if delta is None:
        raise ValueError("a downsample run needs a schedule in config/runs.tsv")
    return min(n, max(2, 2 * int(n * (1 - delta) / 2 + 0.5)))
