"""Any table of a study as a data frame of pandas, and as text: the meaning of its columns, and some of its rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from rollout3d import tables
from rollout3d.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

WIDEST = 60
"""Most characters of a cell that are printed; a CSV file holds all."""


class Unshowable(UserError, ValueError):
    """A table, column or condition that cannot be shown; the message says why."""


def frame(path: Path | str, columns: Sequence[str] | None = None, where: str | None = None) -> pd.DataFrame:
    """Return the rows of a table. `columns`: only these. `where`: a condition of `pandas.DataFrame.query`.

    Encoded pictures and bit grids are replaced by their size. Raises TableError for a file that is no table of a
    study, Unshowable for an unknown column or a condition that pandas does not understand.
    """
    import pandas as pd

    table = table_of(path)
    known = table.schema.names
    unknown = [name for name in columns or () if name not in known]
    if unknown:
        raise Unshowable(f"{path}: no column {', '.join(unknown)}: choose from {', '.join(known)}")
    names = list(columns) if columns and not where else known
    rows = tables.read(table, path, names)
    found = pd.DataFrame([[_plain(row[name]) for name in names] for row in rows], columns=names)
    if where:
        try:
            found = found.query(where)
        except Exception as error:  # pandas raises whatever Python's parser or an operator raises
            raise Unshowable(f"--where {where!r}: {error}; write it as \"question_type == 'room_size'\"") from None
    return cast("pd.DataFrame", found[list(columns)] if columns else found)


def table_of(path: Path | str) -> tables.Table[Any]:
    """Return the declaration of the table that a file holds. Raises TableError if it is none."""
    name = tables.lineage(path).get("table")
    if name not in tables.TABLES:
        raise Unshowable(f"{path}: holds the table '{name}', which this version does not know")
    return tables.TABLES[name]


def text(path: Path | str, found: pd.DataFrame, n: int) -> str:
    """Return what a file holds as text: a line per column with its meaning, then the first `n` rows of `found`."""
    table = table_of(path)
    width = max(map(len, table.schema.names)) + 2
    lines = [f"{path}: table {table.name}, version {table.version}, {tables.n_rows(path):,} rows; a row is {table.row}"]
    lines += [f"  {each.name:{width}}{each.metadata[b'meaning'].decode()}" for each in table.schema]
    head = found.head(n).to_string(index=False, max_colwidth=WIDEST, na_rep="null") if len(found) else "no such row"
    return "\n".join([*lines, "", f"{min(n, len(found)):,} of {len(found):,} rows:", head])


def _plain(value: Any) -> Any:
    """Return a value with its bytes replaced by a word on their size."""
    if isinstance(value, bytes):
        return f"<{len(value):,} bytes>"
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list) else value
