"""Parquet files that the viewer of the Hub shows and `datasets.load_dataset` reads.

A split is one or more files of at most `SHARD` bytes, whose row groups have at most `GROUP` bytes in memory: the viewer
scans at most about 286 MiB per row group. Pictures are structures {bytes, path}, marked as images in the metadata of
the file. Nothing else of the tables' own metadata is copied: lineage may hold paths of the machine.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rollout3d import tables
from rollout3d.publish.clean import Private

GROUP = 64 * 2**20
"""Bytes of a row group in memory, at most, unless one row alone has more."""
SHARD = 500 * 2**20
"""Bytes of a file in memory, at most, unless one row group alone has more."""


@dataclass(frozen=True)
class Split:
    """A split of a configuration, as it was written. `paths` are relative to the published folder."""

    config: str
    name: str
    paths: tuple[str, ...]
    n_rows: int
    n_bytes: int
    """Bytes in memory."""
    n_stored: int
    """Bytes of the files."""
    schema: pa.Schema


def write_split(
    root: Path,
    folder: str,
    split: tuple[str, str],
    schema: pa.Schema,
    batches: Iterable[pa.Table],
    private: Private,
    limits: tuple[int, int] = (GROUP, SHARD),
) -> Split | None:
    """Write `batches` to `<root>/<folder>/<split>-00000-of-0000N.parquet`; without rows write nothing, return None.

    `split`: names of the configuration and of the split; `limits`: bytes of a row group, and of a file. Raises
    InvalidInput if a string holds anything private.
    """
    config, name = split
    place = root / folder
    place.mkdir(parents=True, exist_ok=True)
    about = tables.canonical_json({"info": {"features": tables.features(schema)}}).encode()
    stored = pa.schema([field.with_nullable(True) for field in schema], {b"huggingface": about})
    written: list[Path] = []
    writer: pq.ParquetWriter | None = None
    n_rows = n_bytes = in_file = 0
    try:
        for group in _groups(batches, stored, limits[0]):
            private.check_table(group, f"{folder}/{name}")
            if writer is None or (in_file and in_file + group.nbytes > limits[1]):
                if writer is not None:
                    writer.close()
                written.append(place / f".{name}-{len(written):05d}.parquet")
                writer = pq.ParquetWriter(
                    *(written[-1], stored),
                    compression="zstd",
                    write_page_index=True,
                    use_content_defined_chunking=True,
                )
                in_file = 0
            writer.write_table(group, row_group_size=max(len(group), 1))
            n_rows, n_bytes, in_file = n_rows + len(group), n_bytes + group.nbytes, in_file + group.nbytes
    finally:
        if writer is not None:
            writer.close()
    names = [f"{name}-{i:05d}-of-{len(written):05d}.parquet" for i in range(len(written))]
    for path, final in zip(written, names, strict=True):
        path.rename(place / final)
    if not written:
        return None
    stored_bytes = sum((place / final).stat().st_size for final in names)
    return Split(config, name, tuple(f"{folder}/{final}" for final in names), n_rows, n_bytes, stored_bytes, schema)


def _groups(batches: Iterable[pa.Table], schema: pa.Schema, limit: int) -> Iterator[pa.Table]:
    """Yield the rows of `batches` in order, as row groups of at most `limit` bytes (at least one row)."""
    waiting: list[pa.Table] = []
    size = 0
    for batch in batches:
        for piece in _pieces(batch.select(schema.names).cast(schema), limit):
            if waiting and size + piece.nbytes > limit:
                yield pa.concat_tables(waiting).combine_chunks()
                waiting, size = [], 0
            waiting.append(piece)
            size += piece.nbytes
    if waiting:
        yield pa.concat_tables(waiting).combine_chunks()


def _pieces(rows: pa.Table, limit: int) -> Iterator[pa.Table]:
    """Yield the rows in order, in parts of at most `limit` bytes, or of one row."""
    if not len(rows):
        return
    if rows.nbytes <= limit or len(rows) == 1:
        yield rows
        return
    half = len(rows) // 2
    yield from _pieces(rows.slice(0, half), limit)
    yield from _pieces(rows.slice(half), limit)


def dataset_info(splits: Iterable[Split]) -> list[dict[str, Any]]:
    """Return the entries `dataset_info` of a card's front matter, one per configuration."""
    by_config: dict[str, list[Split]] = {}
    for split in splits:
        by_config.setdefault(split.config, []).append(split)
    return [
        {
            "config_name": config,
            "features": [_named(field.name, field.type) for field in found[0].schema],
            "splits": [{"name": s.name, "num_bytes": s.n_bytes, "num_examples": s.n_rows} for s in found],
            "download_size": sum(s.n_stored for s in found),
            "dataset_size": sum(s.n_bytes for s in found),
        }
        for config, found in by_config.items()
    ]


def configs(splits: Iterable[Split]) -> list[dict[str, Any]]:
    """Return the entries `configs` of a card's front matter: the files of each split. The first one is the default."""
    found: dict[str, dict[str, Any]] = {}
    for split in splits:
        default = {} if found else {"default": True}
        entry = found.setdefault(split.config, {"config_name": split.config, **default, "data_files": []})
        folder = split.paths[0].rpartition("/")[0]
        entry["data_files"].append({"split": split.name, "path": f"{folder}/{split.name}-*"})
    return list(found.values())


def _named(name: str, dtype: pa.DataType) -> dict[str, Any]:
    return {"name": name, **_feature(dtype)}


def _feature(dtype: pa.DataType) -> dict[str, Any]:
    """Return the type of a column as the front matter of a dataset's card writes it."""
    if dtype == tables.IMAGE:
        return {"dtype": "image"}
    if pa.types.is_struct(dtype):
        return {"struct": [_named(child.name, child.type) for child in dtype]}
    if pa.types.is_fixed_size_list(dtype) or pa.types.is_list(dtype):
        inner = _feature(dtype.value_type)
        held = inner["dtype"] if set(inner) == {"dtype"} else inner.get("struct", inner)
        length = {"length": dtype.list_size} if pa.types.is_fixed_size_list(dtype) else {}
        return {"list": held, **length}
    return {"dtype": tables.features(pa.schema([("x", dtype)]))["x"]["dtype"]}
