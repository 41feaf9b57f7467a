"""The `media` column of question tables: the meaning of its paths, and how to read it when it does not fit into memory.

A picture whose path is `video/SECONDS.jpg` is a frame of the question's own video at that time. The frames stand in
time order and belong to one video. The path may continue with the frame's index, the video's number of frames, rate and
size, from which other choices of frames and sizes follow: `video/00012.480_312of1500_25fps_640x480.jpg`. Any other
path, such as `image/0.png`, is a still picture.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, cast

from rollout3d.tables.fields import R, Table
from rollout3d.tables.reader import TableFile

_FRAME = re.compile(r"video/(\d+\.\d+)(?:_(\d+)of(\d+)_([0-9.]+)fps_(\d+)x(\d+))?\.\w+")


@dataclass(frozen=True)
class Origin:
    """Position of a frame in its video: index among `n_frames` at `fps`, and the video's upright size in pixels."""

    index: int
    n_frames: int
    fps: float
    width: int
    height: int


def frame_path(seconds: float, origin: Origin | None = None) -> str:
    """The path of a frame of a question's own video, by its time in seconds, with its origin if that is known."""
    if origin is None:
        return f"video/{seconds:09.3f}.jpg"
    about = f"{origin.index}of{origin.n_frames}_{origin.fps:.12g}fps_{origin.width}x{origin.height}"
    return f"video/{seconds:09.3f}_{about}.jpg"


def frame_seconds(path: str | None) -> float | None:
    """The time of a frame, from its path; None for the path of a still picture."""
    found = _FRAME.fullmatch(path or "")
    return float(found.group(1)) if found else None


def frame_origin(path: str) -> Origin | None:
    """The position of a frame in its video, from its path; None if the path does not hold it."""
    found = _FRAME.fullmatch(path)
    if found is None or found.group(2) is None:
        return None
    _, index, n_frames, fps, width, height = found.groups()
    return Origin(int(index), int(n_frames), float(fps), int(width), int(height))


def read_light(table: Table[R], path: Path | str) -> list[R]:
    """All rows of a question table, the pictures in `media` without their bytes: `MediaReader` reads those.

    Raises `TableError` for a damaged file, and a file of another table or version.
    """
    with TableFile(path, table) as file:
        wanted = [leaf for leaf in file.leaves if not (leaf.startswith("media.") and leaf.endswith(".bytes"))]
        return cast("list[R]", file.rows(columns=wanted))


class MediaReader:
    """The media of single rows of a question table, bytes included, by the row's place in the file.

    One access reads one row group; tables with many pictures have small ones. Not safe to share between threads.
    """

    def __init__(self, table: Table, path: Path | str):
        self._file = TableFile(path, table)
        self._ends = list(accumulate(self._file.group_sizes))

    def __getitem__(self, place: int) -> list[dict[str, Any]] | None:
        if not 0 <= place < (self._ends[-1] if self._ends else 0):
            raise IndexError(place)
        group = bisect_right(self._ends, place)
        first = self._ends[group - 1] if group else 0
        with self._file.reading():
            return self._file.arrow(group, ["media"])["media"][place - first].as_py()
