"""Writing tables: atomic, validated, with lineage and digests in the file.

`write` refuses rows that do not fit, writes beside the target, syncs and renames. Bytes depend on rows, schema and
lineage only (no time, no path, no thread count).
"""

from __future__ import annotations

import errno
import os
import re
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rollout3d.files import sync
from rollout3d.tables.fields import HUGGING_FACE_IMAGE, IMAGE, Table
from rollout3d.tables.origin import LINEAGE_KEY, Lineage, RowError, TableError, canonical_json
from rollout3d.tables.parts import PARTS_KEY, Parts
from rollout3d.tables.seal import DATA_KEY, Sink

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def build(table: Table, rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Convert rows to Arrow columns, with checks, as `Writer.write` does first. Raises `RowError`."""
    names, optional = set(table.schema.names), set(table.optional)
    for row in rows:
        missing, extra = sorted(names - optional - row.keys()), sorted(row.keys() - names)
        if missing or extra:
            raise RowError(f"table {table.name}: row lacks {missing} and has unknown {extra}")
    try:
        columns = [pa.array([row.get(field.name) for row in rows], field.type) for field in table.schema]
        built = pa.Table.from_arrays(columns, schema=table.schema)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise RowError(f"table {table.name}: {error}") from error
    for field in table.schema:
        if not field.nullable and built.column(field.name).null_count:
            raise RowError(f"table {table.name}: column {field.name} has nulls and may not")
    return built


class Writer:
    """Writes one table in batches, beside its target, and renames it when closed without an error.

    Use as a context manager. Each `write` becomes at least one row group. Nothing appears at `path` if the body raises
    or the disk fails. `lineage` may be a function, which is called when the table is complete. Raises `TableError` if
    no file can be made or written there.
    """

    def __init__(self, table: Table, path: Path | str, lineage: Lineage | Callable[[], Lineage]):
        self.table, self.path = table, Path(path)
        if self.path.is_dir():
            raise TableError(f"{path}: is a folder; name a file, such as {self.path / table.name}.parquet")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise TableError(f"{path}: its folder cannot be made ({error.strerror}); name another place") from error
        _remove_leftovers(self.path)
        self._aside = self.path.with_name(f".{self.path.name}.{_host()}.{os.getpid()}.tmp")
        self._lineage = lineage
        metadata = {}
        if table.images:
            metadata[b"huggingface"] = canonical_json({"info": {"features": features(table.schema)}}).encode()
        # Stored as nullable whatever was declared: only there does the Hugging Face loader see an image.
        stored = pa.schema([field.with_nullable(True) for field in table.schema], metadata)
        self._failed = False
        self._parts = Parts(table)
        try:
            self._sink = Sink(self._aside)
        except OSError as error:
            raise TableError(f"{path}: cannot be written ({error.strerror}); name another place") from error
        with self._writing():
            self._file = pq.ParquetWriter(
                self._sink, stored, compression="zstd", write_page_index=True, write_page_checksum=True
            )

    def write(self, rows: Sequence[Mapping[str, Any]] | pa.Table) -> None:
        """Write rows, or the columns that `build` made of them, in another process for example."""
        if len(rows):
            built: pa.Table = rows if isinstance(rows, pa.Table) else build(self.table, rows)
            self._parts.add(built)
            with self._writing():
                self._file.write_table(built.cast(self._file.schema))

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, error: type | None, *_: object) -> None:
        if error is not None:
            self._give_up()
        elif self._failed:
            raise TableError(f"{self.path}: was not written, because an earlier write to it failed")
        else:
            with self._writing():
                own = self._lineage() if callable(self._lineage) else self._lineage
                about = {"table": self.table.name, "version": self.table.version, "row": self.table.row}
                if self.table.parts:
                    self._file.add_key_value_metadata({PARTS_KEY: canonical_json(self._parts.digests()).encode()})
                self._file.add_key_value_metadata({LINEAGE_KEY: canonical_json(about | own.as_dict()).encode()})
                data = self._sink.data_ends()
                self._file.add_key_value_metadata({DATA_KEY: canonical_json(data).encode()})
                self._file.close()
                self._sink.close()
                os.replace(self._aside, self.path)
                sync(self.path.parent)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Leave nothing behind when the block fails; convert errors of the disk into one `TableError`."""
        try:
            yield
        except BaseException as error:
            self._failed = True
            self._give_up()
            if isinstance(error, OSError):
                remedy = "free some space" if error.errno in _FULL else "check the disk"
                why = error.strerror or error
                raise TableError(f"{self.path}: cannot be written ({why}); {remedy} and run the same again") from error
            raise

    def _give_up(self) -> None:
        self._sink.abandon()
        with suppress(Exception):  # ends the writer, whose bytes are no longer written
            self._file.close()
        with suppress(OSError):
            self._aside.unlink(missing_ok=True)


def _host() -> str:
    return re.sub(r"[^A-Za-z0-9-]", "-", socket.gethostname())


def _remove_leftovers(path: Path) -> None:
    """Remove temporary files beside a target whose process, on this host, has ended."""
    pattern = re.compile(rf"\.{re.escape(path.name)}\.{re.escape(_host())}\.(\d+)\.tmp")
    with suppress(OSError):
        for name in os.listdir(path.parent):
            found = pattern.fullmatch(name)
            if found and not _alive(int(found.group(1))):
                (path.parent / name).unlink(missing_ok=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


def write(
    table: Table, path: Path | str, rows: Iterable[Mapping[str, Any]], lineage: Lineage | Callable[[], Lineage]
) -> int:
    """Write `rows` as `table` to `path`, atomically; return how many.

    Tables declared `per_scene` get one row group per scene, so that a reader can take a scene without the rest; rows
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


def features(schema: pa.Schema) -> dict[str, Any]:
    """Return the Hugging Face `features` of a schema, so that its images decode on loading."""
    from_arrow = {pa.string(): "string", pa.int64(): "int64", pa.float64(): "float64", pa.bool_(): "bool"}
    from_arrow |= {pa.binary(): "binary", pa.float32(): "float32", pa.uint8(): "uint8"}

    def feature(dtype: pa.DataType) -> Any:
        if dtype == IMAGE:
            return HUGGING_FACE_IMAGE
        if pa.types.is_struct(dtype):
            return {f.name: feature(f.type) for f in dtype}
        if pa.types.is_fixed_size_list(dtype):
            return {"_type": "List", "feature": feature(dtype.value_type), "length": dtype.list_size}
        if pa.types.is_list(dtype):
            return {"_type": "List", "feature": feature(dtype.value_type)}
        return {"_type": "Value", "dtype": from_arrow[dtype]}

    return {field.name: feature(field.type) for field in schema}
