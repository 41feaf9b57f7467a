"""Trackio: a local dashboard, `trackio show --project rollout3d`. TRACKIO_PROJECT names another project."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib import import_module

from rollout3d.training.trackers import Tracked


def open(run: Tracked) -> _Local:
    """Start a run, or resume the one of an earlier attempt, by the identity of the result."""
    return _Local(run)


class _Local:
    def __init__(self, run: Tracked):
        self._run = import_module("trackio").init(
            project=os.environ.get("TRACKIO_PROJECT", "rollout3d"),
            name=f"{run.folder.name}-{run.identity[:12]}",
            resume="allow",
        )

    def add(self, step: int, values: Mapping[str, float]) -> None:
        self._run.log(dict(values), step=step)

    def close(self) -> None:
        self._run.finish()
