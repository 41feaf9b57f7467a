"""The same engine over DeepSpeed: ZeRO-2 and ZeRO-3 share out optimiser states (and weights) over the GPUs, ZeRO-0 not.

Settings are in `config/deepspeed/*.json`; batch sizes, precision and clipping are filled in here. Under ZeRO-3 a
second, whole copy of the weights writes the rollouts: gathering every layer at every token would take longer, and
processes that write answers of different lengths would wait for each other for ever. The reference is a whole copy too.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from typing import Any

import torch

from rollout3d.resources import shipped
from rollout3d.training.engine import MOMENTS, Engine, Tensors, check_names, merged_weights, parameter_groups
from rollout3d.training.extensions import built_aside
from rollout3d.training.packing import idle_row, pack

CONFIGS = shipped("config/deepspeed")


class _DeepSpeedEngine(Engine):
    """Forward and backward through DeepSpeed. Needs a process group, of one process too: `World.start(always=True)`."""

    lockstep = True

    def _start(self, optimizer: torch.optim.Optimizer, **settings: Any) -> Any:
        """DeepSpeed's engine, by the file of its settings and these."""
        import deepspeed

        settings |= json.loads((CONFIGS / f"{self.settings.deepspeed}.json").read_text())
        settings |= {"train_micro_batch_size_per_gpu": 1, "gradient_accumulation_steps": 1}
        ours = {"model": self.module, "optimizer": optimizer, "config": settings}
        with built_aside(self.world):
            engine, *_ = deepspeed.initialize(**ours, dist_init_required=False)
        return engine

    def logprobs(self, packed: Any, temperature: float | None = None, prefix: Any = None) -> torch.Tensor:
        return self._ds(packed, always_look=True, temperature=temperature, prefix=prefix)

    def backward(self, loss: torch.Tensor, last: bool) -> None:
        self._ds.set_gradient_accumulation_boundary(last)
        self._ds.backward(loss)


class ReplicatedEngine(_DeepSpeedEngine):
    """ZeRO-0: DeepSpeed averages the gradients; masters and their update are the plain engine's, whole on every GPU.

    In bfloat16 DeepSpeed's own update would begin with one by zero gradients, which decays the weights and counts as a
    step of Adam.
    """

    def _build(self) -> None:
        super()._build()
        self._ds = self._start(self._optimiser)

    def _average_gradients(self) -> None:
        """The last backward did."""


class ShardedEngine(_DeepSpeedEngine):
    """ZeRO-2 or ZeRO-3."""

    @property
    def stage(self) -> int:
        """2 or 3."""
        return 3 if self.settings.deepspeed == "zero3" else 2

    @property
    def cuts(self) -> bool:
        """Not under ZeRO-3: a prompt's forward waits for its backward, other processes' forwards do not."""
        return self.stage == 2

    @property
    def max_rows(self) -> int | None:
        """One row a forward under ZeRO-3, where every process must call every layer equally often."""
        return 1 if self.stage == 3 else None

    def _build(self) -> None:
        adam = torch.optim.AdamW(parameter_groups(self.trained.values(), self.settings.weight_decay), lr=self.peak_lr)
        bf16 = {"enabled": self.settings.dtype == "bfloat16"}
        self._ds = self._start(adam, gradient_clipping=self.settings.max_grad_norm, bf16=bf16)
        self._optimiser = self._ds.optimizer

    def step(self, step: int) -> float:
        self._set_lr(step)
        skipped = self._ds.skipped_steps
        self._ds.step()
        self.updates += self._ds.skipped_steps == skipped
        self._stale = True
        return float(self._ds.get_global_grad_norm() or 0.0)

    def state(self) -> Iterator[tuple[str, Tensors]]:
        from deepspeed.utils import safe_get_full_fp32_param, safe_get_full_optimizer_state

        self._link_moments()
        # Collective: every process gathers, the first one writes.
        yield "weights", ((name, _host(safe_get_full_fp32_param(p), p)) for name, p in self.trained.items())
        for moment in MOMENTS if self.updates else ():
            pairs = self.trained.items()
            yield moment, ((name, _host(safe_get_full_optimizer_state(p, moment), p)) for name, p in pairs)

    def restore(self, state: Mapping[str, Mapping[str, torch.Tensor]], updates: int) -> None:
        check_names(state["weights"], self.trained)
        if updates:
            self._make_moments()
        for name, parameter in self.trained.items():
            self._set(parameter, state["weights"][name], None)
            for moment in MOMENTS if updates else ():
                self._set(parameter, state[moment][name], moment)
            with self._gathered([parameter], write=True), torch.no_grad():
                parameter.data.copy_(state["weights"][name])
        for values in self._optimiser.optimizer.state.values():
            values["step"].fill_(updates)
        self.updates, self._stale = updates, True

    def _plain(self) -> bool:
        return super()._plain() and self.stage < 3

    def _reference_is_whole(self) -> bool:
        # The shared-out policy computes by collectives, which a process without rows would miss.
        return self.stage == 3 or super()._reference_is_whole()

    def _needs_copy(self, backend: str) -> bool:
        return self.stage == 3 or super()._needs_copy(backend)

    def _full_weights(self) -> Tensors:
        if self.stage < 3:
            yield from merged_weights(self.policy.core)
            return
        if self.settings.lora_rank:
            with self._gathered(list(self.policy.core.parameters())):
                yield from merged_weights(self.policy.core)
            return
        for name, parameter in self.trained.items():
            with self._gathered([parameter]):
                yield name, parameter.data

    def _gathered(self, parameters: list[torch.nn.Parameter], write: bool = False) -> Any:
        """Parameters whole inside the block; with `write`, the first process's values are kept after it."""
        if self.stage < 3:
            return nullcontext()
        import deepspeed

        return deepspeed.zero.GatheredParameters(parameters, modifier_rank=0 if write else None)

    def _make_moments(self) -> None:
        """Make Adam's states exist, by an update that changes nothing: they are created by the first update."""
        self.backward(0 * self.logprobs(pack([idle_row(self.policy)])).sum(), last=True)
        for group in self._optimiser.param_groups:
            group["lr"] = 0.0
        self._ds.step()
        self._link_moments()

    def _link_moments(self) -> None:
        """Connect parameters with Adam's states. ZeRO-2 does so after the update of its first group of parameters,
        when the states of the others do not exist yet, and never again."""
        if self.stage == 2 and self._optimiser.optimizer.state:
            self._optimiser._hp_optimizer_states_linked = False
            self._optimiser._lazy_init_hp_params_optimizer_state()

    def _set(self, parameter: torch.nn.Parameter, value: torch.Tensor, moment: str | None) -> None:
        from deepspeed.utils import (
            safe_set_full_fp32_param,
            safe_set_full_optimizer_state,
            safe_set_local_fp32_param,
            safe_set_local_optimizer_state,
        )

        value = value.to(self.world.device)
        if self.stage < 3:
            set_ = safe_set_full_fp32_param if moment is None else safe_set_full_optimizer_state
        else:
            # Each process holds an equal, padded piece; the whole-tensor call cannot pad.
            set_ = safe_set_local_fp32_param if moment is None else safe_set_local_optimizer_state
            piece = parameter.ds_tensor.numel()
            padded = value.new_zeros(piece * self.world.size)
            padded[: value.numel()] = value.flatten()
            value = padded[piece * self.world.rank :][:piece]
        set_(parameter, value, *([moment] if moment else []))


def _host(tensor: torch.Tensor, parameter: torch.nn.Parameter) -> torch.Tensor:
    shape = getattr(parameter, "ds_shape", parameter.shape)
    return tensor.detach().to("cpu", torch.float32, copy=True).view(shape).contiguous()
