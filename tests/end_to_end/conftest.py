"""One finished run of the tiny preset, in a copy of the repository, for the tests that look at it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STUDY = ("Snakefile", "rules", "workflow", "config", "envs", "resources", "slurm")
BIN = Path(sys.executable).parent


class Study:
    """A copy of the repository with a finished tiny run in it."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.results = folder / "results" / "tiny"

    def snakemake(self, *arguments: str) -> str:
        """Run Snakemake on the tiny preset; return what it said. Fails the test, with the logs, if it fails."""
        command = [str(BIN / "snakemake"), "--cores", "2", "--configfile", "config/presets/tiny.yaml", *arguments]
        # The stages choose their own number of threads: it is part of the configuration.
        environment = {k: v for k, v in os.environ.items() if k not in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
        run = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, env=environment)
        said = run.stdout + run.stderr
        if run.returncode:
            logs = sorted(self.results.glob("logs/**/*.log"), key=lambda p: p.stat().st_mtime)
            tail = "\n".join(f"== {p}\n{p.read_text()[-2500:]}" for p in logs[-4:])
            pytest.fail(f"{' '.join(arguments)}\n{said[-4000:]}\n{tail}")
        return said

    @property
    def parquet(self) -> list[Path]:
        return sorted(p for p in self.results.rglob("*.parquet") if "checkpoints" not in p.parts)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory) -> Study:
    folder = tmp_path_factory.mktemp("tiny")
    for name in STUDY:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    (folder / "config" / "local.yaml").unlink(missing_ok=True)
    study = Study(folder)
    study.snakemake("--", "all")
    return study
