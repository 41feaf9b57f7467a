"""Trackers: programs that draw a run's metrics while it trains, beside the run's own tables. One file per tracker.

A tracker is given every row of the metrics, and nothing that it does changes a result.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

from rollout3d import doors

__all__ = ["Board", "Tracked", "Tracker", "missing_package", "open_board"]


@dataclass(frozen=True)
class Tracked:
    """The run whose metrics are drawn."""

    folder: Path
    """Directory of the run."""
    identity: str
    """Of the result: a run that resumes has the same one."""
    start: int
    """First step that will be added. Steps from there on that an earlier attempt has added are added again."""


class Board(Protocol):
    """An open connection to a tracker."""

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Add the numbers of one step, by name."""
        ...

    def close(self) -> None:
        """Write what is not written yet, and end."""
        ...


class Tracker(Protocol):
    """What a file of this folder defines.

    A file may also assign `PACKAGE`, the package that it imports if that is not named as the file, read without
    importing the file. The extra of pyproject that brings the package is named as the file.
    """

    def open(self, run: Tracked, /) -> Board:
        """Start a board for a run, or continue that of an earlier attempt."""
        ...


def open_board(name: str, run: Tracked) -> Board:
    """Start the board of a tracker. Raises ImportError where its package is not installed."""
    return cast(Tracker, doors.TRACKERS.load(name)).open(run)


def missing_package(name: str) -> str | None:
    """Return the package that a tracker needs and that is not installed; None if it is there."""
    package = doors.TRACKERS.constant(name, "PACKAGE", name)
    return package if importlib.util.find_spec(package) is None else None
