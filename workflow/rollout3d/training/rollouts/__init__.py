"""Rollout methods: the views of its video from which the rollouts of a question are drawn. One file per method.

A method is a function (question, frames, context) -> views. Every view is rolled out; `pooled` ones share the
statistics of the advantage (OCR, equation 4), and only those that contribute gradient go through the policy's forward
again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, cast

import numpy as np

from rollout3d import doors
from rollout3d.config import Grpo, Run
from rollout3d.tables.rows import QuestionRow
from rollout3d.training.rollouts._view import CLEAN, Context, View, gradient_counts

__all__ = [
    "CLEAN",
    "Context",
    "ObjectRollout",
    "Rollout",
    "View",
    "eligible",
    "gradient_counts",
    "in_loss",
    "make_views",
    "planned_views",
]


class Rollout(Protocol):
    """What a file of this folder defines.

    A file may also assign literals, which are read without importing it (`doors.Door.constant`): `NEEDS`, the cells
    (schedule, regions) without which its runs are refused; `KEYS`, the keys of `grpo` that only it reads; `KEYS_IF`,
    further ones by the (key, value) that makes it read them. A key that is not declared cannot be read.
    `OBJECTS = True`: the file also defines `eligible`, and a view named "perturbed" has objects under noise; the report
    shows such views again. `PAPER`: further cells of the paper's own run, if the method is the paper's.
    """

    def views(self, question: QuestionRow, frames: np.ndarray | None, context: Context, /) -> list[View]:
        """Return the views of a question, the clean one first; `frames` as in `make_views`."""
        ...


class ObjectRollout(Rollout, Protocol):
    """What a method with `OBJECTS = True` defines."""

    def eligible(self, question: QuestionRow, context: Context, /) -> list[int]:
        """Return the ids of the objects that may be perturbed, sorted: the M of equation 5."""
        ...


def eligible(question: QuestionRow, context: Context) -> list[int]:
    """Return the ids of the objects that the run's rollout method, one with `OBJECTS`, may perturb, sorted."""
    return cast(ObjectRollout, doors.ROLLOUTS.load(context.run.rollout or "")).eligible(question, context)


def make_views(question: QuestionRow, frames: np.ndarray | None, context: Context) -> list[View]:
    """Return the views of one question by the run's rollout method, the clean one first.

    `frames`: (k, H, W, 3) uint8 RGB; None for a question without a video (general data), which is the same in every
    view, since there is nothing to alter. Where all views of the pool have the video as it is,
    `grpo.ablation.reallocate_when_zero` makes them one clean view.
    """
    method = context.run.rollout or ""
    views = cast(Rollout, doors.ROLLOUTS.load(method)).views(question, frames, context)
    if views[0].name != CLEAN or not views[0].contributes_gradient:
        raise AssertionError(f"{method}: the first view must be clean and give gradient")
    pool = [view for view in views if view.pooled]
    if context.grpo.ablation.reallocate_when_zero and all(view.frames is frames for view in pool):
        return [context.clean(frames, sum(view.n for view in pool)), *(view for view in views if not view.pooled)]
    return views


def planned_views(grpo: Grpo, run: Run, frames: int) -> list[View]:
    """Return the views of a question about a scan whose video has that many frames, before anything is trained.

    They are those of the last step, at which a schedule alters nothing, so that no frame is missing.
    """
    # The columns that rollout methods read.
    row = cast("QuestionRow", {"question_id": "plan", "scene_id": "plan", "objects": []})
    shown = np.zeros((frames, 1, 1, 3), np.uint8)
    ablation = grpo.ablation.model_copy(update={"reallocate_when_zero": False})
    always = grpo.model_copy(update={"ablation": ablation})
    total = run.steps or 1
    regions: Any = _NoRegions()
    return make_views(row, shown, Context(always, run, 0, total - 1, total, regions))


def in_loss(views: Sequence[View], most: int | None) -> dict[str, list[bool]]:
    """Return name of a view -> whether each of its rollouts enters the loss, in the order of `sample` in
    `tables.ROLLOUTS`; `most` as of `gradient_counts`."""
    found: dict[str, list[bool]] = {}
    for view, count in zip(views, gradient_counts(views, most), strict=True):
        found.setdefault(view.name, []).extend([True] * count + [False] * (view.n - count))
    return found


class _NoRegions:
    """Regions of a scan without objects: noise over nothing costs nothing."""

    def objects(self, scene_id: str) -> list[int]:
        return []
