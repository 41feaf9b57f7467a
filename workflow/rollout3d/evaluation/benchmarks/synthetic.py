"""The study's own held-out scans as a benchmark: its test questions, and the evaluation frames of their scans."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rollout3d import tables
from rollout3d.evaluation.benchmarks._common import BenchmarkError, Given, Prepared
from rollout3d.scoring import aggregate
from rollout3d.tables.frame_sets import of_sets
from rollout3d.tables.rows import FrameRow

RELEASED = False

average = aggregate.vsibench


def prepare(given: Given) -> Prepared:
    """Take the test questions as they are, and the frames of their scans that belong to the wanted frame sets.

    Raises BenchmarkError if the test questions are not given or empty, or if a scan has no evaluation frames.
    """
    if given.questions is None:
        raise BenchmarkError("the benchmark 'synthetic' needs --questions: the test table of the question stage")
    rows = tables.read(tables.QUESTIONS, given.questions)
    if not rows:
        raise BenchmarkError(
            f"{given.questions}: holds no question; give datasets.<name>.splits.test a split that has scans"
        )
    reader = tables.SceneReader(tables.FRAMES, given.frames)
    scenes = sorted({str(row["scene_id"]) for row in rows})
    lost = [scene for scene in scenes if scene not in reader]
    if lost:
        raise BenchmarkError(f"{len(lost)} test scenes are in none of the frame tables, such as {', '.join(lost[:3])}")
    sources: tuple[Path, ...] = (given.questions, *given.frames)
    return Prepared(rows, _frames(reader, scenes, set(given.sets)), sources)


def _frames(reader: tables.SceneReader[FrameRow], scenes: list[str], wanted: set[str]) -> Iterator[FrameRow]:
    for scene in scenes:
        rows, absent = of_sets(reader.rows(scene), wanted)
        if absent:
            raise BenchmarkError(f"scene {scene} has no frames of the set {absent[0]}: rerun ingest for its shard")
        yield from rows
