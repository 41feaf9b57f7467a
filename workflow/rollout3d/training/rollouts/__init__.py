"""How a group of rollouts sees its video: one idea, `View`, carries all five methods.

A method is a function (question row, frames, context) -> views. Every view is rolled out; `pooled` ones share the
statistics of the advantage (OCR, equation 4), and only those that contribute gradient meet the policy's forward again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from rollout3d import doors
from rollout3d.training.rollouts._view import CLEAN, Context, View

__all__ = ["CLEAN", "Context", "Rollout", "View", "make_views"]


class Rollout(Protocol):
    """What a file of this folder defines.

    A file may also assign literals, which are read without importing it (`doors.Door.constant`): `NEEDS`, the cells
    (schedule, regions) without which its runs are refused; `KEYS`, the keys of `grpo` that only it reads; `KEYS_IF`,
    further ones by the (key, value) that makes it read them. A key that is not declared cannot be read.
    """

    def views(self, row: Mapping[str, Any], frames: np.ndarray | None, context: Context, /) -> list[View]:
        """Return the views of a question, the clean one first; `frames` as in `make_views`."""
        ...


def make_views(row: Mapping[str, Any], frames: np.ndarray | None, context: Context) -> list[View]:
    """The views of one question, the clean one first; `frames` (k, H, W, 3) uint8, None for questions without a video.

    A question without a video (general data) is shown as it is in every view: there is nothing to alter. Where all
    views of the pool show the video as it is, `grpo.reallocate_when_zero` makes them one clean view.
    """
    views = doors.ROLLOUTS.load(context.run.rollout).views(row, frames, context)
    if views[0].name != CLEAN or not views[0].contributes_gradient:
        raise AssertionError(f"{context.run.rollout}: the first view must be clean and give gradient")
    pool = [view for view in views if view.pooled]
    if context.grpo.reallocate_when_zero and all(view.frames is frames for view in pool):
        return [context.clean(frames, sum(view.n for view in pool)), *(view for view in views if not view.pooled)]
    return views
