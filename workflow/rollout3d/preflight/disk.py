"""Estimate of the disk space that jobs write.

Tables are counted by scan or by job, at the paper's settings: a stored frame of 200,000 pixels takes up to 100 kB, and
pictures are nearly all that the tables weigh. Training writes two bytes per parameter when it ends, and three
checkpoints of twelve bytes per parameter while it runs (two are kept, a third is being written; each holds weights and
two running means in float32). Checkpoints of one run at a time are counted. Adapters (LoRA) write less than estimated.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from rollout3d.model import directory
from rollout3d.preflight import Job, Study
from rollout3d.preflight.models import hub_directory
from rollout3d.scenes import datasets

MB = 10**6
PER_SCAN = {"ingest": 5 * MB, "regions": 2 * MB, "questions": MB // 2, "render_scans": 100 * MB}
"""Bytes per scan: 48 JPEG frames of 100 kB and maps; run-length regions; questions; a rendered recording."""
PER_JOB = {
    "prepare_benchmark": 1500 * MB,
    "import_questions": 4000 * MB,
    "import_cot": 20_000 * MB,
    "difficulty": 200 * MB,
    "evaluate": 100 * MB,
    "annotate": 500 * MB,
    "assemble": 500 * MB,
}
"""Bytes per job of the other stages: 288 videos of 32 frames, imported pictures and clips, answers and replies."""
SMALL_SHARE = 0.01
"""Share of PER_JOB that presets with synthetic scans write."""
WEIGHT_BYTES, CHECKPOINT_BYTES, CHECKPOINTS = 2, 12, 3
SMALL_PARAMETERS = 10_000_000
"""Upper bound for the presets' small models."""


def estimate(study: Study, jobs: Sequence[Job]) -> dict[str, int]:
    """Bytes that the jobs write, by rule; checkpoints stand apart under "checkpoints"."""
    config = study.config
    sizes: defaultdict[str, int] = defaultdict(int)
    checkpoints = [0]
    for job in jobs:
        if job.rule in PER_SCAN:
            sizes[job.rule] += int(PER_SCAN[job.rule] * _scans(study, job))
        elif job.rule in PER_JOB:
            sizes[job.rule] += int(PER_JOB[job.rule] * (SMALL_SHARE if config.toyworld is not None else 1))
        elif job.rule in ("sft", "grpo"):
            n = parameters(study, job.wildcards["run"])
            sizes[job.rule] += WEIGHT_BYTES * n
            checkpoints.append(CHECKPOINTS * CHECKPOINT_BYTES * n)
    sizes["checkpoints"] = max(checkpoints)
    return {name: size for name, size in sizes.items() if size}


def _scans(study: Study, job: Job) -> float:
    """Scans that a job handles: its share of the dataset's."""
    config, name = study.config, job.wildcards["dataset"]
    if config.toyworld is not None:
        scans = study.rendered
    else:
        splits = config.datasets[name].splits
        limit = config.datasets[name].max_scans
        most = datasets.load(name).RELEASE.n_scans
        scans = min(most, limit * len([*splits.train, *splits.test])) if limit else most
    return scans if job.rule == "render_scans" else scans / config.datasets[name].shards


def parameters(study: Study, run: str) -> int:
    """Return the parameters of the model that a run trains: from its directory, else its name ("3B"), else 8
    billion."""
    config, key = study.config, run
    while key in study.runs:
        key = study.runs[key].init
    key = config.models[key].same_as or key
    model = config.models[key]
    if model.small:
        return SMALL_PARAMETERS
    where = config.site.models.get(key) or hub_directory(model.name)
    if where:
        try:
            shapes = directory.read_shapes(Path(where).expanduser())
            return sum(math.prod(shape) for shape in shapes.values())
        except directory.ModelError:
            pass
    named = re.search(r"(\d+(?:\.\d+)?)B\b", model.name)
    return int(float(named[1]) * 1.25e9) if named else 8 * 10**9
