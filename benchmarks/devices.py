"""Peak rates of a device: from its maker's data sheet, or measured for an unknown one."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from rollout3d.planning import cards


@dataclass(frozen=True)
class Peak:
    """Peak operations and bytes per second, and their source."""

    name: str
    flops: float
    bandwidth: float
    source: str


def peak(device: torch.device, dtype: torch.dtype) -> Peak:
    """Return the peak of a device for products of `dtype`. A measured one is some per cent below the true one."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    if device.type == "cuda" and dtype == torch.bfloat16:
        card = cards.known(name)
        if card is not None:
            return Peak(name, card.flops, card.bandwidth, "data sheet")
    # Large enough to fill a GPU, small enough for a CPU.
    side, numbers = (8192, 2**28) if device.type == "cuda" else (128, 2**20)
    matrix = torch.ones(side, side, dtype=dtype, device=device)
    block = torch.ones(numbers, dtype=dtype, device=device)
    copy = torch.empty_like(block)
    flops = 2 * side**3 / _least(lambda: matrix @ matrix, device)
    bandwidth = 2 * numbers * dtype.itemsize / _least(lambda: copy.copy_(block), device)
    return Peak(name, flops, bandwidth, "measured by a product and a copy")


def wait(device: torch.device) -> None:
    """Wait until the device has finished its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _least(work: Callable[[], object], device: torch.device, repeats: int = 10) -> float:
    """Return the least wall seconds of a call."""
    spent = []
    for _ in range(repeats):
        wait(device)
        started = time.perf_counter()
        work()
        wait(device)
        spent.append(time.perf_counter() - started)
    return min(spent)
