"""A prompt computed once for completions that go through the model piece by piece: its keys and values as a cache.

For groups that are too long for one packed row. The prompt goes through the model once, and its keys and values become
leaves that the completions read. Every piece of the completions is run forward and backward by itself, which adds to
the leaves' gradients. At the end these are pulled back through the prompt. This is the chain rule, cut at the keys and
values: the gradient equals that of one forward, and only the activations of the prompt and of one piece are in memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from transformers.cache_utils import Cache, DynamicLayer

from rollout3d.model.encode import Prompt
from rollout3d.model.load import Policy


class Prefix:
    """A prompt behind which completions can be read, with gradient if gradients are enabled when it is made.

    Made, read and differentiated between two updates of the weights. `policy`: whose language model computes it.
    """

    def __init__(self, policy: Policy, prompt: Prompt):
        self._model, self._head = policy.core.model.language_model, policy.core.lm_head
        cache = Cache(layers=[_Writing() for _ in self._model.layers])
        hidden = self._run(policy.prompt_embeddings([prompt])[0][None], prompt.position_ids[:, None], None, cache)
        keys, values = [layer.keys for layer in cache.layers], [layer.values for layer in cache.layers]
        self._made: list[torch.Tensor] = [hidden[:, -1:], *keys, *values]
        self._leaves = [made.detach().requires_grad_(made.requires_grad) for made in self._made]
        self._pulled: list[torch.Tensor | None] = [None] * len(self._made)

    def read(self, words: torch.Tensor, position_ids: torch.Tensor, attention: torch.Tensor) -> torch.Tensor:
        """Return hidden states (1 + L, D): of the prompt's last token, then of L tokens behind the prompt.

        `words` (1, L, D): input embeddings; `position_ids` (3, 1, L); `attention` (1, 1, L, P + L) bool.
        """
        last, *states = self._leaves
        layers = [_Reading(keys, values) for keys, values in zip(*_halves(states), strict=True)]
        hidden = self._run(words, position_ids, attention, Cache(layers=layers))
        return torch.cat([last, hidden], dim=1)[0]

    def collect(self) -> None:
        """Add the gradients that the last backward left at the keys and values to those of the pieces before it.

        In float32: a sum over many completions would lose digits in bfloat16.
        """
        for place, leaf in enumerate(self._leaves):
            if leaf.grad is not None:
                before, new = self._pulled[place], leaf.grad.float()
                self._pulled[place] = new if before is None else before.add_(new)
                leaf.grad = None

    def pull(self) -> torch.Tensor:
        """Return a scalar whose gradient is that of all collected pieces with respect to what made the prompt.

        The head takes part with a gradient of zero: gradient collectives need every parameter of every backward.
        """
        pairs = [(made, grad) for made, grad in zip(self._made, self._pulled, strict=True) if grad is not None]
        nothing = 0 * self._head(self._made[0]).float().sum()
        return torch.stack([(made.float() * grad).sum() for made, grad in pairs]).sum() + nothing

    def _run(
        self, words: torch.Tensor, position_ids: torch.Tensor, attention: torch.Tensor | None, cache: Cache
    ) -> torch.Tensor:
        """Last hidden states. Raises RuntimeError if a layer passed the cache over."""
        with _cache_kept(self._model):
            hidden = self._model(
                inputs_embeds=words,
                position_ids=position_ids.to(words.device),
                attention_mask=None if attention is None else attention.to(words.device),
                past_key_values=cache,
                use_cache=False,
            ).last_hidden_state
        if not all(layer.used for layer in cache.layers):
            raise RuntimeError("transformers ran a layer without the prompt's cache; install the versions of pyproject")
        return hidden


class _Writing(DynamicLayer):
    """Keeps the keys and values of the first forward. Gradient checkpointing runs it again in the backward."""

    used = False

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if not self.used:
            self.keys, self.values = key_states, value_states
            self.used = self.is_initialized = True
        return key_states, value_states


class _Reading(DynamicLayer):
    """Puts a prompt's keys and values (1, heads, P, head_dim) before new ones, and stays as it is."""

    def __init__(self, keys: torch.Tensor, values: torch.Tensor):
        super().__init__()
        self.keys, self.values, self.is_initialized, self.used = keys, values, True, False

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        self.used = True
        return torch.cat([self.keys, key_states], dim=2), torch.cat([self.values, value_states], dim=2)


@contextmanager
def _cache_kept(model: nn.Module) -> Iterator[None]:
    """Let layers under gradient checkpointing have a cache.

    transformers takes it from them, since the second forward would write into most caches again; ours stay the same.
    """
    for layer in model.layers:
        layer._can_checkpoint_with_cache = True
    try:
        yield
    finally:
        for layer in model.layers:
            del layer._can_checkpoint_with_cache


def _halves(states: list[torch.Tensor]) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    middle = len(states) // 2
    return states[:middle], states[middle:]
