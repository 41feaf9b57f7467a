"""The loop around the steps of SFT and GRPO: resuming, checkpoints, growing tables, the end on SIGTERM."""

from __future__ import annotations

import json
import logging
import shutil
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from rollout3d import tables
from rollout3d.files import write_atomically
from rollout3d.model.load import save_policy
from rollout3d.progress import progress
from rollout3d.training import checkpoint
from rollout3d.training.data import NotTrainable
from rollout3d.training.engines.engine import Engine
from rollout3d.training.lock import Lock
from rollout3d.training.metrics import GrowingTable, flat
from rollout3d.training.steps import STEPS, model_of, remove_others
from rollout3d.training.trackers import Board, Tracked, open_board
from rollout3d.training.world import World

FLUSH_SECONDS = 10.0
"""Minimum seconds between flushes of the tables, besides those at checkpoints: `rollout3d watch` reads them."""
STATE = "state.json"
"""File in the directory of checkpoints: which of them belong to the run that trains now, and its number of steps."""

log = logging.getLogger(__name__)


class Interrupted(SystemExit):
    """Raised when a run has saved and ends after SIGTERM; exit status 143, as of a process ended by the signal."""

    def __init__(self, step: int, total: int):
        super().__init__(143)
        self.message = f"stopped by SIGTERM after step {step} of {total}; the same command resumes there"


class Loop:
    """Iterates over the steps still to be done and writes the run's files; `train_grpo` shows its use.

    `out`: the run's directory. `identity`: of the result (`Lineage.identity`); checkpoints of another identity are left
    alone. `growing`: the tables that the run writes. `lock`: the right to write, checked before every checkpoint and
    before the outputs. `kept`: numbers of steps after which the weights are kept for good (`training.steps`); `about`:
    entries of `model.json`. Only the first process writes files.
    """

    def __init__(
        self,
        out: Path,
        identity: str,
        total: int,
        engine: Engine,
        world: World,
        growing: Sequence[tables.Table],
        lineage: tables.Lineage,
        lock: Lock | None = None,
        kept: Collection[int] = (),
        about: Mapping[str, Any] | None = None,
    ):
        self._lock, self._kept, self._about = lock, kept, dict(about or {})
        self.out, self.total, self.engine, self.world = out, total, engine, world
        self._checkpoints = out / "checkpoints" / identity
        self._tables = {t.name: GrowingTable(t, self._checkpoints, lineage) for t in growing} if world.first else {}
        self._board: Board | None = None
        self._flushed = time.monotonic()
        self._failure: Exception | None = None

    def __iter__(self) -> Iterator[int]:
        with checkpoint.Stop() as stop:
            start = self._resume()
            self._announce(start)
            steps = range(start, self.total)
            for step in progress(steps, f"{self.out.name}: steps") if self.world.first else steps:
                yield step
                done = step + 1
                stopping = self.world.largest(float(stop.requested)) > 0
                if done in self._kept:  # before the checkpoint: a run that resumes from that has them
                    self._keep(done)
                # Also after the last step: a run that is killed while it exports need not train again.
                ending = stopping or self._failure is not None or done == self.total
                if done % self.engine.training.save_every == 0 or ending:
                    self._flush()
                    checkpoint.save(self._checkpoints, done, self.engine, self.world)
                elif time.monotonic() - self._flushed >= FLUSH_SECONDS:
                    self._flush()
                if self._failure is not None:
                    raise self._failure
                if stopping and done < self.total:
                    stopped = Interrupted(done, self.total)
                    log.warning(stopped.message)
                    raise stopped

    def record(self, table: tables.Table, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add the rows of every process to one of the tables; all processes call it together."""
        gathered = self.world.gather(list(rows))
        if gathered is not None:
            rows = [row for part in gathered for row in part]
            self._tables[table.name].add(rows)
            if self._board is not None and table is tables.METRICS:
                for row in rows:
                    self._board.add(row["step"], flat(row))

    def rows(self, table: tables.Table) -> list[Mapping[str, Any]]:
        """Return all rows of a table so far, those before a resume included; none on other processes than the first.

        Raises `TableError` that names a damaged part.
        """
        return list(self._tables[table.name].rows()) if self.world.first else []

    def last(self, table: tables.Table) -> Mapping[str, Any] | None:
        """Return the row recorded last since this process started; None on other processes than the first."""
        return self._tables[table.name].last if self.world.first else None

    def give_up(self, error: Exception) -> None:
        """Raise `error` after the present step's checkpoint; all processes call it together."""
        self._failure = error

    def finish(self, keep: Callable[[], None] = lambda: None) -> None:
        """Write the final tables and the model, `model.json` last, and remove the checkpoints.

        `keep` is called by the first process when every output is on the disk. The checkpoints stay if it raises, or if
        an output is missing by then: Snakemake, started again, deletes the outputs of the jobs that it will run.
        SIGTERM does not interrupt the export.
        """
        with checkpoint.Stop():
            policy = self.engine.export()
            if self.world.first and policy is not None:
                self._check()
                outputs = [self.out / f"{name}.parquet" for name in self._tables] + [self.out / "model.json"]
                for table, path in zip(self._tables.values(), outputs):
                    table.close(path)
                if self._board is not None:
                    self._board.close()
                save_policy(policy, self.out, **self._about)
                keep()
                self._remove_checkpoints(outputs)
            self.world.barrier()

    def _keep(self, step: int) -> None:
        """Write the present weights as a model of their own; all processes call it together."""
        with torch.random.fork_rng(
            devices=[]
        ):  # building the exported model may draw, and training must go on as without it
            policy = self.engine.export()
        if self.world.first and policy is not None:
            self._check()
            folder = model_of(self.out, step).parent
            save_policy(policy, folder, **{**self._about, "name": f"{self._about.get('name')}@{step}", "step": step})
            log.info("%s: kept the weights after step %d", folder, step)
        self.world.barrier()

    def _remove_checkpoints(self, outputs: Sequence[Path]) -> None:
        gone = [str(path) for path in outputs if not path.exists()]
        if gone:
            log.warning(
                "%s: deleted while the run ended; the checkpoints stay, and the same command exports them again",
                ", ".join(gone),
            )
            return
        for path in self._checkpoints.parent.iterdir():
            if path.is_dir():  # the lock stays until this process ends
                shutil.rmtree(path, ignore_errors=True)
                if path.exists():  # no reason to fail: Snakemake would delete the outputs
                    log.warning("%s: cannot be deleted; nothing needs it any more", path)
        with suppress(OSError):
            (self._checkpoints.parent / STATE).unlink()

    def _resume(self) -> int:
        """Restore the newest checkpoint, if there is one; return the number of steps done already."""
        found = self.world.share(checkpoint.newest(self._checkpoints) if self.world.first else None)
        start = 0
        if found is not None:
            checkpoint.restore(found, self.engine, self.world)
            start = found.step
            log.info("resuming after step %d of %d from %s", start, self.total, found.path)
        elif self.world.first and {p.parent for p in self._checkpoints.parent.glob("*/step_*")} - {self._checkpoints}:
            log.warning("%s: checkpoints of other settings or inputs; starting at step 0", self._checkpoints.parent)
        if self.world.first:
            remove_others(self.out, self._checkpoints.name)
        self.world.barrier()
        gone = [step for step in sorted(self._kept) if step <= start and not model_of(self.out, step).exists()]
        if gone:  # on all processes, none of which may wait for another
            raise NotTrainable(
                f"{self.out / STEPS}: this run goes on after step {start}, and no weights were kept after step "
                f"{', '.join(map(str, gone))}, which the run table names: delete {self._checkpoints} to train from the "
                "start, or remove the row"
            )
        for table in self._tables.values():
            table.rewind(start)
        return start

    def _announce(self, start: int) -> None:
        """Write state.json, which `rollout3d watch` reads."""
        if not self.world.first:
            return
        if self.engine.training.tracker:
            self._board = open_board(self.engine.training.tracker, Tracked(self.out, self._checkpoints.name, start))
        about = {"identity": self._checkpoints.name, "total": self.total, "start": start}
        write_atomically(self._checkpoints.parent / STATE, json.dumps(about))

    def _check(self) -> None:
        if self._lock is not None and self.world.first:
            self._lock.check()

    def _flush(self) -> None:
        self._check()
        for table in self._tables.values():
            table.flush()
        self._flushed = time.monotonic()
