"""Tables that grow during training: parts while it runs, one file at the end, rewound when a run resumes."""

from __future__ import annotations

import math
import resource
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

from rollout3d import tables


class GrowingTable:
    """Rows of one table, flushed into part files named by their first step.

    Every checkpoint flushes, so no part has rows from both sides of one, and the parts before a checkpoint's step hold
    exactly the rows up to it.
    """

    def __init__(self, table: tables.Table, directory: Path, lineage: tables.Lineage):
        self._table, self._directory, self._lineage = table, directory, lineage
        self._rows: list[Mapping[str, Any]] = []
        self.last: Mapping[str, Any] | None = None
        """The row added last by this process."""

    def add(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Keep rows (each with its `step`) for the next flush."""
        self._rows += rows
        self.last = rows[-1] if rows else self.last

    def flush(self) -> None:
        """Write the rows that were added since the last flush to a part file."""
        if self._rows:
            name = f"{self._table.name}-{self._rows[0]['step']:08d}.parquet"
            tables.write(self._table, self._directory / name, self._rows, self._lineage)
            self._rows = []

    def rewind(self, step: int) -> None:
        """Remove all rows from `step` on: a run that resumes there writes them again."""
        self._rows, self.last = [], None
        for part in parts_of(self._table, self._directory):
            if int(part.stem.rpartition("-")[2]) >= step:
                part.unlink()

    def close(self, path: Path) -> None:
        """Write all parts as one table to `path`, in row groups that do not depend on when parts were flushed.

        Raises `TableError` that names a damaged part.
        """
        self.flush()
        tables.write(self._table, path, self.rows(), self._lineage)

    def rows(self) -> Iterator[Mapping[str, Any]]:
        """Yield every row so far, flushed or not, in the order of their steps.

        Raises `TableError` that names a damaged part.
        """
        for part in parts_of(self._table, self._directory):
            yield from self._rows_of(part)
        yield from self._rows

    def _rows_of(self, part: Path) -> list[dict[str, Any]]:
        try:
            return tables.read(self._table, part)
        except tables.TableError as error:
            # The error's own remedy is for a table that a rule makes, and no rule makes a part.
            raise tables.TableError(
                f"{part}: this part of the run's {self._table.name} is damaged; delete it and run the same command "
                f"again, which resumes at the last checkpoint: the table then lacks the steps of this part ({error})"
            ) from error


def parts_of(table: tables.Table, directory: Path) -> list[Path]:
    """Return the part files of a growing table, in the order of their steps."""
    return sorted(directory.glob(f"{table.name}-*.parquet"))


def flat(row: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers of a row of metrics except its step; those of its lists as rewards/<part>, seconds/<phase>."""
    found: dict[str, float] = {}
    for name, value in row.items():
        if isinstance(value, list):
            found |= {f"{name}/{part['name']}": part["value"] for part in value}
        elif value is not None and name != "step":
            found[name] = float(value)
    return found


def has_updated(row: Mapping[str, Any]) -> bool:
    """Return whether a GRPO step, a row of `tables.METRICS` or `flat` of it, updated the model by its rewards.

    It did if a group had spread and the gradient was finite; groups without spread move it by their KL alone.
    """
    return row["frac_zero_std"] < 1 and math.isfinite(row["grad_norm"])


class Clock:
    """Measures the seconds spent in the named phases of a step."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, phase: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[phase] = self.seconds.get(phase, 0.0) + time.perf_counter() - started


def named(values: Mapping[str, float]) -> list[dict[str, Any]]:
    """Return a mapping as the tables hold it: a list of {name, value}."""
    return [{"name": name, "value": float(value)} for name, value in values.items()]


def mean(values: Sequence[float]) -> float | None:
    """Return the mean, or None of nothing."""
    return fmean(values) if values else None


def peak_memory_mb(device: torch.device) -> float:
    """Return the peak memory so far, MiB: of the accelerator, or of this process without one."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
