"""Videos of benchmarks, as files or as members of archives that are read as downloaded, and the frames that are stored.

Archives are read member by member and never extracted. Their checksums reveal damage that a decoder may not notice, so
a file that was unpacked is compared with the archive where that still lies beside it.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np

from rollout3d.evaluation.benchmarks._common import BenchmarkError
from rollout3d.fingerprint import note
from rollout3d.geometry.frames import FrameSet

if TYPE_CHECKING:
    from rollout3d.scenes.formats.video import Video

_CHUNK = 1 << 22
_LARGEST = 1 << 30
"""Bytes of a video that is read into memory; the largest released ones have tens of megabytes."""
_DENSEST = 100
"""Maximum ratio of a video's size to its packed size: videos hardly shrink, zeros do a thousandfold."""
UNREADABLE = (OSError, EOFError, NotImplementedError, RuntimeError, ValueError, zipfile.BadZipFile, zlib.error)
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
        except UNREADABLE as error:
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
    """Where one video or picture lies: a file, a member of an archive, or both."""

    file: Path | None
    packed: Packed | None = None

    def read(self, how: str) -> bytes:
        """Read the file. Raises BenchmarkError naming file, or archive and member, with `how` to get it again."""
        if self.file is None:
            if self.packed is None:
                raise ValueError("a source is a file, a member of an archive, or both")
            return self.packed.read(how)
        try:
            return note(self.file).read_bytes()
        except OSError as error:
            raise BenchmarkError(f"{self.file}: cannot be read ({error.strerror}); {how}") from error

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


def members(archive: Path, how: str, suffixes: Sequence[str]) -> list[tuple[PurePosixPath, zipfile.ZipInfo]]:
    """List the members of a zip archive with one of `suffixes`, without those that a Mac adds.

    Raises BenchmarkError for an archive that cannot be read, and for names that point out of it.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            entries = opened.infolist()
    except UNREADABLE as error:
        raise BenchmarkError(f"{archive}: not a readable zip archive ({error}); {how}") from error
    found = []
    for entry in entries:
        name = PurePosixPath(entry.filename)
        if name.is_absolute() or ".." in name.parts or "\\" in entry.filename:
            raise BenchmarkError(f"{archive}: member {entry.filename!r} points out of the archive; {how}")
        if name.suffix in suffixes and not name.name.startswith(".") and "__MACOSX" not in name.parts:
            found.append((name, entry))
    return found


def sample_video(
    source: Source, wanted: Sequence[FrameSet], how: str, exactly: int | None = None
) -> Iterator[tuple[int, float, np.ndarray, list[str]]]:
    """Yield the frames of a video that any of the frame sets `wanted` chooses.

    Each comes as index, seconds since the first frame, upright RGB (height, width, 3) u8, and the names of the frame
    sets that hold it. Indices count the frames that the container shows, all of which must decode. Raises
    BenchmarkError if one does not, and for another number of frames than `exactly`.
    """
    from rollout3d.scenes.reading import ScanError

    video = source.open(how)
    try:
        if exactly is not None and video.n_frames != exactly:
            raise BenchmarkError(f"{video.path}: {video.n_frames} frames, not {exactly}; {how}")
        of = {each.name: set(each.indices(video.n_frames, video.fps)) for each in wanted}
        for index, seconds, rgb in video.sample(set().union(*of.values())):
            yield index, seconds, rgb, [name for name, indices in of.items() if index in indices]
    except ScanError as error:
        raise damaged(error, how) from error
    finally:
        video.close()
