"""A view of a question's video, and the place in the training at which it is made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from rollout3d.config import Grpo, Run
from rollout3d.model.regions import Regions
from rollout3d.seeding import generator
from rollout3d.training import schedule

CLEAN = "clean"
"""Name of the view that has the video as it is: V in the paper."""


@dataclass(frozen=True, eq=False)
class View:
    """One version of a question's video, and the number of rollouts to draw from it."""

    name: str
    """clean | perturbed | noisy | fewer | shuffled; several views of a question may share a name."""
    frames: np.ndarray | None
    """(k, H, W, 3) uint8; None for a question without a video."""
    n: int
    """Number of rollouts."""
    contributes_gradient: bool
    """True if its rollouts enter the loss."""
    pooled: bool = True
    """True if its rewards enter the group's mean and deviation."""
    perturbed_objects: tuple[int, ...] = ()
    """Ids of the objects under noise."""
    sigma: float | None = None
    """Standard deviation of the noise on [0, 255]; None without noise."""


def gradient_counts(views: Sequence[View], most: int | None) -> list[int]:
    """Return how many rollouts of each view enter the loss (`grpo.ablation.grad_limit`: at most `most`; None = all).

    They are taken in turn from the views that give gradient, so that the views' counts differ by one at most, as far as
    a view has rollouts.
    """
    giving = [view.n if view.contributes_gradient else 0 for view in views]
    if most is None:
        return giving
    counts = [0] * len(giving)
    for _ in range(min(most, sum(giving))):
        fewest = min((i for i, n in enumerate(giving) if counts[i] < n), key=counts.__getitem__)
        counts[fewest] += 1
    return counts


@dataclass(frozen=True)
class Context:
    """Place in the training at which views are made. `seed`: of the configuration; `step` of `total`, from 0."""

    grpo: Grpo
    run: Run
    seed: int
    step: int
    total: int
    regions: Regions | None = None

    @cached_property
    def delta(self) -> float | None:
        """delta_t of the run's schedule (equation 5); None without one (T-GRPO, vanilla, NoisyRollout with its own)."""
        if self.run.schedule is None:
            return None
        return schedule.delta(self.run.schedule, self.step, self.total, self.grpo.delta_start)

    @property
    def altered_gives_gradient(self) -> bool:
        """True if rollouts of altered videos enter the loss too (`grpo.ablation.grad_rollouts`)."""
        return self.grpo.ablation.grad_rollouts != "clean"

    def rng(self, question_id: str) -> np.random.Generator:
        """Return the random generator of a question at this step, by names only: never by the process or the batch."""
        return generator(self.seed, self.run.run, self.run.seed, "views", self.step, question_id)

    def clean(self, frames: np.ndarray | None, n: int) -> View:
        """Return the view of the video as it is."""
        return View(CLEAN, frames, n, contributes_gradient=True)
