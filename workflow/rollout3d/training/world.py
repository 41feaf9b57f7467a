"""The processes of a training run, one or as many as torchrun started, and what they exchange: by gloo on CPUs, with
NCCL beside it on GPUs."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist

BUCKET = 16_000_000
"""Maximum number of gradient elements per all-reduce."""
CPU = torch.device("cpu")
LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class World:
    """This process: its `rank` among `size` processes, and its device."""

    rank: int = 0
    size: int = 1
    device: torch.device = CPU
    grouped: bool = False
    """True if this process has joined a process group of ours (vLLM makes its own)."""

    @staticmethod
    def start(always: bool = False, timeout_minutes: int = 60) -> World:
        """Join the process group that the environment describes (torchrun's variables).

        `always` makes a group of one process too, which DeepSpeed needs. The timeout is long because ranks wait for
        each other while one of them writes a checkpoint.
        """
        rank, size = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
        device = CPU
        if torch.cuda.is_available():
            device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
            torch.cuda.set_device(device)
        grouped = (size > 1 or always) and not dist.is_initialized()
        if grouped:
            backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
            timeout = timedelta(minutes=timeout_minutes)
            if size > 1:
                dist.init_process_group(backend, timeout=timeout)
            else:
                # torch documents it in this place without listing it in __all__.
                store = dist.TCPStore("127.0.0.1", 0, 1, is_master=True)  # pyright: ignore[reportPrivateImportUsage]
                dist.init_process_group(backend, store=store, rank=0, world_size=1, timeout=timeout)
                os.environ.setdefault("LOCAL_RANK", "0")  # DeepSpeed insists, and no torchrun has set it
        # Slurm's name of the node first: two of its nodes may be one host.
        LOG.info("rank %d of %d on %s", rank, size, os.environ.get("SLURMD_NODENAME") or socket.gethostname())
        return World(rank, size, device, grouped)

    @property
    def first(self) -> bool:
        """True for the process that writes files."""
        return self.rank == 0

    def stop(self) -> None:
        """Leave the process group, all processes together: one that goes while another still writes aborts."""
        if self.grouped and dist.is_initialized():
            if self.size > 1:
                self.barrier()
            dist.destroy_process_group()

    def barrier(self) -> None:
        """Wait for all processes."""
        self.largest(0)

    def largest(self, value: float) -> float:
        """Return the largest value over processes."""
        return self._reduce([value], dist.ReduceOp.MAX)[0]

    def mean(self, values: Sequence[float]) -> list[float]:
        """Return the mean over processes of each value."""
        return [value / self.size for value in self._reduce(values, dist.ReduceOp.SUM)]

    def sum(self, values: Sequence[float]) -> list[float]:
        """Return the sum over processes of each value."""
        return self._reduce(values, dist.ReduceOp.SUM)

    def gather(self, value: Any) -> list[Any] | None:
        """Return every process's value, in rank order, on the first process; None on the others."""
        if self.size == 1:
            return [value]
        found: list[Any] | None = [None] * self.size if self.first else None
        dist.gather_object(value, found, dst=0)
        return found

    def everywhere(self, value: Any) -> list[Any]:
        """Return every process's value, in rank order, on every process."""
        found: list[Any] = [value] * self.size
        if self.size > 1:
            dist.all_gather_object(found, value)
        return found

    def share(self, value: Any) -> Any:
        """Return the first process's value, on every process."""
        if self.size == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box, src=0)
        return box[0]

    def average_gradients(self, parameters: Sequence[torch.nn.Parameter]) -> None:
        """Replace every gradient by its mean over processes; one that is missing counts as zero."""
        if self.size == 1:
            return
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        bucket: list[torch.Tensor] = []
        for parameter in [*parameters, None]:
            full = sum(g.numel() for g in bucket) >= BUCKET
            if bucket and (parameter is None or full or parameter.grad.dtype != bucket[0].dtype):
                flat = torch.cat([gradient.flatten() for gradient in bucket])
                dist.all_reduce(flat)
                flat /= self.size
                for gradient, mean in zip(bucket, flat.split([g.numel() for g in bucket])):
                    gradient.copy_(mean.view_as(gradient))
                bucket = []
            if parameter is not None:
                bucket.append(parameter.grad)

    def _reduce(self, values: Sequence[float], op: Any) -> list[float]:
        if self.size == 1:
            return list(values)
        tensor = torch.tensor(values, dtype=torch.float64)
        dist.all_reduce(tensor, op=op)
        return tensor.tolist()
