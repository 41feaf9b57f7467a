"""Write the questions of a study as a dataset of the Hub: Parquet files, card, terms of the sources."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from rollout3d import tables
from rollout3d.config import Config
from rollout3d.errors import InvalidInput
from rollout3d.publish import data_card, licences
from rollout3d.publish.clean import Private
from rollout3d.publish.folder import writing
from rollout3d.publish.parquet import GROUP, SHARD, Split, write_split
from rollout3d.tables.fields import column

QUESTIONS, REASONING, FRAMES = "questions", "reasoning", "frames"
"""Configurations of the dataset; the first one is the default."""
FOLDERS = {QUESTIONS: "data", REASONING: "reasoning", FRAMES: "frames"}
MEDIA_PATHS = column(
    "media_paths",
    pa.list_(pa.string()),
    "names of the question's own pictures, which are left out here; null for scenes",
)


@dataclass(frozen=True)
class Wanted:
    """What to publish beside the questions. All of it stands under the terms of the scans."""

    frames: bool = False
    """Pictures: sampled frames of the scans, and the own pictures of general questions."""
    evidence: bool = False
    """The column `evidence`: positions and sizes of objects, from the annotation of the scans."""
    title: str | None = None
    """Heading of the card; None for one that says what the rooms are."""
    audits: tuple[Path, ...] = ()
    """Tables of `rollout3d audit` whose agreement the card states."""


@dataclass(frozen=True)
class Published:
    """A folder that was written: its splits, and what its licence forbids."""

    splits: tuple[Split, ...]
    restricted: tuple[str, ...]
    """Datasets with pictures in the folder whose terms forbid to pass them on."""


def publish_data(
    results: Path,
    target: Path,
    values: Mapping[str, Any],
    wanted: Wanted,
    private: Private,
    limits: tuple[int, int] = (GROUP, SHARD),
) -> Published:
    """Write the folder `target` from a results folder; return what it holds.

    Configurations: `questions` (train and test), `reasoning` (questions with reasoning to learn, for SFT) and, if
    wanted, `frames`. Splits without rows are left out. `values`: the configuration that made the results, without
    paths; `limits`: bytes of a row group, and of a file. Raises InvalidInput if there are no training questions, if a
    wanted picture is missing, if `target` holds anything else, or if anything private would be published.
    """
    train = results / "train" / "ocr_rl.parquet"
    if not train.is_file():
        raise InvalidInput(f"{train}: no training questions: run `snakemake {train}`, or name another --results")
    config = Config.model_validate({**values, "site": {}})
    synthetic = config.toyworld is not None
    evidence = wanted.evidence or synthetic
    rows = tables.read_light(tables.OCR_RL, train)
    test = results / "questions" / "test.parquet"
    tested = tables.read_light(tables.QUESTIONS, test) if test.is_file() else []
    with writing(target, "data") as folder:
        sources = [(QUESTIONS, "train", tables.OCR_RL, train), (QUESTIONS, "test", tables.QUESTIONS, test)]
        sources += [(REASONING, "train", tables.OCR_SFT, results / "train" / "ocr_sft.parquet")]
        splits: list[Split | None] = []
        for name, split, table, path in sources:
            if path.is_file():
                schema = _schema(table, wanted.frames, evidence)
                batches = _questions(table, path, schema)
                splits.append(write_split(folder, FOLDERS[name], (name, split), schema, batches, private, limits))
        if wanted.frames:
            for split, scenes in (("train", _scenes(rows)), ("test", _scenes(tested))):
                frames = _frames(results, scenes)
                at = (folder, FOLDERS[FRAMES], (FRAMES, split), tables.FRAMES.schema)
                splits.append(write_split(*at, frames, private, limits))
        written = tuple(split for split in splits if split is not None)
        if not any(split.config == QUESTIONS for split in written):
            raise InvalidInput(f"{train}: holds no question, and there are none to test; assemble the questions first")
        for place in FOLDERS.values():
            if (folder / place).is_dir() and not any((folder / place).iterdir()):
                (folder / place).rmdir()
        about = (results, values, config, written, rows, tested, wanted.frames, evidence, wanted.title, wanted.audits)
        card = data_card.Contents(*about)
        for name, text in card.files().items():
            (folder / name).write_text(text, encoding="utf-8")
        private.check_folder(folder)
    shown = {str(row["dataset"]) for row in (*rows, *tested) if row["scene_id"] is not None}
    forbidden = sorted(shown & set(licences.NO_REDISTRIBUTION)) if wanted.frames and not synthetic else []
    return Published(written, tuple(forbidden))


def _schema(table: tables.Table[Any], media: bool, evidence: bool) -> pa.Schema:
    """Return the published columns of a question table."""
    fields = [field for field in table.schema if evidence or field.name != "evidence"]
    if not media:
        fields = [MEDIA_PATHS if field.name == "media" else field for field in fields]
    return pa.schema(fields)


def _questions(table: tables.Table[Any], path: Path, schema: pa.Schema) -> Iterator[pa.Table]:
    """Yield the rows of a question table with the columns of `schema`, row group by row group."""
    with tables.TableFile(path, table) as file:
        wanted = [name for name in schema.names if name != MEDIA_PATHS.name]
        leaves = [leaf for leaf in file.leaves if leaf.startswith("media.") and not leaf.endswith(".bytes")]
        for group in range(len(file.group_sizes)):
            if MEDIA_PATHS.name not in schema.names:
                yield file.arrow(group, wanted)
                continue
            held = file.arrow(group, wanted)
            media = file.rows(group, leaves)
            paths = [None if row["media"] is None else [each["path"] for each in row["media"]] for row in media]
            yield held.append_column(MEDIA_PATHS.with_nullable(True), pa.array(paths, MEDIA_PATHS.type))


def _scenes(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return sorted({str(row["scene_id"]) for row in rows if row["scene_id"] is not None})


def _frames(results: Path, scenes: Sequence[str]) -> Iterator[pa.Table]:
    """Yield the stored frames of scans, scan by scan. Raises InvalidInput if a scan has none."""
    reader = tables.SceneReader(tables.FRAMES, sorted((results / "scenes").glob("*/*/frames.parquet")))
    lost = [scene for scene in scenes if scene not in reader]
    if lost:
        raise InvalidInput(
            f"{results / 'scenes'}: no frames of {len(lost)} scans, such as {lost[0]}: run ingest, or leave out "
            "--with-frames"
        )
    for scene in scenes:
        yield tables.build(tables.FRAMES, reader.rows(scene))
