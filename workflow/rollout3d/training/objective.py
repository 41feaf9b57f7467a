"""The equations of GRPO as pure functions on tensors: advantages, the KL estimate, the clipped ratio, the means.

Equation numbers are those of "Video Spatial Reasoning with Object-Centric 3D Rollout" (OCR). Symbols: r rewards, A
advantages, pi the policy, rho the ratio of its probability to that of the old one, n the rollouts of one video, 2n
those of a group, eps the clipping range. Log-probabilities are in nats. Letters in shapes: g rollouts of a group, t
tokens.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

if TYPE_CHECKING:
    from jaxtyping import Float

Std = Literal["unbiased", "biased", "none"]
Loss = Literal["grpo", "dapo", "dr_grpo", "token_mean"]


def has_spread(rewards: Sequence[float]) -> bool:
    """Return whether the rewards of a group differ. Without spread every advantage is 0: only a KL term is left."""
    return max(rewards) - min(rewards) > 1e-9


def advantages(rewards: Float[Tensor, " g"], std: Std = "unbiased", eps: float = 1e-4) -> Float[Tensor, " g"]:
    """Return the normalised advantages A of one group's rewards: equation 1, and 4 where the group pools both videos.

    A = (r - mean(r)) / (std(r) + eps). Video-R1 divides by the unbiased deviation and adds eps = 1e-4, both of which
    the paper leaves open; `std="none"` only centres (Dr. GRPO).
    """
    centred = rewards - rewards.mean()
    if std == "none" or len(rewards) < 2:
        return centred
    return centred / (rewards.std(correction=1 if std == "unbiased" else 0) + eps)


def kl_k3(logp: Float[Tensor, " t"], logp_ref: Float[Tensor, " t"], limit: float = 10.0) -> Float[Tensor, " t"]:
    """Estimate D_KL(pi || pi_ref) per token, the last term of equations 2 and 6: exp(x) - x - 1, x = logp_ref - logp.

    Never negative, and unbiased over tokens that are drawn from pi. x is clamped to [-limit, limit], as Video-R1 does,
    which also stops the gradient of a token that drifted that far.
    """
    x = (logp_ref - logp).clamp(-limit, limit)
    return torch.exp(x) - x - 1


def clipped_ratio(
    logp: Float[Tensor, " t"], logp_old: Float[Tensor, " t"], advantage: Float[Tensor, " t"], clip_eps: float
) -> Float[Tensor, " t"]:
    """Return min(rho A, clip(rho, 1 - eps, 1 + eps) A) per token, rho = pi / pi_old: the first term of equations 2, 6.

    With one update per batch of rollouts pi_old is pi itself: pass `logp.detach()`. The value is then A, and the
    gradient A grad(log pi).
    """
    ratio = torch.exp(logp - logp_old)
    return torch.minimum(ratio * advantage, ratio.clamp(1 - clip_eps, 1 + clip_eps) * advantage)


def token_weights(
    lengths: Sequence[int],
    counted: Sequence[int],
    loss: Loss,
    *,
    groups: int,
    step_tokens: float,
    max_tokens: int,
) -> Float[Tensor, " t"]:
    """Return the float32 weight of every token of one group, so that the step's objective is a weighted sum.

    `lengths`: tokens of the rollouts that give gradient. `counted`: tokens of the rollouts in the denominator; the
    same ones, or all 2n of them to read equation 6 by the letter. `groups`: prompts of the step on this process,
    skipped ones included. `step_tokens`: counted tokens of the step, averaged over processes. The modes:

    - grpo: mean over the tokens of a sequence, over sequences, over groups (equation 6, Video-R1);
    - token_mean: mean over the tokens of a group, over groups;
    - dapo: mean over all tokens of the step;
    - dr_grpo: as grpo, but each sequence divided by `max_tokens` instead of its length.
    """
    size = torch.tensor(lengths, dtype=torch.float64)
    if loss == "grpo":
        each = 1 / (groups * len(counted) * size)
    elif loss == "token_mean":
        each = torch.full_like(size, 1 / (groups * sum(counted)))
    elif loss == "dapo":
        each = torch.full_like(size, 1 / step_tokens)
    elif loss == "dr_grpo":
        each = torch.full_like(size, 1 / (groups * len(counted) * max_tokens))
    else:
        raise ValueError(f"unknown loss '{loss}': grpo, dapo, dr_grpo or token_mean")
    return each.repeat_interleave(torch.tensor(lengths)).float()


def kl_weights(weight: Float[Tensor, " t"], counted: int, groups: int) -> Float[Tensor, " t"]:
    """Return weights of the tokens' KL that sum it over a sequence and average over `counted` sequences and `groups`.

    That is the D_KL of whole sequences in equations 2 and 6, where `token_weights` gives that of a token.
    """
    return torch.full_like(weight, 1 / (groups * counted))


def truncated_ratio(
    logp_old: Float[Tensor, " t"], logp_behaviour: Float[Tensor, " t"], cap: float
) -> Float[Tensor, " t"]:
    """Return min(pi_old(o|V) / pi_old(o|V^), cap) per token.

    It corrects, in part, for completions that are drawn from V^ but scored on V, which equation 6 by the letter does
    not. NaN in `logp_behaviour` (drawn from V) gives 1.
    """
    return torch.exp(logp_old - logp_behaviour).clamp(max=cap).nan_to_num(1.0)


def learning_rate(step: int, total: int, peak: float, shape: Literal["linear", "cosine"]) -> float:
    """Return the learning rate of a step counted from 0, falling from `peak` to 0 at `total`; no warm-up (Video-R1)."""
    left = 1 - step / total
    return peak * (left if shape == "linear" else 0.5 * (1 + math.cos(math.pi * (1 - left))))
