"""The values that decide every job of a configuration, without Snakemake: what tests compare across versions."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

from rollout3d import tables
from rollout3d.config import SETTINGS, Config, Run, read_runs
from rollout3d.config.recipes import of_run
from rollout3d.stages import registry

ROOT = Path(__file__).parents[2]
PRESETS = ("", "demo", "tiny", "smoke", "seeing", "ablations", "spacer", "spatial_r1")
"""Presets whose jobs are compared; "" is the paper's configuration."""
MODES = ("aabb_none", "instance_depth")
SOURCES = ("spacer", "generated")
BY_NAME = {"score", "merge_predictions", "probes"}
"""Stages that are given the name of a run or benchmark, and read no row."""


def scopes(stage: str, config: Config, runs: dict[str, Run]) -> Iterator[tuple[Config, Any]]:
    """Yield the configuration and the scope of each kind of job that a stage has, first shards only."""
    scope = registry.Scope
    if stage in ("ingest", "regions", "questions", "render_scans"):
        modes = MODES if stage == "regions" else (None,)
        shard = 0 if stage == "ingest" else None
        yield from ((config, scope(dataset=d, mode=m, shard=shard)) for d, m in product(config.datasets, modes))
    elif stage in ("describe_model", "train_base_model"):
        yield from ((config, scope(key=key)) for key in config.models)
    elif stage == "difficulty":
        yield from ((config, scope(setting=setting, shard=0)) for setting in SETTINGS)
    elif stage in ("judge", "import_questions"):
        yield from ((config, scope(source=source)) for source in SOURCES)
    elif stage in ("train_sft", "train_grpo"):
        for run in (each for each in runs.values() if stage == f"train_{each.method}"):
            yield of_run(config, run), scope(run=run, run_name=run.run)
    elif stage == "checkpoint":
        yield from ((config, scope(run=run, run_name=run.run)) for run in runs.values() if run.at)
    elif stage in ("evaluate", "prepare_benchmark", *BY_NAME):
        for benchmark in config.evaluation.benchmarks:
            if stage in ("prepare_benchmark", "probes"):
                yield config, scope(benchmark=benchmark)
                continue
            shard = 0 if stage == "evaluate" else None
            for run in runs.values():
                yield of_run(config, run), scope(benchmark=benchmark, run=run, run_name=run.run, shard=shard)
    elif stage == "paper_table":
        yield from ((config, scope(table=table)) for table in ("table1", "table2", "figure3"))
    else:
        yield config, scope()


def identities(config: Config) -> dict[str, str]:
    """Return a digest of the values that decide each job, by a name of the job; of stages that the workflow runs."""
    runs = read_runs(ROOT / config.runs.table, config)
    found: dict[str, str] = {}
    for stage, spec in registry.STAGES.items():
        if stage == "render_scans" and getattr(config, "toyworld", None) is None:
            continue
        if stage == "train_base_model" and not any(model.tiny for model in config.models.values()):
            continue
        for of, scope in scopes(stage, config, runs):
            own = registry.split(registry.job_values(stage, of, scope))[0]
            if stage in ("judge", "train_grpo", "train_sft", "difficulty", "annotate", "evaluate") or spec.keys(
                of, scope
            ) != ("*",):
                found[name(stage, scope)] = tables.digest(own)[:16]
    return found


def name(stage: str, scope: Any) -> str:
    """Name of a job: its stage and the parts of its scope."""
    parts = [scope.dataset, scope.mode, scope.key, scope.setting, scope.source, scope.run_name, scope.benchmark]
    return "/".join([stage, *(part for part in [*parts, scope.table] if part)])
