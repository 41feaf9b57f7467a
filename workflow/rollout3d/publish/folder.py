"""Write a folder as a whole, and replace only what was written here before."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rollout3d.errors import InvalidInput
from rollout3d.files import sync, sync_files, write_atomically

MANIFEST = ".rollout3d.json"
"""File that lists a finished folder's files with their digests. It is not uploaded."""


@contextmanager
def writing(target: Path | str, kind: str) -> Iterator[Path]:
    """Yield the path of a folder to make beside `target`; put it in the place of `target` when the block is done.

    The block makes the folder. `kind`: data or model, for the manifest. An existing `target` is replaced only if it has
    a manifest with which all of its files agree. If the block raises, or the process is killed, `target` is as it was;
    a killed process leaves a hidden folder `.NAME.PID.new` beside it.

    Raises InvalidInput if `target` holds anything else, before the block and after it.
    """
    target = Path(target).absolute()
    check_replaceable(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    aside, old = (target.with_name(f".{target.name}.{os.getpid()}.{end}") for end in ("new", "old"))
    try:
        yield aside
        folders = [aside, *(path for path in sorted(aside.rglob("*")) if path.is_dir())]
        write_atomically(aside / MANIFEST, json.dumps({"kind": kind, "files": _digests(aside)}, indent=1))
        for folder in folders:
            sync_files(folder)
        check_replaceable(target)  # it may have been edited while the block ran
        if target.exists():
            target.rename(old)
        try:
            aside.rename(target)
        except BaseException:
            if old.exists():
                old.rename(target)
            raise
        sync(target.parent)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
        if target.exists():
            shutil.rmtree(old, ignore_errors=True)


def check_replaceable(target: Path) -> None:
    """Raise InvalidInput unless nothing is at `target`, or a folder that was written here and not changed since."""
    if not target.exists() and not target.is_symlink():
        return
    remedy = "name another folder, or move this one away"
    if target.is_symlink() or not target.is_dir():
        raise InvalidInput(f"{target}: is no folder; {remedy}")
    if not (target / MANIFEST).is_file():
        raise InvalidInput(f"{target}: exists, and `rollout3d publish` did not write it; {remedy}")
    changed = changes(target)
    if changed:
        raise InvalidInput(
            f"{target}: was changed after `rollout3d publish` wrote it ({', '.join(changed[:3])}); {remedy}"
        )


def changes(folder: Path) -> list[str]:
    """Return the names of files that are not as the manifest of a folder lists them: changed, added or gone."""
    try:
        listed = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"]
        listed = dict(listed)
    except (OSError, ValueError, KeyError, TypeError):
        return [MANIFEST]
    there = _digests(folder)
    return sorted(name for name in listed.keys() | there.keys() if listed.get(name) != there.get(name))


def _digests(folder: Path) -> dict[str, str]:
    """Return sha256 (hex) by name of all files in a folder, but for the manifest and the cache of the Hub's client."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name != MANIFEST and not name.startswith(".cache/"):
            with open(path, "rb") as stream:
                found[name] = hashlib.file_digest(stream, "sha256").hexdigest()
    return found
