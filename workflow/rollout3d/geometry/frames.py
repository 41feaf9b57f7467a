"""Frame sets: the frames of a video that belong to a set, from its name as `config/frames.py` writes it."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from rollout3d.config.frames import RATE, WHOLE
from rollout3d.geometry.camera import sample_indices

_NAME = re.compile(rf"(?P<policy>uniform|official)(?P<n>[1-9][0-9]*)|{RATE}|{WHOLE}")
_PATCH = 2
"""Frames of one temporal patch. [Qwen2.5-VL]"""
_FEWEST = 4
"""Least number of frames of a short video at a rate. [qwen_vl_utils, FPS_MIN_FRAMES; Video-R1]"""


@dataclass(frozen=True)
class FrameSet:
    """A frame set: `n` frames, at most `n` at `fps` frames per second, or all frames (`n` is None)."""

    name: str
    policy: str
    """uniform | official | the rate with its cap, such as fps1max64 | all."""
    n: int | None
    fps: float | None = None

    @property
    def n_shown(self) -> int | None:
        """Number of frames that a model sees of any video, repeated where it has fewer; None for a set at a rate and
        for all frames, each of which is shown once.
        """
        return self.n if self.fps is None else None

    def indices(self, n_frames: int, video_fps: float) -> list[int]:
        """Return the indices of the set's frames in a video of `n_frames` at `video_fps`, in growing order, each once.

        uniform: round(linspace(0, N - 1, n)), the rule of the whole pipeline. official: positions truncated, as
        np.linspace(0, N - 1, n, dtype=int) does in VSI-Bench's evaluation. At a rate: the video's length times the
        rate, made even, at least 4 and at most n, spread with rounding, as Qwen's `qwen_vl_utils.smart_nframes` and
        Video-R1's copy of it. all: every frame. Raises ValueError for a video without frames.
        """
        if n_frames < 1:
            raise ValueError(f"frame set {self.name}: the video has no frames")
        if self.n is None:
            return list(range(n_frames))
        if self.fps is not None:
            length = n_frames / video_fps * self.fps
            n = int(min(max(length, _FEWEST), self.n, n_frames)) // _PATCH * _PATCH
            found = sample_indices(n_frames, max(n, 1))
        elif self.policy == "official":
            found = np.linspace(0, n_frames - 1, self.n, dtype=int).tolist()
        else:
            found = sample_indices(n_frames, self.n)
        return list(dict.fromkeys(found))


def frame_set(name: str) -> FrameSet:
    """Return the frame set of a name. Raises ValueError for any other name."""
    found = _NAME.fullmatch(name)
    if found is None:
        raise ValueError(f"'{name}' is no frame set: write a name such as uniform16, official32, fps2max16 or all")
    if found["fps"]:
        return FrameSet(name, name, int(found["most"]), float(found["fps"]))
    if name == WHOLE:
        return FrameSet(name, name, None)
    return FrameSet(name, found["policy"], int(found["n"]))
