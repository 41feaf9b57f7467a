"""Optimisers over DeepSpeed: ZeRO-2 and ZeRO-3 share out optimiser states (and weights) over the GPUs, ZeRO-0 not.

Settings are in `config/deepspeed/*.json`; batch sizes, precision and clipping are filled in here. Under ZeRO-3 a
second, whole copy of the weights writes the rollouts: gathering every layer at every token would take longer, and
processes that write answers of different lengths would wait for each other for ever. The reference is a whole copy too.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from typing import Any

import torch

from rollout3d.resources import shipped
from rollout3d.training.engines.extensions import built_aside
from rollout3d.training.engines.plain import MOMENTS, PlainOptimiser, check_names, on_host, parameter_groups
from rollout3d.training.engines.policy import Tensors, TrainedPolicy, merged_weights
from rollout3d.training.packing import Packed, idle_row, pack
from rollout3d.training.prefix import Prefix
from rollout3d.training.world import World

CONFIGS = shipped("config/deepspeed")


def leave_out_inference() -> None:
    """Keep DeepSpeed from compiling an all-reduce for CPUs that only its inference calls: a first start took 40 s."""
    # By its full name: `torch` of the package is the library.
    communication: Any = importlib.import_module("deepspeed.comm.torch")
    communication.build_shm_op = lambda: None


class _DeepSpeed:
    """DeepSpeed's engine around the trained module. Needs a process group, of one process too.

    `settings` are added to those of the file that the run names.
    """

    def __init__(self, trained: TrainedPolicy, world: World, adam: torch.optim.Optimizer, **settings: Any):
        import deepspeed

        settings |= json.loads((CONFIGS / f"{trained.training.deepspeed}.json").read_text())
        settings |= {"train_micro_batch_size_per_gpu": 1, "gradient_accumulation_steps": 1}
        leave_out_inference()
        with built_aside(world):
            started = deepspeed.initialize(
                model=trained.module, optimizer=adam, config=settings, dist_init_required=False
            )
        self.engine: Any = started[0]

    def forward(self, packed: Packed, temperature: float | None, prefix: Prefix | None) -> torch.Tensor:
        return self.engine(packed, always_look=True, temperature=temperature, prefix=prefix)

    def backward(self, loss: torch.Tensor, last: bool) -> None:
        self.engine.set_gradient_accumulation_boundary(last)
        self.engine.backward(loss)


class ReplicatedOptimiser(PlainOptimiser):
    """ZeRO-0: DeepSpeed averages the gradients; masters and their update are plain torch's, whole on every GPU.

    In bfloat16 DeepSpeed's own update would begin with one by zero gradients, which decays the weights and counts as a
    step of Adam.
    """

    lockstep = True

    def __init__(self, trained: TrainedPolicy, world: World, peak_lr: float):
        super().__init__(trained, world, peak_lr, averaged=True)
        self._zero = _DeepSpeed(trained, world, self.adam)

    def forward(self, packed: Packed, temperature: float | None = None, prefix: Prefix | None = None) -> torch.Tensor:
        return self._zero.forward(packed, temperature, prefix)

    def backward(self, loss: torch.Tensor, last: bool) -> None:
        self._zero.backward(loss, last)


class ShardedOptimiser:
    """ZeRO-2 or ZeRO-3. `engine.Optimiser` describes the methods."""

    lockstep = True

    def __init__(self, trained: TrainedPolicy, world: World, peak_lr: float):
        self._trained, self._world = trained, world
        settings = trained.settings
        self.sharded = trained.training.deepspeed == "zero3"
        # Not under ZeRO-3: a prompt's forward waits for its backward, other processes' forwards do not.
        self.cuts = not self.sharded
        # One row per forward under ZeRO-3, where every process must call every layer equally often.
        self.max_rows = 1 if self.sharded else None
        self.updates = 0
        adam = torch.optim.AdamW(parameter_groups(trained.parameters.values(), settings.weight_decay), lr=peak_lr)
        bf16 = {"enabled": trained.training.dtype == "bfloat16"}
        self._zero = _DeepSpeed(trained, world, adam, gradient_clipping=settings.max_grad_norm, bf16=bf16)
        self._optimiser: Any = self._zero.engine.optimizer

    def forward(self, packed: Packed, temperature: float | None = None, prefix: Prefix | None = None) -> torch.Tensor:
        return self._zero.forward(packed, temperature, prefix)

    def backward(self, loss: torch.Tensor, last: bool) -> None:
        self._zero.backward(loss, last)

    def step(self, lr: float) -> float:
        self._set_lr(lr)
        engine = self._zero.engine
        skipped = engine.skipped_steps
        engine.step()
        self.updates += engine.skipped_steps == skipped
        return float(engine.get_global_grad_norm() or 0.0)

    def state(self) -> Iterator[tuple[str, Tensors]]:
        from deepspeed.utils import safe_get_full_fp32_param, safe_get_full_optimizer_state

        self._link_moments()
        # Collective: every process gathers, the first one writes.
        pairs = self._trained.parameters.items()
        yield "weights", ((name, _whole(safe_get_full_fp32_param(p), p)) for name, p in pairs)
        for moment in MOMENTS if self.updates else ():
            yield moment, ((name, _whole(safe_get_full_optimizer_state(p, moment), p)) for name, p in pairs)

    def restore(self, state: Mapping[str, Mapping[str, torch.Tensor]], updates: int) -> None:
        check_names(state["weights"], self._trained.parameters)
        if updates:
            self._make_moments()
        for name, parameter in self._trained.parameters.items():
            self._set(parameter, state["weights"][name], None)
            for moment in MOMENTS if updates else ():
                self._set(parameter, state[moment][name], moment)
            with self._gathered([parameter], write=True), torch.no_grad():
                parameter.data.copy_(state["weights"][name])
        for values in self._optimiser.optimizer.state.values():
            values["step"].fill_(updates)
        self.updates = updates

    def full_weights(self) -> Tensors:
        core = self._trained.policy.core
        if not self.sharded:
            yield from merged_weights(core)
        elif self._trained.settings.lora_rank:
            with self._gathered(list(core.parameters())):
                yield from merged_weights(core)
        else:
            for name, parameter in self._trained.parameters.items():
                with self._gathered([parameter]):
                    yield name, parameter.data

    def _set_lr(self, lr: float) -> None:
        for group in self._optimiser.param_groups:
            group["lr"] = lr

    def _gathered(self, parameters: list[torch.nn.Parameter], write: bool = False) -> Any:
        """Make parameters whole inside the block; with `write`, the first process's values are kept after it."""
        if not self.sharded:
            return nullcontext()
        import deepspeed

        return deepspeed.zero.GatheredParameters(parameters, modifier_rank=0 if write else None)

    def _make_moments(self) -> None:
        """Make Adam's states exist, by an update that changes nothing: they are created by the first update."""
        self.backward(0 * self.forward(pack([idle_row(self._trained.policy)])).sum(), last=True)
        self._set_lr(0.0)
        self._zero.engine.step()
        self._link_moments()

    def _link_moments(self) -> None:
        """Connect parameters with Adam's states. ZeRO-2 does so after the update of its first group of parameters,
        when the states of the others do not exist yet, and never again."""
        if not self.sharded and self._optimiser.optimizer.state:
            self._optimiser._hp_optimizer_states_linked = False
            self._optimiser._lazy_init_hp_params_optimizer_state()

    def _set(self, parameter: torch.nn.Parameter, value: torch.Tensor, moment: str | None) -> None:
        """Set a parameter's master, or one of its running means, from the whole tensor."""
        from deepspeed.utils import (
            safe_set_full_fp32_param,
            safe_set_full_optimizer_state,
            safe_set_local_fp32_param,
            safe_set_local_optimizer_state,
        )

        value = value.to(self._world.device)
        if not self.sharded:
            set_ = safe_set_full_fp32_param if moment is None else safe_set_full_optimizer_state
        else:
            # Each process holds an equal, padded piece; the whole-tensor call cannot pad.
            set_ = safe_set_local_fp32_param if moment is None else safe_set_local_optimizer_state
            shared: Any = parameter
            piece = shared.ds_tensor.numel()
            padded = value.new_zeros(piece * self._world.size)
            padded[: value.numel()] = value.flatten()
            value = padded[piece * self._world.rank :][:piece]
        set_(parameter, value, *([moment] if moment else []))


def _whole(tensor: torch.Tensor | None, parameter: torch.nn.Parameter) -> torch.Tensor:
    """Return a gathered tensor on the CPU, in the parameter's own shape."""
    assert tensor is not None, "DeepSpeed holds no master of a trained parameter"
    shape = getattr(parameter, "ds_shape", parameter.shape)
    return on_host(tensor).view(shape)
