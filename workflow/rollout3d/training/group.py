"""A question of a GRPO step with its views and rollouts, and what of it the policy's forward must see."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch

from rollout3d.config import Grpo
from rollout3d.model.encode import Prompt
from rollout3d.model.sampling import Completion
from rollout3d.tables.rows import QuestionRow
from rollout3d.training.objective import has_spread, kl_weights, token_weights
from rollout3d.training.packing import PackedRow
from rollout3d.training.rewards import Judgement
from rollout3d.training.rollouts import CLEAN, View, gradient_counts

NOT_JUDGED = Judgement(None, {}, math.nan)
"""Of a rollout before its group is rewarded."""


@dataclass(eq=False)
class Rollout:
    """One completion of one view."""

    view: View
    prompt: Prompt
    """The question with the view's video, as it was sampled."""
    completion: Completion
    judged: Judgement = NOT_JUDGED
    """Answer and reward r (equation 3)."""
    advantage: float = 0.0
    """Advantage A (equation 4); 0 for views outside the pool."""
    behaviour: torch.Tensor | None = None
    """Log-probability of each token for the view that it was drawn from, where it is scored for another."""
    within_limit: bool = True
    """False if `grpo.ablation.grad_limit` leaves it out of the loss."""

    @property
    def gives_gradient(self) -> bool:
        """True if it enters the loss."""
        return self.view.contributes_gradient and self.within_limit


@dataclass(eq=False)
class Group:
    """One question, its views, their prompts and their rollouts, view by view, the clean one first."""

    question: QuestionRow
    views: list[View]
    prompts: list[Prompt] = field(default_factory=list)
    rollouts: list[Rollout] = field(default_factory=list)
    separate: bool = False
    """True if clean and altered rollouts have statistics of their own (`grpo.ablation.advantage_group`)."""

    @property
    def pooled(self) -> list[Rollout]:
        """The rollouts that share the statistics of the advantage: the 2n of equation 4."""
        return [rollout for rollout in self.rollouts if rollout.view.pooled]

    def limit(self, most: int | None) -> None:
        """Set which rollouts enter the loss: of each view the first ones, `gradient_counts` of them.

        Rollouts of a view are drawn alike, so which of them stay does not matter. The others count in the statistics of
        the advantage as before.
        """
        for view, count in zip(self.views, gradient_counts(self.views, most), strict=True):
            for rollout in [r for r in self.rollouts if r.view is view][count:]:
                rollout.within_limit = False

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
        """True if rewards differ in a pool that gives gradient.

        A clean half whose rewards are all equal still teaches if the perturbed half earned otherwise: the advantages
        are then equal and not 0, which raises or lowers all of its completions. This is how the perturbed rollouts act
        on the policy at all.
        """
        giving = [pool for pool in self.pools if any(rollout.gives_gradient for rollout in pool)]
        return any(has_spread([rollout.judged.total for rollout in pool]) for pool in giving)

    def counted_lengths(self, grpo: Grpo) -> list[int]:
        """Return the tokens of each rollout in the denominator: those that give gradient, or the 2n of equation 6."""
        everyone = grpo.ablation.loss_denominator == "all"
        counted = [rollout for rollout in self.pooled if everyone or rollout.gives_gradient]
        return [len(rollout.completion.token_ids) for rollout in counted]

    def gradient_rows(self, grpo: Grpo, groups: int, step_tokens: float) -> list[PackedRow]:
        """Pack the rollouts that give gradient: one row per view, or a single one if all are scored on the clean video.

        `groups`, `step_tokens`: as of `objective.token_weights`.
        """
        on_clean = grpo.ablation.grad_rollouts == "both_on_clean"
        by_view: dict[View, list[Rollout]] = {}
        for rollout in self.rollouts:
            if rollout.gives_gradient:
                by_view.setdefault(self.views[0] if on_clean else rollout.view, []).append(rollout)
        counted = self.counted_lengths(grpo)
        rows = []
        for rollouts in by_view.values():
            lengths = [len(rollout.completion.token_ids) for rollout in rollouts]
            weight = token_weights(
                lengths,
                counted,
                grpo.ablation.loss,
                groups=groups,
                step_tokens=step_tokens,
                max_tokens=grpo.max_new_tokens,
            )
            advantage = torch.tensor([rollout.advantage for rollout in rollouts])
            row = PackedRow(
                rollouts[0].prompt,
                [rollout.completion.token_ids for rollout in rollouts],
                weight=weight,
                # One advantage per rollout, spread over its tokens: outcome rewards say nothing of single tokens.
                advantage=advantage.repeat_interleave(torch.tensor(lengths)),
                sampler_logp=_sampler_logp(rollouts),
                kl_weight=kl_weights(weight, len(counted), groups) if grpo.ablation.kl == "sequence" else None,
                behaviour=_behaviour(rollouts, lengths),
            )
            rows.append(row)
        return rows


def _sampler_logp(rollouts: list[Rollout]) -> torch.Tensor | None:
    """Return the back end's log-probabilities of all tokens; None if some are for another prompt than the row's."""
    if any(rollout.prompt is not rollouts[0].prompt for rollout in rollouts):
        return None
    return torch.tensor([log_prob for rollout in rollouts for log_prob in rollout.completion.logprobs])


def _behaviour(rollouts: list[Rollout], lengths: list[int]) -> torch.Tensor | None:
    """Return log-probabilities for the videos that tokens were drawn from, NaN for the row's own; None if all are."""
    if all(rollout.behaviour is None for rollout in rollouts):
        return None
    unknown = [torch.full((length,), torch.nan) for length in lengths]
    return torch.cat([blank if r.behaviour is None else r.behaviour for r, blank in zip(rollouts, unknown)])
