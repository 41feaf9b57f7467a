"""A question of a GRPO step with its views and rollouts, and what of it the policy's forward must see."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from rollout3d.config import Grpo
from rollout3d.model.encode import Prompt
from rollout3d.model.sampling import Completion
from rollout3d.training.objective import has_spread, kl_weights, token_weights
from rollout3d.training.packing import Row
from rollout3d.training.rewards import Judgement
from rollout3d.training.rollouts import CLEAN, View


@dataclass(eq=False)
class Rollout:
    """One completion of one view."""

    view: View
    prompt: Prompt
    """The view as the model saw it."""
    completion: Completion
    judged: Judgement | None = None
    advantage: float = 0.0
    """0 for views outside the pool."""
    behaviour: torch.Tensor | None = None
    """Log-probability of each token for the view that it was drawn from, where it is scored for another."""


@dataclass(eq=False)
class Group:
    """One question, its views, how the model sees them, and their rollouts, view by view, the clean one first."""

    row: Mapping[str, Any]
    views: list[View]
    prompts: list[Prompt] = field(default_factory=list)
    rollouts: list[Rollout] = field(default_factory=list)
    separate: bool = False
    """Whether clean and altered rollouts have statistics of their own (`grpo.advantage_group`)."""

    @property
    def pooled(self) -> list[Rollout]:
        """The rollouts that share the statistics of the advantage."""
        return [rollout for rollout in self.rollouts if rollout.view.pooled]

    @property
    def pools(self) -> list[list[Rollout]]:
        """Rollouts by shared statistics: all the pooled ones, or the clean and the altered ones apart."""
        if not self.separate:
            return [self.pooled]
        halves = [[r for r in self.pooled if (r.view.name == CLEAN) == clean] for clean in (True, False)]
        return [half for half in halves if half]

    @property
    def rewards(self) -> list[float]:
        """Total reward of each pooled rollout."""
        return [rollout.judged.total for rollout in self.pooled]

    @property
    def teaches(self) -> bool:
        """Whether rewards differ in a pool that gives gradient."""
        giving = [pool for pool in self.pools if any(rollout.view.contributes_gradient for rollout in pool)]
        return any(has_spread([rollout.judged.total for rollout in pool]) for pool in giving)

    def counted_lengths(self, grpo: Grpo) -> list[int]:
        """Tokens of the rollouts in the denominator: those that give gradient, or the pool (the 2n of equation 6)."""
        everyone = grpo.loss_denominator == "all"
        counted = [rollout for rollout in self.pooled if everyone or rollout.view.contributes_gradient]
        return [len(rollout.completion.token_ids) for rollout in counted]

    def gradient_rows(self, grpo: Grpo, groups: int, step_tokens: float) -> list[Row]:
        """The rollouts that give gradient as packed rows, one a view; one in all if they are scored on the clean video.

        `groups`, `step_tokens`: as of `objective.token_weights`.
        """
        by_view: dict[int, list[Rollout]] = {}
        for rollout in self.rollouts:
            if rollout.view.contributes_gradient:
                on_clean = grpo.grad_rollouts == "both_on_clean"
                by_view.setdefault(0 if on_clean else id(rollout.view), []).append(rollout)
        rows = []
        counted = self.counted_lengths(grpo)
        for rollouts in by_view.values():
            lengths = [len(rollout.completion.token_ids) for rollout in rollouts]
            weight = token_weights(
                lengths,
                counted,
                grpo.loss,
                groups=groups,
                step_tokens=step_tokens,
                max_tokens=grpo.max_new_tokens,
            )
            kl_weight = kl_weights(weight, len(counted), groups) if grpo.kl == "sequence" else None
            each = torch.tensor([rollout.advantage for rollout in rollouts])
            advantage = each.repeat_interleave(torch.tensor(lengths))
            completions = [rollout.completion.token_ids for rollout in rollouts]
            told = None
            if all(rollout.prompt is rollouts[0].prompt for rollout in rollouts):
                told = torch.tensor([chance for rollout in rollouts for chance in rollout.completion.logprobs])
            behaviour = None
            if any(rollout.behaviour is not None for rollout in rollouts):
                unknown = [torch.full((length,), torch.nan) for length in lengths]
                behaviour = torch.cat(
                    [blank if r.behaviour is None else r.behaviour for r, blank in zip(rollouts, unknown)]
                )
            scored = {"weight": weight, "advantage": advantage, "told": told}
            rows.append(Row(rollouts[0].prompt, completions, **scored, kl_weight=kl_weight, behaviour=behaviour))
        return rows
