"""Read zip archives in place of a release's folders, without extracting them.

ARKitScenes is downloaded as one archive per folder of pictures (raw) or per video (3dod). A `PackedPath` has the
methods of `pathlib.Path` that the readers use; every member is checked by `archive.Archive`.
"""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path, PurePosixPath

from rollout3d.fingerprint import note
from rollout3d.scenes.formats.archive import Archive
from rollout3d.scenes.reading import ScanError

_MOST_BYTES = 1 << 31
"""Largest size of a member, bytes: no mesh, picture or text is larger."""


class PackedPath:
    """A file or folder in a zip archive. As text it is the path of the archive, then that of the member."""

    def __init__(self, archive: Archive, inside: PurePosixPath):
        self._archive, self._inside = archive, inside

    @property
    def name(self) -> str:
        return self._inside.name or self._archive.path.stem

    @property
    def stem(self) -> str:
        return PurePosixPath(self.name).stem

    @property
    def suffix(self) -> str:
        return PurePosixPath(self.name).suffix

    @property
    def parent(self) -> PackedPath | Path:
        return PackedPath(self._archive, self._inside.parent) if self._inside.name else self._archive.path

    @property
    def parents(self) -> tuple[Path, ...]:
        return tuple(Path(os.fspath(self)).parents)

    def __truediv__(self, name: str) -> PackedPath:
        return PackedPath(self._archive, self._inside / name)

    def __fspath__(self) -> str:
        return os.fspath(self._archive.path / self._inside)

    def __str__(self) -> str:
        return os.fspath(self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PackedPath | Path) and os.fspath(self) == os.fspath(other)

    def __hash__(self) -> int:
        return hash(os.fspath(self))

    def __lt__(self, other: PackedPath) -> bool:
        return os.fspath(self) < os.fspath(other)

    def is_file(self) -> bool:
        return str(self._inside) in self._archive.spelling

    def is_dir(self) -> bool:
        return next(self._below(), None) is not None

    def exists(self) -> bool:
        return self.is_file() or self.is_dir()

    def iterdir(self) -> Iterator[PackedPath]:
        depth = len(self._inside.parts)
        for name in sorted({path.parts[depth] for path in self._below()}):
            yield self / name

    def glob(self, pattern: str) -> Iterator[PackedPath]:
        return (path for path in self.iterdir() if fnmatch.fnmatchcase(path.name, pattern))

    def read_bytes(self) -> bytes:
        inside = str(self._inside)
        return self._archive.read(self._archive.spelling.get(inside, inside), _MOST_BYTES)

    def read_text(self, encoding: str = "utf-8") -> str:
        return self.read_bytes().decode(encoding)

    def _below(self) -> Iterator[PurePosixPath]:
        mine = self._inside.parts
        for name in self._archive.spelling:
            path = PurePosixPath(name)
            if len(path.parts) > len(mine) and path.parts[: len(mine)] == mine:
                yield path


def unpacked(path: Path | PackedPath) -> Path | PackedPath:
    """Return a folder, or the content of `<path>.zip` if the folder is absent or empty.

    If the archive holds a folder of its own name, that folder is returned. A damaged archive is returned as a file:
    `check_archive` raises the error.
    """
    if isinstance(path, PackedPath) or (path.is_dir() and next(path.iterdir(), None) is not None):
        return path
    archive = path.with_name(path.name + ".zip")
    if not note(archive).is_file():
        return path
    about = archive.stat()
    note(path)  # a folder that is added there later would take precedence
    try:
        root = PackedPath(_open(archive, about.st_size, about.st_mtime_ns), PurePosixPath("."))
    except ScanError:
        return archive
    return root / path.name if (root / path.name).is_dir() else root


def check_archive(path: Path | PackedPath) -> None:
    """Raise ScanError for an archive in place of a folder if it cannot be read."""
    if isinstance(path, Path) and path.suffix == ".zip" and path.is_file():
        Archive(path).close()


@lru_cache(maxsize=16)
def _open(path: Path, n_bytes: int, mtime_ns: int) -> Archive:
    return Archive(path)
