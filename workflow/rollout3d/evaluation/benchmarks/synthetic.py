"""The held-out synthetic scenes of a preset as a benchmark: its own test questions and evaluation frames."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from rollout3d import tables
from rollout3d.config import Config
from rollout3d.config.frames import eval_set
from rollout3d.evaluation.benchmarks.common import BenchmarkError, Prepared


def prepare(
    config: Config,
    questions: Path | str | None = None,
    frames: Iterable[Path | str] = (),
    sets: Iterable[str] | None = None,
) -> Prepared:
    """The test questions as they are, and the frames of their scenes that belong to `sets` (default: the
    one that the configuration shows).

    Raises BenchmarkError if `questions` is not given or empty, or a scene has no evaluation frames.
    """
    if questions is None:
        raise BenchmarkError("the benchmark 'synthetic' needs --questions: the test table of the question stage")
    rows = tables.read(tables.QUESTIONS, questions)
    if not rows:
        raise BenchmarkError(f"{questions}: holds no question; give datasets.<name>.splits.test a split that has scans")
    files = [Path(path) for path in frames]
    reader = tables.SceneReader(tables.FRAMES, files)
    scenes = sorted({row["scene_id"] for row in rows})
    lost = [scene for scene in scenes if scene not in reader]
    if lost:
        raise BenchmarkError(f"{len(lost)} test scenes are in none of the frame tables, such as {', '.join(lost[:3])}")
    return Prepared(
        rows,
        _frames(reader, scenes, set(sets or {eval_set(config.evaluation, config.video)})),
        (Path(questions), *files),
    )


def _frames(reader: tables.SceneReader, scenes: list[str], wanted: set[str]) -> Iterator[dict[str, Any]]:
    for scene in scenes:
        rows = reader.rows(scene)
        for name in sorted(wanted - {name for row in rows for name in row["sets"]}):
            raise BenchmarkError(f"scene {scene} has no frames of the set {name}: rerun ingest for its shard")
        shown = [row | {"sets": sorted(wanted & set(row["sets"]))} for row in rows if wanted & set(row["sets"])]
        yield from sorted(shown, key=lambda row: row["frame_index"])
