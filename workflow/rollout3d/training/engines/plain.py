"""The optimiser of plain torch: AdamW over float32 masters, gradients averaged over processes.

Masters are kept in float32 so that steps of 1e-6 are not rounded away in bfloat16.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import nn

from rollout3d.training.engines.policy import Tensors, TrainedPolicy, merged_weights
from rollout3d.training.packing import Packed
from rollout3d.training.prefix import Prefix
from rollout3d.training.world import World

MOMENTS = ("exp_avg", "exp_avg_sq")
"""Names of Adam's running means."""


class PlainOptimiser:
    """Everything on every GPU. `engine.Optimiser` describes the methods.

    `averaged`: True if the last backward has averaged the gradients over processes already (DeepSpeed's ZeRO-0).
    """

    lockstep = False
    cuts = True
    max_rows: int | None = None
    sharded = False

    def __init__(self, trained: TrainedPolicy, world: World, peak_lr: float, averaged: bool = False):
        self._trained, self._world, self._averaged = trained, world, averaged
        self.updates = 0
        self.masters = {
            name: p if p.dtype == torch.float32 else nn.Parameter(p.detach().float())
            for name, p in trained.parameters.items()
        }
        """Name -> float32 parameter that Adam updates; the trained parameter itself if it is float32."""
        groups = parameter_groups(self.masters.values(), trained.settings.weight_decay)
        self.adam = torch.optim.AdamW(groups, lr=peak_lr, fused=self.fused or None)

    @property
    def fused(self) -> bool:
        """True where the update runs as one kernel: torch's default on a GPU holds the roots of all second moments too,
        four bytes per parameter."""
        return self._world.device.type == "cuda"

    def forward(self, packed: Packed, temperature: float | None = None, prefix: Prefix | None = None) -> torch.Tensor:
        return self._trained.module(packed, temperature=temperature, prefix=prefix)

    def backward(self, loss: torch.Tensor, last: bool) -> None:
        loss.backward()

    def step(self, lr: float) -> float:
        trained = self._trained.parameters
        for group in self.adam.param_groups:
            group["lr"] = lr
        if not self._averaged:
            self._world.average_gradients(list(trained.values()))
        for name, master in self.masters.items():
            if master is not trained[name]:
                gradient = trained[name].grad
                master.grad = None if gradient is None else gradient.float()
                trained[name].grad = None  # now, not after the update: two bytes per parameter at the peak
        norm = float(nn.utils.clip_grad_norm_(self.masters.values(), self._trained.settings.max_grad_norm))
        if math.isfinite(norm):
            self.adam.step()
            self.updates += 1
        with torch.no_grad():
            for name, master in self.masters.items():
                if master is not trained[name]:
                    trained[name].copy_(master)
                    master.grad = None
                trained[name].grad = None
        return norm

    def state(self) -> Iterator[tuple[str, Tensors]]:
        yield "weights", ((name, on_host(master)) for name, master in self.masters.items())
        for moment in MOMENTS:
            state = self.adam.state
            yield moment, ((name, on_host(state[m][moment])) for name, m in self.masters.items() if m in state)

    def restore(self, state: Mapping[str, Mapping[str, torch.Tensor]], updates: int) -> None:
        check_names(state["weights"], self.masters)
        with torch.no_grad():
            for name, master in self.masters.items():
                master.copy_(state["weights"][name])
                self._trained.parameters[name].copy_(master)
                if updates:
                    # Where the optimiser itself keeps it: beside the weights if it is fused, else on the CPU.
                    place = master.device if self.fused else "cpu"
                    self.adam.state[master] = {
                        "step": torch.tensor(float(updates), device=place),
                        **{m: state[m][name].to(master.device, copy=True) for m in MOMENTS},
                    }
        self.updates = updates

    def full_weights(self) -> Tensors:
        return merged_weights(self._trained.policy.core)


def parameter_groups(parameters: Iterable[nn.Parameter], weight_decay: float) -> list[dict[str, Any]]:
    """Return AdamW's groups: matrices decay, biases and norms do not (as in the trainer that Video-R1 uses)."""
    listed = list(parameters)
    groups = [
        {"params": [p for p in listed if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in listed if p.ndim < 2], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def check_names(saved: Iterable[str], trained: Iterable[str]) -> None:
    """Raise ValueError unless a checkpoint's parameters are the trained ones."""
    odd = sorted(set(saved) ^ set(trained))
    if odd:
        raise ValueError(f"the checkpoint is of another model ({odd[:3]} ...): delete the run's checkpoints directory")


def on_host(tensor: torch.Tensor) -> torch.Tensor:
    """Return a float32 copy of a tensor on the CPU."""
    return tensor.detach().to("cpu", torch.float32, copy=True).contiguous()
