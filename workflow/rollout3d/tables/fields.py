"""The class `Table`, and the functions by which `schema.py` and `results.py` declare tables and columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic

import pyarrow as pa
from typing_extensions import TypeVar

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
"""The Hugging Face `Image` layout: encoded bytes, and a name for people."""

HUGGING_FACE_IMAGE = {"_type": "Image"}


def column(name: str, dtype: pa.DataType, meaning: str, nullable: bool = False) -> pa.Field:
    """A column with its meaning, which the file stores beside the type."""
    return pa.field(name, dtype, nullable=nullable, metadata={"meaning": meaning})


def vector(n: int) -> pa.DataType:
    """The type of a list of exactly `n` numbers."""
    return pa.list_(pa.float64(), n)


def nullable(name: str, dtype: pa.DataType, meaning: str) -> pa.Field:
    """A column that may hold nulls."""
    return column(name, dtype, meaning, nullable=True)


R = TypeVar("R", default=Any)
"""Type of a table's rows, one of `rows.py`."""


@dataclass(frozen=True)
class Table(Generic[R]):
    """One kind of Parquet file. `row`: meaning of a row; `per_scene`: files have one row group per scene.

    `version` goes up with every change of the columns, their types or what they mean: readers refuse older files. A
    test holds the columns of each version. `added`: nullable columns that the versions before lack, the oldest first;
    their files are read with nulls there, so that results that cost hours stay readable after a new column.
    `by_version`: how many of them each of the last versions added; empty = one version added all. `parts`: a
    column of names (one, or a list), by which rows form parts that may overlap; each has a digest of its own
    (`tables.content_digest`), so that a reader of one part does not depend on the others. `optional`: nullable columns
    that rows to be written may leave out.
    """

    name: str
    version: int
    row: str
    schema: pa.Schema
    added: tuple[str, ...] = ()
    by_version: tuple[int, ...] = ()
    per_scene: bool = False
    parts: str | None = None
    optional: tuple[str, ...] = ()

    @property
    def images(self) -> dict[str, Any]:
        """Columns that hold images, as Hugging Face `features` entries."""
        lists = [field.name for field in self.schema if field.type == pa.list_(IMAGE)]
        found = {field.name: HUGGING_FACE_IMAGE for field in self.schema if field.type == IMAGE}
        return found | {name: {"_type": "List", "feature": HUGGING_FACE_IMAGE} for name in lists}


TABLES: dict[str, Table[Any]] = {}
"""Every declared table by its name."""


def declare(name: str, row: str, *fields: pa.Field, version: int = 1, **options: Any) -> Table[Any]:
    """Make a table and enter it in `TABLES`. `options`: further fields of `Table`."""
    table = Table(name, version, row, pa.schema(list(fields)), **options)
    TABLES[name] = table
    return table
