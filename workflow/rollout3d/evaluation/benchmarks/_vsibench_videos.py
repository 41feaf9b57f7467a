"""VSI-Bench's videos: `<dataset>/<scene>.mp4`, or members of `<dataset>.zip` as downloaded.

Archives are read member by member and never extracted. Their checksums reveal damage that a decoder may not notice, so
a folder that was unpacked is compared with the archive where that still lies beside it.
"""

from __future__ import annotations

import logging
import zipfile
import zlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from rollout3d.evaluation.benchmarks._common import BenchmarkError

if TYPE_CHECKING:
    from rollout3d.scenes.formats.video import Video

LOG = logging.getLogger(__name__)
_CHUNK = 1 << 22
_LARGEST = 1 << 30
"""Bytes of a video that is read into memory; the largest released ones have tens of megabytes."""
_DENSEST = 100
"""Maximum ratio of a video's size to its packed size: videos hardly shrink, zeros do a thousandfold."""
_UNREADABLE = (OSError, EOFError, NotImplementedError, RuntimeError, ValueError, zipfile.BadZipFile, zlib.error)
"""What `zipfile` raises for archives that are damaged, encrypted, or packed in a way that it does not know."""


@dataclass(frozen=True)
class Packed:
    """A video in an archive: path of the archive, and the member."""

    archive: Path
    member: zipfile.ZipInfo

    def read(self, how: str) -> bytes:
        """Read the video. Raises BenchmarkError naming archive and member, with `how` to get it again."""
        where = f"{self.archive}: member {self.member.filename}"
        if self.member.file_size > min(_LARGEST, _DENSEST * self.member.compress_size):
            raise BenchmarkError(f"{where} claims {self.member.file_size} bytes, too many for a video; {how}")
        try:
            with zipfile.ZipFile(self.archive) as archive:
                return archive.read(self.member)
        except _UNREADABLE as error:
            raise BenchmarkError(f"{where} is damaged ({error}); {how}") from error

    def check(self, file: Path) -> None:
        """Raise BenchmarkError unless an unpacked file has the size and checksum that the archive states."""
        checksum = 0
        with open(file, "rb") as stream:
            while chunk := stream.read(_CHUNK):
                checksum = zlib.crc32(chunk, checksum)
        if checksum != self.member.CRC or file.stat().st_size != self.member.file_size:
            raise BenchmarkError(
                f"{file}: not the video that {self.archive.name} holds as {self.member.filename}: damaged? Delete "
                "it (the archive is read as it is), or unpack it again"
            )


@dataclass(frozen=True)
class Source:
    """Where one video lies: a file, a member of an archive, or both."""

    file: Path | None
    packed: Packed | None = None

    def open(self, how: str) -> Video:
        """Open the video. Raises BenchmarkError naming file, or archive and member, with `how` to get it again."""
        from rollout3d.scenes.formats.video import Video
        from rollout3d.scenes.reading import ScanError

        try:
            if self.file is not None:
                if self.packed is not None:
                    self.packed.check(self.file)
                return Video(self.file)
            if self.packed is None:
                raise ValueError("a source is a file, a member of an archive, or both")
            return Video(self.packed.archive / self.packed.member.filename, self.packed.read(how))
        except ScanError as error:
            raise damaged(error, how) from error


def damaged(error: ValueError, how: str) -> BenchmarkError:
    """Return the error of a video that cannot be read whole."""
    return BenchmarkError(f"{error}: damaged or cut off; delete it, and {how}")


def find(root: Path, datasets: dict[str, str], how: str) -> dict[str, Source]:
    """Find the video of each scene; `datasets`: scene -> dataset. A file goes before a member of an archive.

    Raises BenchmarkError if videos are missing, naming some, and for an archive that is needed and cannot be read.
    """
    archive_of = cache(lambda dataset: _members(root / f"{dataset}.zip", dataset, how))
    found: dict[str, Source] = {}
    missing: list[Path] = []
    faults: dict[str, BenchmarkError] = {}
    for scene, dataset in sorted(datasets.items(), key=lambda item: (item[1], item[0])):
        file = root / dataset / f"{scene}.mp4"
        members: dict[str, zipfile.ZipInfo] = {}
        if dataset not in faults:
            try:
                members = archive_of(dataset)
            except BenchmarkError as error:
                faults[dataset] = error
        unpacked = file.is_file()
        if not unpacked and dataset in faults:
            raise faults[dataset]
        if unpacked or scene in members:
            packed = Packed(root / f"{dataset}.zip", members[scene]) if scene in members else None
            found[scene] = Source(file if unpacked else None, packed)
        else:
            missing.append(file)
    for dataset in faults:
        LOG.warning("%s; its unpacked videos are read, without a check of their checksums", faults[dataset])
    if missing:
        names = ", ".join(str(path) for path in missing[:3])
        raise BenchmarkError(
            f"{len(missing)} of {len(datasets)} videos are missing, such as {names}, and are in no archive beside "
            f"their folder ({', '.join(sorted({f'{path.parent.name}.zip' for path in missing}))}); {how}, or name the "
            "parts that are whole in evaluation.datasets, and every score says so"
        )
    return found


def _members(path: Path, dataset: str, how: str) -> dict[str, zipfile.ZipInfo]:
    """List the videos of an archive by scene, none where there is no archive. Names must stay within the archive."""
    if not path.is_file():
        return {}
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except _UNREADABLE as error:
        raise BenchmarkError(f"{path}: not a readable zip archive ({error}); {how}") from error
    found: dict[str, list[tuple[PurePosixPath, zipfile.ZipInfo]]] = {}
    for entry in entries:
        name = PurePosixPath(entry.filename)
        if name.is_absolute() or ".." in name.parts or "\\" in entry.filename:
            raise BenchmarkError(f"{path}: member {entry.filename!r} points out of the archive; {how}")
        if name.suffix == ".mp4" and not name.name.startswith(".") and "__MACOSX" not in name.parts:
            found.setdefault(name.stem, []).append((name, entry))
    chosen = {}
    for scene, named in found.items():
        own = [entry for name, entry in named if name.parent.name == dataset] if len(named) > 1 else [named[0][1]]
        if len(own) != 1:
            raise BenchmarkError(f"{path}: {len(named)} members are the video {scene}.mp4; {how}")
        chosen[scene] = own[0]
    return chosen
