"""All questions of a scan, and of a shard of scans."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from typing import ClassVar

import pyarrow as pa

from rollout3d import tables
from rollout3d.config import Questions, Splits, question_types
from rollout3d.progress import progress
from rollout3d.questions import types, variants, visible
from rollout3d.questions.scene import SceneView
from rollout3d.questions.types import QuestionType
from rollout3d.seeding import generator
from rollout3d.tables.rows import DroppedQuestionRow, MapRow, ObjectRow, QuestionRow, SceneRow, VisibilityRow

_MAP_COLUMNS = ("walkable", "cell_m", "grid_origin", "grid_size", "appearances")

BATCH = 4096
"""Question rows written at a time, at least."""

PER_PRIMARY = 20
"""Option sets of one relative-distance primary that `everything` keeps."""

Dropped = list[DroppedQuestionRow]
Job = tuple[SceneRow, list[ObjectRow] | str, MapRow | None, list[VisibilityRow]]
"""A row of `scenes`, its rows of `objects` (or the reason why it is not asked about), its row of `maps`, those of
`visibility`."""


class _Everything(Questions):
    """Rules of `everything`."""

    sets_per_object: ClassVar[int | None] = PER_PRIMARY


def everything(config: Questions) -> Questions:
    """Return the same rules without caps.

    Option sets of relative distance, which grow with the fourth power of the categories, keep a cap per object. Types
    that are asked only because `per_scene` names them keep theirs.
    """
    open_ended = dict.fromkeys(question_types.PER_SCENE)
    rules = _Everything.model_construct()
    vars(rules).clear()  # what a stage does not declare stays missing
    vars(rules).update(vars(config) | {"per_scene": {**config.per_scene, **open_ended}})
    return rules


def asked(config: Questions) -> list[QuestionType]:
    """Return the question types that a configuration asks, in their order: those of its rules whose cap is not 0."""
    names = [name for name in question_types.asked(config.caps) if config.caps.get(name) != 0]
    return [types.load(name) for name in names if variants.asks(config.rules, name)]


def questions_for_scene(scene: SceneView, config: Questions, seed: int) -> tuple[list[QuestionRow], Dropped]:
    """Return question rows of one scan, by type, and `questions_dropped` rows: a row per reason with its count.

    Each type draws from its own generator, seeded by scan and type: a change of one leaves the others alone.
    Candidates have no content hash yet, so the dropped rows carry "scene_id/question_type".
    """
    rows: list[QuestionRow] = []
    dropped: Dropped = []
    for of_type in asked(config):
        rng = generator(seed, "questions", scene.dataset, scene.scene_id, of_type.name)
        made, reasons = of_type.generate(scene, config, rng)
        rows += made
        for reason, n in sorted(reasons.items()):
            if n:
                dropped.append(_dropped(f"{scene.scene_id}/{of_type.name}", f"{n} candidates: {reason}"))
    return rows, dropped


def questions_for_shard(
    scenes: Iterable[SceneRow],
    objects: Iterable[ObjectRow],
    maps: tables.SceneReader[MapRow] | None,
    splits: Mapping[str, Splits] | None,
    config: Questions,
    seed: int,
    workers: int = 1,
    refused: Mapping[str, str] | None = None,
    visibility: tables.SceneReader[VisibilityRow] | None = None,
    gate: visible.Gate | None = None,
) -> Iterator[tuple[pa.Table, Dropped]]:
    """`questions_for_scene` for every scan whose split is trained on or tested, by dataset and scene_id.

    Yields batches of whole scans, the same for any number of worker processes: their rows of `questions`, at least
    `BATCH` but for the last time, as columns; and of `questions_dropped`. `maps`: None for scenes read from boxes
    alone. `splits`: dataset -> its splits; None asks about every scan. Scans of other splits are dropped with a
    reason: their spaces still count for the leak guard at assembly. So are those in `refused`, scene_id -> reason. A
    `gate` marks the questions by what `visibility` says of the scan's video, and may remove some.
    """
    of_scene: dict[str, list[ObjectRow]] = {}
    for row in objects:
        of_scene.setdefault(row["scene_id"], []).append(row)
    looks = gate is not None or variants.RULES[config.rules].first_frames
    ordered = sorted(scenes, key=lambda row: (row["dataset"], row["scene_id"]))

    def jobs() -> Iterator[Job]:
        for scene in ordered:
            mine = splits[scene["dataset"]] if splits is not None else None
            if mine is not None and scene["split"] not in (*mine.train, *mine.test):
                yield scene, f"split '{scene['split']}' is neither trained on nor tested", None, []
                continue
            if refused and scene["scene_id"] in refused:
                yield scene, refused[scene["scene_id"]], None, []
                continue
            found = maps.rows(scene["scene_id"], _MAP_COLUMNS) if maps is not None else []
            seen = visibility.rows(scene["scene_id"]) if visibility is not None and looks else []
            yield scene, of_scene.get(scene["scene_id"], []), found[0] if found else None, seen

    made: list[pa.Table] = []
    dropped: Dropped = []
    for columns, left_out in progress(_asked(jobs(), config, seed, workers, gate), "questions of scans", len(ordered)):
        made.append(columns)
        dropped += left_out
        if sum(len(some) for some in made) >= BATCH:
            yield pa.concat_tables(made), dropped
            made, dropped = [], []
    if made:
        yield pa.concat_tables(made), dropped


def _asked(
    jobs: Iterator[Job], config: Questions, seed: int, workers: int, gate: visible.Gate | None
) -> Iterator[tuple[pa.Table, Dropped]]:
    """`_ask` of every job, in order."""
    ask = partial(_ask, config=config, seed=seed, gate=gate)
    if workers == 1:
        yield from map(ask, jobs)
        return
    # Forking spares each worker the imports. Columns travel between processes faster than rows.
    with ProcessPoolExecutor(workers, mp_context=get_context("fork")) as pool:
        yield from pool.map(ask, jobs, chunksize=2)


def _ask(job: Job, config: Questions, seed: int, gate: visible.Gate | None) -> tuple[pa.Table, Dropped]:
    scene, objects, found, seen = job
    if isinstance(objects, str):
        return tables.build(tables.QUESTIONS, []), [_dropped(scene["scene_id"], objects)]
    rows, dropped = questions_for_scene(variants.view(scene, objects, found, seen, config.rules), config, seed)
    if gate is not None:
        rows, refused = visible.gated(rows, visible.Sights.from_rows(seen), gate)
        dropped += refused
    return tables.build(tables.QUESTIONS, rows), dropped


def _dropped(key: str, reason: str) -> DroppedQuestionRow:
    return {"question_id": key, "file": "", "reason": reason}
