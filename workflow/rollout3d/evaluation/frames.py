"""Which frames of a benchmark's video a model is shown: the policies of `evaluation.frame_policy`. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from rollout3d.config import Evaluation, Video
from rollout3d.geometry.camera import sample_indices

_FPS = re.compile(r"fps(?P<fps>[0-9.]+)max(?P<most>[0-9]+)")
_PATCH = 2
"""Frames of one temporal patch. [Qwen2.5-VL]"""
_FEWEST = 4
"""Frames that a short video gives at least at a rate. [qwen_vl_utils, FPS_MIN_FRAMES]"""


@dataclass(frozen=True)
class FrameChoice:
    """A policy with its numbers: `n` frames, or at most `n` at the rate `fps`."""

    policy: str
    """As in the configuration: uniform | official | fps1max64."""
    n: int
    fps: float | None = None

    @property
    def frame_set(self) -> str:
        """Name of the sampling in the frames table: eval32 | official32 | fps1max64."""
        return {"uniform": f"eval{self.n}", "official": f"official{self.n}"}.get(self.policy, self.policy)

    def indices(self, n_frames: int, video_fps: float) -> list[int]:
        """Indices of the frames to show of a video of `n_frames` at `video_fps`, growing, each once.

        uniform: round(linspace(0, N - 1, n)), the rule of the whole pipeline. official: positions truncated, as
        np.linspace(0, N - 1, n, dtype=int) does in VSI-Bench's evaluation. At a rate: as many frames as the video's
        length gives, even, at least 4 and at most n, spread with rounding, as Qwen's `qwen_vl_utils.smart_nframes`.
        Raises ValueError for a video without frames.
        """
        if n_frames < 1:
            raise ValueError("a video without frames")
        if self.fps is not None:
            length = n_frames / video_fps * self.fps
            n = int(min(max(length, _FEWEST), self.n, n_frames)) // _PATCH * _PATCH
            found = sample_indices(n_frames, max(n, 1))
        elif self.policy == "official":
            found = np.linspace(0, n_frames - 1, self.n, dtype=int).tolist()
        else:
            found = sample_indices(n_frames, self.n)
        return list(dict.fromkeys(found))


def choice(config: Evaluation, video: Video, run: str | None = None) -> FrameChoice:
    """The frames that `run` is shown: by its own policy, else by that of all runs."""
    own = config.frame_policy_of if run else {}
    return _parsed(own.get(run) or config.frame_policy, video)


def choices(config: Evaluation, video: Video) -> list[FrameChoice]:
    """What the runs of a study are shown, each choice once: a benchmark stores the frames of all of them."""
    return [_parsed(policy, video) for policy in sorted({config.frame_policy, *config.frame_policy_of.values()})]


def _parsed(policy: str, video: Video) -> FrameChoice:
    rate = _FPS.fullmatch(policy)
    if rate:
        return FrameChoice(policy, int(rate["most"]), float(rate["fps"]))
    return FrameChoice(policy, video.eval_frames)
