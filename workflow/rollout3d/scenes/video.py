"""Frames of a video file by index: counted by its packets, decoded by seeking to the key frame before."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from rollout3d.fingerprint import note
from rollout3d.scenes.pictures import MAX_PIXELS
from rollout3d.scenes.scan import ScanError, reading

_NEAR = 8


class Video:
    """An open video file. Frames come cheapest in growing order: the decoder then runs on instead of seeking.

    n_frames counts packets, because Matroska states no reliable number, and leaves out those that an edit list hides;
    fps is the stream's average rate; rotation_deg, known once a frame is decoded, is how far to turn frames
    counter-clockwise to make them upright, as the container states it.
    Raises `ScanError` for a file that is no video or is damaged.
    """

    def __init__(self, path: Path):
        self.path = path
        try:
            self._container = av.open(str(note(path)), metadata_errors="replace")
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise ScanError(path, f"cannot be opened as a video ({error})") from error
        try:
            with reading(path):
                self._index()
        except (av.error.FFmpegError, IndexError) as error:
            self.close()
            raise ScanError(path, f"damaged or without a video stream ({error})") from error
        except ScanError:
            self.close()
            raise

    def _index(self) -> None:
        self._stream = self._container.streams.video[0]
        if self._stream.codec_context is None:
            raise ScanError(self.path, "a video in an unknown coding")
        self._stream.thread_type = "AUTO"
        times, keys = [], []
        for packet in self._container.demux(self._stream):
            if packet.pts is not None:
                if not packet.is_discard:  # decoded on the way to what follows, but never shown
                    times.append(packet.pts)
                if packet.is_keyframe:
                    keys.append(packet.pts)
        if not times or not keys:
            raise ScanError(self.path, "a video without frames")
        self._times, self._keys = np.unique(times), np.unique(keys)
        self.n_frames = len(self._times)
        self.width, self.height = self._stream.codec_context.width, self._stream.codec_context.height
        if not 0 < self.width * self.height <= MAX_PIXELS:
            raise ScanError(self.path, f"claims frames of {self.width}x{self.height} pixels")
        self.fps = float(self._stream.average_rate or self._stream.guessed_rate or self._measured_rate())
        self._reformatter = VideoReformatter()  # kept: a new one for each frame costs more than the frame
        self._frames: Iterator[av.VideoFrame] | None = None
        self._last = -1
        self.rotation_deg = 0
        self._kept: np.ndarray | None = None

    def _measured_rate(self) -> float:
        seconds = (self._times[-1] - self._times[0]) * Fraction(self._stream.time_base)
        return float((self.n_frames - 1) / seconds) if seconds else 1.0

    def frame(self, index: int) -> np.ndarray:
        """A frame (height, width, 3) u8, RGB."""
        if not 0 <= index < self.n_frames:
            raise IndexError(f"frame {index} of a video of {self.n_frames}")
        if index == self._last and self._kept is not None:
            return self._kept
        target = int(self._times[index])
        key = int(self._keys[max(np.searchsorted(self._keys, target, side="right") - 1, 0)])
        runs_on = self._frames is not None and index > self._last
        # A key frame further on is a short cut, unless it is so near that decoding up to it is quicker than seeking.
        short_cut = runs_on and key > self._times[self._last] and index - self._last > _NEAR
        try:
            if not runs_on or short_cut:
                self._container.seek(key, stream=self._stream, backward=True)
                self._frames = self._container.decode(self._stream)
            for frame in self._frames:
                if frame.pts is None or frame.pts < target:
                    continue
                if frame.pts > target:
                    raise ScanError(self.path, f"frame {index} cannot be decoded")
                self.rotation_deg = int(frame.rotation)
                if (frame.width, frame.height) != (self.width, self.height):
                    size = f"{frame.width}x{frame.height}, not {self.width}x{self.height}"
                    raise ScanError(self.path, f"frame {index} has another size than the video: {size}")
                if frame.is_corrupt:
                    raise ScanError(self.path, f"frame {index} is damaged")
                picture = self._reformatter.reformat(frame, format="rgb24", threads=1)
                self._last, self._kept = index, picture.to_ndarray()
                return self._kept
        except ScanError:
            raise
        except (av.error.FFmpegError, EOFError, ValueError, ArithmeticError) as error:
            raise ScanError(self.path, f"frame {index} cannot be decoded ({error})") from error
        raise ScanError(self.path, f"ends before frame {index} of {self.n_frames}")

    def close(self) -> None:
        self._container.close()
