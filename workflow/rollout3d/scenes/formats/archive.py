"""Zip archives of a release, read member by member: nothing is extracted to a path that the archive names."""

from __future__ import annotations

import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from rollout3d.scenes.reading import ScanError, closed_on_error, reading

_ENCRYPTED = 1
"""Flag bit of an encrypted member."""


class Archive:
    """An open zip archive with checked members.

    `names`: the members that are files, as the archive spells them. `spelling`: plain path -> name of each, such as
    "41/x.png" -> "./41/x.png". Raises `ScanError` for a file that is no zip archive or is truncated. Raises it also for
    a member that is a link, encrypted, listed twice, or whose path leads outside: no archive of a release has such
    members, so the whole file is refused.
    """

    def __init__(self, path: Path):
        self.path = path
        try:
            with reading(path):
                self._zip = zipfile.ZipFile(path)
        except zipfile.BadZipFile as error:
            raise ScanError(path, f"no readable zip archive ({error}): damaged or truncated") from error
        with closed_on_error(self.close):
            self._members = self._checked()
        self.spelling = {str(PurePosixPath(name)): name for name in self._members}

    @property
    def names(self) -> frozenset[str]:
        """Names of the members that are files."""
        return frozenset(self._members)

    def read(self, name: str, limit: int) -> bytes:
        """Return the bytes of a member. Raises `ScanError` if it is absent, damaged, or larger than `limit` bytes."""
        if name not in self._members:
            raise ScanError(self.path, f"has no member '{name}'")
        info = self._members[name]
        if info.file_size > limit:
            raise ScanError(self.path, f"member '{name}' claims {info.file_size} bytes, at most {limit} can be right")
        try:
            with reading(self.path):
                return self._zip.read(info)
        except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError) as error:
            raise ScanError(self.path, f"member '{name}' cannot be read ({error})") from error

    def close(self) -> None:
        self._zip.close()

    def _checked(self) -> dict[str, zipfile.ZipInfo]:
        members: dict[str, zipfile.ZipInfo] = {}
        paths: set[PurePosixPath] = set()
        for info in self._zip.infolist():
            # The name as stored: zipfile's own names are cut at a zero byte and have other separators.
            name = info.orig_filename
            if _leads_outside(name):
                raise ScanError(self.path, f"member '{name}' leads outside the archive")
            if stat.S_ISLNK(info.external_attr >> 16):
                raise ScanError(self.path, f"member '{name}' is a link")
            if info.flag_bits & _ENCRYPTED:
                raise ScanError(self.path, f"member '{name}' is encrypted")
            if info.is_dir():
                continue
            if PurePosixPath(name) in paths:
                raise ScanError(self.path, f"member '{name}' is listed twice")
            paths.add(PurePosixPath(name))
            members[name] = info
        return members


def _leads_outside(name: str) -> bool:
    path = PurePosixPath(name.replace("\\", "/"))
    return not name or "\0" in name or path.is_absolute() or ".." in path.parts or ":" in "".join(path.parts[:1])
