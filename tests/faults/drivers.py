"""The driver dies, or there are two of them; the trainers get a signal to stop. Without a cluster."""

from __future__ import annotations

import os
import signal

from faults.table import Line
from faults.world import SAVE_EVERY, Expected, Study, World, expect, wait_for

RUN = "runs/ocr/model.json"
TRAINING = Expected(steps=SAVE_EVERY, to_train={"ocr"})
AGAIN = ("--rerun-incomplete",)


def untrained(world: World, name: str) -> Study:
    """A finished study whose GRPO run is still to be trained."""
    study = world.clone(name)
    study.forget(RUN)
    return study


def killed_driver(world: World, name: str, moment: str) -> Study:
    """A study whose driver was killed (SIGKILL) while its trainer, which lives on, waits at `moment`."""
    study = untrained(world, name)
    study.lay("train_grpo", moment)
    driver = study.drive()
    study.wait_met("train_grpo", moment)
    driver.kill()
    study.all("--unlock")
    return study


def restarted_while_it_trains(world: World) -> Line:
    """driver killed during training, restarted before the training's end"""
    study = killed_driver(world, "restarted_while", "step_2")
    try:
        second = study.drive(*AGAIN)
        wait_for(lambda: "waiting for process" in study.log(), f"the second trainer to wait\n{study.said()}")
        study.go("train_grpo")
        expect(second.wait() == 0, f"the second driver failed\n{study.said()}")
        expect("finished already; nothing to train" in study.log(), "the second trainer did not find the run finished")
        told = "the second driver's trainer waited for the living one and found the run finished"
        return world.line("driver killed in training, restarted before its end", told, study, TRAINING)
    finally:
        study.close()


def restarted_as_it_ends(world: World) -> Line:
    """driver killed during training, restarted while the trainer exports"""
    study = killed_driver(world, "restarted_as", "export")
    try:
        second = study.drive(*AGAIN)
        wait_for(lambda: "waiting for process" in study.log(), f"the second trainer to wait\n{study.said()}")
        study.go("train_grpo")
        expect(second.wait() == 0, f"the second driver failed\n{study.said()}")
        told = "the second driver's trainer waited for the export and trained nothing"
        return world.line("driver killed in training, restarted during its end", told, study, TRAINING)
    finally:
        study.close()


def restarted_after_its_end(world: World) -> Line:
    """driver killed during training, restarted after the trainer has ended"""
    study = killed_driver(world, "restarted_after", "step_2")
    try:
        (trainer,) = study.trainers()
        study.go("train_grpo")
        wait_for(lambda: not study.trainers(), f"trainer {trainer} to end\n{study.said()}")
        expect((study.results / RUN).exists(), "the trainer without a driver left no model")
        study.all(*AGAIN)
        told = "the trainer finished alone; the next driver put its result in place"
        return world.line("driver killed in training, restarted after its end", told, study, TRAINING)
    finally:
        study.close()


def trainer_terminated(world: World) -> Line:
    """SIGTERM at the trainer of one node"""
    study = untrained(world, "terminated")
    try:
        study.lay("train_grpo", "step_2")
        driver = study.drive()
        study.wait_met("train_grpo", "step_2")
        (trainer,) = study.trainers()
        os.kill(trainer, signal.SIGTERM)
        expect(driver.wait() != 0, "the driver called a stopped training finished")
        expect("stopped by SIGTERM after step 3 of 5" in study.log(), f"it did not save first\n{study.log()[-1500:]}")
        study.all()
        expect("resuming after step 3 of 5" in study.log(), f"it did not resume\n{study.log()[-1500:]}")
        told = "it saved after the step in progress, the next `all` resumed there"
        return world.line("TERM, one process", told, study, Expected(steps=0, to_train={"ocr"}))
    finally:
        study.close()


def driver_interrupted(world: World) -> Line:
    """SIGINT at the driver and its jobs, as by Ctrl-C"""
    study = untrained(world, "interrupted")
    try:
        study.lay("train_grpo", "step_2")
        driver = study.drive()
        study.wait_met("train_grpo", "step_2")
        os.killpg(driver.process.pid, signal.SIGINT)
        expect(driver.wait() != 0, "the driver called an interrupted run finished")
        wait_for(lambda: not study.trainers(), "the trainer to end")
        study.all(*AGAIN)
        return world.line("Ctrl-C", "trainer and driver ended; the next `all` resumed", study, TRAINING)
    finally:
        study.close()


def two_drivers(world: World) -> Line:
    """a second `snakemake all` beside the first"""
    study = untrained(world, "two")
    try:
        study.lay("train_grpo", "step_2")
        first = study.drive()
        study.wait_met("train_grpo", "step_2")
        refused = study.all(ok=False)
        expect("cannot be locked" in refused, f"the second driver was not refused by the lock\n{refused[-1500:]}")
        study.go("train_grpo")
        expect(first.wait() == 0, f"the first driver failed\n{study.said()}")
        told = "Snakemake's lock refused the second (exit 1, `Directory cannot be locked`); the first finished"
        return world.line("two drivers at once", told, study, Expected(to_train={"ocr"}))
    finally:
        study.close()


def two_drivers_without_lock(world: World) -> Line:
    """a second `snakemake --nolock all` beside the first"""
    study = untrained(world, "nolock")
    try:
        study.lay("train_grpo", "step_2")
        first = study.drive()
        study.wait_met("train_grpo", "step_2")
        second = study.drive("--nolock", *AGAIN)
        wait_for(lambda: "waiting for process" in study.log(), f"the second trainer to wait\n{study.said()}")
        study.go("train_grpo")
        codes = first.wait(), second.wait()
        if any(codes):  # two drivers that delete each other's outputs may fail, and must lose nothing
            study.all(*AGAIN)
        told = f"one trainer waited for the other; drivers ended with {codes[0]} and {codes[1]}" + (
            ", a third finished" if any(codes) else ""
        )
        return world.line("two drivers, --nolock", told, study, TRAINING)
    finally:
        study.close()


QUICK = (restarted_while_it_trains,)
ALL = (
    *QUICK,
    trainer_terminated,
    restarted_as_it_ends,
    restarted_after_its_end,
    driver_interrupted,
    two_drivers,
    two_drivers_without_lock,
)
