"""Rows of frames by frame set: the one filter for all that read the frames tables.

A row belongs to the sets that its column `sets` names (`config/frames.py` lists the names).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from typing import Any, TypeVar, cast

Row = TypeVar("Row", bound=Mapping[str, Any])


def of_set(rows: Iterable[Row], name: str) -> list[Row]:
    """Return the rows of one scan's frames that belong to the frame set `name`, in the order of the video."""
    return sorted((row for row in rows if name in row["sets"]), key=lambda row: row["frame_index"])


def of_sets(rows: Iterable[Row], names: Set[str]) -> tuple[list[Row], list[str]]:
    """Return the rows of one scan's frames that belong to any of `names`, and the names that no row belongs to.

    The rows are copies in the order of the video, whose `sets` hold none but these names, sorted.
    """
    found = [
        cast(Row, {**row, "sets": sorted(names & set(row["sets"]))})
        for row in sorted(rows, key=lambda row: row["frame_index"])
        if names & set(row["sets"])
    ]
    return found, sorted(names - {name for row in found for name in row["sets"]})
