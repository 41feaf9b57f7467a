"""Prefill: the forward of prompts before their answers are decoded. Questions about one video share what is equal.

Prompts of a scene begin with the same system turn and the same video, most of their tokens. That beginning goes through
the language model once, and its keys and values are repeated for the questions behind it. Prompts with videos of their
own, such as the views of a rollout, go through in one forward, as they are.

Letters in shapes: B prompts of up to L tokens, D hidden size, P tokens of a beginning.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import torch
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer

from rollout3d.model.encode import Prompt
from rollout3d.model.load import Policy

Layers = list[tuple[torch.Tensor, torch.Tensor]]
"""Keys and values (B, heads, L, head_dim) of each layer."""


class Filled(NamedTuple):
    """What a forward leaves behind."""

    hidden: torch.Tensor
    """(B, D), of the last token."""
    layers: Layers
    real: torch.Tensor
    """(B, L) bool: False where a row is padding, which stands on the left of each piece."""
    padded: bool
    """True if any is; known without a wait for the device."""


def prefill(policy: Policy, prompts: Sequence[Prompt]) -> tuple[torch.Tensor, Layers, torch.Tensor | None]:
    """Return the last hidden states (B, D), keys and values of each layer, and the additive mask (B, L) of later steps.

    The mask is None if no row is padded. Prompts are cut in two where some of them share their beginning.
    """
    config: Any = policy.core.config.text_config
    if config._attn_implementation != "sdpa":
        raise ValueError("generation needs attn_implementation 'sdpa' for the language model: load it by load_policy")
    embeddings = policy.prompt_embeddings(prompts)
    pieces = [(words, prompt.position_ids) for words, prompt in zip(embeddings, prompts, strict=True)]
    groups = beginnings(policy, prompts)
    if len(groups) == len(prompts):
        filled = _forward(policy, pieces)
    else:
        where, cuts = [0] * len(prompts), [0] * len(prompts)
        for place, (length, members) in enumerate(groups):
            for row in members:
                where[row], cuts[row] = place, length
        first = [_cut(pieces[members[0]], 0, length) for length, members in groups]
        filled = _forward(policy, first)
        own = torch.tensor(where, device=policy.device)
        before = [(keys[own], values[own]) for keys, values in filled.layers]
        rest = [_cut(piece, cut, None) for piece, cut in zip(pieces, cuts, strict=True)]
        filled = _forward(policy, rest, Filled(filled.hidden, before, filled.real[own], filled.padded))
    if not filled.padded:
        return filled.hidden, filled.layers, None
    later = torch.zeros_like(filled.real, dtype=filled.hidden.dtype).masked_fill(~filled.real, -torch.inf)
    return filled.hidden, filled.layers, later


def beginnings(policy: Policy, prompts: Sequence[Prompt]) -> list[tuple[int, list[int]]]:
    """Group prompts that begin alike, up to their last picture or video and beyond; return (P, places) of each group.

    The beginning of a prompt that shares it with none ends behind its last medium. Every prompt is a group of its own
    where one has no medium, since it has no beginning worth a forward.
    """
    visual = torch.tensor([policy.encoder.image_pad, policy.encoder.video_pad])
    alone = [(len(prompt), [place]) for place, prompt in enumerate(prompts)]
    if not all(prompt.media for prompt in prompts):
        return alone
    groups: dict[tuple[bytes, ...], list[int]] = {}
    ends = []
    for place, prompt in enumerate(prompts):
        end = int(torch.isin(prompt.input_ids, visual).nonzero()[-1]) + 2  # with the token that ends the medium
        ends.append(end)
        tokens, positions = prompt.input_ids[:end].numpy(), prompt.position_ids[:, :end].numpy()
        content = (medium.key.encode() for medium in prompt.media)
        groups.setdefault((tokens.tobytes(), positions.tobytes(), *content), []).append(place)
    return [(_common([prompts[i] for i in own], ends[own[0]]), own) for own in groups.values()]


def _common(prompts: Sequence[Prompt], least: int) -> int:
    """Return how many tokens prompts begin alike with, of which `least` are known; one at least is left to each.

    Behind the last medium positions count on, so that equal tokens have equal ones.
    """
    if len(prompts) == 1:
        return least
    most = min(len(prompt) for prompt in prompts) - 1
    rows = torch.stack([prompt.input_ids[:most] for prompt in prompts])
    return max(least, int((rows == rows[0]).all(0).cumprod(0).sum()))


def _cut(piece: tuple[torch.Tensor, torch.Tensor], start: int, end: int | None) -> tuple[torch.Tensor, torch.Tensor]:
    return piece[0][start:end], piece[1][:, start:end]


def _forward(
    policy: Policy,
    pieces: Sequence[tuple[torch.Tensor, torch.Tensor]],
    before: Filled | None = None,
) -> Filled:
    """Return what pieces (embeddings (L, D), positions (3, L)) leave behind, padded on the left.

    `before`: what stands before each piece.
    """
    core, device = policy.core, policy.device
    longest = max(len(words) for words, _ in pieces)
    lengths = torch.tensor([len(words) for words, _ in pieces], device=device)
    inputs = pieces[0][0].new_zeros(len(pieces), longest, pieces[0][0].shape[1])
    positions = torch.zeros(3, len(pieces), longest, dtype=torch.int64)
    for row, (words, places) in enumerate(pieces):
        inputs[row, longest - len(words) :] = words
        positions[:, row, longest - len(words) :] = places
    real = torch.arange(longest, device=device) >= longest - lengths[:, None]
    padded = len({len(words) for words, _ in pieces}) > 1
    config: Any = core.config.text_config
    mask, cache = None, cast(Cache, DynamicCache(config=config))
    if before is not None or padded:
        # A padding token sees itself, so that no row of the attention is empty.
        causal = torch.ones(longest, longest, dtype=torch.bool, device=device).tril()
        mask = (causal & real[:, None, :]) | torch.eye(longest, dtype=torch.bool, device=device)
        if before is not None:
            mask = torch.cat([before.real[:, None, :].expand(-1, longest, -1), mask], dim=2)
            real, padded = torch.cat([before.real, real], dim=1), padded or before.padded
            cache = Cache(layers=[_kept(keys, values) for keys, values in before.layers])
    hidden = core.model.language_model(
        inputs_embeds=inputs,
        position_ids=positions.to(device),
        attention_mask=None if mask is None else mask[:, None],
        past_key_values=cache,
        use_cache=True,
    ).last_hidden_state[:, -1]
    filled: list[Any] = list(cache.layers)
    return Filled(hidden, [(layer.keys, layer.values) for layer in filled], real, padded)


def _kept(keys: torch.Tensor, values: torch.Tensor) -> DynamicLayer:
    layer = DynamicLayer()
    layer.dtype, layer.device, layer.is_initialized = keys.dtype, keys.device, True
    layer.keys, layer.values = keys, values
    return layer
