"""ScanNet++'s `depth.bin`: the iPhone's depth, in its two layouts.

A: the whole file is one raw deflate stream of float32 metres. B: each frame is a u32 size and a payload, either an
LZ4 block of uint16 millimetres or raw deflate of float32 metres. Frames are 256x192 pixels and match the video's.
Tested with files written from this description, not with a released one, which the licence keeps private.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import lz4.block
import numpy as np

from rollout3d.scenes.reading import ScanError, closed_on_error, reading

WIDTH, HEIGHT = 256, 192
_MILLIMETRES = WIDTH * HEIGHT * 2
_METRES = WIDTH * HEIGHT * 4
_FARTHEST_M = 100.0
"""Largest valid depth, metres: the sensor measures up to 5 m."""
_CHUNK = 1 << 16
"""Bytes that are read from a stream at once."""
_LARGEST_PAYLOAD = 4 * _METRES
"""Largest size of a compressed frame, bytes: a larger stated size means layout A, or damage."""
_SMALLEST_PAYLOAD = _METRES // 1032
"""Smallest size of a compressed frame, bytes: deflate compresses by a factor of 1032 at most, LZ4 by less."""


class DepthBin:
    """An open `depth.bin`. Read frames of layout A in growing order: a step back decompresses from the start."""

    def __init__(self, path: Path):
        self.path = path
        with reading(path):
            self._file = open(path, "rb")  # noqa: SIM115 - held open until close()
        with closed_on_error(self.close), reading(path):
            self._offsets = self._index()
        self._restart()

    def frame(self, index: int) -> np.ndarray | None:
        """Return depth (192,256) f32, metres, 0 = unknown; None after the last frame. Raises `ScanError` for damage."""
        with reading(self.path):
            if self._offsets is None:
                return self._from_stream(index)
            if index >= len(self._offsets):
                return None
            offset, size = self._offsets[index]
            self._file.seek(offset)
            depth = _decode(self._file.read(size))
            if depth is None:
                raise ScanError(self.path, f"depth frame {index} cannot be decoded")
            return depth

    def _index(self) -> list[tuple[int, int]] | None:
        """Return offset and size of each frame's payload in layout B; None for a file in layout A."""
        end = self._file.seek(0, 2)
        if not end:
            raise ScanError(self.path, "is empty")
        at, offsets = 0, []
        while at + 4 <= end:
            self._file.seek(at)
            (size,) = struct.unpack("<I", self._file.read(4))
            plausible = _SMALLEST_PAYLOAD <= size <= _LARGEST_PAYLOAD
            if not offsets and not (plausible and size <= end - 4 and _decode(self._file.read(size)) is not None):
                return None
            if not plausible:
                raise ScanError(self.path, f"depth frame {len(offsets)} claims {size} bytes")
            if at + 4 + size > end:
                break  # the recording ended within a frame: the frames before it are whole
            offsets.append((at + 4, size))
            at += 4 + size
        return offsets

    def _restart(self) -> None:
        """Start to decompress layout A from its first frame."""
        self._inflate = zlib.decompressobj(wbits=-15)
        self._position = 0
        self._next = 0
        self._tail = self._current = b""

    def _from_stream(self, index: int) -> np.ndarray | None:
        if index < self._next - 1:
            self._restart()
        while self._next <= index:
            data = self._read_stream(_METRES)
            if len(data) < _METRES:
                if self._next == 0:
                    raise ScanError(self.path, "neither of the two known layouts of depth.bin")
                return None
            self._next += 1
            self._current = data
        return _metres(self._current)

    def _read_stream(self, size: int) -> bytes:
        parts, missing = [], size
        while missing and not self._inflate.eof:
            if not self._tail:
                self._file.seek(self._position)
                self._tail = self._file.read(_CHUNK)
                self._position += len(self._tail)
            ended = not self._tail
            # At the end of the file the decompressor may still have output.
            part = self._inflate.decompress(self._tail, missing)
            self._tail = self._inflate.unconsumed_tail
            parts.append(part)
            missing -= len(part)
            if ended and not part:
                break
        return b"".join(parts)

    def close(self) -> None:
        self._file.close()


def _decode(payload: bytes) -> np.ndarray | None:
    """Return a payload of layout B as metres; None for data in neither of its two encodings."""
    try:
        raw = lz4.block.decompress(payload, uncompressed_size=_MILLIMETRES)
        if len(raw) == _MILLIMETRES:
            return np.frombuffer(raw, "<u2").reshape(HEIGHT, WIDTH).astype(np.float32) / np.float32(1000)
    except lz4.block.LZ4BlockError:
        pass
    try:
        inflate = zlib.decompressobj(wbits=-15)
        raw = inflate.decompress(payload, _METRES + 1)
    except zlib.error:
        return None
    try:
        return _metres(raw) if len(raw) == _METRES else None
    except ValueError:
        return None


def _metres(raw: bytes) -> np.ndarray:
    """Return depth (192,256) f32 from its bytes, 0 where not finite. Raises ValueError for impossible depths."""
    depth = np.nan_to_num(np.frombuffer(raw, "<f4").reshape(HEIGHT, WIDTH), nan=0.0, posinf=0.0, neginf=0.0)
    if depth.min() < 0 or depth.max() > _FARTHEST_M:
        raise ValueError(f"depth from {depth.min():.4g} to {depth.max():.4g} m: damaged, or another layout")
    return depth
