"""The wheel of this clone, installed into a folder of its own, and commands that use it away from the clone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import compiled

ROOT = Path(__file__).parents[2]


def install(folder: Path) -> Path:
    """Build the wheel and install it without its requirements; return the folder for PYTHONPATH."""
    built, site = folder / "dist", folder / "site"
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run(
        [*pip, "wheel", "--no-deps", "--no-build-isolation", "--no-index", "-w", built, ROOT], check=True, cwd=folder
    )
    (wheel,) = built.glob("*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--no-index", "--target", site, wheel], check=True, cwd=folder)
    for path in (ROOT / "workflow").rglob("*.py"):  # with the clone's times what it has compiled counts here too
        copy = site / path.relative_to(ROOT / "workflow")
        if copy.exists():
            shutil.copystat(path, copy)
    compiled.share(ROOT / "workflow", site)
    return site


def run(site: Path, folder: Path, *command: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a Python command (`-m ...`) in `folder` with the installed package and the test interpreter's libraries."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ROLLOUT3D_")}
    return subprocess.run(
        [sys.executable, *map(str, command)],
        cwd=folder,
        env={**kept, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        timeout=300,
    )
