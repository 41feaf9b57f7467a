"""JPEG and PNG pictures: decode a release's pictures after checks, and encode ours in one way.

A decoder allocates the size that the header states, and fills missing parts of damaged JPEG data with grey instead of
failing. So the size is read from the header first, and a JPEG must be whole: every marker after the start of its data
is valid at its place, up to the end of the picture. Damage within these rules (a flipped bit of the compressed data)
changes only pixels and is not detected. PNG has its own checksums.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from rollout3d.scenes.reading import ScanError, reading

if TYPE_CHECKING:
    from rollout3d.scenes.formats.packed import PackedPath

MAX_PIXELS = 1 << 25
"""Largest number of pixels; more are damage: an 8K frame has 33 million, the largest picture of the releases 2.8."""

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
_SIZED = {0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF}
"""Markers of the segment that states the size (ISO 10918-1, table B.1)."""
_SCAN, _END = 0xDA, 0xD9
_BARE = np.zeros(256, bool)
"""True for bytes that may follow 0xFF within compressed data: a stuffed zero, fill, restarts."""
_BARE[[0x00, 0xFF, *range(0xD0, 0xD8)]] = True
_BETWEEN = {0xC4, 0xCC, _SCAN, 0xDB, 0xDC, 0xDD, *range(0xE0, 0xF0), 0xFE}
"""Markers of the segments that may be between two scans; each states its length."""


def read_color(path: Path | PackedPath, size: tuple[int, int] | None = None) -> np.ndarray:
    """Return a picture (H,W,3) u8, RGB, of a JPEG or PNG file. Raises `ScanError`, also for another `size`."""
    with reading(path):
        return cv2.cvtColor(decode_picture(path.read_bytes(), cv2.IMREAD_COLOR, size), cv2.COLOR_BGR2RGB)


def read_depth(path: Path | PackedPath, size: tuple[int, int] | None = None) -> np.ndarray:
    """Return a depth picture (H,W) u16, millimetres, of a PNG file. Raises `ScanError`, also for another `size`."""
    with reading(path):
        picture = decode_picture(path.read_bytes(), cv2.IMREAD_UNCHANGED, size)
    if picture.ndim != 2 or picture.dtype != np.uint16:
        raise ScanError(path, "depth is expected as one channel of 16 bits, millimetres; download or export it again")
    return picture


def decode_picture(data: bytes, flags: int, size: tuple[int, int] | None = None) -> np.ndarray:
    """Decode a JPEG or PNG as stored, (H,W) or (H,W,3), BGR; an orientation in its metadata is not applied.

    `flags`: cv2.IMREAD_*, of which IMREAD_COLOR requires a picture in colour; `size`: its required (width, height).
    Raises ValueError that names the fault.
    """
    found = picture_size(data)
    if flags == cv2.IMREAD_COLOR and not _in_colour(data):
        raise ValueError("a grey picture, where one in colour is expected")
    if size is not None and found != tuple(size):
        raise ValueError(f"a picture of {found[0]}x{found[1]}, expected {size[0]}x{size[1]}")
    if not 0 < found[0] * found[1] <= MAX_PIXELS:
        raise ValueError(f"a picture that claims {found[0]}x{found[1]} pixels")
    if data.startswith(_JPEG):
        _require_whole_jpeg(data)
    try:
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), flags | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error as error:
        raise ValueError(f"a picture that cannot be decoded ({error.err})") from error
    if picture is None or picture.shape[1::-1] != found:
        raise ValueError("a picture that cannot be decoded: damaged or truncated")
    return picture


def encode_jpeg(rgb: np.ndarray, quality: int) -> bytes:
    """Encode a picture (H,W,3) u8, RGB, as JPEG of a quality from 1 to 100. Raises ValueError if that fails."""
    return _encoded(rgb, ".jpg", [cv2.IMWRITE_JPEG_QUALITY, quality])


def encode_png(rgb: np.ndarray) -> bytes:
    """Encode a picture (H,W,3) u8, RGB, as PNG. Raises ValueError if that fails."""
    return _encoded(rgb, ".png", [])


def _encoded(rgb: np.ndarray, suffix: str, options: list[int]) -> bytes:
    done, data = cv2.imencode(suffix, cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), options)
    if not done:
        raise ValueError(f"a picture of {rgb.shape} could not be encoded as {suffix}")
    return data.tobytes()


def picture_size(data: bytes) -> tuple[int, int]:
    """Return width and height in the header of a JPEG or PNG. Raises ValueError for anything else."""
    if data.startswith(_PNG) and len(data) >= 24:
        return struct.unpack_from(">II", data, 16)
    if data.startswith(_JPEG):
        for marker, at in _segments(data):
            if marker in _SIZED and at + 9 <= len(data):
                height, width = struct.unpack_from(">HH", data, at + 5)
                return width, height
    raise ValueError("neither a JPEG nor a PNG picture" if data else "no picture data")


def _in_colour(data: bytes) -> bool:
    """Return whether the header of a JPEG or PNG states more than one channel of grey."""
    if data.startswith(_PNG):
        return len(data) > 25 and bool(data[25] & 2)  # bit 1 of the colour type; a palette has it too
    return any(marker in _SIZED and at + 10 <= len(data) and data[at + 9] >= 3 for marker, at in _segments(data))


def _segments(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield marker and position of each segment of a JPEG, up to the first scan."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # fill
            at += 1
            continue
        yield marker, at
        if marker == _SCAN:
            return
        at += 2 + struct.unpack_from(">H", data, at + 2)[0]


def _require_whole_jpeg(data: bytes) -> None:
    """Raise ValueError for a JPEG whose data end early or have a marker that is not valid at its place."""
    start = next((at for marker, at in _segments(data) if marker == _SCAN), None)
    if start is None:
        raise ValueError("a JPEG picture without data")
    body = np.frombuffer(data, np.uint8)[start:]
    behind = start
    for at in (start + np.flatnonzero((body[:-1] == 0xFF) & ~_BARE[body[1:]])).tolist():
        if at < behind:
            continue  # part of a segment
        if data[at + 1] == _END:
            return
        if data[at + 1] not in _BETWEEN:
            raise ValueError(f"a damaged JPEG picture: byte {at} of its data starts no segment that may stand there")
        behind = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    raise ValueError("a truncated JPEG picture: its end is missing")
