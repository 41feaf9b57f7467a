"""Releases, split lists, benchmarks and external files, for the jobs that read them; API key and budget."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

from rollout3d import doors, releases
from rollout3d.evaluation import benchmarks
from rollout3d.preflight import Finding, Job, Study, by_rule
from rollout3d.scenes import datasets
from rollout3d.scenes.release import missing, missing_lists
from rollout3d.teacher.errors import KEY_VARIABLE


def check(study: Study, jobs: Sequence[Job]) -> list[Finding]:
    """Check releases, benchmarks, imported files and keys, which lie outside the workflow."""
    return [Finding(text) for text in (*_scans(study, jobs), *_files(study, jobs), *_api(study, jobs))]


def _scans(study: Study, jobs: Sequence[Job]) -> list[str]:
    site = study.config.site
    found: list[str] = []
    if study.config.toyworld is None:
        for name in sorted({job.wildcards["dataset"] for job in by_rule(jobs, "ingest", "regions")}):
            release, splits = datasets.load(name).RELEASE, study.config.datasets[name].splits
            absent = missing(release, site.roots[name])
            wanted, lists = [*splits.train, *splits.test], site.splits.get(name)
            found += [absent] if absent else missing_lists(release, site.roots[name], wanted, lists)
    for name in sorted({job.wildcards["benchmark"] for job in by_rule(jobs, "prepare_benchmark")}):
        if benchmarks.released(name):
            found += benchmarks.get(name).missing(benchmarks.given(name, study.config))
    return found


def _files(study: Study, jobs: Sequence[Job]) -> list[str]:
    external = cast("Mapping[str, str]", study.config.site.external)
    sources = {job.wildcards["source"] for job in by_rule(jobs, "import_questions")}
    sources |= {"video_r1_cot"} if by_rule(jobs, "import_cot") else set()
    messages = [releases.missing_file(source, external.get(source)) for source in sorted(sources)]
    boxes = study.config.site.boxes
    if by_rule(jobs, "ingest_meta") and not boxes:
        messages.append(
            "ingest_meta: site.boxes is missing: name VSI-Bench's *_meta_info_val.json in config/local.yaml; maps of "
            "its scenes are made from these boxes"
        )
    elif boxes and by_rule(jobs, "ingest_meta") and not Path(boxes).exists():
        messages.append(f"ingest_meta: site.boxes: there is no {boxes}: correct the path in config/local.yaml")
    return [message for message in messages if message]


def _api(study: Study, jobs: Sequence[Job]) -> list[str]:
    config = study.config
    asked = []
    if by_rule(jobs, "annotate") and doors.TEACHERS.constant(config.cot.teacher, "PAID", False):
        asked.append(("annotate", "cot.max_usd", config.cot.max_usd, config.api.model))
    if by_rule(jobs, "judge"):
        asked.append(("judge", "judge.max_usd", config.judge.max_usd, config.api.model))
    found = [
        f"{rule}: {key} is 0, and {model} costs money: set {key} in config/local.yaml to what it may spend, in dollars"
        for rule, key, limit, model in asked
        if limit <= 0
    ]
    if asked and not os.environ.get(KEY_VARIABLE) and config.site.openai_base_url is None:
        rules = " and ".join(rule for rule, *_ in asked)
        found.append(
            f"{rules}: no API key: set the environment variable {KEY_VARIABLE}, or site.openai_base_url to an "
            "OpenAI-compatible server that needs none"
        )
    return found
