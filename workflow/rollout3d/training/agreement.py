"""Check that sampler and trainer compute the same log-probabilities.

The two differ by rounding only (bfloat16: about 0.01 nats per token). A larger difference means other positions,
another encoding or stale weights in one of them, and training would silently continue off-policy.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import torch

from rollout3d.config import Grpo
from rollout3d.errors import UserError
from rollout3d.training.engines.engine import Engine
from rollout3d.training.group import Group
from rollout3d.training.packing import Packed, PackedRow

log = logging.getLogger(__name__)


class Disagreement(UserError, RuntimeError):
    """Sampler and trainer give other log-probabilities; the message says by how much, and the remedies."""


def check_agreement(groups: Sequence[Group], engine: Engine, grpo: Grpo) -> float:
    """Return the mean absolute difference of log-probabilities, in nats per token over all processes.

    Compared are the clean rollouts of the first group, at temperature 1 and over the whole vocabulary. Call it once per
    start, after the first rollouts (so after a resume too) and before the first update. Raises `Disagreement` above
    `MAX_LOGPROB_GAP`.
    """
    rollouts = [rollout for rollout in groups[0].rollouts if rollout.prompt is groups[0].rollouts[0].prompt]
    row = PackedRow(rollouts[0].prompt, [rollout.completion.token_ids for rollout in rollouts])
    sampler = torch.tensor([log_prob for rollout in rollouts for log_prob in rollout.completion.logprobs])
    trainer = engine.score([row], temperature=1.0)[0].cpu()
    apart, tokens = engine.world.sum([float((trainer - sampler).abs().sum()), len(sampler)])
    gap = apart / tokens
    log.info("log-probabilities of sampler (%s) and trainer differ by %.2g nats per token", engine.backend, gap)
    if not gap <= grpo.max_logprob_gap:
        raise Disagreement(
            f"log-probabilities of the sampler (generation.backend: {engine.backend}) and the trainer differ by "
            f"{gap:.3g} nats per token on average, more than {grpo.max_logprob_gap} (MAX_LOGPROB_GAP in "
            "workflow/rollout3d/config/training.py): they do not see the same model or prompt. Install the versions "
            "that pyproject.toml pins, or set generation.backend: hf"
        )
    return gap


def watch_agreement(logp: torch.Tensor, packed: Packed, grpo: Grpo) -> None:
    """Warn if sampler and trainer differ on a batch that is trained on; at temperature 1 only, and never an error.

    `logp` (T,): the trainer's log-probabilities of the batch.
    """
    known = [row.sampler_logp for row in packed.rows if row.sampler_logp is not None and len(row.sampler_logp)]
    if grpo.temperature != 1 or len(known) < len(packed.rows):
        return
    apart = float((logp.detach() - torch.cat(known).to(logp.device)).abs().mean())
    if apart > grpo.max_logprob_gap:
        log.warning("rollouts and training disagree: log-probabilities differ by %.3f nats on average", apart)
