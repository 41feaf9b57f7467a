"""Parts that benchmarks share: figures with their targets, and measuring in a process of its own.

Times of work on one core are CPU seconds, which depend little on other work on the machine. On an idle machine, with
the files in memory, they equal the wall seconds, which are given too.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Figure:
    """One line of the table: `measured` is to be at least `target`, or at most, in `unit`."""

    name: str
    measured: float
    target: float
    unit: str
    at_least: bool = False
    note: str = ""

    @property
    def met(self) -> bool:
        return self.measured >= self.target if self.at_least else self.measured <= self.target


@dataclass(frozen=True)
class NotMeasured:
    """Figures that this machine cannot give, by name, with the reason."""

    name: str
    why: str


@dataclass(frozen=True)
class Run:
    """Result of a function in a process of its own: its value, seconds, and the process's peak resident memory.

    `wall_s` and `cpu_s` are those of the function, without the imports before it. `peak_mib` is the whole process's,
    the interpreter and all imports included.
    """

    value: Any
    wall_s: float
    cpu_s: float
    peak_mib: float


def table_row(figure: Figure | NotMeasured) -> str:
    """Return a line of the table, with its note below it."""
    if isinstance(figure, NotMeasured):
        return f"{figure.name:<58} not measured: {figure.why}"
    limit = f"{'>=' if figure.at_least else '<='} {figure.target:g} {figure.unit}"
    line = columns(figure.name, f"{figure.measured:.3g} {figure.unit}", limit, "yes" if figure.met else "NO")
    return "\n".join([line, *(f"    {text}" for text in figure.note.splitlines())])


def columns(name: str, measured: str, target: str, met: str) -> str:
    return f"{name:<58} {measured:>11} {target:>13}  {met}"


def seconds(function: Callable[[], object], repeats: int = 5) -> float:
    """Return the median CPU seconds of calls in this process, after one that is not counted (it compiles kernels)."""
    function()
    spent = []
    for _ in range(repeats):
        started = time.process_time()
        function()
        spent.append(time.process_time() - started)
    return median(spent)


def alone(module: str, function: str, *args: object) -> Run:
    """Call `function` of a benchmark file in a fresh process on one core, with one thread per library.

    `args` and the result must be JSON values. Raises CalledProcessError if it fails.
    """
    command = [sys.executable, str(Path(__file__)), module, function, json.dumps(args)]
    done = subprocess.run(command, env=one_thread(), stdout=subprocess.PIPE, check=True, text=True)
    return Run(**json.loads(done.stdout.splitlines()[-1]))


def one_thread() -> dict[str, str]:
    """Return the environment of a job with one thread, as Snakemake sets it."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
    return {**os.environ, **dict.fromkeys(names, "1")}


def _peak_mib() -> float:
    # Not getrusage's ru_maxrss: on Linux that of a child starts with what its parent held when it forked.
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().split("VmHWM:")[1].split()[0]) / 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 1024)


def _main() -> None:
    module, function, args = sys.argv[1:]
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    call = getattr(importlib.import_module(module), function)
    wall, cpu = time.perf_counter(), time.process_time()
    value = call(*json.loads(args))
    spent = time.perf_counter() - wall, time.process_time() - cpu
    print(json.dumps({"value": value, "wall_s": spent[0], "cpu_s": spent[1], "peak_mib": _peak_mib()}))


if __name__ == "__main__":
    _main()
