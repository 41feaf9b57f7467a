"""A prompt's keys and values, computed once for completions that go through the model piece by piece.

For groups that are too long for one packed row. The prompt goes through the model once, and its keys and values become
leaves that the completions read. Every piece of the completions is run forward and backward by itself, which adds to
the leaves' gradients. At the end these are pulled back through the prompt. This is the chain rule, cut at the keys and
values: the gradient equals that of one forward, and only the activations of the prompt and of one piece are in memory.

Letters in shapes: P tokens of the prompt, L tokens behind it, D width of the model.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from transformers.cache_utils import Cache, DynamicLayer

from rollout3d.model.encode import Prompt
from rollout3d.model.load import Policy

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int


class Prefix:
    """A computed prompt that completions can follow, with gradient if gradients are enabled when it is made.

    Make it, read it and differentiate it between two updates of the weights. `policy`: whose language model computes
    it. `always_look`: run the vision tower on a blank patch, with a gradient of zero, if the prompt has no picture, as
    `LogProbs.forward` does.
    """

    def __init__(self, policy: Policy, prompt: Prompt, always_look: bool = False):
        self._model, self._head = policy.core.model.language_model, policy.core.lm_head
        # First, so that its gradients come last, where those of a video come.
        self._blank = policy.blank_look() if always_look and not prompt.media else None
        written = [_Writing() for _ in layers_of(self._model)]
        words = policy.prompt_embeddings([prompt])[0][None]
        hidden = self._run(words, prompt.position_ids[:, None], None, written)
        keys, values = [layer.keys for layer in written], [layer.values for layer in written]
        # The last hidden state too: it predicts the first token of every completion.
        self._made = [hidden[:, -1:], *keys, *values]
        self._leaves = [made.detach().requires_grad_(made.requires_grad) for made in self._made]
        self._pulled: list[torch.Tensor | None] = [None] * len(self._made)

    def read(
        self,
        words: Float[Tensor, "1 l d"],
        position_ids: Int[Tensor, "3 1 l"],
        attention: Bool[Tensor, "1 1 l k"] | None,
    ) -> Float[Tensor, "m d"]:
        """Return hidden states (1 + L, D): of the prompt's last token, then of L tokens behind the prompt.

        `words`: input embeddings; `attention`: True where a token sees one of the P + L keys.
        """
        last, *states = self._leaves
        layers = [_Reading(keys, values) for keys, values in zip(*_halves(states), strict=True)]
        hidden = self._run(words, position_ids, attention, layers)
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

        The head takes part with a gradient of zero, and under `always_look` so does the vision tower: gradient
        collectives need every parameter of every backward.
        """
        pairs = [(made, grad) for made, grad in zip(self._made, self._pulled, strict=True) if grad is not None]
        nothing = 0 * self._head(self._made[0]).float().sum()
        nothing = nothing if self._blank is None else nothing + self._blank.float()
        return torch.stack([(made.float() * grad).sum() for made, grad in pairs]).sum() + nothing

    def _run(
        self,
        words: torch.Tensor,
        position_ids: torch.Tensor,
        attention: torch.Tensor | None,
        layers: Sequence[_Writing | _Reading],
    ) -> torch.Tensor:
        """Return the last hidden states. Raises RuntimeError if a layer did not use the cache."""
        with _cache_kept(self._model):
            hidden = self._model(
                inputs_embeds=words,
                position_ids=position_ids.to(words.device),
                attention_mask=None if attention is None else attention.to(words.device),
                past_key_values=Cache(layers=list(layers)),
                use_cache=False,
            ).last_hidden_state
        if not all(layer.used for layer in layers):
            raise RuntimeError("transformers ran a layer without the prompt's cache; install the versions of pyproject")
        return hidden


class _Writing(DynamicLayer):
    """Keeps the keys and values of the first forward. Gradient checkpointing runs it again in the backward."""

    keys: torch.Tensor
    values: torch.Tensor
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

    keys: torch.Tensor
    values: torch.Tensor

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
    for layer in layers_of(model):
        layer._can_checkpoint_with_cache = True
    try:
        yield
    finally:
        for layer in layers_of(model):
            del layer._can_checkpoint_with_cache


def layers_of(model: nn.Module) -> list[Any]:
    """Return the layers of a language model."""
    layers: Any = model.layers
    return list(layers)


def _halves(states: list[torch.Tensor]) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    middle = len(states) // 2
    return states[:middle], states[middle:]
