"""Whether sampler and trainer mean the same distribution.

Log-probabilities of the two differ by rounding only (bfloat16: about 0.01 nats a token). More means other positions,
another encoding or stale weights in one of them, and training would go on quietly: off-policy, without anybody's wish.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import torch

from rollout3d.config import Grpo
from rollout3d.errors import UserError
from rollout3d.training.engines.engine import Engine
from rollout3d.training.group import Group
from rollout3d.training.packing import Packed, Row

log = logging.getLogger(__name__)


class Disagreement(UserError, RuntimeError):
    """Sampler and trainer give other log-probabilities; the message says by how much, and the remedies."""


def check_agreement(groups: Sequence[Group], engine: Engine, grpo: Grpo) -> float:
    """Mean absolute difference, in nats a token over all processes, on the clean rollouts of the first group.

    Made once a start, after the first rollouts (so after a resume too) and before the first update. Sampler and trainer
    are compared at temperature 1 over the whole vocabulary. Raises `Disagreement` above `grpo.max_logprob_gap`.
    """
    rollouts = [rollout for rollout in groups[0].rollouts if rollout.prompt is groups[0].rollouts[0].prompt]
    row = Row(rollouts[0].prompt, [rollout.completion.token_ids for rollout in rollouts])
    told = torch.tensor([chance for rollout in rollouts for chance in rollout.completion.logprobs])
    ours = engine.score([row], temperature=1.0)[0].cpu()
    apart, tokens = engine.world.sum([float((ours - told).abs().sum()), len(told)])
    gap = apart / tokens
    log.info("log-probabilities of sampler (%s) and trainer differ by %.2g nats a token", grpo.backend, gap)
    if not gap <= grpo.max_logprob_gap:
        raise Disagreement(
            f"log-probabilities of the sampler (grpo.backend: {grpo.backend}) and the trainer differ by {gap:.3g} nats "
            f"a token on average, more than grpo.max_logprob_gap = {grpo.max_logprob_gap}: they do not see the same "
            "model or prompt. Install the versions that pyproject.toml pins, or set grpo.backend: hf; raise the limit "
            "only if the difference is rounding"
        )
    return gap


def watch_agreement(logp: torch.Tensor, packed: Packed, grpo: Grpo) -> None:
    """The same on the batches that are trained on anyway, with a warning instead of an end; at temperature 1 only."""
    if grpo.temperature != 1 or any(row.told is None or not len(row.told) for row in packed.rows):
        return
    told = torch.cat([row.told for row in packed.rows]).to(logp.device)
    apart = float((logp.detach() - told).abs().mean())
    if apart > grpo.max_logprob_gap:
        log.warning("rollouts and training disagree: log-probabilities differ by %.3f on average", apart)
