"""Check before the first job everything that a run's jobs need; list all problems at once, each with its remedy.

Only what the given jobs need is checked. Nothing here imports torch or another heavy package: what an environment holds
is asked of its own interpreter. The Snakefile calls `check` when a real run starts; `rollout3d preflight` has Snakemake
do so and stop.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rollout3d.cluster import Cluster
from rollout3d.config import Config, Run

VARIABLE = "ROLLOUT3D_PREFLIGHT"
"""Environment variable that names a file for the findings; the run then ends after the preflight."""


@dataclass(frozen=True)
class Job:
    """One job that will run."""

    rule: str
    wildcards: Mapping[str, str] = field(default_factory=dict)
    inputs: Sequence[str] = ()
    outputs: Sequence[str] = ()
    resources: Mapping[str, int | str] = field(default_factory=dict)
    environment: str | None = None
    """Name of the environment that its rule names."""
    prefix: str | None = None
    """Directory of the conda environment, if conda makes it."""
    local: bool = True
    """True if it runs on the machine that runs Snakemake."""


@dataclass(frozen=True)
class Study:
    """The study that is checked: configuration, runs and site."""

    config: Config
    runs: Mapping[str, Run]
    cluster: Cluster
    rendered: int = 0
    """Scans per dataset that the workflow renders itself; 0 where it reads the releases."""


@dataclass(frozen=True)
class Finding:
    """A problem, or a note that does not stop the run; the text says what is wrong and what to do."""

    text: str
    stops: bool = True


def check(study: Study, jobs: Sequence[Job]) -> list[Finding]:
    """Run every check that the jobs call for; return the findings, problems first."""
    from rollout3d.preflight import costs, data, environments, machine, models

    found: list[Finding] = []
    for part in (data, models, environments, machine, costs):
        found += part.check(study, jobs)
    unique = list(dict.fromkeys(found))
    return sorted(unique, key=lambda finding: not finding.stops)


def render(findings: Sequence[Finding], n_jobs: int) -> str:
    """Return the findings as text: a summary, then one line per finding, problems first."""
    problems = sum(finding.stops for finding in findings)
    if problems:
        head = f"Preflight: {problems} {'problem' if problems == 1 else 'problems'}; nothing was run."
    else:
        head = f"Preflight: {n_jobs} jobs can run."
    return "\n".join([head, *(f"  {'' if f.stops else 'note: '}{f.text}" for f in findings)])


def live_locks(results: Path | str) -> list[str]:
    """Live trainers below a results folder, as text "<lock file>: <holder>"; empty where locks cannot be read."""
    try:
        from rollout3d.training.lock import holders
    except ImportError:
        return []
    return [f"{path}: {holder}" for path, holder in holders(Path(results))]


def by_rule(jobs: Sequence[Job], *rules: str) -> list[Job]:
    """The jobs of some rules."""
    return [job for job in jobs if job.rule in rules]
