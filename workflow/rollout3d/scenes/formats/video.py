"""Read frames of a video by index: the only reader of videos in the package.

Frames are counted by packets, without decoding. `Video.frame` decodes single frames from the previous key frame.
`Video.sample` decodes the whole video once, which detects damage anywhere in it.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Collection, Iterator
from fractions import Fraction
from pathlib import Path

import av
import av.container
import av.error
import numpy as np
from av.video.reformatter import VideoReformatter

from rollout3d.fingerprint import note
from rollout3d.scenes.formats.pictures import MAX_PIXELS
from rollout3d.scenes.reading import ScanError, reading

LOG = logging.getLogger(__name__)
_NEAR = 8
"""Frames up to which decoding on is faster than seeking to a key frame."""
_STRICT = {"err_detect": "explode"}
"""Options with which a decoder raises an error where it would else conceal one. Stricter values detect no more."""
_EARLY = 0.05
"""Share of its stated length that a video may end early without a warning, if the container states no number of frames:
sound may be longer than the pictures."""
_GAP = 1.5
"""Typical steps between two frames from which frames are missing between them: a lost frame doubles the step."""


class Video:
    """An open video. Read frames in growing order, so that the decoder continues instead of seeking.

    `data`: the content of the video, for a member of an archive; `path` then only names it in messages.

    n_frames counts packets without those that an edit list hides, because Matroska states no reliable number. fps is
    the stream's average rate. rotation_deg is the container's counter-clockwise turn that makes frames upright, known
    after a frame is decoded. `flags` are signs of lost frames that do not prove damage: `video_gaps:N` for N gaps in
    time, `video_ends_early:4.2_of_6.0s` for fewer seconds than the container states, `video_rate:25_not_60` for frames
    at other times than those of the stated rate.

    Raises `ScanError` for a file that is no video or is damaged, and for one with fewer frames than it states.
    """

    def __init__(self, path: Path, data: bytes | None = None):
        self.path, self._data = path, data
        if data is None:
            note(path)
        self._container = self._open()
        try:
            with reading(path):
                self._index()
        except (av.error.FFmpegError, IndexError) as error:
            self.close()
            raise ScanError(path, f"damaged or without a video stream ({error})") from error
        except ScanError:
            self.close()
            raise

    def _open(self, **options: str) -> av.container.InputContainer:
        source = str(self.path) if self._data is None else io.BytesIO(self._data)
        try:
            return av.open(source, "r", metadata_errors="replace", options=options)
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise ScanError(self.path, f"cannot be opened as a video ({error})") from error

    def _index(self) -> None:
        self._stream = self._container.streams.video[0]
        if self._stream.codec_context is None or self._stream.time_base is None:
            raise ScanError(self.path, "a video in an unknown coding")
        self._time_base = self._stream.time_base
        self._stream.thread_type = "AUTO"
        times, keys, n_cut = [], [], 0
        for packet in self._container.demux(self._stream):
            if packet.pts is not None:
                n_cut += packet.is_corrupt
                if not packet.is_discard:  # else it is needed to decode later frames, and not displayed
                    times.append(packet.pts)
                if packet.is_keyframe:
                    keys.append(packet.pts)
        if not times or not keys:
            raise ScanError(self.path, "a video without frames")
        self._check_whole(len(times), n_cut)
        self._times, self._keys = np.unique(times), np.unique(keys)
        self.n_frames = len(self._times)
        self.width, self.height = self._stream.codec_context.width, self._stream.codec_context.height
        if not 0 < self.width * self.height <= MAX_PIXELS:
            raise ScanError(self.path, f"claims frames of {self.width}x{self.height} pixels")
        self.fps = float(self._stream.average_rate or self._stream.guessed_rate or self._measured_rate())
        self._reformatter = VideoReformatter()  # one for all frames: creating it costs more than converting a frame
        self._frames: Iterator[av.VideoFrame] | None = None
        self._last = -1
        self.rotation_deg = 0
        self._kept: np.ndarray | None = None
        self.flags = self._signs_of_loss()

    def _signs_of_loss(self) -> list[str]:
        steps = np.diff(self._times)
        gaps = int((steps > _GAP * np.median(steps)).sum()) if len(steps) > 1 else 0
        flags = [f"video_gaps:{gaps}"] if gaps else []
        early = self._early_end()
        if early:
            flags.append(f"video_ends_early:{early[0]:.1f}_of_{early[1]:.1f}s")
        measured = self._measured_rate()
        if not gaps and len(steps) > 1 and not 1 / _GAP < self.fps / measured < _GAP:
            flags.append(f"video_rate:{self.fps:.3g}_not_{measured:.3g}")
        return flags

    def _check_whole(self, n_found: int, n_cut: int) -> None:
        """Raise ScanError for fewer frames than the container states (MP4 states a number, Matroska does not).

        An edit list hides frames at both ends: where the numbers differ, frames are counted again without it.
        """
        stated = self._stream.frames
        if stated and n_cut:
            raise ScanError(self.path, f"ends within a frame: {n_found - n_cut} of {stated} are whole")
        if stated > n_found:
            with self._open(ignore_editlist="1") as container:
                packets = container.demux(container.streams.video[0])
                n_found = sum(packet.size > 0 and not packet.is_corrupt for packet in packets)
            if stated > n_found:
                raise ScanError(self.path, f"holds {n_found} of the {stated} frames that it states")

    def _measured_rate(self) -> float:
        seconds = (self._times[-1] - self._times[0]) * Fraction(self._time_base)
        return float((self.n_frames - 1) / seconds) if seconds else 1.0

    def frame(self, index: int) -> np.ndarray:
        """Return a frame (height, width, 3) u8, RGB. Raises `ScanError`, IndexError for another index."""
        if not 0 <= index < self.n_frames:
            raise IndexError(f"frame {index} of a video of {self.n_frames}")
        if index == self._last and self._kept is not None:
            return self._kept
        target = int(self._times[index])
        key = int(self._keys[max(np.searchsorted(self._keys, target, side="right") - 1, 0)])
        runs_on = self._frames is not None and index > self._last
        # Seek forward to a later key frame, unless it is so near that decoding up to it is faster than seeking.
        short_cut = runs_on and key > self._times[self._last] and index - self._last > _NEAR
        try:
            if self._frames is None or not runs_on or short_cut:
                self._container.seek(key, stream=self._stream, backward=True)
                self._frames = self._container.decode(self._stream)
            for frame in self._frames:
                if frame.pts is None or frame.pts < target:
                    continue
                if frame.pts > target:
                    raise ScanError(self.path, f"frame {index} cannot be decoded")
                self._kept = self._picture(frame, index)
                self._last = index
                return self._kept
        except ScanError:
            raise
        except (av.error.FFmpegError, EOFError, ValueError, ArithmeticError) as error:
            raise ScanError(self.path, f"frame {index} cannot be decoded ({error})") from error
        raise ScanError(self.path, f"ends before frame {index} of {self.n_frames}")

    def upright(self, index: int) -> np.ndarray:
        """Return a frame as `frame` does, turned upright as the container states. Raises `ScanError`."""
        return self._upright(self.frame(index))

    def _upright(self, picture: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(np.rot90(picture, round(self.rotation_deg / 90)))

    def sample(self, indices: Collection[int]) -> Iterator[tuple[int, float, np.ndarray]]:
        """Decode the whole video once; yield each wanted frame: index, seconds since the first frame, upright RGB.

        Frames are in growing order, each once. All frames are decoded, wanted or not, and errors of the decoder are not
        concealed, because a frame that is interpolated from its neighbours looks intact. Raises ScanError for a frame
        that does not decode without an error, and for a frame that is missing at its time.
        """
        self._warn_of_early_end()
        wanted, n = set(indices), 0
        try:
            with self._open() as container:
                stream = container.streams.video[0]
                stream.thread_type = "AUTO"
                stream.codec_context.options = _STRICT
                for frame in container.decode(stream):
                    if n and frame.pts == self._times[n - 1]:
                        continue  # two packets with one time count as one frame
                    if n == self.n_frames or frame.pts is None or frame.pts != self._times[n]:
                        raise ScanError(self.path, f"frame {n} of {self.n_frames} cannot be decoded")
                    if frame.is_corrupt:
                        raise ScanError(self.path, f"frame {n} is damaged")
                    if n in wanted:
                        picture = self._picture(frame, n)
                        seconds = float((frame.pts - int(self._times[0])) * Fraction(self._time_base))
                        yield n, seconds, self._upright(picture)
                    n += 1
        except ScanError:
            raise
        except (av.error.FFmpegError, EOFError, ValueError, ArithmeticError) as error:
            raise ScanError(self.path, f"frame {n} or one soon after it cannot be decoded ({error})") from error
        if n < self.n_frames:
            raise ScanError(self.path, f"{n} of {self.n_frames} frames can be decoded")

    def _warn_of_early_end(self) -> None:
        early = self._early_end()
        if early:
            LOG.warning("%s: ends after %.1f of %.1f seconds: cut?", self.path, *early)

    def _early_end(self) -> tuple[float, float] | None:
        """Return the duration of the frames and the stated one, seconds, if the frames end early, else None."""
        stated = self._container.duration  # microseconds
        seconds = float((self._times[-1] - self._times[0]) * Fraction(self._time_base)) + 1 / self.fps
        if self._stream.frames or not stated or seconds >= (1 - _EARLY) * stated / av.time_base:
            return None
        return seconds, stated / av.time_base

    def _picture(self, frame: av.VideoFrame, index: int) -> np.ndarray:
        self.rotation_deg = int(frame.rotation)
        if (frame.width, frame.height) != (self.width, self.height):
            size = f"{frame.width}x{frame.height}, not {self.width}x{self.height}"
            raise ScanError(self.path, f"frame {index} has another size than the video: {size}")
        if frame.is_corrupt:
            raise ScanError(self.path, f"frame {index} is damaged")
        return self._reformatter.reformat(frame, format="rgb24", threads=1).to_ndarray()

    def close(self) -> None:
        self._container.close()
