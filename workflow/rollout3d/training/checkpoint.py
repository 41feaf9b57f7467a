"""Checkpoints that are complete or absent, and saving before the end on SIGTERM.

A checkpoint is a directory of safetensors files and a manifest with their digests, written aside and renamed; nothing
is ever unpickled. It holds the trained weights in float32, Adam's running means and torch's random states; everything
else (position in the data, learning rate, schedules, draws) follows from the step.
"""

from __future__ import annotations

import json
import logging
import shutil
import signal
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from rollout3d.files import sync, sync_files
from rollout3d.training.engines.engine import Engine
from rollout3d.training.world import World

log = logging.getLogger(__name__)

MANIFEST = "manifest.json"
KEPT = 2
"""Number of checkpoints kept: the newest, and one in case that is damaged."""


@dataclass(frozen=True)
class Checkpoint:
    """A complete checkpoint: taken after `step` steps."""

    path: Path
    step: int
    updates: int
    """Optimiser steps among them; a step whose groups had no spread makes none."""


def save(directory: Path, step: int, engine: Engine, world: World, **about: Any) -> None:
    """Write the checkpoint taken after `step` steps into `directory`; all processes call it together."""
    aside, target = directory / f".step_{step:08d}.tmp", directory / f"step_{step:08d}"
    states = world.gather(_random_state(world))
    if states is not None:  # the first process
        for unfinished in directory.glob(".step_*.tmp"):  # of whatever step an earlier process was killed at
            shutil.rmtree(unfinished, ignore_errors=True)
        aside.mkdir(parents=True)
        random = {f"{device}.{rank}": state for rank, own in enumerate(states) for device, state in own.items()}
        save_file(random, aside / "random.safetensors")
    for name, tensors in engine.state() if world.first or engine.optimiser.lockstep else ():
        if world.first:
            save_file(dict(tensors), aside / f"{name}.safetensors")
        else:
            for _ in tensors:
                pass
    if world.first:
        files = {file.name: _sha256(file) for file in sorted(aside.iterdir())}
        manifest = {"step": step, "updates": engine.updates, "processes": world.size, "files": files, **about}
        (aside / MANIFEST).write_text(json.dumps(manifest, indent=2, sort_keys=True))
        sync_files(aside)
        shutil.rmtree(target, ignore_errors=True)
        aside.rename(target)
        sync(directory)  # before the older ones go
        for old in _found(directory)[KEPT:]:
            shutil.rmtree(old)
    world.barrier()


def newest(directory: Path) -> Checkpoint | None:
    """Return the newest checkpoint whose files are all there with the digests of its manifest; None without one."""
    for path in _found(directory):
        try:
            manifest = json.loads((path / MANIFEST).read_text())
            if all(_sha256(path / name) == sha for name, sha in manifest["files"].items()):
                return Checkpoint(path, manifest["step"], manifest["updates"])
            why = "a file does not have the digest of its manifest"
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            why = str(error)
        log.warning("%s: skipping damaged checkpoint (%s)", path, why)
    return None


def restore(checkpoint: Checkpoint, engine: Engine, world: World) -> None:
    """Restore the engine and torch's random generators. Raises ValueError for a checkpoint of another model."""
    files = [path.stem for path in checkpoint.path.glob("*.safetensors")]
    engine.restore({name: _Tensors(checkpoint.path / f"{name}.safetensors") for name in files}, checkpoint.updates)
    random = _Tensors(checkpoint.path / "random.safetensors")
    if f"cpu.{world.rank}" in random:
        torch.set_rng_state(random[f"cpu.{world.rank}"])
    if world.device.type == "cuda" and f"cuda.{world.rank}" in random:
        torch.cuda.set_rng_state(random[f"cuda.{world.rank}"])


class _Tensors(Mapping[str, torch.Tensor]):
    """The tensors of a safetensors file, read one at a time."""

    def __init__(self, path: Path):
        self._file = safe_open(path, framework="pt")
        self._names = list(self._file.keys())

    def __getitem__(self, name: str) -> torch.Tensor:
        return self._file.get_tensor(name)

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def _random_state(world: World) -> dict[str, torch.Tensor]:
    """Return the states of this process's generators, by type of device."""
    cuda = {"cuda": torch.cuda.get_rng_state()} if world.device.type == "cuda" else {}
    return {"cpu": torch.get_rng_state(), **cuda}


def _found(directory: Path) -> list[Path]:
    """Return the checkpoints of a directory, the newest first."""
    return sorted(directory.glob("step_*"), reverse=True)


def _sha256(path: Path) -> str:
    import hashlib

    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Stop:
    """Catches SIGTERM inside the block, so that the step can end and be saved before the process does."""

    def __init__(self) -> None:
        self.requested = False
        """True once SIGTERM has come."""

    def __enter__(self) -> Stop:
        self._before = signal.signal(signal.SIGTERM, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGTERM, self._before)

    def _note(self, *_: object) -> None:
        self.requested = True
