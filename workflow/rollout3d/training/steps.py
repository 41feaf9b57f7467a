"""Weights that a run keeps after some of its steps, for rows of the run table that name a checkpoint (column `at`).

They lie in `steps/<number of steps>` of the run's directory, a model of their own with the lineage of its training.
Light: the preflight reads them.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from rollout3d import tables

STEPS = "steps"
"""Folder of a run's directory that holds them."""


def model_of(run: Path, step: int) -> Path:
    """Return the `model.json` of the weights that the run in a directory keeps after `step` steps."""
    return run / STEPS / str(step) / "model.json"


def problem(model_json: Path, step: int) -> str | None:
    """Return why the finished run of a `model.json` has no weights after `step` steps, with the remedy; None if it has.

    Raises TableError for a file that cannot be read.
    """
    kept = model_of(model_json.parent, step)
    if not kept.exists():
        why = "it was trained without a row of the run table that names this step"
    elif identity(kept) != identity(model_json):
        why = "those that are there are of another training"
    else:
        return None
    return (
        f"{model_json}: this run keeps no weights after step {step}: {why}. Train it again: `rollout3d forget "
        f"{model_json}`, then this command; or remove the row"
    )


def remove_others(run: Path, of: str) -> None:
    """Remove weights of the run in a directory that were kept by a training of another identity than `of`."""
    for folder in (run / STEPS).glob("*"):
        try:
            same = identity(folder / "model.json") == of
        except tables.TableError:
            same = False  # damaged, or killed before its model.json
        if not same:
            shutil.rmtree(folder, ignore_errors=True)


def identity(model_json: Path) -> str:
    """Return the identity of the training that wrote a `model.json`. Raises TableError if it cannot be read."""
    return tables.Lineage.from_dict(tables.lineage(model_json)).identity
