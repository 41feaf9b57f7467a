"""Zip archives of a release, read member by member: nothing is ever extracted to a path that the archive names."""

from __future__ import annotations

import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from rollout3d.scenes.reading import ScanError, reading

_ENCRYPTED = 1


class Archive:
    """An open zip archive whose every member has been looked at.

    `names`: the members that are files, as the archive spells them; `spelling`: plain path of each, "41/x.png" for
    "./41/x.png", and its name. Raises `ScanError` for a file that is no zip
    archive or is truncated, and for one with a member that is a link, encrypted, listed twice, or whose path leads
    outside: such an archive is not what the release holds, so none of it is believed.
    """

    def __init__(self, path: Path):
        self.path = path
        try:
            with reading(path):
                self._zip = zipfile.ZipFile(path)
        except zipfile.BadZipFile as error:
            raise ScanError(path, f"no readable zip archive ({error}): damaged or truncated") from error
        try:
            self._members = self._checked()
        except ScanError:
            self.close()
            raise
        self.spelling = {str(PurePosixPath(name)): name for name in self._members}

    @property
    def names(self) -> frozenset[str]:
        return frozenset(self._members)

    def read(self, name: str, limit: int) -> bytes:
        """The bytes of a member. Raises `ScanError` if it is absent, damaged, or claims more than `limit` bytes."""
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
            # The name as stored: zipfile itself cuts at a zero byte and turns the system's separators round.
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
