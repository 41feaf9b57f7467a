"""Work and memory of one of eight processes under ZeRO-2, in a process of its own.

Full float32 optimiser states of a 3B model do not fit one card together with the rest; under ZeRO-2 a process holds an
eighth of them. Here one process is the first of `RANKS`: weights are whole, every gradient is copied into a bucket as
DeepSpeed does before it reduces, and dropped; the part of it that lies in this process's eighth of all parameters is
added up in float32, and only that eighth has masters and Adam's means and is updated. The other seven eighths of the
weights keep their values, and nothing is sent: the time of collectives is not in the seconds.
"""

from __future__ import annotations

import json
import math

import torch
from torch import nn

from rollout3d.training.engines.plain import PlainOptimiser
from rollout3d.training.engines.policy import TrainedPolicy
from rollout3d.training.engines.zero import CONFIGS
from rollout3d.training.world import World

RANKS = 8
BUCKET = json.loads((CONFIGS / "zero2.json").read_text())["zero_optimization"]["reduce_bucket_size"]


class ZeroTwoShare(PlainOptimiser):
    """The optimiser of the first of `RANKS` processes under ZeRO-2."""

    def __init__(self, trained: TrainedPolicy, world: World, peak_lr: float):
        self._trained, self._world = trained, world
        self.updates = 0
        parameters = trained.parameters.values()
        total = sum(p.numel() for p in parameters)
        self.share = size = math.ceil(total / RANKS)
        """Parameters of this process's share, padding included."""
        # Parameter -> number of its first values that are in the share, and their place in it.
        self._places: dict[nn.Parameter, tuple[int, int]] = {}
        at = 0
        for parameter in parameters:
            if at < size:
                self._places[parameter] = (min(parameter.numel(), size - at), at)
            at += parameter.numel()
        self._master = nn.Parameter(torch.zeros(size, device=world.device))
        with torch.no_grad():
            for parameter, (n, start) in self._places.items():
                self._master[start : start + n] = parameter.flatten()[:n].float()
        # Only the plain engine uses the fused kernel; DeepSpeed has torch's default.
        self.adam = torch.optim.AdamW([self._master], lr=peak_lr, weight_decay=trained.settings.weight_decay)
        self._gradient: torch.Tensor | None = None
        self._bucket: torch.Tensor | None = None
        self._filled = 0
        for parameter in parameters:
            parameter.register_post_accumulate_grad_hook(self._reduce)

    def _reduce(self, parameter: nn.Parameter) -> None:
        if self._gradient is None:
            self._gradient = torch.zeros_like(self._master, requires_grad=False)
        if self._bucket is None:
            whole = sum(p.numel() for p in self._trained.parameters.values())
            self._bucket = torch.empty(min(BUCKET, whole), dtype=parameter.dtype, device=parameter.device)
        assert parameter.grad is not None  # the hook runs once it is complete
        gradient, bucket = parameter.grad.flatten(), self._bucket
        # A parameter that is larger than the bucket is reduced where it is.
        if len(gradient) <= len(bucket):
            if self._filled + len(gradient) > len(bucket):
                self._filled = 0
            bucket[self._filled : self._filled + len(gradient)] = gradient
            self._filled += len(gradient)
        n, start = self._places.get(parameter, (0, 0))
        self._gradient[start : start + n] += gradient[:n]
        parameter.grad = None

    def step(self, lr: float) -> float:
        """Clip and update this process's share; the norm is that of the share's gradient."""
        for group in self.adam.param_groups:
            group["lr"] = lr
        self._bucket = None
        self._master.grad, self._gradient = self._gradient, None
        norm = float(nn.utils.clip_grad_norm_([self._master], self._trained.settings.max_grad_norm))
        if math.isfinite(norm):
            self.adam.step()
            self.updates += 1
        self._master.grad = None
        with torch.no_grad():
            for parameter, (n, start) in self._places.items():
                parameter.view(-1)[:n] = self._master[start : start + n].to(parameter.dtype)
        return norm
