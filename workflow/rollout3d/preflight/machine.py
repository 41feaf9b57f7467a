"""Checks of the machine: GPUs or partitions of the cluster, disk space, trainers that still run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from rollout3d.preflight import Finding, Job, Study, by_rule, disk, live_locks

GIB = 2**30


def check(study: Study, jobs: Sequence[Job]) -> list[Finding]:
    """Check GPUs, partitions, disk space and running trainers against what the jobs ask for."""
    submitted = [job for job in jobs if not job.local]
    return [
        *_gpus([job for job in jobs if job.local]),
        *(_cluster(submitted) if study.cluster.slurm and submitted else []),
        *_disk(study, jobs),
        *_trainers(study, jobs),
    ]


def _gpus(jobs: Sequence[Job]) -> list[Finding]:
    asked = {job.rule: int(job.resources.get("gpu") or 0) for job in jobs}
    asked = {rule: count for rule, count in asked.items() if count}
    if not asked:
        return []
    present, most = gpus_here(), max(asked.values())
    rules = ", ".join(sorted(asked))
    if not present:
        return [
            Finding(
                f"{rules}: up to {most} GPUs are asked for, and this machine shows none "
                "(nvidia-smi, CUDA_VISIBLE_DEVICES): run on a GPU machine or with --profile slurm; --resources gpu=0 "
                "runs them on CPUs"
            )
        ]
    if present < most:
        return [
            Finding(
                f"{rules}: up to {most} GPUs are asked for, this machine shows {present}: training uses these, and "
                f"takes longer; --resources gpu={present} keeps jobs from sharing them",
                stops=False,
            )
        ]
    return []


def gpus_here() -> int:
    """Count the GPUs that this process may use: those that nvidia-smi lists, within CUDA_VISIBLE_DEVICES."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    listed = [line for line in _output("nvidia-smi", "-L").splitlines() if line.startswith("GPU ")]
    count = len(listed) or len([p for p in Path("/dev").glob("nvidia*") if p.name.removeprefix("nvidia").isdigit()])
    if visible is None:
        return count
    chosen = [name for name in visible.split(",") if name.strip() and name.strip() != "-1"]
    return min(count, len(chosen))


def _cluster(jobs: Sequence[Job]) -> list[Finding]:
    if not shutil.which("sbatch"):
        return [Finding("sbatch is not found: run `snakemake --profile slurm` on a login node of the cluster")]
    partitions = _partitions()
    if not partitions:
        return [Finding("sinfo lists no partition: is the Slurm controller running, and may you use it?")]
    found = []
    for job in jobs:
        name = str(job.resources.get("slurm_partition", ""))
        kind = "GPU" if job.resources.get("gpu") or job.resources.get("gres") else "CPU"
        wanted = re.sub(r"^['\"]|['\"]$", "", name)
        if wanted not in partitions:
            found.append(
                f"Slurm has no partition '{wanted}', only {', '.join(sorted(partitions))}: set "
                f"ROLLOUT3D_{kind}_PARTITION (docs/cluster.md)"
            )
            continue
        minutes, gpus = partitions[wanted]
        runtime = int(job.resources.get("runtime") or 0)
        if minutes is not None and runtime > minutes:
            found.append(
                f"{job.rule}: asks for {runtime} minutes, partition '{wanted}' allows {minutes}: set "
                f"ROLLOUT3D_{kind}_MAX_RUNTIME={minutes}"
            )
        asked = _gpus_per_node(job)
        if asked > gpus:
            found.append(
                f"{job.rule}: asks for {asked} GPUs of a node, nodes of partition '{wanted}' have {gpus or 'none'}: "
                "set ROLLOUT3D_GPUS_PER_NODE or ROLLOUT3D_GPU_PARTITION (docs/cluster.md)"
            )
    return [Finding(text) for text in dict.fromkeys(found)]


def _gpus_per_node(job: Job) -> int:
    gres = re.search(r":(\d+)$", str(job.resources.get("gres") or ""))
    if gres:
        return int(gres[1])
    return int(job.resources.get("gpu") or 0) // max(1, int(job.resources.get("nodes") or 1))


def _partitions() -> dict[str, tuple[int | None, int]]:
    """Return partition -> its time limit in minutes (None: no limit) and the most GPUs of one of its nodes."""
    found: dict[str, tuple[int | None, int]] = {}
    for line in _output("sinfo", "-h", "-o", "%R|%l|%G").splitlines():
        name, limit, gres = [*line.split("|"), "", ""][:3]
        if not name:
            continue
        counts = [int(n) for n in re.findall(r"gpu(?::[\w.-]+)*:(\d+)", gres)]
        found[name] = (minutes_of(limit), max([sum(counts), found.get(name, (None, 0))[1]]))
    return found


def minutes_of(limit: str) -> int | None:
    """Return the minutes of a Slurm time limit such as "2-00:00:00" or "30:00"; None for "infinite" and other text."""
    match = re.fullmatch(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)", limit)
    if not match:
        return None
    days, hours, minutes, _ = (int(part or 0) for part in match.groups())
    return (days * 24 + hours) * 60 + minutes


def _disk(study: Study, jobs: Sequence[Job]) -> list[Finding]:
    parts = disk.estimate(study, jobs)
    needed = sum(parts.values())
    place = Path(study.config.results).absolute()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if needed <= free:
        return []
    largest = sorted(parts.items(), key=lambda part: -part[1])[:4]
    listed = ", ".join(f"{name} {size / GIB:.0f} GiB" for name, size in largest)
    return [
        Finding(
            f"{place}: {free / GIB:.0f} GiB are free, the jobs write about {needed / GIB:.0f} GiB ({listed}): free "
            "some, or set `results` to a directory on a larger disk"
        )
    ]


def _trainers(study: Study, jobs: Sequence[Job]) -> list[Finding]:
    will_train = {job.wildcards.get("run") for job in by_rule(jobs, "sft", "grpo")}
    found = []
    for text in live_locks(study.config.results):
        if any(f"/runs/{run}/" in text for run in will_train):
            found.append(
                Finding(
                    f"a trainer still runs ({text}): a second one waits for it and holds its GPUs meanwhile. Better "
                    "start again when it has ended, or end it (scancel, kill); it resumes from its checkpoint",
                    stops=False,
                )
            )
    return found


def _output(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=30).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""
