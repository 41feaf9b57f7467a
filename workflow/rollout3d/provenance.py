"""Notes on how results were made: time, machine, versions, commit. The bytes of tables depend on none of it."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rollout3d import resources
from rollout3d.files import write_atomically
from rollout3d.tables import Lineage

FOLDER = ".made"
PACKAGES = (
    "torch",
    "transformers",
    "vllm",
    "deepspeed",
    "peft",
    "pyarrow",
    "numpy",
    "open3d-cpu",
    "openai",
)
"""Packages whose versions are noted where they are installed."""


def note(results: Path, lineage: Lineage, started: float, code: Mapping[str, str]) -> None:
    """Write how the result of `lineage` was made to `<results>/.made/<stage>/<identity>.json`, in place of an earlier
    note.

    `code`: file of the code that it ran -> short digest (`rollout3d.code.Code.short`).
    """
    seconds = time.time() - started
    about = {
        "stage": lineage.stage,
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(started)),
        "seconds": round(seconds, 1),
        "host": platform.node(),
        "slurm_job": os.environ.get("SLURM_JOB_ID"),
        "python": platform.python_version(),
        "versions": _versions(),
        "gpu": _gpu(),
        "commit": commit(),
        "settings": dict(lineage.settings),
        "code": dict(code),
    }
    write_atomically(_place(results, lineage.stage, lineage.identity), json.dumps(about, indent=1, sort_keys=True))


def read(results: Path, stage: str, identity: str) -> dict[str, Any] | None:
    """The note on how a result was made, from `note`; None if there is none."""
    try:
        return json.loads(_place(results, stage, identity).read_text())
    except (OSError, ValueError):
        return None


def _place(results: Path, stage: str, identity: str) -> Path:
    return Path(results) / FOLDER / stage / f"{identity}.json"


def _versions() -> dict[str, str]:
    found = {"rollout3d": own} if (own := resources.version()) else {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _gpu() -> str | None:
    """Names of the GPUs, from a torch that the stage has loaded already: importing it for a note would take seconds."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return None
    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return ", ".join(f"{names.count(name)} x {name}" for name in dict.fromkeys(names))


def commit() -> str | None:
    """Return the commit of this clone, with `+` where files differ from it; None for an installed package or outside
    git."""
    root = resources.clone()
    if root is None or shutil.which("git") is None:
        return None
    try:
        command = ["git", "-C", str(root), "describe", "--always", "--abbrev=12", "--dirty=+", "--exclude=*"]
        return subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout.strip() or None
    except (OSError, subprocess.SubprocessError):
        return None
