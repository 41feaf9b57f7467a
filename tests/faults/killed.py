"""kill -9 in every stage: each dies once as it puts its first file in place, those that resume in mid-run too."""

from __future__ import annotations

from collections import Counter

from faults.drivers import RUN
from faults.table import Line
from faults.world import BATCH, SAVE_EVERY, Expected, Study, World, expect, files_of
from rollout3d import tables

MID_RUN = {
    "difficulty": ("asked_2",),
    "evaluate": ("asked_3",),
    "train_sft": ("step_1", "export"),
    "train_grpo": ("step_3", "export"),
}
"""Stage -> moments besides its first file."""
FIRST_FILE = "rename"
RETRIES = "3"
"""As in slurm/profile.yaml."""


def every_stage(world: World) -> list[Line]:
    """kill -9 in every stage, in a study from an empty folder"""
    study = world.empty(Study(world.folder / "killed", world.folder / "killed.faults"))
    stages = sorted({tables.lineage(path)["stage"] for path in files_of(world.finished.results)} | {"report"})
    try:
        for stage in stages:
            for moment in (FIRST_FILE, *MID_RUN.get(stage, ())):
                study.lay(stage, moment, "kill")
        study.all("--retries", RETRIES)
        return [of_stage(world, study, stage) for stage in stages]
    finally:
        study.close()


def of_stage(world: World, study: Study, stage: str) -> Line:
    """The line of one stage of a study in which every stage was killed."""
    moments = (FIRST_FILE, *MID_RUN.get(stage, ()))
    missed = [moment for moment in moments if not study.met(stage, moment, "kill")]
    lost, problems = 0, [f"it never came to {moment}" for moment in missed]
    for path in files_of(world.finished.results):
        if tables.lineage(path)["stage"] == stage:
            n, differs = world.rows_lost_of(path, study.results / path.relative_to(world.finished.results))
            lost += n
            problems += differs
    whole = world.finished
    answered = trained = 0
    if stage in ("difficulty", "evaluate"):
        folder = "difficulty/" if stage == "difficulty" else "eval/"
        asked = study.asked() - whole.asked()
        answered = sum(n for (out, _), n in asked.items() if out.startswith(folder))
    if stage in ("train_sft", "train_grpo"):
        runs = {"sft"} if stage == "train_sft" else set(whole.saved()) - {"sft"}
        again = study.trained() - whole.trained()
        trained = sum(n for (run, _), n in again.items() if run in runs)
        problems += [
            f"the finished training of {run} was repeated"
            for run in world.repeated(study, set(whole.saved()))
            if run in runs
        ]
    if answered > BATCH * len(moments):
        problems.append(f"{answered} questions answered twice in {len(moments)} kills")
    if trained > SAVE_EVERY * len(moments):
        problems.append(f"{trained} steps trained twice in {len(moments)} kills")
    told = (
        f"killed {'once' if len(moments) == 1 else f'{len(moments)} times'} ({', '.join(moments)}); the retry finished"
    )
    return Line(f"kill -9 in {stage}", told, lost, answered, trained, tuple(problems))


def long_stages(world: World) -> Line:
    """kill -9 in mid-run of a training and of an evaluation that a finished study still lacks"""
    study = world.clone("killed_long")
    answers = {"eval/ocr/synthetic/predictions/0.parquet"}
    try:
        study.forget(RUN, *answers)
        kills = Counter()
        for stage in ("evaluate", "train_grpo"):
            for moment in MID_RUN[stage]:
                study.lay(stage, moment, "kill")
                kills[stage] += 1
        study.all("--retries", RETRIES)
        for stage in kills:
            for moment in MID_RUN[stage]:
                expect(study.met(stage, moment, "kill"), f"{stage} never came to {moment}")
        may = Expected(BATCH * kills["evaluate"], SAVE_EVERY * kills["train_grpo"], {"ocr"}, answers)
        told = "train_grpo (in a step, in the export) and evaluate were killed; retries finished them"
        return world.line("kill -9 in training and evaluation", told, study, may)
    finally:
        study.close()


QUICK = (long_stages,)
ALL = (every_stage,)
