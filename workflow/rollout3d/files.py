"""Write files that are complete and on the disk, or absent."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path


def write_atomically(path: Path | str, content: str | bytes) -> None:
    """Write a file beside its target, sync it, rename it: after a crash the old content is there or the new one.

    Missing folders are made.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(aside, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    sync(path.parent)


def sync(path: Path | str) -> None:
    """Wait until a file, or a folder's list of names, is on the disk; of a folder, not the files in it.

    A renamed file survives a power cut when it and its folder were synced. Does nothing where a folder cannot be synced
    (some network file systems).
    """
    path = Path(path)
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    except OSError as error:
        if not path.is_dir() or error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(opened)


def sync_files(folder: Path | str) -> None:
    """Wait until the files directly in a folder, and their names, are on the disk."""
    for file in Path(folder).iterdir():
        if file.is_file():
            sync(file)
    sync(folder)


def remove_leftovers(folder: Path | str, patterns: Iterable[str] = (".*.tmp",)) -> list[Path]:
    """Remove files and folders that killed writers left directly in `folder`; return what was removed.

    Call it only where no other process may be writing.
    """
    found = [path for pattern in patterns for path in sorted(Path(folder).glob(pattern))]
    for path in found:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(FileNotFoundError):
                path.unlink()
    return found
