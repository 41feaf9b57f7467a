"""Frame sets by name: which frames of a video are stored, and which of them a model reads.

A set is a number of frames, a rate with a cap, or all frames. Names stand in the column `sets` of the frames tables:
`uniform16` (evenly spaced, both ends), `official32` (positions truncated, as VSI-Bench's evaluation does), `fps2max16`
(two per second, 16 at most), `all`. `geometry/frames.py` chooses the frames. Light: the Snakefile reads it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator

from rollout3d import doors

if TYPE_CHECKING:
    from rollout3d.config import Config
    from rollout3d.config.evaluation import Evaluation
    from rollout3d.config.sections import Video

RATE = r"fps(?P<fps>[1-9][0-9]*(?:\.[0-9]+)?|0\.[0-9]*[1-9])max(?P<most>[1-9][0-9]*)"
_RATE = re.compile(RATE)
WHOLE = "all"
"""Name of the set of all frames of a video."""

WHOLE_VIDEO = "full"
"""Name of the whole video where it stands beside frame sets: in the table visibility, and in what questions say."""


def _count(value: Any) -> Any:
    """Raise ValueError for a value that is neither a number of frames nor a rate; return it otherwise.

    Snakemake's `--config` hands over the numbers of a section in braces as text.
    """
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    if isinstance(value, str) and _RATE.fullmatch(value):
        return value
    raise ValueError(f"must be a number of frames, such as 16, or a rate with a cap, such as fps2max16, not {value!r}")


Frames = Annotated[int | str, BeforeValidator(_count)]
"""A number of evenly spaced frames, or a rate with a cap."""


def set_name(frames: int | str) -> str:
    """Return the name of the set that `Frames` describes: uniform16 | fps2max16."""
    return frames if isinstance(frames, str) else f"uniform{frames}"


def most_frames(frames: int | str) -> int:
    """Return the most frames that a set has. Raises ValueError for a text that is no rate."""
    if not isinstance(frames, str):
        return frames
    rate = _RATE.fullmatch(frames)
    if rate is None:
        raise ValueError(f"{frames!r} is no rate with a cap, such as fps2max16")
    return int(rate["most"])


def train_set(video: Video) -> str:
    """Return the name of the set that training and the difficulty filter read."""
    return set_name(video.train_frames)


def eval_set(evaluation: Evaluation, video: Video, benchmark: str | None = None) -> str:
    """Return the name of the set that evaluation reads: a benchmark's own (`FRAMES` of its file), else the study's."""
    own = doors.BENCHMARKS.constant(benchmark, "FRAMES", None) if benchmark else None
    if own is not None:
        return own
    policy = evaluation.frame_policy
    return policy if policy == WHOLE or _RATE.fullmatch(policy) else f"{policy}{video.eval_frames}"


def teacher_set(video: Video) -> str:
    """Return the name of the set that the teacher's frames are chosen from."""
    return set_name(video.eval_frames)


def evaluated_sets(config: Config) -> set[str]:
    """Return the names of the frame sets of scans that evaluation reads: none where benchmarks bring their videos."""
    shows_scans = any(not doors.BENCHMARKS.constant(n, "RELEASED", True) for n in config.evaluation.benchmarks)
    return {eval_set(config.evaluation, config.video)} if shows_scans else set()


def stored_sets(config: Config) -> set[str]:
    """Return the names of the sets of scans that stages under this configuration read."""
    return {train_set(config.video), teacher_set(config.video), *evaluated_sets(config)}
