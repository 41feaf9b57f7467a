"""State of results: the lineage that a file records, compared with the lineage that its job is to have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rollout3d import code, provenance, tables
from rollout3d.config.former import present_name
from rollout3d.config.frames import WHOLE_VIDEO
from rollout3d.study.graph import SETS, Job, Sets, Study
from rollout3d.tables.store import Store

ADOPTED = "adopt"
"""Stage in the lineage of a table or model that the user brought (`rollout3d adopt`)."""


ABOVE = "parent not current: "


@dataclass(frozen=True)
class State:
    """State of one job's result in its place."""

    status: Literal["current", "stale", "missing", "kept"]
    reasons: tuple[str, ...] = ()
    """Reasons why it is stale: `key: old -> new`, `parent PATH`, `code`, or what is wrong with a file."""
    code_changed: bool = False
    """True if the code has changed since; of a costly result that alone makes nothing stale."""
    code_files: tuple[str, ...] = ()
    """Files of the code that have changed, as far as they were noted: `changed FILE`, `added FILE`, `removed FILE`."""
    identity: str | None = None
    """Identity by content that a run would have now; None while a parent is not current."""
    stored: bool = False
    """True if the store holds that result, so that it would be put back and not computed."""
    adopted: bool = False

    @property
    def causes(self) -> tuple[str, ...]:
        """The reasons that are its own, not a parent's."""
        return tuple(reason for reason in self.reasons if not reason.startswith(ABOVE))


class States:
    """States of jobs by path, worked out on demand and remembered.

    A file that no job writes (because its rule is kept, or it lies in the clone) counts by its content.
    """

    def __init__(self, study: Study, store: Store | None = None):
        self.study, self.store = study, store
        self._found: dict[tuple[str, Sets], State] = {}
        self._digests: dict[tuple[str, Sets], str] = {}

    def __call__(self, path: str, sets: Sets = None) -> State:
        """The state of the result at `path`, as far as these frame sets go if given: it may lack others."""
        job = self.study.job(path)
        name = (job.name if job else path), sets
        if name not in self._found:
            self._found[name] = self._state(job, sets) if job else _given(path)
        return self._found[name]

    def identity(self, job: Job) -> str | None:
        """The identity by content of the job's result from its parents' present files; None if one is not current."""
        parents = []
        for name, paths in sorted(job.parents.items()):
            sets = {p: self.study.sets_read(job, name, p) for p in paths}
            if any(self(p, sets[p]).status not in ("current", "kept") for p in paths):
                return None
            if paths:
                parents.append((name, tables.digest([self._content(p, sets[p] or None) for p in paths])))
        return tables.Lineage(job.stage, dict(job.values), parents=tuple(parents)).identity

    def _state(self, job: Job, sets: Sets) -> State:
        identity = self.identity(job)
        stored = bool(identity and job.costly and self.store and self.store.find(self.store.target(job.name), identity))
        missing = [path for path in job.outputs if not Path(path).exists()]
        if missing:
            return State("missing", (), identity=identity, stored=stored)
        reasons: list[str] = []
        found: Mapping[str, Any] = {}
        code_changed = adopted = False
        for path in job.outputs:
            try:
                found = tables.lineage(path)
            except tables.TableError as error:
                reasons.append(str(error))
                continue
            if found.get("stage") == ADOPTED:
                adopted = True
                reasons.append("adopted from outside and not kept")
            elif found.get("stage") != job.stage:
                reasons.append(f"{path}: was written by {found.get('stage') or 'something else'}")
            else:
                reasons += self._differences(job, found, sets)
                code_changed |= found.get("code") != job.code
        files = self._code_files(job, found) if code_changed else ()
        if code_changed and job.code_counts:
            reasons.append(f"code ({_few(files)})" if files else "code")
        reasons = list(dict.fromkeys(reasons))
        status = "stale" if reasons else "current"
        return State(status, tuple(reasons), code_changed, files, identity, stored, adopted)

    def _code_files(self, job: Job, found: Mapping[str, Any]) -> tuple[str, ...]:
        """Files of the code that differ from those in the note on how the result was made."""
        identity = tables.Lineage.from_dict(found).identity
        made = provenance.read(self.store.results, job.stage, identity) if self.store else None
        if not made or "code" not in made:
            return ()
        return tuple(code.compare(made["code"], code.closure(job.stage, job.chosen).short))

    def _differences(self, job: Job, found: Mapping[str, Any], sets: Sets) -> list[str]:
        before, now = dict(found.get("values", {})), dict(job.values)
        stored: tuple[str, ...] | None = None
        if job.sets is not None:
            # More sets than are wanted are no fault: another run table needs them.
            stored = tuple(before.get(SETS, ()))
            wanted = sorted(job.sets if sets is None else set(sets) - {WHOLE_VIDEO})
            now[SETS] = list(stored) if set(wanted) <= set(stored) else wanted
        changed = [
            f"{present_name(key)}: {_short(before.get(key, _NONE))} -> {_short(now.get(key, _NONE))}"
            for key in sorted(before.keys() | now.keys())
            if before.get(key, _NONE) != now.get(key, _NONE)
        ]
        recorded = found.get("parents", {})
        for name, paths in sorted(job.parents.items()):
            read = {p: self.study.sets_read(job, name, p, sets) for p in paths}
            above = [p for p in paths if self(p, read[p]).status not in ("current", "kept")]
            if stored is not None:  # what it stores was made from these sets of its parents
                read = {p: stored if self.study.sets_read(job, name, p) else read[p] for p in paths}
            if above:
                changed.append(f"{ABOVE}{above[0]}" + (f" and {len(above) - 1} more" if len(above) > 1 else ""))
            elif paths and recorded.get(name) != tables.digest([self._content(p, read[p] or None) for p in paths]):
                first, *others = paths
                more = f" or one of {len(others)} more" if others else ""
                changed.append(f"parent {first}{more} has other content")
        return changed

    def _content(self, path: str, sets: Sets = None) -> str:
        if (path, sets) not in self._digests:
            self._digests[path, sets] = tables.content_digest(path, sets)
        return self._digests[path, sets]


_NONE = object()


def _given(path: str) -> State:
    return State("kept") if Path(path).is_file() else State("missing")


def _few(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def _short(value: Any) -> str:
    if value is _NONE:
        return "(not read)"
    text = tables.canonical_json(value)
    return text if len(text) <= 60 else text[:57] + "..."
