"""Weights & Biases: a run of the project `rollout3d`, or of the one that WANDB_PROJECT names.

Its key comes from the environment (`wandb login`, or WANDB_API_KEY); `WANDB_MODE=offline` keeps everything in the run's
directory, for `wandb sync`. Steps that an earlier attempt has added stay as they were added first.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib import import_module

from rollout3d.training.trackers import Tracked


def open(run: Tracked) -> _Online:
    """Start a run, or resume the one of an earlier attempt, by the identity of the result."""
    return _Online(run)


class _Online:
    def __init__(self, run: Tracked):
        self._run = import_module("wandb").init(
            project=os.environ.get("WANDB_PROJECT", "rollout3d"),
            name=run.folder.name,
            id=f"{run.folder.name}-{run.identity[:12]}",
            resume="allow",
            dir=str(run.folder),
        )

    def add(self, step: int, values: Mapping[str, float]) -> None:
        self._run.log(dict(values), step=step)

    def close(self) -> None:
        self._run.finish()
