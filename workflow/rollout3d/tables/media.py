"""The `media` column of question tables: what its paths say, and how to read it when it does not fit into memory.

A picture whose path is `video/SECONDS.jpg` is a frame of the question's own video, shown at that time; the frames stand
in time order and belong to one video. Any other path, such as `image/0.png`, is a still picture.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from itertools import accumulate
from pathlib import Path
from typing import Any

from rollout3d.tables.reader import TableFile
from rollout3d.tables.schema import Table

_FRAME = re.compile(r"video/(\d+\.\d+)\.\w+")


def frame_path(seconds: float) -> str:
    """The path of a frame of a question's own video, by its time in seconds."""
    return f"video/{seconds:09.3f}.jpg"


def frame_seconds(path: str | None) -> float | None:
    """The time of a frame, from its path; None for the path of a still picture."""
    found = _FRAME.fullmatch(path or "")
    return float(found.group(1)) if found else None


def read_light(table: Table, path: Path | str) -> list[dict[str, Any]]:
    """All rows of a question table, the pictures in `media` without their bytes: `MediaReader` has those.

    Raises `TableError` for a damaged file, and a file of another table or version.
    """
    with TableFile(path, table) as file:
        wanted = [leaf for leaf in file.leaves if not (leaf.startswith("media.") and leaf.endswith(".bytes"))]
        return file.rows(columns=wanted)


class MediaReader:
    """The media of single rows of a question table, bytes included, by the row's place in the file.

    One access reads one row group: tables with much media are written in small ones. Not safe to share between threads.
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
