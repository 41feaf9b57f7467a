"""One adapter a benchmark: released files -> questions and frames; and how its scores are averaged."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rollout3d.config import Config
from rollout3d.evaluation.benchmarks import synthetic, vsibench
from rollout3d.evaluation.benchmarks.common import BenchmarkError, Prepared
from rollout3d.scoring import aggregate

__all__ = ["BENCHMARKS", "Benchmark", "BenchmarkError", "Prepared", "get"]


@dataclass(frozen=True)
class Benchmark:
    """`prepare(config, questions' path or None, frames' paths, frame sets)`; `average`: scores (0 to 1) per type ->
    tasks."""

    name: str
    prepare: Callable[[Config, Path | str | None, Iterable[Path | str], Iterable[str]], Prepared]
    average: Callable[[Mapping[str, Sequence[float]]], dict[str, aggregate.Mean]]


BENCHMARKS: dict[str, Benchmark] = {
    "vsibench": Benchmark("vsibench", vsibench.prepare, aggregate.vsibench),
    "synthetic": Benchmark("synthetic", synthetic.prepare, aggregate.vsibench),
}


def get(name: str) -> Benchmark:
    """The adapter of that name; raises BenchmarkError listing the known ones."""
    if name not in BENCHMARKS:
        raise BenchmarkError(f"unknown benchmark '{name}': one of {', '.join(sorted(BENCHMARKS))}")
    return BENCHMARKS[name]
