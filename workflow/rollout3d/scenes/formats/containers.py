"""Check that a Matroska or MP4 file has the length that it states, by the sizes of its outermost parts."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

from rollout3d.scenes.reading import ScanError, reading

_EBML, _SEGMENT = 0x1A45DFA3, 0x18538067


def check_container(path: Path) -> None:
    """Raise ScanError for a video file that is empty, no Matroska or MP4, or shorter than it states.

    Nothing is decoded, so damage inside of the parts is not detected. A Matroska file that was written as a stream
    states no length.
    """
    with reading(path), open(path, "rb") as file:
        size = file.seek(0, 2)
        file.seek(0)
        if not size:
            raise ScanError(path, "an empty file: download it again")
        head = file.read(12)
        file.seek(0)
        if head[:4] == _EBML.to_bytes(4, "big"):
            _check_matroska(path, file, size)
        elif head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
            _check_mp4(path, file, size)
        else:
            raise ScanError(path, "neither a Matroska nor an MP4 file: damaged, or an error page saved as a video")


def _check_matroska(path: Path, file: BinaryIO, size: int) -> None:
    while file.tell() < size:
        element, _ = _number(file, keep_marker=True)
        length, unknown = _number(file)
        if element == _SEGMENT:
            end = file.tell() + length
            if not unknown and end > size:
                raise ScanError(path, f"truncated: it ends at byte {size} of {end}; download it again")
            return
        file.seek(length, 1)
    raise ScanError(path, "a Matroska file without content: truncated; download it again")


def _number(file: BinaryIO, keep_marker: bool = False) -> tuple[int, bool]:
    """Return a variable-length number of EBML, and whether all its bits are set, which means "unknown"."""
    first = file.read(1)
    if not first or not first[0]:
        raise ValueError("no element of Matroska where one must begin: truncated or damaged")
    n_bytes = 9 - first[0].bit_length()
    value = int.from_bytes(first + file.read(n_bytes - 1), "big")
    bare = value & ((1 << 7 * n_bytes) - 1)
    return (value if keep_marker else bare), bare == (1 << 7 * n_bytes) - 1


def _check_mp4(path: Path, file: BinaryIO, size: int) -> None:
    at, found = 0, set()
    while at + 8 <= size:
        file.seek(at)
        length, name = struct.unpack(">I4s", file.read(8))
        if length == 1:
            (length,) = struct.unpack(">Q", file.read(8))
        if length == 0:
            length = size - at
        if length < 8 or at + length > size:
            raise ScanError(
                path, f"truncated or damaged: a part that starts at byte {at} ends beyond the file's {size}"
            )
        found.add(name)
        at += length
    if b"moov" not in found:
        raise ScanError(path, "an MP4 file without its index (moov): truncated; download it again")
