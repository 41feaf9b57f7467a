"""The store of finished results that cost GPU hours or dollars: kept by identity, put back in seconds.

Snakemake deletes a job's outputs before it runs and after it fails. So a costly stage keeps a second name of every
finished file here, under the identity of the result (`Lineage.identity`), and reads the store before it computes. Files
are shared by hard links or reflinks, and copied where the file system has neither. A link costs no space while the
result is in place.

Layout: `<results>/.store/<target>/<identity>/entry.json` and the files beside it under `files/`; `<target>` is the
path of the result's first output below `<results>`.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rollout3d.files import sync, write_atomically

log = logging.getLogger(__name__)

FOLDER = ".store"
ENTRY = "entry.json"
KEEP = 3
"""Results kept per target, the newest ones: switching back to earlier settings costs seconds. [assumed]"""
HASHED_BYTES = 64 << 20
"""Files up to this size are compared by digest before they are put back; larger ones (weights) by size and time."""
_FICLONE = 0x40049409
"""The ioctl that shares blocks between files (Linux: btrfs, XFS)."""


@dataclass(frozen=True)
class Entry:
    """One finished result in the store."""

    target: str
    identity: str
    folder: Path
    files: dict[str, dict[str, Any]]
    """Path relative to the target's folder -> n_bytes, mtime_ns, sha256 (null for large files)."""
    made: float
    """Seconds since 1970 at which it was stored."""

    @property
    def n_bytes(self) -> int:
        """Size of its files together."""
        return sum(file["n_bytes"] for file in self.files.values())


class Store:
    """The store of one results folder. `keep`: identities kept per target, the newest ones."""

    def __init__(self, results: Path | str, keep: int = KEEP):
        self.results, self.keep = Path(results), keep
        self.folder = self.results / FOLDER

    def target(self, output: Path | str) -> str:
        """Name of the target whose first output is `output`. Raises ValueError if it lies outside the results."""
        relative = os.path.relpath(os.path.realpath(output), os.path.realpath(self.results))
        if relative.startswith(".."):
            raise ValueError(f"{output} lies outside {self.results}")
        return relative

    def has(self, output: Path | str) -> bool:
        """Return whether anything is stored for the target whose first output is `output`."""
        return (self.folder / self.target(output)).is_dir()

    def find(self, target: str, identity: str) -> Entry | None:
        """Return the entry of this identity if it is there and whole by size; None otherwise. Takes milliseconds."""
        folder = self.folder / target / identity
        entry = _read(folder)
        if entry is None or entry.identity != identity:
            return None
        for name, about in entry.files.items():
            try:
                if (folder / "files" / name).stat().st_size != about["n_bytes"]:
                    raise OSError("its size differs")
            except OSError as error:
                log.warning("%s: not used, %s (%s)", folder, name, error)
                return None
        return entry

    def put(self, output: Path | str, identity: str, names: Sequence[str]) -> Entry:
        """Keep the finished result whose first output is `output`: the files and folders `names` beside it.

        Atomic: a killed process leaves the entry or nothing. The oldest identities beyond `keep` are dropped.
        """
        base, target = Path(output).parent, self.target(output)
        place = self.folder / target / identity
        aside = place.with_name(f".{identity}.{os.getpid()}.tmp")
        shutil.rmtree(aside, ignore_errors=True)
        files: dict[str, dict[str, Any]] = {}
        for name in _expand(base, names):
            link(base / name, aside / "files" / name)
            files[name] = _about(aside / "files" / name)
        about = {"target": target, "identity": identity, "files": files, "made": time.time()}
        write_atomically(aside / ENTRY, json.dumps(about, indent=1, sort_keys=True))
        if place.exists():
            shutil.rmtree(place)
        aside.rename(place)
        sync(place.parent)
        self._prune(target, identity)
        return Entry(target, identity, place, files, about["made"])

    def intact(self, entry: Entry) -> bool:
        """Return whether an entry's files are unchanged and undamaged since they were stored."""
        for name, about in entry.files.items():
            if not _intact(entry.folder / "files" / name, about):
                log.warning("%s: not used, %s was changed or damaged after it was stored", entry.folder, name)
                return False
        return True

    def restore(self, entry: Entry, output: Path | str) -> bool:
        """Put an entry's files in place of those of `output`; return False if one of them is not intact.

        The files get the present time, except large ones, whose time proves that they were not written to.
        """
        base = Path(output).parent
        if not self.intact(entry):
            return False
        stale = {Path(name).parts[0] for name in entry.files if len(Path(name).parts) > 1}
        for folder in stale:  # such as weights/: files of another result must not stay among these
            shutil.rmtree(base / folder, ignore_errors=True)
        first = Path(output).name
        for name in sorted(entry.files, key=lambda n: n == first):  # the first output last: once it is there, all are
            aside = base / Path(name).parent / f".{Path(name).name}.{os.getpid()}.tmp"
            link(entry.folder / "files" / name, aside)
            if entry.files[name]["sha256"] is not None:
                os.utime(aside)
            os.replace(aside, base / name)
        sync(base)
        os.utime(entry.folder / ENTRY)  # used lately: pruned last
        return True

    def entries(self) -> Iterator[Entry]:
        """Every entry, sorted by target and age."""
        found = [_read(path.parent) for path in sorted(self.folder.rglob(ENTRY)) if ".tmp" not in path.parent.name]
        yield from sorted((e for e in found if e is not None), key=lambda e: (e.target, e.made))

    def drop(self, entry: Entry) -> None:
        """Remove an entry, and the folders above it that are empty then; the result in place stays."""
        shutil.rmtree(entry.folder)
        for folder in entry.folder.parents:
            if folder == self.folder.parent or any(folder.iterdir()):
                break
            folder.rmdir()

    def _prune(self, target: str, newest: str) -> None:
        others = [e for e in self.entries() if e.target == target and e.identity != newest]
        others.sort(key=lambda e: (e.folder / ENTRY).stat().st_mtime, reverse=True)
        for entry in others[max(0, self.keep - 1) :]:
            log.info("store: dropping an older result of %s (%s)", target, entry.identity)
            shutil.rmtree(entry.folder, ignore_errors=True)
        for leftover in (self.folder / target).glob(".*.tmp"):
            if time.time() - leftover.stat().st_mtime > 3600:
                shutil.rmtree(leftover, ignore_errors=True)


def link(source: Path, target: Path) -> None:
    """Give `source` a second name: hard link, else reflink, else copy with its time."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    with suppress(OSError):
        os.link(source, target)
        return
    with open(source, "rb") as read, open(target, "wb") as written:
        try:
            fcntl.ioctl(written.fileno(), _FICLONE, read.fileno())
        except OSError:
            shutil.copyfileobj(read, written, 16 << 20)
        written.flush()
        os.fsync(written.fileno())
    shutil.copystat(source, target)


def _expand(base: Path, names: Sequence[str]) -> Iterator[str]:
    for name in names:
        path = base / name
        if path.is_dir():
            yield from (str(p.relative_to(base)) for p in sorted(path.rglob("*")) if p.is_file())
        else:
            yield name


def _about(path: Path) -> dict[str, Any]:
    stat = path.stat()
    return {"n_bytes": stat.st_size, "mtime_ns": stat.st_mtime_ns, "sha256": _sha256(path, stat.st_size)}


def _sha256(path: Path, size: int) -> str | None:
    if size > HASHED_BYTES:
        return None
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _intact(path: Path, about: dict[str, Any]) -> bool:
    try:
        now = _about(path)
    except OSError:
        return False
    same = now["n_bytes"] == about["n_bytes"] and now["sha256"] == about["sha256"]
    return same and (about["sha256"] is not None or now["mtime_ns"] == about["mtime_ns"])


def _read(folder: Path) -> Entry | None:
    try:
        about = json.loads((folder / ENTRY).read_text())
        return Entry(about["target"], about["identity"], folder, about["files"], about["made"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        log.warning("%s: not used, its %s cannot be read (%s)", folder, ENTRY, error)
        return None
