"""ScanNet's `.sens`: colour, depth and pose of every frame in one file, read by seeking.

Layout: that of the released reader, version 4, and version 3, which ends without the IMU block (the block is not
needed, so files without it are read too). Only the index is held in memory, and every count and size is compared with
the file before memory is allocated for it. The layout was tested with files written from its description, not with a
released scan, which the licence keeps private.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np

from rollout3d.scenes.formats.pictures import MAX_PIXELS, decode_picture
from rollout3d.scenes.reading import ScanError, closed_on_error, reading
from rollout3d.scenes.scan import intrinsics

_FRAME = struct.Struct("<16f4Q")
_COLOR = {0: "raw", 1: "png", 2: "jpeg"}
_DEPTH = {0: "raw", 1: "zlib"}
_LONGEST_NAME = 4096
_SHIFTS = 50.0, 200_000.0
"""Smallest and largest depth units per metre: the largest depth in 16 bits is then 1,300 and 0.3 m."""
_PICTURE = (b"\x89PNG", b"\xff\xd8\xff")


class SensFile:
    """An open `.sens` file: sizes, intrinsics, poses, and frames on demand.

    color_K, depth_K (3,3); color_size, depth_size (width, height); poses (N,4,4) f64 camera-to-world in the raw
    world, with -inf where tracking was lost; times (N,) f64 of the colour pictures, in units of the recorder.
    Only the index is held in memory. Raises `ScanError` for a file of another version, a truncated one, an unsupported
    compression, or a header with impossible numbers (sizes, intrinsics, more frames than bytes).
    """

    def __init__(self, path: Path):
        self.path = path
        with reading(path):
            self._file = open(path, "rb")  # noqa: SIM115 - held open until close()
        with closed_on_error(self.close), reading(path):
            self._read_header()
            self._index()

    def _unpack(self, code: str) -> tuple:
        data = self._file.read(struct.calcsize(code))
        if len(data) < struct.calcsize(code):
            raise ScanError(self.path, "truncated within the header")
        return struct.unpack(code, data)

    def _read_header(self) -> None:
        (version,) = self._unpack("<I")
        if version not in (3, 4):
            raise ScanError(self.path, f"version {version}: only versions 3 and 4 are known")
        (name_length,) = self._unpack("<Q")
        if name_length > _LONGEST_NAME:
            raise ScanError(self.path, "not a .sens file")
        self._file.read(name_length)
        matrices = np.array(self._unpack("<64f"), np.float64).reshape(4, 4, 4)
        # The extrinsics are the identity in released files, because colour is registered to the pose of depth.
        color, depth = self._unpack("<2i")
        if color not in _COLOR or depth not in _DEPTH:
            raise ScanError(self.path, f"unsupported compression of colour ({color}) or depth ({depth})")
        self._color, self._depth = _COLOR[color], _DEPTH[depth]
        color_w, color_h, depth_w, depth_h, self.depth_shift, self.n_frames = self._unpack("<4IfQ")
        self.color_size, self.depth_size = (color_w, color_h), (depth_w, depth_h)
        for what, (width, height) in (("colour", self.color_size), ("depth", self.depth_size)):
            if not 0 < width * height <= MAX_PIXELS:
                raise ScanError(self.path, f"claims {what} pictures of {width}x{height} pixels")
        self.color_K = intrinsics(matrices[0, :3, :3], self.color_size)
        self.depth_K = intrinsics(matrices[2, :3, :3], self.depth_size)
        if not _SHIFTS[0] <= self.depth_shift <= _SHIFTS[1]:
            raise ScanError(self.path, f"depth shift {self.depth_shift}, in units per metre")

    def _index(self) -> None:
        size = self.path.stat().st_size
        at = self._file.tell()
        if self.n_frames * _FRAME.size > size - at:
            raise ScanError(
                self.path, f"claims {self.n_frames} frames, more than its {size} bytes can hold: truncated or damaged"
            )
        self.poses = np.empty((self.n_frames, 4, 4))
        self.times = np.empty(self.n_frames)
        # Offset of the colour bytes, their number, and the number of depth bytes after them.
        self._where = np.empty((self.n_frames, 3), np.int64)
        for i in range(self.n_frames):
            self._file.seek(at)
            head = self._file.read(_FRAME.size)
            if len(head) < _FRAME.size:
                raise ScanError(self.path, f"truncated: frame {i} of {self.n_frames} is missing")
            values = _FRAME.unpack(head)
            self.times[i] = values[16]
            n_color, n_depth = values[18:]
            end = at + _FRAME.size + n_color + n_depth
            if end > size:
                raise ScanError(
                    self.path,
                    f"truncated within frame {i} of {self.n_frames}: it ends at byte {end}, the file at {size}",
                )
            self.poses[i] = np.reshape(values[:16], (4, 4))
            self._where[i] = at + _FRAME.size, n_color, n_depth
            at = end
        if self._frame_at(at, size):
            raise ScanError(self.path, f"states {self.n_frames} frames and holds more: its header is damaged")

    def _frame_at(self, at: int, size: int) -> bool:
        """Return whether a frame with an encoded picture begins at `at`, the place of the IMU block."""
        self._file.seek(at)
        head = self._file.read(_FRAME.size)
        if len(head) < _FRAME.size:
            return False
        n_color, n_depth = _FRAME.unpack(head)[18:]
        return at + _FRAME.size + n_color + n_depth <= size and self._file.read(4).startswith(_PICTURE)

    def color(self, index: int) -> np.ndarray:
        """Return the colour picture of a frame, (height, width, 3) u8 RGB. Raises `ScanError`."""
        start, n_color, _ = self._where[index].tolist()
        data = self._read(start, n_color)
        width, height = self.color_size
        try:
            if self._color == "raw":
                return np.frombuffer(data, np.uint8).reshape(height, width, 3)
            return cv2.cvtColor(decode_picture(data, cv2.IMREAD_COLOR, self.color_size), cv2.COLOR_BGR2RGB)
        except ValueError as error:
            raise ScanError(self.path, f"colour of frame {index}: {error}") from error

    def depth(self, index: int) -> np.ndarray:
        """Return the depth picture of a frame, (height, width) f32, metres, 0 = unknown. Raises `ScanError`."""
        start, n_color, n_depth = self._where[index].tolist()
        data = self._read(start + n_color, n_depth)
        width, height = self.depth_size
        expected = 2 * width * height
        try:
            # At most one byte too many, so that a small block that expands to gigabytes is not unpacked.
            raw = zlib.decompressobj().decompress(data, expected + 1) if self._depth == "zlib" else data
        except zlib.error as error:
            raise ScanError(self.path, f"depth of frame {index}: {error}") from error
        if len(raw) != expected:
            raise ScanError(self.path, f"depth of frame {index}: not the {expected} bytes of {width}x{height} pixels")
        values = np.frombuffer(raw, "<u2").reshape(height, width)
        return values.astype(np.float32) * np.float32(1.0 / self.depth_shift)

    def _read(self, start: int, size: int) -> bytes:
        with reading(self.path):
            self._file.seek(start)
            return self._file.read(size)

    def close(self) -> None:
        self._file.close()
