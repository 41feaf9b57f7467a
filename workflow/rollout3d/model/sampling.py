"""Settings, results and interfaces of generation, and the draw of one token.

Draws depend on names (seed, prompt key, sample number), never on the order or the size of a batch. What can still
differ is the floating point behind them: a batch of another size may change a logit by some 1e-6, and then a draw that
falls that close to the border between two tokens goes the other way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch

from rollout3d.model.encode import Prompt
from rollout3d.seeding import generator


@dataclass(frozen=True)
class Sampling:
    """How to draw answers. `temperature` 0 is greedy; `top_p` is applied after the temperature."""

    n: int = 1
    """Number of answers per prompt."""
    temperature: float = 0.0
    top_p: float = 1.0
    max_new_tokens: int = 16
    """Maximum number of tokens per answer, end of turn included."""

    def __post_init__(self) -> None:
        if self.n < 1 or self.max_new_tokens < 1 or self.temperature < 0 or not 0 < self.top_p <= 1:
            raise ValueError(f"{self}: n and max_new_tokens from 1, temperature from 0, top_p above 0 and up to 1")


@dataclass(frozen=True)
class Completion:
    """One answer."""

    token_ids: list[int]
    """Tokens, the end of turn included if it came."""
    text: str
    """Text without control tokens."""
    finished: bool
    """True if the end of turn came before `max_new_tokens`."""
    logprobs: list[float] = field(repr=False, default_factory=list)
    """The model's own log-probability of each token: at temperature 1, over the whole vocabulary, nothing suppressed
    and no nucleus cut, so that it is comparable with the trainer's forward."""

    @property
    def logprob_sum(self) -> float:
        """Log-probability of the whole answer, in nats."""
        return float(sum(self.logprobs))


class Generate(Protocol):
    """Answers to a list of prompts, all at once: the interface that training uses, the same for both back ends."""

    def __call__(
        self,
        policy: Any,
        prompts: Sequence[Prompt],
        sampling: Sampling,
        seed: int = 0,
        keys: Sequence[str] | None = None,
    ) -> list[list[Completion]]:
        """Return `sampling.n` answers for each prompt, in order.

        `keys` name the prompts' random draws (default: the prompts' content, so that equal prompts get equal answers).
        """
        ...


@dataclass(frozen=True, eq=False)
class Batch:
    """Prompts that are answered together, encoded shortly before that."""

    keys: tuple[str, ...]
    """Names of the prompts' random draws."""
    encode: Callable[[], list[Prompt]]


class BackEnd(Protocol):
    """Answers to any number of prompts, each batch as soon as it is finished: the interface that answers tables."""

    @property
    def name(self) -> str:
        """hf | vllm, as the configuration has it; stored in every prediction."""
        ...

    @property
    def shares_forward(self) -> bool:
        """True if the prompts of a batch share a forward.

        Rounding then depends on the batch, so batches must not depend on what was answered before; otherwise a batch
        may be a single prompt.
        """
        ...

    def run(
        self, policy: Any, batches: Iterable[Batch], sampling: Sampling, seed: int = 0
    ) -> Iterator[tuple[Batch, list[list[Completion]]]]:
        """Yield each batch with `sampling.n` answers for each of its prompts, batches in any order.

        Only a bounded number of encoded prompts is in memory.
        """
        ...


def uniforms(seed: int, key: str, sample: int, n: int) -> np.ndarray:
    """Return the n draws in [0, 1) of one answer, one per token."""
    return generator(seed, "sampling", key, sample).random(n)


def choose(logits: torch.Tensor, sampling: Sampling, draws: torch.Tensor | None) -> torch.Tensor:
    """Return the next tokens (B,) from logits (B, V) float32, suppressed ones at -inf; `draws` (B,), None if greedy.

    The nucleus is the smallest set of most probable tokens whose mass reaches `top_p`. A token is drawn by the inverse
    of the cumulative distribution, in double precision.
    """
    if draws is None:
        return logits.argmax(-1)
    probabilities = torch.softmax(logits.double() / sampling.temperature, dim=-1)
    order = None
    if sampling.top_p < 1:
        probabilities, order = probabilities.sort(dim=-1, descending=True, stable=True)
        before = probabilities.cumsum(-1) - probabilities
        probabilities = probabilities.masked_fill(before >= sampling.top_p, 0.0)
    mass = probabilities.cumsum(-1)
    # The first token whose cumulative mass exceeds the draw: never one of probability 0.
    places = torch.searchsorted(mass, (draws * mass[:, -1]).unsqueeze(1), right=True)
    last = (probabilities > 0).long().cumsum(-1).argmax(-1, keepdim=True)
    places = torch.minimum(places, last)
    return (places if order is None else order.gather(1, places)).squeeze(1)
