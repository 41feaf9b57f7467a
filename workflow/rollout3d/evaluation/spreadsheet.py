"""Read the first sheet of an Excel file (.xlsx): texts and numbers, without a library and without formulas.

An .xlsx file is an archive of XML parts (ECMA-376, part 1, section 18). VLMEvalKit writes predictions in this form.
"""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from collections.abc import Iterator
from xml.etree import ElementTree

LONGEST = 32_767
"""Most characters of a cell: writers cut longer texts, or leave them out. [Excel]"""
_LARGEST = 1 << 30
"""Most bytes of the unpacked parts."""
_MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_RELATION = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
_ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")
"""A character that XML does not allow, as a cell has it."""

Row = dict[str, str | None]


class SpreadsheetError(ValueError):
    """A file that is no readable .xlsx, or whose texts were cut; the message says what to do."""


def read_rows(data: bytes) -> list[tuple[int, Row]]:
    """Return the rows below the header of the first sheet: number of the row in the sheet, and text by column.

    Empty cells are None, and rows without a cell are left out. Raises SpreadsheetError for a file that is damaged, has
    two columns of one name, or has a text of the longest length, which may be cut.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(each.file_size for each in archive.infolist()) > _LARGEST:
                raise SpreadsheetError("unpacks to more than 1 GiB: give it as .tsv")
            shared = _shared(archive)
            rows = list(_cells(_part(archive, _first_sheet(archive)), shared))
    except (zipfile.BadZipFile, zlib.error, KeyError, IndexError, ElementTree.ParseError, ValueError) as error:
        if isinstance(error, SpreadsheetError):
            raise
        raise SpreadsheetError(f"no Excel file that can be read ({error}): is it whole?") from error
    if not rows:
        return []
    (_, header), *below = rows
    names = {column: name for column, name in header.items() if name is not None}
    twice = sorted({name for name in names.values() if list(names.values()).count(name) > 1})
    if twice:
        raise SpreadsheetError(f"has the column '{twice[0]}' twice: rename one")
    return [(place, {name: cells.get(column) for column, name in names.items()}) for place, cells in below]


def _part(archive: zipfile.ZipFile, name: str) -> ElementTree.Element:
    """Parse a part. Raises SpreadsheetError for a document type, whose entities could grow without limit."""
    content = archive.read(name)
    if b"<!DOCTYPE" in content:
        raise SpreadsheetError("holds a document type, which no Excel file has: give it as .tsv")
    return ElementTree.fromstring(content)


def _first_sheet(archive: zipfile.ZipFile) -> str:
    sheet = _part(archive, "xl/workbook.xml").find(f"{_MAIN}sheets/{_MAIN}sheet")
    if sheet is None:
        raise SpreadsheetError("has no sheet: is it whole?")
    wanted = sheet.get(_RELATION)
    for relation in _part(archive, "xl/_rels/workbook.xml.rels"):
        if relation.get("Id") == wanted:
            target = relation.get("Target", "")
            return target.removeprefix("/") if target.startswith("/") else f"xl/{target}"
    raise SpreadsheetError("does not say where its first sheet is: is it whole?")


def _shared(archive: zipfile.ZipFile) -> list[str]:
    """Return the texts that cells refer to by number."""
    if "xl/sharedStrings.xml" not in archive.namelist():
        return []
    return [_text(item) for item in _part(archive, "xl/sharedStrings.xml").findall(f"{_MAIN}si")]


def _text(item: ElementTree.Element) -> str:
    """Return the text of an item, in one piece or in runs; its reading aids are left out."""
    pieces = [*item.findall(f"{_MAIN}t"), *item.findall(f"{_MAIN}r/{_MAIN}t")]
    text = "".join(piece.text or "" for piece in pieces)
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text)


def _cells(sheet: ElementTree.Element, shared: list[str]) -> Iterator[tuple[int, dict[int, str]]]:
    """Yield number and cells of each row with a cell: number of the column -> text."""
    at = 0
    for row in sheet.iterfind(f"{_MAIN}sheetData/{_MAIN}row"):
        at = int(row.get("r") or at + 1)
        cells: dict[int, str] = {}
        column = -1
        for cell in row.findall(f"{_MAIN}c"):
            where = cell.get("r")
            column = _column(where) if where else column + 1
            text = _value(cell, shared)
            if text is not None:
                if len(text) >= LONGEST:
                    raise SpreadsheetError(
                        f"row {at} has a text of {len(text)} characters, where writers of Excel files cut: let "
                        "VLMEvalKit write tables of text (PRED_FORMAT=tsv)"
                    )
                cells[column] = text
        if cells:
            yield at, cells


def _column(where: str) -> int:
    """Return the number of the column of a cell such as AB12, from 0."""
    number = 0
    for letter in where.rstrip("0123456789"):
        number = 26 * number + ord(letter) - ord("A") + 1
    return number - 1


def _value(cell: ElementTree.Element, shared: list[str]) -> str | None:
    kind = cell.get("t", "n")
    if kind == "inlineStr":
        inline = cell.find(f"{_MAIN}is")
        return None if inline is None else _text(inline)
    value = cell.find(f"{_MAIN}v")
    if value is None or value.text is None:
        return None
    if kind == "s":
        return shared[int(value.text)]
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), value.text) if kind == "str" else value.text
