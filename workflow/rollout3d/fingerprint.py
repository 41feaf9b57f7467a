"""Files outside the workflow: a record of what a stage opens, and a comparison with what is there now.

Raw scans, benchmarks, models and external training files are no inputs of rules. A stage that reads them runs within a
`Recorder`. It notes each file under the given roots when it is first opened, with size and time, and each folder that
is listed. Python's audit events report both, so readers do nothing for it. Files that libraries open by themselves
(PyAV, Arrow) are recorded with `note`, and so are optional files, whose absence is part of the result.
"""

from __future__ import annotations

import os
import stat
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from rollout3d import tables
from rollout3d.config import Site

FILE, FOLDER, ABSENT = "file", "folder", "absent"

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_active: list[Recorder] = []
_busy = threading.local()
_installed = False

P = TypeVar("P", bound="str | Path")


@dataclass(frozen=True)
class Difference:
    """One path that has changed since it was recorded. `what`: changed | touched | missing | new | entries.

    touched: the same size at another time, such as after a copy; entries: a listed folder holds other names.
    """

    root: str
    path: str
    what: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.what} {self.root}: {self.path}{f' ({self.detail})' if self.detail else ''}"


class Recorder:
    """Record the files that this process opens under some roots, and the folders that it lists there.

    `roots`: a key of the configuration's `site`, such as `roots.scannet`, -> the directory; see `roots_of`.
    `beside`: files elsewhere that count too, relative to the first root. Use as a context manager; opens of all threads
    count, those of child processes do not.
    """

    def __init__(self, roots: Mapping[str, Path | str], beside: Iterable[Path | str] = ()):
        self._beside = {os.path.abspath(path) for path in beside}
        places = [(key, os.path.abspath(root)) for key, root in roots.items()]
        self._first = next(iter(places), None)
        # Paths stay as the reader spells them; a resolved spelling of the same root counts too. Longest first.
        spelled = {(key, place) for key, root in places for place in (root, os.path.realpath(root))}
        self._roots = sorted(spelled, key=lambda each: (-len(each[1]), each))
        self._found: dict[tuple[str, str], dict[str, Any]] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Recorder:
        _install()
        _active.append(self)
        return self

    def __exit__(self, *_: object) -> None:
        _active.remove(self)

    def rows(self) -> list[dict[str, Any]]:
        """Rows of the table RAW_FILES, sorted by root and path."""
        with self._lock:
            return [dict(self._found[key]) for key in sorted(self._found)]

    def digest(self) -> str:
        """Digest of root, path and size of each file: equal for the same data in another place, or with other times."""
        files = [row for row in self.rows() if row["kind"] == FILE]
        return tables.digest([[row["root"], row["path"], row["n_bytes"]] for row in files])

    def lineage(self, own: tables.Lineage) -> tables.Lineage:
        """A stage's lineage with the files recorded up to now as one more parent, `raw`."""
        return replace(own, parents=tuple(sorted((*own.parents, ("raw", self.digest())))))

    def write(self, path: Path | str, own: tables.Lineage) -> None:
        """Write the table RAW_FILES."""
        tables.write(tables.RAW_FILES, path, self.rows(), self.lineage(own))

    def _place(self, path: str) -> tuple[str, str] | None:
        """Root and relative path of an absolute path; None outside the roots."""
        for key, root in self._roots:
            if path == root or path.startswith(root.rstrip(os.sep) + os.sep):
                return key, path[len(root) :].strip(os.sep).replace(os.sep, "/") or "."
        if self._first and path in self._beside:
            return self._first[0], os.path.relpath(path, self._first[1]).replace(os.sep, "/")
        return None

    def add(self, path: str, listed: bool = False) -> None:
        """Record a file, a listed folder, or the absence of anything at a path; other paths than the roots' are
        ignored."""
        path = os.path.abspath(path)
        place = self._place(path)
        if place is None:
            return
        with self._lock:
            known = self._found.get(place)
            if known is None or known["kind"] == ABSENT:
                row = _row(*place, path, listed)
                if row is not None:
                    self._found[place] = row


def note(path: P) -> P:
    """Pass to all recorders a file that a library opens by itself, or that may be absent; return it.

    A folder that is there is not recorded.
    """
    for recorder in tuple(_active):
        recorder.add(os.fspath(path))
    return path


def roots_of(site: Site) -> dict[str, str]:
    """The directories outside the workflow that a configuration names, by the keys that RAW_FILES uses.

    Of a training file it is the folder, because the file names pictures and videos there.
    """
    found = {f"roots.{name}": path for name, path in site.roots.items()}
    found |= {f"benchmarks.{name}": path for name, path in site.benchmarks.items()}
    found |= {f"external.{name}": str(Path(path).parent) for name, path in site.external.items()}
    return found | {f"models.{name}": str(Path(path).expanduser()) for name, path in site.models.items()}


def compare(rows: Iterable[Mapping[str, Any]], roots: Mapping[str, Path | str]) -> list[Difference]:
    """Return the changes under the roots since the rows were recorded, in their order. A root without path is
    missing."""
    return list(_differences(rows, roots))


def _differences(rows: Iterable[Mapping[str, Any]], roots: Mapping[str, Path | str]) -> Iterator[Difference]:
    for row in rows:
        key, path = row["root"], row["path"]
        now = _row(key, path, os.path.join(roots[key], path), row["kind"] == FOLDER) if key in roots else None
        if now is None:
            if row["kind"] != ABSENT:
                yield Difference(key, path, "missing" if key not in roots else "changed", f"was a {row['kind']}")
        elif now["kind"] == ABSENT:
            if row["kind"] != ABSENT:
                yield Difference(key, path, "missing")
        elif row["kind"] == ABSENT:
            yield Difference(key, path, "new")
        elif now["kind"] != row["kind"]:
            yield Difference(key, path, "changed", f"was a {row['kind']}")
        elif row["kind"] == FOLDER and now["names"] != row["names"]:
            yield Difference(key, path, "entries", f"{row['n_entries']} entries -> {now['n_entries']}")
        elif now["n_bytes"] != row["n_bytes"]:
            yield Difference(key, path, "changed", f"{row['n_bytes']} bytes -> {now['n_bytes']}")
        elif now["mtime_ns"] != row["mtime_ns"]:
            yield Difference(key, path, "touched")


def _row(root: str, path: str, place: str, listed: bool) -> dict[str, Any] | None:
    """A row of RAW_FILES for what lies at a place now; None for a folder that was not listed, and for devices."""
    row: dict[str, Any] = {"root": root, "path": path, "kind": ABSENT}
    row |= {"n_bytes": None, "mtime_ns": None, "n_entries": None, "names": None}
    try:
        about = os.stat(place)
        if stat.S_ISREG(about.st_mode):
            return row | {"kind": FILE, "n_bytes": about.st_size, "mtime_ns": about.st_mtime_ns}
        if not (stat.S_ISDIR(about.st_mode) and listed):
            return None
        names = sorted(name for name in os.listdir(place) if not name.startswith("."))
    except OSError:
        return row
    digest = tables.digest("\0".join(names).encode("utf-8", "surrogateescape"))
    return row | {"kind": FOLDER, "n_entries": len(names), "names": digest}


def _install() -> None:
    """Install the audit hook, once: a hook cannot be removed, and does nothing without a recorder."""
    global _installed
    if not _installed:
        _installed = True
        sys.addaudithook(_hook)


def _hook(event: str, args: tuple[Any, ...]) -> None:
    if not _active or event not in ("open", "os.listdir", "os.scandir") or getattr(_busy, "on", False):
        return
    path = args[0]
    if path is None:
        path = "."
    if not isinstance(path, str | bytes | os.PathLike):
        return  # a descriptor: its file was opened before
    if event == "open" and _for_writing(*args[1:3]):
        return
    _busy.on = True
    try:
        for recorder in tuple(_active):
            recorder.add(os.fsdecode(path), listed=event != "open")
    finally:
        _busy.on = False


def _for_writing(mode: object, flags: object) -> bool:
    if isinstance(mode, str):
        return any(letter in mode for letter in "wax+")
    return isinstance(flags, int) and bool(flags & _WRITES)
