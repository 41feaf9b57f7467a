"""SpaceR's Figure 6: durations of the videos of SR-91k; it prints no numbers."""

from __future__ import annotations

from collections import Counter

from rollout3d.report.paper import Given
from rollout3d.report.tables import cell
from rollout3d.tables.rows import ReportRow

PAPER = "spacer"
TITLE = "SpaceR, Figure 6. Durations of the videos"
NEEDS = ("sr_91k", "scenes")

STEP_S = 30
"""Width of a row, seconds. [assumed]"""
LONGEST_S = 300
"""Videos from here on share the last row, seconds. [assumed]"""
UNKNOWN = "duration unknown"


def build(given: Given) -> list[ReportRow]:
    """Count the videos that questions are about, and the questions, by duration: frames over frames per second."""
    seconds = {
        row["scene_id"]: row["n_frames"] / row["fps"]
        for row in given.scenes
        if row["fps"] and row["n_frames"] is not None
    }
    questions = Counter(_row(seconds.get(str(row["scene_id"]))) for row in given.rl)
    videos = Counter(_row(seconds.get(scene)) for scene in {str(row["scene_id"]) for row in given.rl})
    starts = range(0, LONGEST_S, STEP_S)
    rows = [*map(_row, starts), _row(LONGEST_S), *([UNKNOWN] if videos[UNKNOWN] else [])]
    return [
        cell(given.table, row, column, "", (float(counts[row]), len(given.rl)) if given.rl else None, [*given.marks])
        for row in rows
        for column, counts in (("Videos", videos), ("Questions", questions))
    ]


def _row(seconds: float | None) -> str:
    """Return the row that a video of this duration belongs to."""
    if seconds is None:
        return UNKNOWN
    start = int(min(seconds, LONGEST_S) // STEP_S) * STEP_S
    return f"{start} s and longer" if start >= LONGEST_S else f"{start} to {start + STEP_S} s"
