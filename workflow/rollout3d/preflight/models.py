"""Check that each model that jobs load is a complete Qwen2.5-VL in a directory or in the Hugging Face cache."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from rollout3d import resources, tables
from rollout3d.cluster import GPU_JOBS
from rollout3d.model import directory
from rollout3d.preflight import Finding, Job, Study, by_rule


def check(study: Study, jobs: Sequence[Job]) -> list[Finding]:
    """Check every model that must exist before the first job; those that jobs train are left out."""
    found = []
    for name, where in dict.fromkeys(_models(study, jobs)):
        found += _check(study, name, where)
    return found + list(_checkpoints(study, jobs))


def _checkpoints(study: Study, jobs: Sequence[Job]) -> Iterator[Finding]:
    """Yield checkpoints that rows of the run table name and that a finished run has not kept."""
    from rollout3d.training import steps

    made = {path for job in jobs for path in job.outputs}
    for job in by_rule(jobs, "checkpoint"):
        named = study.runs[job.wildcards["run"]].checkpoint
        for path in job.inputs:
            if named and path.endswith("model.json") and path not in made and Path(path).is_file():
                try:
                    text = steps.problem(Path(path), named[1])
                except tables.TableError as error:
                    text = str(error)
                if text:
                    yield Finding(text)


def _models(study: Study, jobs: Sequence[Job]) -> Iterator[tuple[str, str]]:
    """Yield the configuration key or file that names a model, and its directory or Hugging Face name."""
    config = study.config
    for job in by_rule(jobs, "describe_model"):
        key = job.wildcards["key"]
        given, model = config.site.models.get(key), config.models[key]
        name = str(resources.shipped(model.name)) if model.shipped else model.name
        yield (f"site.models.{key}", given) if given else (f"models.{key}.name", name)
    made = {path for job in jobs for path in job.outputs}
    for path in (p for job in by_rule(jobs, *GPU_JOBS) for p in job.inputs if p.endswith("model.json")):
        if path not in made and Path(path).is_file():
            try:
                about = json.loads(Path(path).read_text(encoding="utf-8"))
                folders = {"hub": None, "shipped": resources.root()}
                folder = folders.get(about["kind"], Path(path).parent)
                yield path, about["path"] if folder is None else str(folder / about["path"])
            except (ValueError, KeyError, TypeError):
                yield path, str(Path(path).parent)


def _check(study: Study, name: str, where: str) -> list[Finding]:
    path = Path(where).expanduser()
    try:
        if path.is_dir():
            directory.check(path)
            if name.startswith("site.models."):
                directory.check_name(study.config.models[name.removeprefix("site.models.")].name, path)
            return []
        if path.is_absolute() or where.startswith((".", "~")):
            return [Finding(f"{name}: no directory {where}: correct it, or download the model there")]
        kept = hub_directory(where)
        if kept:
            directory.check(kept)
            return []
    except directory.ModelError as error:
        return [Finding(f"{name}: {error}")]
    how = f"`hf download {where}` on a machine with a network, or name its directory in site.models"
    if study.cluster.offline or os.environ.get("HF_HUB_OFFLINE") == "1":
        return [Finding(f"{name}: {where} is not in the Hugging Face cache, and offline mode is on: {how}")]
    return [
        Finding(
            f"{name}: {where} is not in the Hugging Face cache: the first job that loads it downloads it. Where jobs "
            f"have no network: {how}",
            stops=False,
        )
    ]


def hub_directory(name: str) -> Path | None:
    """Return the newest snapshot of a model in the Hugging Face cache; None if there is none."""
    home = os.environ.get("HF_HOME") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "huggingface"
    )
    cache = Path(os.environ.get("HF_HUB_CACHE") or Path(home) / "hub")
    kept = cache / f"models--{name.replace('/', '--')}"
    try:
        snapshot = kept / "snapshots" / (kept / "refs" / "main").read_text().strip()
    except OSError:
        return None
    return snapshot if (snapshot / "config.json").exists() else None
