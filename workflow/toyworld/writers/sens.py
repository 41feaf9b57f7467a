"""Write ScanNet's `.sens` container, version 4: RGB-D frames with poses, then inertial records; little-endian."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np

SENSOR = b"StructureSensor"
_JPEG, _ZLIB_USHORT = 2, 1
_DEPTH_SHIFT = 1000.0


class SensWriter:
    """Writes a `.sens` file frame by frame; use as a context manager.

    `K_color` and `K_depth` are (3, 3), for colour and depth of their own sizes (width, height). `n_frames` must be the
    number of `add` calls, since it is written before the frames.
    """

    def __init__(
        self,
        path: Path,
        K_color: np.ndarray,
        color_size: tuple[int, int],
        K_depth: np.ndarray,
        depth_size: tuple[int, int],
        n_frames: int,
    ):
        self._expected, self._written, self._path = n_frames, 0, path
        self._file = path.open("wb")
        write = self._file.write
        write(struct.pack("<IQ", 4, len(SENSOR)) + SENSOR)
        for K in (K_color, K_depth):
            intrinsic = np.eye(4)
            intrinsic[:3, :3] = K
            write(_floats(intrinsic) + _floats(np.eye(4)))  # intrinsic, then an identity extrinsic
        write(struct.pack("<ii", _JPEG, _ZLIB_USHORT))
        write(struct.pack("<IIII", *color_size, *depth_size))
        write(struct.pack("<fQ", _DEPTH_SHIFT, n_frames))

    def add(self, rgb: np.ndarray, depth_mm: np.ndarray, pose: np.ndarray | None, time_us: int) -> None:
        """Append a frame: rgb (H, W, 3) uint8, depth (h, w) uint16 mm, camera-to-world (4, 4) or None if lost."""
        encoded, jpeg = cv2.imencode(".jpg", rgb[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])
        if not encoded:
            raise ValueError(f"{self._path}: frame {self._written} could not be encoded as JPEG")
        color, depth = jpeg.tobytes(), zlib.compress(depth_mm.astype("<u2").tobytes(), 3)
        self._file.write(_floats(np.full((4, 4), -np.inf) if pose is None else pose))
        # Depth is captured 1.2 ms after colour.
        self._file.write(struct.pack("<QQQQ", time_us, time_us + 1200, len(color), len(depth)))
        self._file.write(color + depth)
        self._written += 1

    def finish(self, inertial: Iterable[tuple[np.ndarray, int]]) -> None:
        """Append inertial records (values (15,), microseconds).

        The values are rotation rate, acceleration, magnetic field, attitude and gravity. Raises ValueError if fewer or
        more frames were added than announced.
        """
        if self._written != self._expected:
            raise ValueError(f"{self._path}: {self._expected} frames announced, {self._written} written")
        records = list(inertial)
        self._file.write(struct.pack("<Q", len(records)))
        for values, time_us in records:
            self._file.write(struct.pack("<15dQ", *values, time_us))

    def __enter__(self) -> SensWriter:
        return self

    def __exit__(self, error_type: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()


def _floats(matrix: np.ndarray) -> bytes:
    return np.asarray(matrix, dtype="<f4").tobytes()
