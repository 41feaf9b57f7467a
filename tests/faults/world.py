"""A finished study of the tiny preset, clones of it for faults, and honest counts of what a fault has cost.

The counts come from outside: tables are compared with those of the undisturbed study row by row, and a hook in every
stage (`tests/training/hooks`) notes each step that is trained and each question that is put to a model.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from dag.clones import copy_repository
from faults.table import Line
from rollout3d import tables

HOOKS = Path(__file__).resolve().parents[1] / "training" / "hooks"
BIN = Path(sys.executable).parent
STEPS, SAVE_EVERY, BATCH = 5, 2, 4
"""Steps of a run, steps between two checkpoints, questions that a model answers together."""
LOCAL = f"""preset: tiny
results: results/study
runs: {{max_steps: {STEPS}}}
training: {{save_every: {SAVE_EVERY}}}
generation: {{batch_size: {BATCH}}}
"""
MEASURED = {"seconds", "peak_memory_mb", "mtime_ns", "rank"}
"""Columns that no two runs have alike: times, memory, and which of a run's processes did it (one node or two)."""
PATIENCE_S = 240


class Unexpected(Exception):
    """What a fault led to is not what is promised; the message says which promise."""


def expect(condition: object, problem: str) -> None:
    if not condition:
        raise Unexpected(problem)


def wait_for(condition: Callable[[], object], what: str, seconds: float = PATIENCE_S) -> None:
    """Wait until `condition()` is true; Unexpected after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        expect(time.monotonic() < deadline, f"waited {seconds:.0f} s in vain for {what}")
        time.sleep(0.1)


def heed_interrupts() -> None:
    """Shells let what they start in the background ignore Ctrl-C, and so would everything below."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@dataclass
class Expected:
    """What a fault may cost at most. Rows and finished trainings: nothing, ever."""

    answers: int = 0
    steps: int = 0
    to_train: set[str] = field(default_factory=set)
    """Runs that are still to be trained when the fault comes; every step of another counts as trained twice."""
    to_answer: set[str] = field(default_factory=set)
    """Output tables whose questions are still to be asked."""


class Study:
    """A folder with a clone of the repository and the results of the tiny preset in it."""

    def __init__(self, folder: Path, faults: Path):
        self.folder, self.faults = folder, faults
        self.results = folder / "results" / "study"
        self.variables: dict[str, str] = {}
        self.started: list[subprocess.Popen] = []

    # --- what is laid, said and done --------------------------------------------------------------------------------

    def lay(self, stage: str, moment: str, kind: str = "hold") -> None:
        """Let the first process of `stage` that comes to `moment` be killed, or held until `go`."""
        (self.faults / f"{stage}.{moment}.{kind}").touch()

    def met(self, stage: str, moment: str, kind: str = "hold") -> bool:
        return (self.faults / f"{stage}.{moment}.{kind}.met").exists()

    def wait_met(self, stage: str, moment: str, kind: str = "hold") -> None:
        def over() -> bool:
            return self.met(stage, moment, kind)

        wait_for(over, f"{stage} to come to {moment}\n{self.said()}")

    def go(self, stage: str) -> None:
        (self.faults / f"{stage}.go").touch()

    def said(self) -> str:
        """The ends of the newest logs."""
        logs = sorted(self.results.glob("logs/**/*.log"), key=lambda p: p.stat().st_mtime)[-3:]
        logs += sorted(self.folder.glob("driver.*.log"))[-2:]
        return "\n".join(f"== {log}\n{log.read_text(errors='replace')[-1500:]}" for log in logs)

    def log(self, stage: str = "grpo", run: str = "ocr") -> str:
        path = self.results / f"logs/{stage}/{run}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def environment(self) -> dict[str, str]:
        """Variables of drivers: no site settings of whoever calls, the hooks, this interpreter first."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("ROLLOUT3D_", "OMP_NUM", "MKL_NUM"))}
        return {
            **kept,
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "PYTHONPATH": str(HOOKS),
            "ROLLOUT3D_FAULTS": str(self.faults),
            "HF_HUB_OFFLINE": "1",
            **self.variables,
        }

    def drive(self, *arguments: str, targets: Iterable[str] = ("all",), command: Iterable[str] = ()) -> Driver:
        """Start Snakemake in the background."""
        number = len(list(self.folder.glob("driver.*.log")))
        log = self.folder / f"driver.{number:02d}.log"
        base = list(command) or [str(BIN / "snakemake"), "--cores", "2"]
        with log.open("w") as out:
            process = subprocess.Popen(
                [*base, *arguments, "--", *targets],
                cwd=self.folder,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=heed_interrupts,
            )
        self.started.append(process)
        return Driver(process, log)

    def all(self, *arguments: str, ok: bool = True, **options) -> str:
        """Run `snakemake all` to its end; what it said. `ok`: whether it should succeed."""
        driver = self.drive(*arguments, **options)
        status = driver.wait()
        expect((status == 0) == ok, f"`all {' '.join(arguments)}` ended with {status}\n{self.said()}")
        return driver.said()

    def forget(self, *targets: str) -> None:
        """Remove results and what the store has of them: they are then still to be made."""
        for target in targets:
            first = self.results / target
            shutil.rmtree(self.results / ".store" / target, ignore_errors=True)
            if first.name == "model.json":
                shutil.rmtree(first.parent, ignore_errors=True)
            first.unlink(missing_ok=True)

    def close(self) -> None:
        """End what was started and still runs, trainers whose driver is gone included."""
        for kind in ("train_sft", "train_grpo", "difficulty", "evaluate"):
            self.go(kind)
        for process in self.started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        for holder in self.trainers():
            os.kill(holder, signal.SIGKILL)

    def trainers(self) -> list[int]:
        """Processes on this machine that hold the lock of a run of this study."""
        from rollout3d.training.lock import holders

        return [holder.pid for _, holder in holders(self.results) if holder.job is None]

    # --- counts -----------------------------------------------------------------------------------------------------

    def events(self, kind: str) -> list[list[str]]:
        """What the hooks noted of one kind: step, saved or asked; in order."""
        path = self.faults / "events.log"
        lines = map(str.split, path.read_text().splitlines()) if path.exists() else ()
        return [line[1:] for line in lines if line[0] == kind]

    def trained(self) -> Counter[tuple[str, int]]:
        """(run, step) -> how often its first process began it, over all starts."""
        return Counter((run, int(step)) for run, rank, step in self.events("step") if rank == "0")

    def saved(self) -> dict[str, int]:
        """Run -> steps in its last checkpoint, as far as the hooks saw one."""
        return {run: int(steps) for run, rank, steps in self.events("saved") if rank == "0"}

    def asked(self) -> Counter[tuple[str, str]]:
        """(output table, question) -> how often a model was asked."""
        return Counter((self._inside(out), key) for _, out, key in self.events("asked"))

    def _inside(self, out: str) -> str:
        return re.sub(r".*?((difficulty|eval)/)", r"\1", out)


@dataclass
class Driver:
    """A Snakemake that was started."""

    process: subprocess.Popen
    output: Path

    def said(self) -> str:
        return self.output.read_text(errors="replace")

    def wait(self, seconds: float = 600) -> int:
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Unexpected(f"a driver did not end within {seconds:.0f} s\n{self.said()[-3000:]}") from None

    def kill(self) -> None:
        """SIGKILL at the driver alone: its jobs live on, as they do on a cluster."""
        self.process.kill()
        self.process.wait()


class World:
    """The undisturbed study, made once in `folder`, and its clones."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.finished = Study(folder / "finished", folder / "finished.faults")

    def make(self) -> None:
        """Run the undisturbed study, if the folder does not hold it yet."""
        done = self.folder / "finished.done"
        if done.exists():
            return
        shutil.rmtree(self.folder, ignore_errors=True)
        self.empty(self.finished)
        self.finished.all()
        done.touch()

    def empty(self, study: Study) -> Study:
        """A clone of the repository, with nothing computed."""
        study.faults.mkdir(parents=True)
        copy_repository(study.folder)
        (study.folder / "config" / "local.yaml").write_text(LOCAL)
        return study

    def clone(self, name: str, folder: Path | None = None) -> Study:
        """A copy of the finished study, times and hard links kept; `folder`: where, if not in the world's folder."""
        place = folder or self.folder / name
        for old in (place, self.folder / f"{name}.faults"):
            shutil.rmtree(old, ignore_errors=True)
        place.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["cp", "-a", "--reflink=auto", self.finished.folder, place], check=True)
        for log in place.glob("driver.*.log"):
            log.unlink()
        study = Study(place, self.folder / f"{name}.faults")
        study.faults.mkdir()
        return study

    def rows_lost(self, results: Path) -> tuple[int, list[str]]:
        """Rows of the undisturbed study that are not in `results`, and what differs there."""
        found = [
            self.rows_lost_of(path, results / path.relative_to(self.finished.results))
            for path in files_of(self.finished.results)
        ]
        return sum(lost for lost, _ in found), [problem for _, problems in found for problem in problems]

    def rows_lost_of(self, path: Path, other: Path) -> tuple[int, list[str]]:
        """Rows of an undisturbed table or model that are not in the other one, and what differs."""
        if not other.exists():
            return len(rows(path)), [f"{other} is missing"]
        if tables.content_digest(path) == tables.content_digest(other):
            if other.suffix == ".parquet":  # the digest stands in the footer; the rows must be its
                tables.verify(other)
            return 0, []
        before, now = (Counter(map(row_digest, rows(each))) for each in (path, other))
        return (before - now).total(), [f"{other} has other rows"] if before != now else []

    def repeated(self, study: Study, to_train: set[str]) -> list[str]:
        """Runs of which a step was trained although all of them had been."""
        total, done, found = self.finished.saved(), set(self.finished.saved()) - to_train, []
        path = study.faults / "events.log"
        for kind, run, *_, step in map(str.split, path.read_text().splitlines() if path.exists() else ()):
            if kind == "saved" and int(step) == total[run]:
                done.add(run)
            elif kind == "step" and run in done:
                found.append(run)
        return sorted(set(found))

    def line(self, fault: str, happened: str, study: Study, may: Expected, results: Path | None = None) -> Line:
        """The fault's line, with every promise that is not kept."""
        lost, problems = self.rows_lost(results or study.results)
        asked = Counter({key: n for key, n in self.finished.asked().items() if key[0] in may.to_answer})
        steps = Counter({key: n for key, n in self.finished.trained().items() if key[0] in may.to_train})
        answered, trained = (study.asked() - asked).total(), (study.trained() - steps).total()
        for run in self.repeated(study, may.to_train):
            problems.append(f"the finished training of {run} was repeated")
        if answered > may.answers:
            problems.append(f"{answered} questions answered twice, at most {may.answers} were in flight")
        if trained > may.steps:
            problems.append(f"{trained} steps trained twice, at most {may.steps} are allowed")
        return Line(fault, happened, lost, answered, trained, tuple(problems))


Fault = Callable[[World], Line | Iterable[Line]]


def meet(fault: Fault, world: World) -> Iterator[Line]:
    """The lines of one fault, as they come; whatever goes wrong is a line too."""
    name = (fault.__doc__ or fault.__name__).strip()
    try:
        lines = fault(world)
        yield from [lines] if isinstance(lines, Line) else lines
    except Unexpected as error:
        yield Line(name, "see below", problems=(str(error),))
    except Exception:
        yield Line(name, "the fault itself could not be produced", problems=(traceback.format_exc(),))


def files_of(results: Path) -> list[Path]:
    """Every table and model of a study, without what only serves resuming and restoring."""
    found = [*results.rglob("*.parquet"), *results.rglob("model.json")]
    hidden = {"checkpoints", ".store", ".parts", ".study"}
    return sorted(p for p in found if not hidden & set(p.relative_to(results).parts))


def rows(path: Path) -> list[dict]:
    """The rows of a table; a model counts as one."""
    if path.name == "model.json":
        return [{"model": tables.content_digest(path)}]
    return tables.read(tables.TABLES[tables.lineage(path)["table"]], path)


def row_digest(row: dict) -> str:
    kept = {name: value for name, value in row.items() if name not in MEASURED}
    return hashlib.sha256(repr(kept).encode()).hexdigest()
