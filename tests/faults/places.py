"""The user moves results, links them, names them with spaces, or deletes Snakemake's own records."""

from __future__ import annotations

import shutil

from faults.table import Line
from faults.world import Expected, Study, World, expect

NOTHING = Expected()


def set_results(study: Study, place: str) -> None:
    """Name another results folder in the clone's local.yaml."""
    local = study.folder / "config" / "local.yaml"
    local.write_text("\n".join(f"results: {place}" if "results:" in x else x for x in local.read_text().splitlines()))


def nothing_to_do(study: Study) -> None:
    said = study.all()
    expect("Nothing to be done" in said, f"it ran something\n{said[-1500:]}")


def records_deleted_and_a_key_changed(world: World) -> Line:
    """`.snakemake` deleted, and a key of the configuration changed there and back"""
    study = world.clone("records")
    try:
        shutil.rmtree(study.folder / ".snakemake")
        # All questions of the benchmark are to be answered anew, nothing else.
        changed = 'evaluation={"temperature": 0.5}'
        answers = {out for out, _ in world.finished.asked() if out.startswith("eval/")}
        study.all("--config", changed)
        asked, whole = study.asked(), world.finished.asked()
        wanted = {key: n for key, n in whole.items() if key[0] in answers}
        expect(asked == wanted, f"{asked.total()} questions were asked, {sum(wanted.values())} depend on the key")
        shutil.rmtree(study.folder / ".snakemake")
        study.all()
        told = f"the key recomputed its {asked.total()} answers and nothing else; set back, all came from the store"
        return world.line("`.snakemake` deleted, a key changed", told, study, Expected(to_answer=answers))
    finally:
        study.close()


def records_deleted(world: World) -> Line:
    """`.snakemake` deleted, every file touched in an order that has nothing to do with the jobs'"""
    study = world.clone("touched")
    try:
        shutil.rmtree(study.folder / ".snakemake")
        for path in reversed(sorted(study.results.rglob("*"))):
            path.touch()
        study.all()
        told = "cheap stages ran again for their files' times; what is costly came from the store"
        return world.line("`.snakemake` deleted, all files touched", told, study, NOTHING)
    finally:
        study.close()


def moved(world: World) -> Line:
    """results moved to another folder"""
    study = world.clone("moved")
    try:
        shutil.move(study.results, study.folder / "elsewhere")
        set_results(study, "elsewhere")
        nothing_to_do(study)
        return world.line("results moved", "nothing to be done", study, NOTHING, study.folder / "elsewhere")
    finally:
        study.close()


def behind_a_link(world: World) -> Line:
    """results behind a symbolic link, and a result deleted"""
    study = world.clone("linked")
    try:
        disk = world.folder / "linked_disk"
        shutil.rmtree(disk, ignore_errors=True)
        shutil.move(study.results, disk)
        study.results.symlink_to(disk)
        nothing_to_do(study)
        (study.results / "runs/ocr/model.json").unlink()
        study.all()
        told = "nothing to be done; a deleted model came back from the store"
        return world.line("results behind a symbolic link", told, study, NOTHING)
    finally:
        study.close()


def with_spaces(world: World) -> Line:
    """results and clone in paths with spaces, and a run to train there"""
    study = world.clone("spaces", world.folder / "a clone with spaces")
    try:
        place = study.folder / "results" / "my study"
        shutil.move(study.results, place)
        set_results(study, '"results/my study"')
        study.results = place
        nothing_to_do(study)
        study.forget("runs/ocr/model.json")
        study.all()
        told = "nothing to be done; a run that was then deleted was trained there"
        return world.line("path with spaces", told, study, Expected(to_train={"ocr"}))
    finally:
        study.close()


QUICK = (records_deleted_and_a_key_changed,)
ALL = (*QUICK, behind_a_link, records_deleted, moved, with_spaces)
