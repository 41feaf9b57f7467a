"""Prediction of the next run: which results it computes, puts back from the store or leaves, and the cost."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Literal

from rollout3d.study.dump import Graph
from rollout3d.study.graph import Job
from rollout3d.study.state import State, States
from rollout3d.tables.store import Store


@dataclass(frozen=True)
class Step:
    """One job and its fate in the next run."""

    job: Job
    state: State
    fate: Literal["leave", "compute", "restore", "restore or compute"]
    seconds: float | None
    """Duration of its last computation (Snakemake's benchmark file), else the mean of its rule's; None if unknown."""


def plan(graph: Graph) -> list[Step]:
    """The fate of every job that the graph's targets rest on, parents first.

    Every job below one that runs, runs too (Snakemake has no early end). A costly result is then put back if
    its parents' contents turn out equal, which is known only after they are made.
    """
    store = Store(graph.results)
    at = States(graph.study, store)
    seconds = durations(graph.jobs)
    runs: set[str] = set()
    steps = []
    for job in graph.jobs:
        state = at(job.name)
        above = any(parent in runs for paths in job.parents.values() for parent in paths)
        if state.status == "current" and not above:
            steps.append(Step(job, state, "leave", None))
            continue
        runs |= set(job.outputs)
        fate = "compute"
        if job.costly and state.stored:
            fate = "restore"
        elif job.costly and above and store.has(job.name):
            fate = "restore or compute"
        steps.append(Step(job, state, fate, seconds.get(job.name)))
    return steps


def durations(jobs: Iterable[Job]) -> dict[str, float]:
    """Seconds that each job took, by its benchmark file; where there is none, the mean of its rule's other jobs."""
    jobs = list(jobs)
    found: dict[str, float] = {}
    by_rule: dict[str, list[float]] = {}
    for job in jobs:
        seconds = _seconds(job.benchmark)
        if seconds is not None:
            found[job.name] = seconds
            by_rule.setdefault(job.rule, []).append(seconds)
    return {job.name: mean(by_rule[job.rule]) for job in jobs if job.rule in by_rule} | found


def _seconds(path: str | None) -> float | None:
    try:
        with open(path or "", newline="") as file:
            values = [float(row["s"]) for row in csv.DictReader(file, delimiter="\t")]
    except (OSError, KeyError, ValueError):
        return None
    return max(values) if values else None


def spent_usd(graph: Graph) -> float:
    """Dollars that the annotations and verdicts in place have cost, by their own rows."""
    from rollout3d import tables

    total = 0.0
    for job in graph.jobs:
        if job.stage == "annotate" and Path(job.name).exists():
            total += sum(row["usd"] for row in tables.read(tables.ANNOTATIONS, job.name, ["usd"]))
    return total
