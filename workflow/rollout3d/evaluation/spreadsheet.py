"""Read the first sheet of an Excel file (.xlsx), the form in which VLMEvalKit writes predictions, by openpyxl."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from typing import Any

LONGEST = 32_767
"""Most characters of a cell: writers cut longer texts, or leave them out. [Excel]"""
_LARGEST = 1 << 30
"""Most bytes of the unpacked parts."""

Row = dict[str, str | None]


class SpreadsheetError(ValueError):
    """A file that is no readable .xlsx, or whose texts were cut; the message says what to do."""


def read_rows(data: bytes) -> list[tuple[int, Row]]:
    """Return the rows below the header of the first sheet: number of the row in the sheet, and text by column.

    Empty cells are None, and rows without a cell are left out. Raises SpreadsheetError for a file that is damaged, has
    two columns of one name, or has a text of the longest length, which may be cut.
    """
    rows = _cells(data)
    if not rows:
        return []
    (_, header), *below = rows
    names = {column: name for column, name in enumerate(header) if name is not None}
    twice = sorted({name for name in names.values() if list(names.values()).count(name) > 1})
    if twice:
        raise SpreadsheetError(f"has the column '{twice[0]}' twice: rename one")
    return [(at, {name: cells[k] if k < len(cells) else None for k, name in names.items()}) for at, cells in below]


def _cells(data: bytes) -> list[tuple[int, list[str | None]]]:
    """Return number and cells of each row that has any."""
    from openpyxl import load_workbook

    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(each.file_size for each in archive.infolist()) > _LARGEST:
                raise SpreadsheetError("unpacks to more than 1 GiB: give it as .tsv")
            _refuse_entities(archive)
        book = load_workbook(io.BytesIO(data), read_only=True, data_only=True)
        rows = [(at, _texts(at, cells)) for at, cells in enumerate(book.worksheets[0].values, start=1)]
    except SpreadsheetError:
        raise
    except Exception as error:  # openpyxl states no errors: a damaged part raises whatever reading it raised
        raise SpreadsheetError(f"no Excel file that can be read ({error!r}): is it whole?") from error
    return [(at, cells) for at, cells in rows if any(cell is not None for cell in cells)]


def _refuse_entities(archive: zipfile.ZipFile) -> None:
    """Raise SpreadsheetError for a document type, whose entities could grow without limit."""
    for part in archive.infolist():
        with archive.open(part) as stream:
            if b"<!DOCTYPE" in stream.read(1 << 12):  # it stands before the first element
                raise SpreadsheetError("holds a document type, which no Excel file has: give it as .tsv")


def _texts(at: int, cells: Sequence[Any]) -> list[str | None]:
    from openpyxl.utils.escape import unescape

    texts = [None if cell is None else unescape(str(cell)) for cell in cells]
    longest = max((len(text) for text in texts if text is not None), default=0)
    if longest >= LONGEST:
        raise SpreadsheetError(
            f"row {at} has a text of {longest} characters, where writers of Excel files cut: let VLMEvalKit write "
            "tables of text (PRED_FORMAT=tsv)"
        )
    return texts
