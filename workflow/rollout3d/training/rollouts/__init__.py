"""How a group of rollouts sees its video: one idea, `View`, carries all five methods.

A method is a function (question row, frames, context) -> views. Every view is rolled out; `pooled` ones share the
statistics of the advantage (OCR, equation 4), and only those that contribute gradient meet the policy's forward again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from rollout3d.training.rollouts import downsample, noisy, object_centric, temporal, vanilla
from rollout3d.training.rollouts.view import CLEAN, Context, View

__all__ = ["CLEAN", "ROLLOUTS", "Context", "View", "make_views"]

ROLLOUTS: dict[str, Callable[[Mapping[str, Any], np.ndarray | None, Context], list[View]]] = {
    "vanilla": vanilla.views,
    "temporal": temporal.views,
    "noisy": noisy.views,
    "downsample": downsample.views,
    "object_centric": object_centric.views,
}
"""Rollout method of the run table -> its views of a question."""


def make_views(row: Mapping[str, Any], frames: np.ndarray | None, context: Context) -> list[View]:
    """The views of one question, the clean one first; `frames` (k, H, W, 3) uint8, None for questions without a video.

    A question without a video (general data) is shown as it is in every view: there is nothing to alter. Where all
    views of the pool show the video as it is, `grpo.reallocate_when_zero` makes them one clean view.
    """
    views = ROLLOUTS[context.run.rollout](row, frames, context)
    if views[0].name != CLEAN or not views[0].contributes_gradient:
        raise AssertionError(f"{context.run.rollout}: the first view must be clean and give gradient")
    pool = [view for view in views if view.pooled]
    if context.grpo.reallocate_when_zero and all(view.frames is frames for view in pool):
        return [context.clean(frames, sum(view.n for view in pool)), *(view for view in views if not view.pooled)]
    return views
