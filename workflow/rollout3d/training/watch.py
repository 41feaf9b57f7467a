"""Show a run in a terminal, from the tables that it flushes; nothing is written or locked."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median
from typing import Any

from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from rollout3d import tables
from rollout3d.errors import UserError
from rollout3d.training import lock
from rollout3d.training.blindness import warnings
from rollout3d.training.loop import STATE
from rollout3d.training.metrics import flat, has_updated, parts_of

ASK_SECONDS = 60.0
"""Minimum number of seconds between two checks of whether a run's process lives: on a cluster they ask Slurm's
controller."""
RECENT = 20
"""Number of steps that a recent mean covers."""
FIGURES = {
    "rewards/total": "reward",
    "rewards/correctness": "correctness",
    "rewards/format": "well-formed",
    "rewards/temporal": "temporal bonus",
    "rewards/length": "length bonus",
    "acc_clean": "correct, clean video",
    "acc_noisy": "correct, altered video",
    "gap": "clean minus altered",
    "reward_std": "spread within groups",
    "frac_zero_std": "groups without spread",
    "completion_len_mean": "tokens per answer",
    "loss": "loss",
    "kl": "KL per token",
    "probe_video": "probes: the video",
    "probe_black": "probes: black frames",
    "probe_other_room": "probes: another room",
    "probe_drowned": "probes: objects under noise",
    "grad_norm": "gradient norm",
    "lr": "learning rate",
    "delta": "delta",
    "sigma": "sigma",
    "n_regions": "objects perturbed",
    "peak_memory_mb": "peak memory, MB",
}
"""Name in `metrics.flat` -> label in the terminal, in this order."""


class NoRun(UserError, ValueError):
    """A directory in which no run trains or has trained."""


@dataclass(frozen=True)
class State:
    """State of a run, as far as its files show it."""

    run: Path
    status: str
    """"finished", "running" with its process, "stopped" or "died", with the remedy."""
    total: int
    """Steps in all."""
    rows: Sequence[dict[str, float]]
    """`metrics.flat` of each step so far, with `step` and `gap`."""

    @property
    def done(self) -> int:
        """Number of steps done."""
        return int(self.rows[-1]["step"]) + 1 if self.rows else 0

    @property
    def idle(self) -> int:
        """Number of steps of a GRPO run so far if none of them has updated its model; else 0."""
        steps = [row for row in self.rows if "frac_zero_std" in row]
        return 0 if any(map(has_updated, steps)) else len(steps)

    @property
    def seconds_per_step(self) -> float | None:
        """Median seconds of the recent steps; None before the first."""
        recent = [sum(phases(row).values()) for row in self.rows[-RECENT:]]
        return median(recent) if recent else None

    @property
    def seconds_left(self) -> float | None:
        """Estimated seconds to the end, by the recent steps; None before the first."""
        each = self.seconds_per_step
        return None if each is None else each * (self.total - self.done)


class Reader:
    """Reads the state of a run repeatedly, each part of its tables once."""

    def __init__(self, run: Path):
        self.run = run
        self._kept: dict[tuple[str, int, int], list[dict[str, float]]] = {}
        self._checked: tuple[str, float, str] | None = None

    def read(self) -> State:
        """Return the present state. Raises `NoRun` for a directory without a run."""
        found = self._growing() or self._finished()
        if found is None:
            raise NoRun(f"{self.run}: no run trains or has trained here; give its directory, such as results/runs/ocr")
        return found

    def _growing(self) -> State | None:
        checkpoints = self.run / "checkpoints"
        try:
            state = json.loads((checkpoints / STATE).read_text())
        except FileNotFoundError:
            return None
        rows = [row for part in parts_of(tables.METRICS, checkpoints / state["identity"]) for row in self._rows(part)]
        return State(self.run, self._status(self.run / lock.LOCK), state["total"], rows)

    def _finished(self) -> State | None:
        path = self.run / "metrics.parquet"
        if not path.exists():
            return None
        rows = self._rows(path)
        return State(self.run, "finished", len(rows), rows)

    def _rows(self, path: Path) -> list[dict[str, float]]:
        try:
            about = path.stat()
            key = (path.name, about.st_mtime_ns, about.st_size)
            if key not in self._kept:
                self._kept[key] = [_figures(row) for row in tables.read(tables.METRICS, path)]
            return self._kept[key]
        except (FileNotFoundError, tables.TableError):
            if path.exists():
                raise
            return []  # the run has just resumed, or finished, and removed it

    def _status(self, path: Path) -> str:
        try:
            text, beat, holder = path.read_text(errors="replace"), path.stat().st_mtime, lock.read(path)
        except FileNotFoundError:
            return "stopped; the same command resumes it"
        now = time.monotonic()
        if self._checked is None or self._checked[0] != text or now - self._checked[1] > ASK_SECONDS:
            if holder is None:
                status = "died; the same command resumes it"
            elif lock.alive(holder, beat):
                status = f"running, {holder}"
            else:
                status = f"died ({holder}); the same command resumes it"
            self._checked = text, now, status
        return self._checked[2]


def phases(row: dict[str, float]) -> dict[str, float]:
    """Return the seconds of each phase of a step."""
    return {name.removeprefix("seconds/"): value for name, value in row.items() if name.startswith("seconds/")}


def render(state: State) -> Group:
    """Lay out the state for rich to print."""
    head = Text.assemble((state.run.name, "bold"), f"  {state.status}  step {state.done}/{state.total}")
    if state.rows and state.status != "finished":
        head.append(f"  {state.seconds_per_step:.1f} s per step, {_clock(state.seconds_left)} left")
    if not state.rows:
        return Group(head, Text("no step is recorded yet"))
    if state.idle:
        head.append(f"\nno update in the first {state.idle} steps: no group with spread, or no finite gradient", "red")
    for sentence in warnings(state.rows):
        head.append(f"\n{sentence}", "red")
    bar = ProgressBar(total=state.total, completed=state.done, width=60)
    table = Table("", "last", f"mean of {min(RECENT, len(state.rows))}", "first", "course", box=box.SIMPLE_HEAD)
    for name, label in FIGURES.items():
        course = [row[name] for row in state.rows if name in row]
        if course:
            shown = (course[-1], fmean(course[-RECENT:]), fmean(course[:RECENT]))
            table.add_row(label, *(f"{value:.4g}" for value in shown), sparkline(course))
    return Group(head, bar, table, _phases(state))


def sparkline(values: Sequence[float], width: int = 20) -> str:
    """Draw the course of some numbers in at most `width` characters, each the mean of an equal stretch of them."""
    n = min(width, len(values))
    means = [fmean(values[len(values) * i // n : len(values) * (i + 1) // n]) for i in range(n)]
    low, high = min(means), max(means)
    if not high > low:
        return "▁" * n
    return "".join("▁▂▃▄▅▆▇█"[min(7, int(8 * (mean - low) / (high - low)))] for mean in means)


def watch(run: Path, once: bool = False, every_s: float = 5.0, console: Console | None = None) -> None:
    """Print the state of a run: `once`, or every `every_s` seconds until it is finished."""
    console, reader = console or Console(), Reader(run)
    state = reader.read()
    if once:
        console.print(render(state))
        return
    with Live(render(state), console=console, auto_refresh=False) as live:
        while state.status != "finished":
            time.sleep(every_s)
            state = reader.read()
            live.update(render(state), refresh=True)


def _figures(row: Mapping[str, Any]) -> dict[str, float]:
    found = {"step": float(row["step"])} | flat(row)
    if "acc_clean" in found and "acc_noisy" in found:
        found["gap"] = found["acc_clean"] - found["acc_noisy"]
    return found


def _phases(state: State) -> Text:
    recent = [phases(row) for row in state.rows[-RECENT:]]
    names = dict.fromkeys(name for row in recent for name in row)  # some steps have a probe
    mean = {name: fmean([row.get(name, 0.0) for row in recent]) for name in names}
    whole = sum(mean.values()) or 1.0
    parts = [f"{name} {seconds:.2f} s ({seconds / whole:.0%})" for name, seconds in mean.items()]
    return Text("phases: " + ", ".join(parts))


def _clock(seconds: float | None) -> str:
    minutes, second = divmod(round(seconds or 0), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{second:02d}"
