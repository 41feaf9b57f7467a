"""NoisyRollout: half of the group has noise on every pixel, by the forward process of a diffusion model.

x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) eps on [0, 1], clipped and truncated to whole levels, with t falling over
training; every frame is an image with noise of its own. Constants and formulas are those of its released code and its
Geo3K recipe (t from 500; sigmoid, lambda 30, middle at two thirds). A run that names a schedule uses that instead, as a
share of 500.

Which rollouts give gradient is `grpo.ablation.grad_rollouts`. NoisyRollout trains on all 2n, the noisy ones scored on
the clean image (both_on_clean): the recipe config/recipes/noisyrollout.yaml.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np

from rollout3d.tables.rows import QuestionRow
from rollout3d.training.rollouts._view import Context, View

FIRST_STEP, STEEPNESS, MIDDLE = 500, 30.0, 2 / 3
"""Diffusion step at the start of training; lambda; gamma as a share of the training (40 of about 60 steps)."""


def views(question: QuestionRow, frames: np.ndarray | None, context: Context) -> list[View]:
    """Return the video as it is, for n_clean rollouts, and under noise, for n_perturbed."""
    grpo = context.grpo
    rng = context.rng(question["question_id"])
    t = diffusion_step(context)
    keep, sigma = scales(t)
    copies = grpo.n_perturbed if grpo.ablation.fresh_noise else min(1, grpo.n_perturbed)
    altered = [
        View(
            "noisy",
            diffuse(frames, keep, sigma, rng),
            grpo.n_perturbed // copies,
            contributes_gradient=context.altered_gives_gradient,
            sigma=255 * sigma,
        )
        for _ in range(copies)
    ]
    return [context.clean(frames, grpo.n_clean), *altered]


def diffusion_step(context: Context) -> int:
    """Return the diffusion step t of this step of training: at most 500, 0 at the end."""
    if context.delta is not None:
        return int(FIRST_STEP * context.delta / context.grpo.delta_start)
    progress = (context.step + 1) / context.total  # its steps are counted from 1
    return int(FIRST_STEP * (1 - 1 / (1 + math.exp(-STEEPNESS * (progress - MIDDLE)))))


@cache
def scales(t: int) -> tuple[float, float]:
    """Return sqrt(abar_t) and sqrt(1 - abar_t) of the 1000-step schedule whose betas follow a sigmoid."""
    beta = 1 / (1 + np.exp(-np.linspace(-6, 6, 1000))) * (5e-3 - 1e-5) + 1e-5
    kept = float(np.cumprod(1 - beta)[t])
    return math.sqrt(kept), math.sqrt(1 - kept)


def diffuse(frames: np.ndarray | None, keep: float, sigma: float, rng: np.random.Generator) -> np.ndarray | None:
    """Add noise to frames (k, H, W, 3) uint8, independent for every pixel, channel and frame; `sigma` on [0, 1]."""
    if frames is None:
        return None
    noise = rng.standard_normal(frames.shape, np.float32)
    return np.clip(keep * frames + 255 * sigma * noise, 0, 255).astype(np.uint8)
