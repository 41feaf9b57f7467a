"""Faults for stages in other processes: put this folder on PYTHONPATH.

ROLLOUT3D_FAULTS: folder for what tests and stages say to each other. `events.log` there has a line "step RUN RANK STEP"
for every update that begins, "saved RUN RANK STEPS" for every checkpoint, and "asked STAGE OUT QUESTION" for every
question that difficulty and evaluate put to a model. At each step of ROLLOUT3D_HOLD_STEPS ("1,3") the first attempt
makes the file `{run}.{rank}.held_{step}` and waits for SIGTERM or for the file `{run}.go`. A checkpoint after such a
step takes ROLLOUT3D_SLOW_SAVE_S seconds longer.

A file `{stage}.{moment}.kill` or `{stage}.{moment}.hold` lets the first process of that stage that comes to the moment
die (SIGKILL) or wait (until SIGTERM, or the file `{stage}.go`); its name then ends in `.met`. Moments: `import` (of the
training loop), `step_N`, `saved_N`, `export`, `asked_N` (the Nth batch of questions), `rename` (the first finished
file, still under its temporary name).
"""

import dataclasses
import importlib.abc
import importlib.machinery
import os
import signal
import sys
import time
from pathlib import Path


def stage_of(arguments):
    """The stage that this process runs (`-m rollout3d.stages.NAME`); "" if none."""
    prefix = "rollout3d.stages."
    return next((word.removeprefix(prefix) for word in arguments if word.startswith(prefix)), "")


def argument(name):
    return sys.argv[sys.argv.index(name) + 1]


def asked_to_stop():
    stop = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)  # checkpoint.Stop, inside the training loop
    return stop is not None and stop.requested


def note(*words):
    with open(FOLDER / "events.log", "a") as log:
        log.write(" ".join(map(str, words)) + "\n")


def at(moment):
    """Meet the fault that is laid at this moment, once."""
    for kind in ("kill", "hold"):
        laid = FOLDER / f"{STAGE}.{moment}.{kind}"
        try:
            laid.rename(laid.with_suffix(f".{kind}.met"))
        except FileNotFoundError:
            continue
        if kind == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        while not asked_to_stop() and not (FOLDER / f"{STAGE}.go").exists():
            time.sleep(0.05)


def install_loop(module):
    rank = os.environ.get("RANK", "0")
    run = Path(argument("--out-dir")).name
    hold = [int(step) for step in os.environ.get("ROLLOUT3D_HOLD_STEPS", "").split(",") if step]
    slow = float(os.environ.get("ROLLOUT3D_SLOW_SAVE_S", 0))
    update, save, export = module.Engine.update, module.checkpoint.save, module.Engine.export

    def slower_update(self, batch, loss, step):
        note("step", run, rank, step)
        held = FOLDER / f"{run}.{rank}.held_{step}"
        if step in hold and not held.exists():
            held.touch()
            while not asked_to_stop() and not (FOLDER / f"{run}.go").exists():
                time.sleep(0.05)
        at(f"step_{step}")
        return update(self, batch, loss, step)

    def slower_save(directory, step, engine, world, **about):
        deadline = time.monotonic() + slow
        while step - 1 in hold and time.monotonic() < deadline:  # a signal would cut one sleep short
            time.sleep(0.05)
        save(directory, step, engine, world, **about)
        note("saved", run, rank, step)
        at(f"saved_{step}")

    def slower_export(self):
        at("export")
        return export(self)

    module.Engine.update, module.checkpoint.save, module.Engine.export = slower_update, slower_save, slower_export


def install_batches(module):
    run = module.Batches.run
    count = 0

    def noted(generate):
        def ask(policy, prompts, sampling, seed=0, keys=None):
            nonlocal count
            count += 1
            for key in keys:
                note("asked", STAGE, argument("--out").replace(" ", "%20"), key)
            at(f"asked_{count}")
            return generate(policy, prompts, sampling, seed, keys)

        return ask

    def slower_run(self, *arguments, **options):
        return run(dataclasses.replace(self, generate=noted(self.generate)), *arguments, **options)

    module.Batches.run = slower_run


def watch_renames():
    plain = {name: getattr(os, name) for name in ("rename", "replace")}

    def watched(name):
        def rename(source, target, **options):
            if os.path.basename(source).startswith(".") and not os.path.basename(target).startswith("."):
                at("rename")
            return plain[name](source, target, **options)

        return rename

    for name in plain:
        setattr(os, name, watched(name))


INSTALL = {"rollout3d.training.loop": install_loop, "rollout3d.model.generate_hf": install_batches}


class Finder(importlib.abc.MetaPathFinder):
    """Finds the modules of `INSTALL` as Python does, and changes them when they have been executed."""

    def find_spec(self, name, path, target=None):
        if name not in INSTALL or (name.endswith("loop")) == (STAGE in ("difficulty", "evaluate")):
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        execute = spec.loader.exec_module

        def exec_module(module):
            if name.endswith("loop"):
                at("import")
            execute(module)
            INSTALL[name](module)

        spec.loader.exec_module = exec_module
        return spec


STAGE = stage_of(sys.orig_argv)
if "ROLLOUT3D_FAULTS" in os.environ and STAGE:
    FOLDER = Path(os.environ["ROLLOUT3D_FAULTS"])
    sys.meta_path.insert(0, Finder())
    watch_renames()
