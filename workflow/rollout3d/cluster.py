"""Site settings of a Slurm cluster, read from the environment, and the resources that GPU jobs request.

`slurm/profile.yaml` sets ROLLOUT3D_PROFILE, which travels to the jobs with the rest of the environment, so that a job
and the process that submitted it compute the same resources. Without that variable the study runs on one machine and
every other variable here is ignored, except ROLLOUT3D_MODULES and ROLLOUT3D_OFFLINE.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

PROFILE_VARIABLE = "ROLLOUT3D_PROFILE"
SMALL_MEM_MB = 8000
"""Memory in MB of a job that trains or runs the presets' small model on CPUs."""
RESTORE_MEM_MB, RESTORE_MINUTES = 4000, 5
"""Memory in MB and time limit of a job that only puts a stored result in place."""
WARNING_S = 300
"""Seconds before the time limit at which Slurm sends SIGTERM, so that a trainer saves and exits."""


@dataclass(frozen=True)
class GpuJob:
    """Needs of the jobs of one GPU rule, before the site's limits."""

    mem_mb: int
    """Memory per node in MB, at the first attempt."""
    runtime: int
    """Time limit in minutes."""
    trains: bool = False
    """True if the job uses every GPU of its nodes; else it uses one GPU."""


GPU_JOBS: dict[str, GpuJob] = {
    "difficulty": GpuJob(64_000, 720),
    "evaluate": GpuJob(64_000, 480),
    "sft": GpuJob(256_000, 720, trains=True),
    "grpo": GpuJob(512_000, 2880, trains=True),
}
"""The rules that use GPUs."""

RESOURCES = (
    *("nodes", "gpu", "gres", "cpus_per_task", "mem_mb", "runtime", "slurm_partition", "qos", "constraint"),
    *("mpi", "tasks", "tasks_per_gpu", "slurm_extra"),
)
"""Resources of a GPU rule; one whose value is None is not requested."""


@dataclass(frozen=True)
class Cluster:
    """Settings of the site; None where the environment has none."""

    slurm: bool = False
    """True under `--profile slurm`, in the driver and in its jobs."""
    nodes: int = 1
    """Nodes of a training job."""
    gpus_per_node: int | None = None
    """GPUs of a node; None = 8, and 0 for the presets' small models."""
    gres: str | None = None
    """Name for `--gres NAME:COUNT`, such as `gpu` or `gpu:a100`, in place of `--gpus COUNT`."""
    cpus_per_gpu: int = 8
    """CPUs requested with each GPU."""
    cpu_partition: str = "cpu"
    gpu_partition: str = "gpu"
    cpu_qos: str | None = None
    gpu_qos: str | None = None
    cpu_constraint: str | None = None
    gpu_constraint: str | None = None
    cpu_max_runtime: int | None = None
    """Longest time limit of CPU jobs, minutes."""
    gpu_max_runtime: int | None = None
    """Longest time limit of GPU jobs, minutes. A job that is cut short resumes in the next attempt."""
    cpu_max_mem_mb: int | None = None
    """Most memory that a CPU job may request, MB."""
    gpu_max_mem_mb: int | None = None
    """Most memory that a GPU job may request on each node, MB."""
    api_local: bool = False
    """True if rules that only call an API run beside the driver."""
    modules: str | None = None
    """Arguments of `module load` before each rule."""
    offline: bool = False
    """True if nothing may be fetched from the Hugging Face Hub."""


def from_environment(environment: Mapping[str, str] | None = None) -> Cluster:
    """Read the site's settings. Raises ValueError that names the variable and what it takes."""
    given = os.environ if environment is None else environment

    def text(name: str) -> str | None:
        return given.get(f"ROLLOUT3D_{name}", "").strip() or None

    def number(name: str, least: int) -> int | None:
        value = text(name)
        if value is None:
            return None
        if not value.isascii() or not value.isdigit() or int(value) < least:
            raise ValueError(f"ROLLOUT3D_{name} is '{value}': give a whole number from {least} on (docs/cluster.md)")
        return int(value)

    def flag(name: str) -> bool:
        value = (text(name) or "0").lower()
        if value not in ("0", "1"):
            raise ValueError(f"ROLLOUT3D_{name} is '{value}': give 1 or 0 (docs/cluster.md)")
        return value == "1"

    return Cluster(
        slurm=given.get(PROFILE_VARIABLE) == "slurm",
        nodes=number("NODES", 1) or 1,
        gpus_per_node=number("GPUS_PER_NODE", 0),
        gres=text("GRES"),
        cpus_per_gpu=number("CPUS_PER_GPU", 1) or 8,
        cpu_partition=text("CPU_PARTITION") or "cpu",
        gpu_partition=text("GPU_PARTITION") or "gpu",
        cpu_qos=text("CPU_QOS"),
        gpu_qos=text("GPU_QOS"),
        cpu_constraint=text("CPU_CONSTRAINT"),
        gpu_constraint=text("GPU_CONSTRAINT"),
        cpu_max_runtime=number("CPU_MAX_RUNTIME", 1),
        gpu_max_runtime=number("GPU_MAX_RUNTIME", 1),
        cpu_max_mem_mb=number("CPU_MAX_MEM_MB", 1000),
        gpu_max_mem_mb=number("GPU_MAX_MEM_MB", 1000),
        api_local=flag("API_LOCAL"),
        modules=text("MODULES"),
        offline=flag("OFFLINE"),
    )


def gpu_resource(
    cluster: Cluster, rule: str, name: str, *, small: bool, attempt: int = 1, restorable: bool = False
) -> int | str | None:
    """Value of the resource `name` (one of RESOURCES) for a job of a GPU rule; None if it is not requested.

    `small`: the study uses the presets' small model. `restorable`: the job only puts a stored result in place: one CPU
    for five minutes, no GPU, one node. On one machine only `nodes`, `gpu`, `mem_mb` and `runtime` have values.
    """
    if name not in RESOURCES:
        raise KeyError(f"{name} is not a resource of GPU rules: {', '.join(RESOURCES)}")
    job = GPU_JOBS[rule]
    nodes, per_node = 1, 0
    if not restorable:
        default = 0 if small else 8
        available = cluster.gpus_per_node if cluster.slurm and cluster.gpus_per_node is not None else default
        nodes = cluster.nodes if cluster.slurm and job.trains else 1
        per_node = available if job.trains else min(1, available)
    if restorable:
        mem_mb, runtime = RESTORE_MEM_MB, RESTORE_MINUTES
    else:
        mem_mb = min(job.mem_mb, SMALL_MEM_MB) if small else job.mem_mb
        runtime = job.runtime
    on_gpus = per_node > 0
    if name == "nodes":
        return nodes
    if name == "gpu":
        return 0 if cluster.slurm and cluster.gres else nodes * per_node
    if name == "mem_mb":
        return grown(mem_mb, attempt, cluster.gpu_max_mem_mb if on_gpus else cluster.cpu_max_mem_mb)
    if name == "runtime":
        return capped(runtime, cluster.gpu_max_runtime if on_gpus else cluster.cpu_max_runtime)
    if not cluster.slurm:
        return None
    trains = job.trains and not restorable
    return {
        "gres": f"{cluster.gres}:{per_node}" if cluster.gres and on_gpus else None,
        "cpus_per_task": 1 if restorable else per_node * cluster.cpus_per_gpu or None,
        "slurm_partition": cluster.gpu_partition if on_gpus else cluster.cpu_partition,
        "qos": cluster.gpu_qos if on_gpus else cluster.cpu_qos,
        "constraint": cluster.gpu_constraint if on_gpus else cluster.cpu_constraint,
        "mpi": "srun" if nodes > 1 else None,
        "tasks": nodes if nodes > 1 else None,
        # Without this the Slurm plugin turns `tasks` into tasks per GPU, and the job pends forever.
        "tasks_per_gpu": 0 if nodes > 1 else None,
        "slurm_extra": f"--signal=TERM@{WARNING_S}" if trains else None,
    }[name]


def grown(mem_mb: int, attempt: int, most: int | None) -> int:
    """Memory in MB of an attempt: half as much again with each one, at most `most`."""
    return capped(mem_mb + mem_mb * (attempt - 1) // 2, most)


def capped(value: int, most: int | None) -> int:
    """`value`, at most `most`."""
    return value if most is None else min(value, most)
