"""A finished run of the tiny preset in a copy of the repository, made once; and copies of it for tests to change."""

import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import compiled
import preloaded

ROOT = Path(__file__).parents[2]
STUDY = ("Snakefile", "rules", "workflow", "config", "envs", "resources", "slurm")
BIN = Path(sys.executable).parent
RECORDER = ROOT / "tests" / "lineage"


class Study:
    """A copy of the repository with a finished tiny run in it."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.results = folder / "results" / "tiny"

    def snakemake(self, *arguments: str, record: Path | None = None, fails: bool = False) -> str:
        """Run Snakemake on the tiny preset; return what it said. Fails the test, with the logs, if it fails."""
        start = [] if record else [preloaded.python(preloaded.SNAKEMAKE)]
        command = [
            *start,
            str(BIN / "snakemake"),
            "--cores",
            "2",
            "--configfile",
            "config/presets/tiny.yaml",
            *arguments,
        ]
        run = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, env=self.environment(record))
        said = run.stdout + run.stderr
        if bool(run.returncode) != fails:
            logs = sorted(self.results.glob("logs/**/*.log"), key=lambda p: p.stat().st_mtime)
            tail = "\n".join(f"== {p}\n{p.read_text()[-2500:]}" for p in logs[-4:])
            pytest.fail(f"{' '.join(arguments)}: exit status {run.returncode}\n{said[-4000:]}\n{tail}")
        return said

    def command(self, *arguments: str) -> subprocess.CompletedProcess:
        """Run `rollout3d ...` in the copy."""
        command = [preloaded.python(preloaded.STAGE), "-m", "rollout3d.stages", *arguments]
        return subprocess.run(command, cwd=self.folder, capture_output=True, text=True, env=self.environment())

    def environment(self, record: Path | None = None) -> dict[str, str]:
        """Environment of a run. What is recorded runs in bare interpreters, all else in preloaded ones."""
        # The stages choose their own number of threads: it is part of the configuration.
        kept = {k: v for k, v in os.environ.items() if k not in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
        paths = [str(self.folder / "workflow")]
        if record:
            kept["ROLLOUT3D_RECORD"] = str(record)
            paths.append(str(RECORDER))
        else:
            kept[preloaded.EXECUTABLE] = preloaded.python(preloaded.STAGE)
        return kept | {"PYTHONPATH": os.pathsep.join(paths)}

    def forget_store(self) -> None:
        """Empty the store, so that what is asked for is computed."""
        shutil.rmtree(self.results / ".store", ignore_errors=True)

    def restored(self) -> set[str]:
        """Results whose log ends with their being put back from the store (logs of trainings are continued)."""
        ends = [path.read_text().splitlines()[-1:] for path in self.results.glob("logs/**/*.log")]
        return set(re.findall(r"restored from the store: (\S+) ", "\n".join(line for end in ends for line in end)))

    def copy(self, folder: Path) -> "Study":
        """The same study elsewhere, times kept."""
        shutil.copytree(self.folder, folder, symlinks=True)
        return Study(folder)

    @property
    def parquet(self) -> list[Path]:
        found = [p.relative_to(self.results) for p in self.results.rglob("*.parquet")]
        return sorted(self.results / p for p in found if not {"checkpoints", ".store"} & set(p.parts))


def rules(said: str) -> set[str]:
    """Rules of a dry run."""
    return set(re.findall(r"^(?:local)?rule (\w+):", said, re.M)) - {"all"}


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Study:
    """The study that every worker copies; the first one that asks makes it, and records the keys that jobs read."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder = shared / "finished"
    with open(shared / "finished.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        study = Study(folder)
        if not (shared / "finished.done").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            for name in STUDY:
                copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
                copy(ROOT / name, folder / name)
            (folder / "config" / "local.yaml").unlink(missing_ok=True)
            (shared / "reads").mkdir(exist_ok=True)
            study.snakemake("--", "all", record=shared / "reads")
            compiled.share(folder / "workflow", ROOT / "workflow")
            (shared / "finished.done").touch()
    return study


@pytest.fixture(scope="session")
def reads(finished) -> list[dict]:
    """{"stage", "job", "key"} of every key that a job of the finished study read."""
    files = sorted((finished.folder.parent / "reads").glob("*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


@pytest.fixture(scope="session")
def tiny(finished, tmp_path_factory) -> Study:
    """A copy that this worker's tests may change, as long as they leave it whole."""
    return finished.copy(tmp_path_factory.mktemp("tiny") / "study")


@pytest.fixture
def study(finished, tmp_path) -> Study:
    """A copy for one test."""
    return finished.copy(tmp_path / "study")
