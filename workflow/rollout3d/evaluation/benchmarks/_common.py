"""What all benchmarks share: what they are prepared from, what they return, their errors, and how frames are stored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rollout3d.config import Config
from rollout3d.errors import UserError
from rollout3d.releases import MissingData
from rollout3d.resize import FACTOR, JPEG_QUALITY, resize_frame, smart_size
from rollout3d.tables.rows import FrameRow, QuestionRow


class BenchmarkError(UserError, ValueError):
    """A benchmark that cannot be prepared; the message says what is missing and how to get it."""


@dataclass(frozen=True)
class Reference:
    """The right answer to one question: `id` as predictions of others name it, `scene` the physical space of its video.

    `flags`: other columns of the release that decide which splits the question belongs to, and its cell. `question`,
    `options`: what a scorer may read of the question.
    """

    id: str
    question_type: str
    answer_type: str
    ground_truth: str
    scene: str
    flags: Mapping[str, Any]
    question: str = ""
    options: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Given:
    """What a benchmark is prepared from.

    `config`: the configuration, narrowed to the keys that the benchmark declares. `root`: folder of its released files.
    `sets`: names of the frame sets to store, sorted. `questions`, `frames`: tables of the study's own test scans, for a
    benchmark with `RELEASED = False`.
    """

    config: Config
    root: Path
    sets: tuple[str, ...]
    questions: Path | None = None
    frames: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Prepared:
    """Questions, frames (made while iterating, one scene after the other), and the files that they came from."""

    questions: list[QuestionRow]
    frames: Iterator[FrameRow]
    sources: tuple[Path, ...]


def require(name: str, root: Path, how: str) -> None:
    """Raise MissingData, which says `how` to get the benchmark, unless its folder `root` is there."""
    absent = missing_root(name, root, how)
    if absent:
        raise MissingData(absent)


def missing_root(name: str, root: Path, how: str) -> str | None:
    """Return a message if the folder `root` of a released benchmark is not there, with `how` to get it; else None."""
    if root.is_dir():
        return None
    return (
        f"{name}: nothing at {root}. To get it: {how}. If it lies elsewhere, say so in config/local.yaml "
        f"(config/README.md): site.benchmarks.{name}"
    )


def frame_row(scene: str, index: int, seconds: float, rgb: np.ndarray, sets: Sequence[str], config: Config) -> FrameRow:
    """Encode one frame of a benchmark's video at the size at which frames are stored.

    `rgb`: (height, width, 3) u8, upright. Camera and pose are null: no benchmark brings them.
    """
    from rollout3d.scenes.formats.pictures import encode_jpeg  # OpenCV loads late

    height, width = smart_size(rgb.shape[0], rgb.shape[1], FACTOR**2, config.video.eval_max_pixels)
    return {
        "scene_id": scene,
        "frame_index": index,
        "timestamp_s": seconds,
        "sets": list(sets),
        "image": {
            "bytes": encode_jpeg(resize_frame(rgb, height, width), JPEG_QUALITY),
            "path": f"{scene}_{index:06d}.jpg",
        },
        "width": width,
        "height": height,
        "source_width": rgb.shape[1],
        "source_height": rgb.shape[0],
        "K": None,
        "pose": None,
    }
