"""The study's graph as a file, from which `rollout3d status` and other commands read Snakemake's rules without a run.

The Snakefile writes it when the environment variable ROLLOUT3D_GRAPH names a place; `load` runs Snakemake to read the
Snakefile with the same options that a run would get.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rollout3d.errors import UserError
from rollout3d.study.graph import Job, Study

VARIABLE, TARGETS = "ROLLOUT3D_GRAPH", "ROLLOUT3D_TARGETS"


class NoStudy(UserError, RuntimeError):
    """Snakemake could not read the Snakefile with these options; the message is Snakemake's."""


@dataclass(frozen=True)
class Graph:
    """A study as its Snakefile describes it: targets (paths), jobs, results folder, and what the user keeps."""

    study: Study
    targets: tuple[str, ...]
    results: Path
    roots: dict[str, str]
    """Key of the configuration's `site` -> directory of files outside the workflow."""
    keep: tuple[str, ...]
    kept: dict[str, str]
    """Kept file -> name under `keep` that leaves its rule out."""

    @property
    def jobs(self) -> list[Job]:
        """Every job that the targets rest on, parents first."""
        found: dict[str, Job] = {}
        for target in self.targets:
            found |= {job.name: job for job in self.study.ancestors(target)}
        return list(found.values())


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose a study, as Snakemake has them, to a command's parser."""
    parser.add_argument(
        "--configfile", nargs="+", default=[], metavar="YAML", help="as for snakemake, such as a preset"
    )
    parser.add_argument("--config", nargs="+", default=[], metavar="KEY=VALUE", help="as for snakemake")


def options_of(args: argparse.Namespace, paths: Sequence[str] = ()) -> list[str]:
    """Options for Snakemake from the parsed ones. Without any, a path below results/NAME/ chooses preset NAME."""
    files = list(args.configfile)
    if not files and not args.config:
        names = {
            Path(path).parts[1] for path in paths if len(Path(path).parts) > 2 and Path(path).parts[0] == "results"
        }
        files = [f"config/presets/{name}.yaml" for name in names if Path(f"config/presets/{name}.yaml").exists()]
    return [
        *(["--configfile", *files] if files else []),
        *(["--config", *args.config] if args.config else []),
    ]


def write(path: Path | str, study: Study, targets: Iterable[str], **about: object) -> None:
    """Write the jobs that `targets` rest on, and `about` (JSON values), to `path`."""
    jobs: dict[str, Job] = {}
    targets = list(targets)
    for target in targets:
        jobs |= {job.name: job for job in study.ancestors(target)}
    Path(path).write_text(json.dumps({"targets": targets, "jobs": [_plain(job) for job in jobs.values()], **about}))


def load(options: Sequence[str] = (), targets: Sequence[str] = ("all",)) -> Graph:
    """The graph of the study in the working directory. `options`: those of Snakemake that choose the configuration.

    Raises NoStudy with Snakemake's message if it cannot read the Snakefile.
    """
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "graph.json"
        command = [sys.executable, "-m", "snakemake", "--list-rules", *options]
        environment = {**os.environ, VARIABLE: str(place), TARGETS: json.dumps(list(targets))}
        run = subprocess.run(command, env=environment, capture_output=True, text=True)
        if run.returncode or not place.exists():
            raise NoStudy((run.stderr or run.stdout).strip() or "Snakemake did not read the Snakefile")
        about = json.loads(place.read_text())
    return read(about)


def read(about: dict[str, Any]) -> Graph:
    """The graph from the content of a file that `write` made."""
    by_path = {path: job for job in map(_job, about["jobs"]) for path in job.outputs}
    return Graph(
        Study(by_path.get),
        tuple(about["targets"]),
        Path(about["results"]),
        dict(about["roots"]),
        tuple(about["keep"]),
        dict(about["kept"]),
    )


def _plain(job: Job) -> dict[str, Any]:
    return asdict(job)


def _job(about: dict[str, Any]) -> Job:
    parents = {name: tuple(paths) for name, paths in about["parents"].items()}
    reads = {name: tuple(sets) for name, sets in about["reads"].items()}
    lists = {name: tuple(about[name]) for name in ("outputs", "logs", "parted")}
    sets = None if about["sets"] is None else tuple(about["sets"])
    fields: dict[str, Any] = {**about, **lists, "parents": parents, "reads": reads, "sets": sets}
    return Job(**fields)
