"""The disk fills up under a job. The results lie on a file system in memory, whose size is changed under them."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from faults.drivers import RUN
from faults.table import Line
from faults.world import BATCH, SAVE_EVERY, Expected, Study, World, expect

LARGE = "4g"
ANSWERS = "eval/ocr/synthetic/predictions/0.parquet"


def why_not() -> str | None:
    """Why no file system can be mounted here; None if it can."""
    if os.geteuid() != 0:
        return "mounting a small file system needs root"
    if not shutil.which("mount"):
        return "there is no mount command"
    return None


@contextmanager
def small_disk(study: Study) -> Iterator[None]:
    """Move the study's results to a file system of their own."""
    place, aside = study.results.parent, study.results.parent.with_name("results.aside")
    place.rename(aside)
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={LARGE}", "rollout3d-faults", place], capture_output=True, text=True
    )
    try:
        expect(mounted.returncode == 0, f"cannot mount: {mounted.stderr.strip()}")
        subprocess.run(["cp", "-a", f"{aside}/.", place], check=True)
        yield
    finally:
        study.close()
        subprocess.run(["umount", "--lazy", place], capture_output=True)


def resize(study: Study, size: str) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size}", study.results.parent], check=True)


def fill(study: Study) -> None:
    """Leave only a few kilobytes free."""
    found = os.statvfs(study.results)
    used = (found.f_blocks - found.f_bfree) * found.f_frsize
    resize(study, f"{used // 1024 + 8}k")


def met(world: World, name: str, stage: str, moment: str, target: str, log: tuple[str, str]) -> tuple[Study, str]:
    """A study whose disk was full while `stage` ran and had space again for the next `all`; the job's one error."""
    study = world.clone(name)
    study.forget(target)
    with small_disk(study):
        study.lay(stage, moment)
        driver = study.drive()
        study.wait_met(stage, moment)
        fill(study)
        study.go(stage)
        expect(driver.wait() != 0, f"the driver called a job on a full disk finished\n{study.said()}")
        text = study.log(*log)
        named = [line for line in text.splitlines() if line.startswith("error:")]
        expect(len(named) == 1, f"not one error but {len(named)} in\n{text[-2500:]}")
        expect(str(study.results.relative_to(study.folder)) in named[0], f"the error names no file: {named[0]}")
        expect("No space left" in named[0], f"the error does not say that the disk is full: {named[0]}")
        expect(not text.count("Traceback"), f"a traceback\n{text[-2500:]}")
        resize(study, LARGE)
        study.all()
        shutil.copytree(study.results, world.folder / f"{name}.results", dirs_exist_ok=True)
    return study, named[0]


def named_in(error: str) -> str:
    """The last part of the first path in an error."""
    return error.removeprefix("error: ").split(":")[0].rpartition("/")[2]


def full_in_training(world: World) -> Line:
    """disk full while a trainer saves"""
    if why_not():
        return Line("disk full in training", why_not(), left_out=True)
    study, error = met(world, "full_training", "train_grpo", "step_2", RUN, ("grpo", "ocr"))
    told = f"stopped with one error that names {named_in(error)}; with space again it resumed"
    may = Expected(steps=SAVE_EVERY, to_train={"ocr"})
    return world.line("disk full in training", told, study, may, world.folder / "full_training.results")


def full_in_evaluation(world: World) -> Line:
    """disk full while answers are kept"""
    if why_not():
        return Line("disk full in evaluation", why_not(), left_out=True)
    study, error = met(world, "full_evaluation", "evaluate", "asked_3", ANSWERS, ("evaluate", "ocr.synthetic.0"))
    told = f"stopped with one error that names {named_in(error)}; with space again it resumed"
    may = Expected(answers=BATCH, to_answer={ANSWERS})
    return world.line("disk full in evaluation", told, study, may, world.folder / "full_evaluation.results")


def full_before(world: World) -> Line:
    """disk full before the first job"""
    if why_not():
        return Line("disk full before the run", why_not(), left_out=True)
    study = world.clone("full_before")
    study.forget(RUN)
    with small_disk(study):
        fill(study)
        said = study.all(ok=False)
        expect("are free, the jobs write about" in said, f"the preflight said nothing\n{said[-2000:]}")
        expect(not study.events("step"), "a job was started")
        resize(study, LARGE)
        study.all()
        shutil.copytree(study.results, world.folder / "full_before.results", dirs_exist_ok=True)
    told = "the preflight refused before the first job and named the folder; with space again it ran"
    may = Expected(to_train={"ocr"})
    return world.line("disk full before the run", told, study, may, world.folder / "full_before.results")


QUICK = (full_in_training,)
ALL = (full_before, full_in_training, full_in_evaluation)
