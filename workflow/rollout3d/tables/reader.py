"""Reading tables: every byte is checked, and every fault of a file is one `TableError`.

All reading of Parquet goes through `TableFile`. It refuses a file of another table, version or types, a file whose seal
does not hold, and converts every error of the bytes, also one that is raised while row groups are read.
"""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Generic, cast

import pyarrow as pa
import pyarrow.parquet as pq

from rollout3d.tables.fields import TABLES, R, Table
from rollout3d.tables.origin import LINEAGE_KEY, TableError, digest, lineage_of_page
from rollout3d.tables.parts import PARTS_KEY
from rollout3d.tables.seal import DATA_KEY, Sealed

_TAIL = 1 << 16


class TableFile:
    """A Parquet file open for reading. With a `table`, a file of another table, version or types is refused.

    A file of the version before, if the table still reads it (`Table.added`), has nulls in the columns that it lacks.

    Its methods raise `TableError` for bytes that are damaged; `remedy` replaces, in the message, the
    command that makes the file. Not safe to share between threads.
    """

    def __init__(self, path: Path | str, table: Table | None = None, remedy: str | None = None):
        self.path, self._remedy = Path(path), remedy
        self._opened = ExitStack()
        self._sealed: Sealed | None = None
        self._absent: dict[str, pa.Field] = {}
        try:
            with self.reading():
                self._find(table)
                self._sealed = Sealed.open(self.path)
                if self._sealed:
                    self._opened.callback(self._sealed.close)
                self._file = pq.ParquetFile(self._sealed or self.path, page_checksum_verification=True)
                self._opened.callback(self._file.close)
                entries = self._file.metadata.metadata or {}
                self.about: dict[str, Any] = _object(entries.get(LINEAGE_KEY, b"{}"), "lineage")
                self.data: dict[str, Any] = _object(entries.get(DATA_KEY, b"{}"), "digest")
                self.parts = _object(entries[PARTS_KEY], "parts") if PARTS_KEY in entries else None
                if bool(self.data) != bool(self._sealed) or (
                    self._sealed and self.data.get("n_bytes") != self._sealed.n_bytes
                ):
                    raise ValueError("its seal is missing or damaged")
                if table:
                    self._expect(table)
        except BaseException:
            self.close()
            raise

    def _find(self, table: Table | None) -> None:
        if not self.path.exists():
            expected = f"; it is to be the table '{table.name}'" if table else ""
            made = f"A table of the workflow is made by {_command(self.path)}"
            raise TableError(f"{self.path}: no such file{expected}: is the path right? {made}")
        if self.path.is_dir():
            raise TableError(f"{self.path}: is a folder, not a Parquet file: is the path right?")

    def _expect(self, table: Table) -> None:
        about, path = self.about, self.path
        version = about.get("version")
        found = self._file.schema_arrow
        behind = table.version - version if isinstance(version, int) else -1
        counts = table.by_version or (len(table.added),)
        if about.get("table") == table.name and (behind == 0 or (table.added and 0 < behind <= len(counts))):
            newer = sum(counts[len(counts) - behind :])
            lacking = table.added[len(table.added) - newer :]
            self._absent = {name: table.schema.field(name) for name in lacking}
            names = [field.name for field in table.schema if field.name not in self._absent]
            if found.names != names:
                raise ValueError(f"its columns {found.names} are not those of the table '{table.name}', {names}")
            for name in names:  # types are equal whatever the elements of a list are called
                dtype, wanted = found.field(name).type, table.schema.field(name).type
                if not dtype.equals(wanted):
                    raise ValueError(f"its column {name} is {dtype}, not {wanted}")
            return
        if about.get("table") == table.name:
            remedy = f"another version of rollout3d wrote it: delete it and rerun the stage {about.get('stage')}"
        else:
            remedy = "is the path right?"
        found = f"'{about.get('table')}' version {version}"
        raise TableError(f"{path}: holds table {found}, expected '{table.name}' version {table.version}; {remedy}")

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Convert every error of a block that reads this file into `TableError`."""
        try:
            yield
        except TableError:
            raise
        except OSError as error:
            if error.errno is None:  # Arrow's own, about the bytes
                raise self._damaged(error) from error
            why = error.strerror or error
            raise TableError(f"{self.path}: cannot be read ({why}); check its permissions and the disk") from error
        except Exception as error:  # damaged bytes end in whatever error a decoder meets first
            if self._sealed and isinstance(error, MemoryError):
                raise  # sizes are proved, so that memory is really short
            raise self._damaged(error) from error

    def _damaged(self, error: Exception) -> TableError:
        why = " ".join(str(error).split())  # Arrow's messages may have several lines
        return TableError(f"{self.path}: not a readable Parquet file ({why}); {self._remedy or _rebuild(self.path)}")

    def __enter__(self) -> TableFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._opened.close()

    @property
    def sealed(self) -> bool:
        """True if every byte has a checksum; False for a file of an earlier version, or of others."""
        return self._sealed is not None

    @property
    def leaves(self) -> list[str]:
        """Paths of the columns without children, such as `image.bytes`."""
        return [self._file.schema.column(i).path for i in range(len(self._file.schema))]

    @property
    def group_sizes(self) -> list[int]:
        """Number of rows per row group."""
        about = self._file.metadata
        return [about.row_group(group).num_rows for group in range(about.num_row_groups)]

    @property
    def n_rows(self) -> int:
        return self._file.metadata.num_rows

    def arrow(self, group: int | None = None, columns: Sequence[str] | None = None) -> pa.Table:
        """One row group, or all rows, as Arrow columns."""
        with self.reading():
            present = None if columns is None else [name for name in columns if name not in self._absent]
            found = self._file.read(columns=present) if group is None else self._file.read_row_group(group, present)
            for name, field in self._absent.items():
                if columns is None or name in columns:
                    found = found.append_column(field, pa.nulls(found.num_rows, field.type))
            return found

    def rows(self, group: int | None = None, columns: Sequence[str] | None = None) -> list[dict[str, Any]]:
        """One row group, or all rows, as dictionaries."""
        with self.reading():
            return self.arrow(group, columns).to_pylist()

    def verify(self) -> bool:
        """Recompute digest and checksums, decode every page. Return False if the file carries no digest."""
        with self.reading():
            if self._sealed and self._sealed.data_digest() != self.data.get("sha256"):
                raise ValueError("its data are not those that were written")
            for group, n in enumerate(self.group_sizes):
                rows = self.arrow(group)
                rows.validate(full=True)
                if len(rows) != n:
                    raise ValueError(f"row group {group} has {len(rows):,} rows, its footer says {n:,}")
            if sum(self.group_sizes) != self.n_rows:
                raise ValueError(f"its row groups have {sum(self.group_sizes):,} rows, its footer says {self.n_rows:,}")
        return self.sealed


def _object(text: bytes, name: str) -> dict[str, Any]:
    value = json.loads(text)
    if not isinstance(value, dict):
        raise ValueError(f"its {name} is no JSON object")
    return value


def _command(path: Path) -> str:
    return f"`snakemake {shlex.quote(str(path))}`"


def _rebuild(path: Path) -> str:
    """The command that rebuilds a damaged file, and the stage that wrote it if its lineage can still be read."""
    try:
        with open(path, "rb") as stream:
            stream.seek(max(0, path.stat().st_size - _TAIL))
            stage = re.search(rb'"stage":"([\w-]+)"', stream.read())
    except OSError:
        stage = None
    again = f"delete it and run {_command(path)} again"
    return f"{again}; the stage {stage[1].decode()} wrote it" if stage else f"is the path right? If so, {again}"


def read(table: Table[R], path: Path | str, columns: Sequence[str] | None = None) -> list[R]:
    """All rows of one file, as dictionaries. Raises `TableError` for a damaged file, another table or version."""
    with TableFile(path, table) as file:
        return cast("list[R]", file.rows(columns=columns))


def read_many(table: Table[R], paths: Iterable[Path | str], columns: Sequence[str] | None = None) -> list[R]:
    """The rows of several files, in the order given."""
    return [row for path in paths for row in read(table, path, columns)]


def read_foreign(path: Path | str) -> list[dict[str, Any]]:
    """All rows of a Parquet file that others wrote, as dictionaries. Raises `TableError` if it cannot be read."""
    with TableFile(path, remedy="download it again") as file:
        return file.rows()


def n_rows(path: Path | str) -> int:
    """Number of rows of a Parquet file, from its footer. Raises `TableError` if that cannot be read."""
    with TableFile(path) as file:
        return file.n_rows


class SceneReader(Generic[R]):
    """Random access by scene to files of a `per_scene` table, reading only that scene's row groups.

    The index costs one pass over the `scene_id` column. Not safe to share between threads: open one per thread.
    """

    def __init__(self, table: Table[R], paths: Iterable[Path | str]):
        self._files = [TableFile(path, table) for path in paths]
        self._where: dict[str, list[tuple[int, int]]] = {}
        for f, file in enumerate(self._files):
            for group in range(len(file.group_sizes)):
                for scene in dict.fromkeys(row["scene_id"] for row in file.rows(group, ["scene_id"])):
                    self._where.setdefault(scene, []).append((f, group))

    @property
    def scenes(self) -> list[str]:
        return list(self._where)

    def __contains__(self, scene_id: str) -> bool:
        return scene_id in self._where

    def rows(self, scene_id: str, columns: Sequence[str] | None = None) -> list[R]:
        """Rows of one scene; empty if the scene is unknown."""
        columns = list(dict.fromkeys(["scene_id", *columns])) if columns else None
        found: list[dict[str, Any]] = []
        for f, group in self._where.get(scene_id, ()):
            found += [row for row in self._files[f].rows(group, columns) if row["scene_id"] == scene_id]
        return cast("list[R]", found)


def lineage(path: Path | str) -> dict[str, Any]:
    """The lineage stored in a file: stage, values, settings, code, parents; for a table also its name and version.

    Reads tables, `model.json` and pages; empty for a file that holds none. Raises `TableError` naming a file that
    cannot be read.
    """
    path = Path(path)
    if path.suffix == ".parquet":
        with TableFile(path) as file:
            return file.about
    try:
        if path.suffix == ".html":
            with open(path, encoding="utf-8") as stream:
                return lineage_of_page(stream.read(1 << 16))
        return dict(_object(path.read_bytes(), "content").get("lineage") or {})
    except OSError as error:
        raise TableError(f"{path}: cannot be read ({error.strerror}); {_rebuild(path)}") from error
    except ValueError as error:
        raise TableError(f"{path}: is damaged ({error}); {_rebuild(path)}") from error


def content_digest(path: Path | str, parts: Collection[str] | None = None) -> str:
    """Digest of what a file holds, without its lineage: equal rows under another lineage give an equal digest.

    For a table: the digest of its data that its footer declares, with name and version, which stand for the columns.
    With `parts`, of a table that has them (`Table.parts`): the digest of those parts alone, whatever else it holds.
    Only the footer is read. Equal rows in other row groups, or written by another pyarrow, may give another digest.
    For `model.json`: name, digest of the weights and prompts. For any other file: sha256 of its bytes. Raises
    `TableError` for a file that cannot be read.
    """
    path = Path(path)
    if path.suffix == ".parquet":
        with TableFile(path) as file:
            if file.sealed:
                about = file.about
                held = file.data["sha256"]
                if parts is not None and file.parts is not None:
                    held = [[name, file.parts.get(name)] for name in sorted(parts)]
                return digest([about.get("table"), about.get("version"), held])
    try:
        if path.name == "model.json":
            about = _object(path.read_bytes(), "content")
            return digest([about["name"], about["digest"], about.get("prompts") or {}])
        with open(path, "rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise TableError(f"{path}: cannot be read ({error.strerror}); is the path right?") from error
    except (ValueError, KeyError) as error:
        raise TableError(f"{path}: not a model.json ({error}); delete it and run {_command(path)} again") from error


def verify(path: Path | str) -> bool:
    """Verify a Parquet file: recompute the digest from its bytes, check footer, checksums, columns and every page.

    Return True if all agree; False if it can be read but carries no digest, as files of earlier versions and of
    others do. Raises `TableError` that says what is wrong and what rebuilds the file.
    """
    with TableFile(path) as file:
        table = TABLES.get(file.about.get("table", ""))
    with TableFile(path, table) as file:
        return file.verify()
