"""Copies of the repository for tests that run Snakemake, and stages that only say where they ran."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import preloaded

ROOT = Path(__file__).parents[2]
STUDY = ("Snakefile", "rules", "workflow", "config", "envs", "resources", "slurm")
SNAKEMAKE = str(Path(sys.executable).parent / "snakemake")


def copy_repository(folder: Path) -> Path:
    """Copy what a user clones to `folder`: no local.yaml, no results, no data."""
    folder.mkdir(parents=True)
    for name in STUDY:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    (folder / "config" / "local.yaml").unlink(missing_ok=True)
    return folder


def snakemake(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
    """Run Snakemake in `folder`, without the site settings of whoever runs the tests.

    Its interpreter has imported it already, except where a test chooses the paths that libraries come from.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ROLLOUT3D_")}
    start = [] if "PYTHONPATH" in environment else [preloaded.python(preloaded.SNAKEMAKE)]
    return subprocess.run(
        [*start, SNAKEMAKE, *arguments], cwd=folder, capture_output=True, text=True, env={**kept, **environment}
    )


def run_stages(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    """Run Snakemake in `folder`, and its jobs in interpreters that have imported the libraries of models."""
    return snakemake(folder, *arguments, **{preloaded.EXECUTABLE: preloaded.python(preloaded.STAGE)})


SPY = """import json, os, sys, rollout3d
out = sys.argv[sys.argv.index("--out") + 1]
facts = {"package": rollout3d.__file__, "python": os.environ.get("MARK", "driver"), "argv": sys.argv,
         "offline": os.environ.get("HF_HUB_OFFLINE"), "site": json.loads(os.environ["ROLLOUT3D_SITE"])}
print("the spy ran")
if os.environ.get("FAIL"):
    print("\\n".join(f"line {n}" for n in range(100)))
    raise SystemExit("the disk is on fire")
json.dump(facts, open(out, "w"))
"""


def spy_on(folder: Path, stage: str) -> None:
    """Replace a stage with a program that writes where it ran into the file named by --out."""
    (file,) = (folder / "workflow").glob(f"*/stages/{stage}.py")
    file.write_text(SPY)


def facts(path: Path) -> dict:
    """What a spy wrote."""
    return json.loads(path.read_text())


def marked_python(folder: Path, mark: str) -> Path:
    """An interpreter in folder/bin that is this one, and tells the stage `mark`: it stands in for an environment."""
    python = folder / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nMARK={mark} exec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    return python
