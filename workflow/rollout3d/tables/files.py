"""Reading and writing tables: atomic, validated, with lineage in the file's metadata.

`write` refuses rows that do not fit, writes beside the target and renames; `read` refuses a file of another table or
version. Bytes depend on rows, schema and lineage only (no time, no path, no thread count).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rollout3d.tables.schema import HUGGING_FACE_IMAGE, IMAGE, Table

LINEAGE_KEY = b"rollout3d"
"""Key of the file metadata entry that holds the lineage as canonical JSON."""


class TableError(ValueError):
    """A file that is not what its table declares, or cannot be written; the message names the file and the remedy."""


class RowError(TableError):
    """A row that is not what its table declares: a fault of who made it, which no user can mend."""


_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces: equal values give equal text (NaN is refused)."""
    if type(value) is float and isfinite(value):
        return repr(value)  # what the encoder writes, without setting one up
    return _CANONICAL.encode(value)


def digest(value: Any) -> str:
    """sha256 (hex) of bytes, or of the canonical JSON of anything else."""
    data = value if isinstance(value, bytes) else canonical_json(value).encode()
    return hashlib.sha256(data).hexdigest()


def content_digest(path: Path | str) -> str:
    """Digest of what a table *says*: its columns' values, not its compression, row groups or lineage."""
    path = Path(path)
    if path.suffix != ".parquet":
        return hashlib.sha256(path.read_bytes()).hexdigest()
    hasher = hashlib.sha256()
    with pq.ParquetFile(path) as file:
        hasher.update(str(file.schema_arrow.remove_metadata()).encode())
        for batch in file.iter_batches(batch_size=256):
            hasher.update(batch.serialize())
    return hasher.hexdigest()


@dataclass(frozen=True)
class Lineage:
    """Where a file came from: stage, digest of its own configuration, digest of its code, parents' contents."""

    stage: str
    config: str = ""
    code: str = ""
    parents: tuple[tuple[str, str], ...] = ()

    @property
    def identity(self) -> str:
        """Digest of what decides the result: stage, configuration and parents' contents. Code stands beside it."""
        return digest([self.stage, self.config, list(self.parents)])[:32]

    def as_dict(self) -> dict[str, Any]:
        return {"stage": self.stage, "config": self.config, "code": self.code, "parents": dict(self.parents)}


def build(table: Table, rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """The rows as Arrow columns, checked: what `Writer.write` does first. Raises `RowError`."""
    names = set(table.schema.names)
    for row in rows:
        if row.keys() != names:
            missing, extra = sorted(names - row.keys()), sorted(row.keys() - names)
            raise RowError(f"table {table.name}: row lacks {missing} and has unknown {extra}")
    try:
        columns = [pa.array([row[field.name] for row in rows], field.type) for field in table.schema]
        built = pa.Table.from_arrays(columns, schema=table.schema)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise RowError(f"table {table.name}: {error}") from error
    for field in table.schema:
        if not field.nullable and built.column(field.name).null_count:
            raise RowError(f"table {table.name}: column {field.name} has nulls and may not")
    return built


class Writer:
    """Writes one table in batches, beside its target, and renames it when closed without an error.

    Use as a context manager. Each `write` becomes at least one row group. Nothing appears at `path` if the body raises.
    Raises `TableError` if no file can be made there.
    """

    def __init__(self, table: Table, path: Path | str, lineage: Lineage):
        self.table, self.path = table, Path(path)
        if self.path.is_dir():
            raise TableError(f"{path}: is a folder; name a file, such as {self.path / table.name}.parquet")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise TableError(f"{path}: its folder cannot be made ({error.strerror}); name another place") from error
        self._aside = self.path.with_name(f".{self.path.name}.{os.getpid()}.tmp")
        about = {"table": table.name, "version": table.version, "row": table.row, **lineage.as_dict()}
        metadata = {LINEAGE_KEY: canonical_json(about).encode()}
        if table.images:
            metadata[b"huggingface"] = canonical_json({"info": {"features": _features(table)}}).encode()
        # Stored as nullable whatever was declared: only there does the Hugging Face loader see an image.
        stored = pa.schema([field.with_nullable(True) for field in table.schema], metadata)
        try:
            self._file = pq.ParquetWriter(self._aside, stored, compression="zstd", write_page_index=True)
        except OSError as error:
            raise TableError(f"{path}: cannot be written ({error}); name another place") from error

    def write(self, rows: Sequence[Mapping[str, Any]] | pa.Table) -> None:
        """Rows, or what `build` made of them (in another process, say)."""
        if len(rows):
            built = rows if isinstance(rows, pa.Table) else build(self.table, rows)
            self._file.write_table(built.cast(self._file.schema))

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        self._file.close()
        if kind is None:
            os.replace(self._aside, self.path)
        else:
            self._aside.unlink(missing_ok=True)


def write(table: Table, path: Path | str, rows: Iterable[Mapping[str, Any]], lineage: Lineage) -> int:
    """Write `rows` as `table` to `path`, atomically; return how many.

    Tables declared `per_scene` get one row group a scene, so that a reader can take a scene without the rest; rows
    of one scene must then be adjacent. Raises `RowError` if a row does not fit the schema, and what `Writer` raises.
    """
    count = 0
    with Writer(table, path, lineage) as writer:
        for group in _groups(table, rows):
            writer.write(group)
            count += len(group)
    return count


def _groups(table: Table, rows: Iterable[Mapping[str, Any]], limit: int = 4096) -> Iterator[list[Mapping[str, Any]]]:
    group: list[Mapping[str, Any]] = []
    for row in rows:
        full = table.per_scene and group and group[-1]["scene_id"] != row["scene_id"]
        if full or len(group) == limit:
            yield group
            group = []
        group.append(row)
    if group:
        yield group


def _features(table: Table) -> dict[str, Any]:
    """Hugging Face `features` of a table, so that its images decode on loading."""
    from_arrow = {pa.string(): "string", pa.int64(): "int64", pa.float64(): "float64", pa.bool_(): "bool"}
    from_arrow |= {pa.binary(): "binary", pa.float32(): "float32", pa.uint8(): "uint8"}

    def feature(kind: pa.DataType) -> Any:
        if kind == IMAGE:
            return HUGGING_FACE_IMAGE
        if pa.types.is_struct(kind):
            return {f.name: feature(f.type) for f in kind}
        if pa.types.is_fixed_size_list(kind):
            return {"_type": "List", "feature": feature(kind.value_type), "length": kind.list_size}
        if pa.types.is_list(kind):
            return {"_type": "List", "feature": feature(kind.value_type)}
        return {"_type": "Value", "dtype": from_arrow[kind]}

    return {field.name: feature(field.type) for field in table.schema}


def _parquet(path: Path | str) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise TableError(
            f"{path}: not a readable Parquet file ({error}); is the path right? If a stage wrote it, delete it and "
            "rerun that stage"
        ) from error


def _open(table: Table, path: Path | str) -> pq.ParquetFile:
    path = Path(path)
    if not path.exists():
        raise TableError(
            f"{path}: no such file; it is to be the table '{table.name}': is the path right? A table of the workflow "
            f"is made by `snakemake {path}`"
        )
    file = _parquet(path)
    about = json.loads((file.schema_arrow.metadata or {}).get(LINEAGE_KEY, b"{}"))
    if about.get("table") == table.name and about.get("version") == table.version:
        return file
    file.close()
    found = f"'{about.get('table')}' version {about.get('version')}"
    if about.get("table") == table.name:
        remedy = f"another version of rollout3d wrote it: delete it and rerun the stage {about.get('stage')}"
    else:
        remedy = "is the path right?"
    raise TableError(f"{path}: holds table {found}, expected '{table.name}' version {table.version}; {remedy}")


def read(table: Table, path: Path | str, columns: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """All rows of one file, as dictionaries. Raises `TableError` for a file of another table or version."""
    with _open(table, path) as file:
        return file.read(columns=columns).to_pylist()


def read_many(table: Table, paths: Iterable[Path | str], columns: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """The rows of several files, in the order given."""
    return [row for path in paths for row in read(table, path, columns)]


class SceneReader:
    """Random access by scene to files of a `per_scene` table, reading only that scene's row groups.

    The index costs one pass over the `scene_id` column. Not safe to share between threads: open one a thread.
    """

    def __init__(self, table: Table, paths: Iterable[Path | str]):
        self._files = [_open(table, path) for path in paths]
        self._where: dict[str, list[tuple[int, int]]] = {}
        for f, file in enumerate(self._files):
            for group in range(file.num_row_groups):
                for scene in dict.fromkeys(file.read_row_group(group, ["scene_id"])["scene_id"].to_pylist()):
                    self._where.setdefault(scene, []).append((f, group))

    @property
    def scenes(self) -> list[str]:
        return list(self._where)

    def __contains__(self, scene_id: str) -> bool:
        return scene_id in self._where

    def rows(self, scene_id: str, columns: Sequence[str] | None = None) -> list[dict[str, Any]]:
        """Rows of one scene; empty if the scene is unknown."""
        columns = list(dict.fromkeys(["scene_id", *columns])) if columns else None
        found: list[dict[str, Any]] = []
        for f, group in self._where.get(scene_id, ()):
            rows = self._files[f].read_row_group(group, columns).to_pylist()
            found += [row for row in rows if row["scene_id"] == scene_id]
        return found


def lineage(path: Path | str) -> dict[str, Any]:
    """The lineage stored in a file: table, version, stage, config, code, parents. Raises `TableError` naming a file
    that cannot be read."""
    with _parquet(path) as file:
        return json.loads((file.schema_arrow.metadata or {}).get(LINEAGE_KEY, b"{}"))


def question_id(row: Mapping[str, Any]) -> str:
    """Content hash of a question: 16 hex digits of what makes it a different question."""
    keys = ("dataset", "scene_id", "question_type", "question", "options", "ground_truth")
    return digest([row[k] for k in keys])[:16]
