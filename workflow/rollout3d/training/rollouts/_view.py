"""A view of a video, and what a rollout method knows when it makes one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from rollout3d.config import Grpo, Run
from rollout3d.model.regions import Regions
from rollout3d.seeding import generator
from rollout3d.training import schedule

CLEAN = "clean"


@dataclass(frozen=True, eq=False)
class View:
    """One way of showing a question's video, and how many rollouts to draw from it."""

    name: str
    """clean | perturbed | noisy | fewer | shuffled; several views of a question may share a name."""
    frames: np.ndarray | None
    """(k, H, W, 3) uint8; None for a question without a video."""
    n: int
    """Rollouts."""
    contributes_gradient: bool
    """Whether its rollouts enter the loss."""
    pooled: bool = True
    """Whether its rewards enter the group's mean and deviation."""
    perturbed_objects: tuple[int, ...] = ()
    """Objects drowned in noise."""
    sigma: float | None = None
    """Standard deviation of the noise on [0, 255], if any."""


@dataclass(frozen=True)
class Context:
    """Where in the training a question is met. `seed`: of the configuration; `step` of `total`, from 0."""

    grpo: Grpo
    run: Run
    seed: int
    step: int
    total: int
    regions: Regions | None = None

    @cached_property
    def delta(self) -> float | None:
        """delta_t of the run's schedule; None without one (T-GRPO, vanilla, NoisyRollout by its own schedule)."""
        if self.run.schedule is None:
            return None
        return schedule.delta(self.run.schedule, self.step, self.total, self.grpo.delta_start)

    @property
    def altered_gives_gradient(self) -> bool:
        """Whether rollouts of altered videos enter the loss too (`grpo.grad_rollouts`)."""
        return self.grpo.grad_rollouts != "clean"

    def rng(self, question_id: str) -> np.random.Generator:
        """The question's draws at this step: they depend on names only, never on the process or the batch."""
        return generator(self.seed, self.run.run, self.run.seed, "views", self.step, question_id)

    def clean(self, frames: np.ndarray | None, n: int) -> View:
        """The video as it is."""
        return View(CLEAN, frames, n, contributes_gradient=True)
