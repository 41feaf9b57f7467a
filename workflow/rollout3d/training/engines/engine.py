"""The engine of a run: forwards and backwards over packed rows, optimiser steps, rollouts, and their state."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import torch

from rollout3d.model.encode import Prompt
from rollout3d.model.load import Policy
from rollout3d.model.sampling import Completion, Sampling
from rollout3d.training.engines.policy import Reference, Tensors, TrainedPolicy, copy_weights
from rollout3d.training.engines.sampler import RolloutSampler
from rollout3d.training.objective import learning_rate
from rollout3d.training.packing import Packed, PackedRow, idle_row, micro_batches, pack
from rollout3d.training.prefix import Prefix
from rollout3d.training.world import World

MICRO_TOKENS = 8192
"""Tokens of one forward, padding included. A longer row goes alone: in pieces behind its prompt, or whole."""

Loss = Callable[[torch.Tensor, Packed], torch.Tensor]
"""(log-probabilities (T,), their batch) -> the batch's part of the loss, a scalar; parts add up."""


class Optimiser(Protocol):
    """Forward, backward and update of the trained policy. All methods are called by all processes together."""

    @property
    def lockstep(self) -> bool:
        """True if processes must run equally many forwards and backwards."""
        ...

    @property
    def cuts(self) -> bool:
        """True if a row that is too long for one forward may be taken to pieces."""
        ...

    @property
    def max_rows(self) -> int | None:
        """Maximum number of rows per forward, if there is one."""
        ...

    @property
    def sharded(self) -> bool:
        """True if the weights are shared out over processes, so that the policy's own are not whole."""
        ...

    @property
    def updates(self) -> int:
        """Number of optimiser steps so far."""
        ...

    def forward(self, packed: Packed, temperature: float | None = None, prefix: Prefix | None = None) -> torch.Tensor:
        """Return log-probabilities (T,) of the scored tokens under the policy, in nats, with gradient."""
        ...

    def backward(self, loss: torch.Tensor, last: bool) -> None:
        """Add the gradient of a scalar; `last` marks the last backward before `step`."""
        ...

    def step(self, lr: float) -> float:
        """Average gradients over processes, clip, update; return their norm before clipping.

        A gradient that is not finite updates nothing: one bad batch must not ruin a long run.
        """
        ...

    def state(self) -> Iterator[tuple[str, Tensors]]:
        """Yield what a checkpoint holds, as (file, its named float32 tensors on the CPU): weights and Adam's means."""
        ...

    def restore(self, state: Mapping[str, Mapping[str, torch.Tensor]], updates: int) -> None:
        """Continue from what `state` gave after `updates` optimiser steps. Raises ValueError if the names differ."""
        ...

    def full_weights(self) -> Tensors:
        """Yield weights under the names of the plain model: the trained ones, adapters merged."""
        ...


@dataclass
class LearningRate:
    """Learning rate that falls from `peak` to 0 over `total` steps."""

    peak: float
    shape: Literal["linear", "cosine"]
    total: int

    def at(self, step: int) -> float:
        """Return the learning rate of a step, counted from 0."""
        return learning_rate(step, self.total, self.peak, self.shape)


class Engine:
    """Trains one policy. All methods are called by all processes together. `choose.make_engine` builds it."""

    def __init__(
        self,
        trained: TrainedPolicy,
        reference: Reference | None,
        optimiser: Optimiser,
        sampler: RolloutSampler,
        schedule: LearningRate,
        world: World,
    ):
        self._trained, self.reference, self.optimiser, self.sampler = trained, reference, optimiser, sampler
        self.schedule, self.world = schedule, world
        self.policy, self.trained = trained.policy, trained.parameters
        self.settings, self.training = trained.settings, trained.training

    @property
    def backend(self) -> Literal["hf", "vllm"]:
        """Back end that draws the rollouts."""
        return "hf" if self.sampler.vllm is None else "vllm"

    # --- the step ----------------------------------------------------------------------------------------------------

    def logprobs(self, packed: Packed, temperature: float | None = None, prefix: Prefix | None = None) -> torch.Tensor:
        """Return log-probabilities (T,) of the scored tokens under the policy, in nats, with gradient.

        `temperature`: None is that of the rollouts.
        """
        return self.optimiser.forward(packed, temperature, prefix)

    @torch.no_grad()
    def score(self, rows: Sequence[PackedRow], temperature: float | None = None) -> list[torch.Tensor]:
        """Return the log-probabilities of each row's scored tokens, in nats, without gradient.

        Processes may have different numbers of rows.
        """
        batches = list(micro_batches(rows, MICRO_TOKENS, self.optimiser.max_rows))
        found: list[torch.Tensor] = []
        for turn in range(int(self.world.largest(len(batches)))):
            if turn < len(batches):
                found += self._score(batches[turn], temperature)
            elif self.optimiser.lockstep:
                self.logprobs(pack([idle_row(self.policy)]))
        return found

    def reference_logprobs(self, packed: Packed) -> torch.Tensor:
        """Return log-probabilities (T,) under the policy that training started from, in nats, without gradient.

        Raises ValueError for an engine without a reference.
        """
        if self.reference is None:
            raise ValueError("this engine was made without a reference (grpo.beta is 0)")
        return self.reference.logprobs(packed)

    def update(self, rows: Sequence[PackedRow], loss: Loss, step: int) -> tuple[float, float]:
        """Take one optimiser step on this process's rows; return the loss and the norm of the gradient before clipping.

        Gradients are averaged over processes. Without any rows on any process nothing is updated and both numbers
        are 0.
        """
        batches = list(micro_batches(rows, MICRO_TOKENS, self.optimiser.max_rows))
        own = sum(len(self._pieces(batch)) + 1 for batch in batches)
        rounds = int(self.world.largest(own))
        idle = rounds - own if self.optimiser.lockstep else 0
        total = 0.0
        for turn, (part, value) in enumerate(self._parts(batches, loss, idle)):
            total += value
            self.backward(part, last=turn == rounds - 1)
        return total, self.step(step) if rounds else 0.0

    def backward(self, loss: torch.Tensor, last: bool) -> None:
        """Add the gradient of a scalar; `last` marks the last backward before `step`."""
        self.optimiser.backward(loss, last)

    def step(self, step: int) -> float:
        """Update by the gradients at the step's learning rate; return their norm before clipping."""
        norm = self.optimiser.step(self.lr(step))
        self.sampler.stale = True
        return norm

    def lr(self, step: int) -> float:
        """Return the learning rate of a step."""
        return self.schedule.at(step)

    @property
    def updates(self) -> int:
        """Number of optimiser steps so far."""
        return self.optimiser.updates

    # --- rollouts ----------------------------------------------------------------------------------------------------

    def generate(
        self, prompts: Sequence[Prompt], sampling: Sampling, seed: int, keys: Sequence[str]
    ) -> list[list[Completion]]:
        """Return completions by the present weights; see `model.sampling.Generate`."""
        return self.sampler.generate(prompts, sampling, seed, keys)

    # --- state -------------------------------------------------------------------------------------------------------

    def state(self) -> Iterator[tuple[str, Tensors]]:
        """Yield what a checkpoint holds: see `Optimiser.state`."""
        return self.optimiser.state()

    def restore(self, state: Mapping[str, Mapping[str, torch.Tensor]], updates: int) -> None:
        """Continue from what `state` gave after `updates` optimiser steps. Raises ValueError if the names differ."""
        self.optimiser.restore(state, updates)
        self.sampler.stale = True

    def export(self) -> Policy | None:
        """Return the trained policy with plain weights, adapters merged: what is saved. Only on the first process."""
        if not (self.settings.lora_rank or self.optimiser.sharded):
            return self.policy if self.world.first else None
        exported = self._trained.load("cpu") if self.world.first else None
        copy_weights(self.optimiser.full_weights(), exported)
        return exported

    def close(self) -> None:
        """End vLLM, if it drew the rollouts."""
        self.sampler.close()

    # --- inside ------------------------------------------------------------------------------------------------------

    def _parts(
        self, batches: Sequence[Sequence[PackedRow]], loss: Loss, idle: int
    ) -> Iterator[tuple[torch.Tensor, float]]:
        """Yield scalars to go backward from before the next is asked for, each with its part of the loss.

        A batch makes one, or one per piece and one for their prompt; `idle` more change nothing.
        """
        for batch in batches:
            pieces = self._pieces(batch)
            prefix = Prefix(self.policy, batch[0].prompt, self.optimiser.lockstep) if pieces else None
            for rows in [[piece] for piece in pieces] or [batch]:
                packed = pack(rows, behind_prompt=prefix is not None)
                part = loss(self.logprobs(packed, prefix=prefix), packed)
                yield part, float(part.detach())
                if prefix is not None:
                    prefix.collect()
            if self.reference is not None:
                self.reference.forget()
            if prefix is not None:
                yield prefix.pull(), 0.0
        for _ in range(idle):
            yield 0 * self.logprobs(pack([idle_row(self.policy)])).sum(), 0.0

    def _score(self, batch: Sequence[PackedRow], temperature: float | None) -> Sequence[torch.Tensor]:
        """Return the log-probabilities of each row of one batch."""
        pieces = self._pieces(batch)
        if not pieces:
            return self.logprobs(pack(batch), temperature).split([row.n_scored for row in batch])
        prefix = Prefix(self.policy, batch[0].prompt)
        packed = [pack([piece], behind_prompt=True) for piece in pieces]
        return [torch.cat([self.logprobs(each, temperature, prefix) for each in packed])]

    def _pieces(self, batch: Sequence[PackedRow]) -> list[PackedRow]:
        """Return the pieces of a row that is too long for one forward; none if the batch goes through as it is."""
        return batch[0].pieces(MICRO_TOKENS) if self.optimiser.cuts else []
