"""H.264 in Matroska, the same bytes on every run."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

import av
import av.codec.context
import numpy as np


class VideoWriter:
    """Writes RGB frames to a Matroska file; use as a context manager.

    One thread and the bit-exact flags keep clocks, random ids and the scheduler out of the file. crf 10 without
    B-frames leaves an error of about a grey level beside what 4:2:0 does to colour edges; a key frame a second lets
    readers seek.
    """

    def __init__(self, path: Path, fps: int, width: int, height: int):
        if width % 2 or height % 2:
            raise ValueError(f"{path}: a 4:2:0 video needs an even width and height, not {width}x{height}")
        self._container = av.open(str(path), "w", format="matroska", options={"fflags": "+bitexact"})
        stream = self._container.add_stream("libx264", rate=fps)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"crf": "10", "preset": "ultrafast", "bf": "0", "g": str(fps)}
        stream.codec_context.thread_count = 1
        stream.codec_context.flags |= av.codec.context.Flags.bitexact
        self._stream = stream

    def add(self, rgb: np.ndarray, repeat: int = 1) -> None:
        """Append a frame (H, W, 3) uint8, `repeat` times."""
        for _ in range(repeat):
            self._container.mux(self._stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None:
            self._container.mux(self._stream.encode())
        self._container.close()
