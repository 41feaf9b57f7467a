"""Jobs, their parents, and the identity that each result is wanted to have.

A result has two digests. The *wanted* identity of a job is worked out before anything runs, from its own values and
its ancestors' wanted identities: a changed value marks the whole chain below it at once. The identity *by content*
(`tables.Lineage.identity`) needs the parents' files: equal contents give an equal result, whatever was recomputed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from rollout3d import tables

Sets = tuple[str, ...] | None
"""Names of frame sets, sorted; None for all that there are."""
SETS = "job.sets"
"""Key of a job's values that holds the frame sets that it stores."""


@dataclass(frozen=True)
class Job:
    """One job of the workflow, as its rule describes it."""

    rule: str
    stage: str
    outputs: tuple[str, ...]
    """Declared outputs; the first one names the job."""
    parents: Mapping[str, tuple[str, ...]]
    """Name of the input -> its files."""
    values: Mapping[str, Any] = field(repr=False)
    """Keys of the configuration and fields of the run's row that decide the result, with their values."""
    code: str = ""
    """Digest of the code that the stage runs."""
    chosen: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """Entries of the code's registries that it uses (`rollout3d.code.KEYS`)."""
    costly: bool = False
    rebuild: bool = False
    """True if changed code makes a costly result stale (`rebuild` of the configuration)."""
    sets: tuple[str, ...] | None = None
    """Frame sets that it stores in `parted`; None for a job that stores none."""
    parted: tuple[str, ...] = ()
    """Outputs whose rows belong to frame sets: a reader depends on the sets that it reads, and no others."""
    reads: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Name of an input whose rows belong to frame sets -> the sets that it reads; a job with `sets` reads what it
    stores."""
    logs: tuple[str, ...] = ()
    benchmark: str | None = None

    @property
    def name(self) -> str:
        """Path of the first output."""
        return self.outputs[0]

    @property
    def code_counts(self) -> bool:
        """True if other code makes the result stale: always for a cheap one, on request for a costly one."""
        return not self.costly or self.rebuild

    def own(self, sets: Sets = None) -> dict[str, Any]:
        """Everything but the parents that decides the result; of these frame sets alone, if given."""
        values = dict(self.values)
        if sets is not None:
            values[SETS] = list(sets)
        return {"stage": self.stage, "values": values, "code": self.code if self.code_counts else ""}


class Study:
    """Jobs by the paths that they write, made on demand; identities are remembered.

    `producer` returns the job that writes a path, or None for a file that the workflow does not make.
    """

    def __init__(self, producer: Callable[[str], Job | None]):
        self._producer = producer
        self._jobs: dict[str, Job | None] = {}
        self._wanted: dict[tuple[str, Sets], str] = {}

    def job(self, path: str) -> Job | None:
        """The job that writes `path`; None if no job does."""
        if path not in self._jobs:
            job = self._producer(path)
            for output in job.outputs if job else (path,):
                self._jobs[output] = job
        return self._jobs[path]

    def sets_read(self, job: Job, input_name: str, path: str, sets: Sets = None) -> Sets:
        """Frame sets of the input `path` that a job depends on, of all that it stores or of `sets` alone. None where
        the whole input counts; empty where the rows of the input belong to no set, so that none counts."""
        above = self.job(path)
        if above is None or above.sets is None:
            return None
        if path not in above.parted:
            return ()
        if job.sets is not None:
            return job.sets if sets is None else sets
        return job.reads.get(input_name)

    def wanted(self, path: str, sets: Sets = None) -> str:
        """The wanted identity of the result at `path`, of these frame sets alone if given; the content of a file that
        the workflow does not make."""
        job = self.job(path)
        name = (job.name if job else path), sets
        if name not in self._wanted:
            if job is None:
                self._wanted[name] = tables.content_digest(path) if _exists(path) else "absent"
            else:
                parents = {
                    input_name: [self.wanted(p, self.sets_read(job, input_name, p, sets)) for p in paths]
                    for input_name, paths in sorted(job.parents.items())
                }
                self._wanted[name] = tables.digest([job.own(sets), parents])[:32]
        return self._wanted[name]

    def ancestors(self, path: str) -> Iterator[Job]:
        """The jobs that `path` rests on and its own one, each once, parents first."""
        seen: set[str] = set()

        def walk(at: str) -> Iterator[Job]:
            job = self.job(at)
            if job is None or job.name in seen:
                return
            seen.add(job.name)
            for paths in job.parents.values():
                for parent in paths:
                    yield from walk(parent)
            yield job

        yield from walk(path)

    def given(self, path: str) -> set[str]:
        """Files among the ancestors of `path` that no job of the workflow writes."""
        found = [p for job in self.ancestors(path) for paths in job.parents.values() for p in paths]
        return {p for p in found if self.job(p) is None}


def _exists(path: str) -> bool:
    from pathlib import Path

    return Path(path).is_file()
