"""A training stage that also keeps the gradient of its first step.

`python first_gradient.py FILE LIMIT MODULE ARGUMENTS...`; LIMIT: tokens of one forward (`engine.MICRO_TOKENS`).
Processes are given by torchrun's variables, without torchrun, whose workers would outlive a test that kills it.
"""

from __future__ import annotations

import importlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from safetensors.torch import save_file

import preloaded
from rollout3d.training.engines import engine
from rollout3d.training.engines.engine import Engine


def keep(patch: pytest.MonkeyPatch, file: Path | str) -> None:
    """Make engines write the gradient of their first step, averaged over processes and clipped, to `file`."""
    step = Engine.step

    def stepping(self: Engine, number: int) -> float:
        norm = step(self, number)
        if number == 0:
            # Adam's first running mean is (1 - 0.9) times the first gradient, under every optimiser.
            state = {name: dict(tensors) for name, tensors in self.state()}
            if self.world.first:
                save_file({name: mean * 10 for name, mean in state["exp_avg"].items()}, file)
        return norm

    patch.setattr(Engine, "step", stepping)


def on_two_processes(file: Path, limit: int, program: Sequence[str], seconds: float) -> None:
    """Run a stage, `program` being its module and arguments, on two processes that talk by gloo.

    Fails the test if one of them fails, or if they have not ended after `seconds`.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [preloaded.python(preloaded.STAGE), __file__, str(file), str(limit), *program]
    tests = str(Path(__file__).parents[1])  # for `preloaded`
    shared = {
        "PYTHONPATH": os.pathsep.join([tests, os.environ.get("PYTHONPATH", "")]),
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "OMP_NUM_THREADS": "1",
    }
    running = []
    for rank in ("0", "1"):
        environment = os.environ | shared | {"RANK": rank, "LOCAL_RANK": rank}
        running.append(subprocess.Popen(command, env=environment))
    try:
        end = time.monotonic() + seconds
        while any(process.poll() is None for process in running):
            # A process that failed leaves the other one waiting.
            failed = [process.returncode for process in running if process.poll()]
            if failed or time.monotonic() > end:
                pytest.fail(f"exit status {failed[0]}" if failed else f"no end after {seconds:g} s: they hang")
            time.sleep(0.1)
        assert [process.returncode for process in running] == [0, 0]
    finally:
        for process in running:
            process.kill()
            process.wait()


if __name__ == "__main__":
    keep(pytest.MonkeyPatch(), sys.argv[1])
    engine.MICRO_TOKENS = int(sys.argv[2])
    importlib.import_module(sys.argv[3]).main(sys.argv[4:])
