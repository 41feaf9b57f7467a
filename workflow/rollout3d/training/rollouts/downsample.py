"""Downsample rollout (OCR, Table 4): half of the group lacks frames, fewer of them as training goes on.

The paper (Ablation Analysis): the variant removes frames at random, on the schedule of OCR's own selector. Here the
share delta_t of the frames is removed, all frames equally likely, and the others keep their order
(`grpo.ablation.downsample: even` keeps evenly spaced ones instead, first and last included). An even number stays, at
least two, because the model takes frames in pairs (assumed). Every question draws anew at every step; its n rollouts
share one draw. Under `video.time_mode: true` the frames that are left count as evenly spread over the video's time.
"""

from __future__ import annotations

import numpy as np

from rollout3d.geometry.camera import sample_indices
from rollout3d.tables.rows import QuestionRow
from rollout3d.training.rollouts._view import Context, View

NEEDS = ("schedule",)
KEYS = ("ablation.downsample",)


def views(question: QuestionRow, frames: np.ndarray | None, context: Context) -> list[View]:
    """Return the video as it is, for n_clean rollouts, and with fewer frames, for n_perturbed."""
    grpo = context.grpo
    clean = context.clean(frames, grpo.n_clean)
    if not grpo.n_perturbed:
        return [clean]
    kept = 0 if frames is None else frames_kept(len(frames), context.delta)
    fewer = frames
    if frames is not None and kept < len(frames):
        even = grpo.ablation.downsample == "even"
        rng = context.rng(question["question_id"])
        fewer = frames[sample_indices(len(frames), kept) if even else random_indices(len(frames), kept, rng)]
    return [clean, View("fewer", fewer, grpo.n_perturbed, contributes_gradient=context.altered_gives_gradient)]


def random_indices(n: int, kept: int, rng: np.random.Generator) -> np.ndarray:
    """Draw the indices (kept,) of the frames that stay, ascending: every subset of that size is equally likely."""
    return np.sort(rng.choice(n, kept, replace=False))


def frames_kept(n: int, delta: float | None) -> int:
    """Return how many of n frames stay at delta_t: the even number nearest to n (1 - delta), from 2 up to n.

    Raises ValueError for a run without a schedule.
    """
    if delta is None:
        raise ValueError("a downsample run needs a schedule in config/runs.tsv")
    return min(n, max(2, 2 * int(n * (1 - delta) / 2 + 0.5)))
