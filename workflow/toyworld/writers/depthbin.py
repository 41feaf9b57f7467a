"""Write ScanNet++'s `iphone/depth.bin`: 256x192 depth images in one of the three packings found in the release."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from types import TracebackType
from typing import Literal

import lz4.block
import numpy as np

from toyworld.writers.placement import nearest

WIDTH, HEIGHT = 256, 192
GRAIN_M = 0.01
"""Step of the written depths, metres: a phone's depth is no more exact, and 60 images per second stay small."""

Packing = Literal["stream", "records_lz4", "records_deflate"]


class DepthBinWriter:
    """Writes depth images frame by frame; use as a context manager.

    `stream`: the file is one raw-deflate stream of float32 metres. `records_lz4`, `records_deflate`: each frame is a
    uint32 size and a payload, an LZ4 block of uint16 millimetres or a raw-deflate stream of float32 metres.
    """

    def __init__(self, path: Path, packing: Packing):
        self._file, self._packing = path.open("wb"), packing
        self._deflate = _raw_deflate()

    def add(self, depth: np.ndarray, repeat: int = 1) -> None:
        """Append depth (H, W) metres, 0 = none, of any size, `repeat` times."""
        metres = np.round(nearest(depth, WIDTH, HEIGHT) / GRAIN_M) * GRAIN_M
        if self._packing == "records_lz4":
            raw = np.round(metres * 1000).astype("<u2").tobytes()
            payload = lz4.block.compress(raw, mode="high_compression", compression=9, store_size=False)
        elif self._packing == "records_deflate":
            deflate = _raw_deflate()
            payload = deflate.compress(metres.astype("<f4").tobytes()) + deflate.flush()
        else:
            # A full flush makes the frame's blocks independent of earlier ones, so they may be repeated.
            payload = self._deflate.compress(metres.astype("<f4").tobytes()) + self._deflate.flush(zlib.Z_FULL_FLUSH)
        if self._packing != "stream":
            payload = struct.pack("<I", len(payload)) + payload
        self._file.write(payload * repeat)

    def __enter__(self) -> DepthBinWriter:
        return self

    def __exit__(self, error_type: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error_type is None and self._packing == "stream":
            self._file.write(self._deflate.flush())
        self._file.close()


def _raw_deflate():
    return zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
