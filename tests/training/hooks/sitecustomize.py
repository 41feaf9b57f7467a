"""Faults for a trainer in another process: put this folder on PYTHONPATH.

ROLLOUT3D_FAULTS: folder for the log of steps and for what tests and trainers say to each other. Every update is noted
in `steps.log` as "run rank step". At each step of ROLLOUT3D_HOLD_STEPS ("1,3") the first attempt makes the file
`{run}.{rank}.held_{step}` and waits for SIGTERM or for the file `{run}.go`. A checkpoint after such a step takes
ROLLOUT3D_SLOW_SAVE_S seconds longer.
"""

import importlib.abc
import importlib.machinery
import os
import signal
import sys
import time
from pathlib import Path

NAME = "rollout3d.training.loop"


def install(module):
    folder, rank = Path(os.environ["ROLLOUT3D_FAULTS"]), os.environ.get("RANK", "0")
    run = Path(sys.argv[sys.argv.index("--out-dir") + 1]).name
    hold = [int(step) for step in os.environ["ROLLOUT3D_HOLD_STEPS"].split(",")]
    slow = float(os.environ.get("ROLLOUT3D_SLOW_SAVE_S", 0))
    update, save = module.Engine.update, module.checkpoint.save

    def asked():
        handler = signal.getsignal(signal.SIGTERM)
        return getattr(getattr(handler, "__self__", None), "asked", False)

    def slower_update(self, batch, loss, at):
        with open(folder / "steps.log", "a") as log:
            log.write(f"{run} {rank} {at}\n")
        held = folder / f"{run}.{rank}.held_{at}"
        if at in hold and not held.exists():
            held.touch()
            while not asked() and not (folder / f"{run}.go").exists():
                time.sleep(0.05)
        return update(self, batch, loss, at)

    def slower_save(directory, step, engine, world, **about):
        deadline = time.monotonic() + slow
        while step - 1 in hold and time.monotonic() < deadline:  # a signal would cut one sleep short
            time.sleep(0.05)
        save(directory, step, engine, world, **about)

    module.Engine.update, module.checkpoint.save = slower_update, slower_save


class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name != NAME:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        execute = spec.loader.exec_module

        def exec_module(module):
            execute(module)
            install(module)

        spec.loader.exec_module = exec_module
        return spec


if "ROLLOUT3D_FAULTS" in os.environ:
    sys.meta_path.insert(0, Finder())
