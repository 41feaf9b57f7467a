"""Read and validate split lists, tables and names of a release.

A split list that is empty, names a scan twice or shares one with another list, and a table without rows or columns,
concern every scan. They raise `MissingData`, which ends the run.
"""

from __future__ import annotations

import csv
import io
import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rollout3d.fingerprint import note
from rollout3d.releases import MissingData
from rollout3d.scenes.reading import ScanError, read_text

_log = logging.getLogger(__name__)
_SCAN_NAME = re.compile(r"\w[\w.+-]{0,99}")


def is_scan_name(text: Any) -> bool:
    """Return whether a text can name a scan and its folder: letters, digits and _ . + - only, at most 100."""
    return isinstance(text, str) and storable(text) and bool(_SCAN_NAME.fullmatch(text))


def file_name(text: Any) -> str:
    """Return a file name that a file of the release states. Raises ValueError for a name that leaves its folder.

    Links in the folder are followed, because they are the user's own, not the release's.
    """
    if not isinstance(text, str) or not text.strip() or not storable(text) or len(text.encode()) > 255:
        raise ValueError(f"{text!r} is no name of a file")
    if text in (".", "..") or re.search(r"[/\\\x00-\x1f\x7f]", text) or re.match(r"[A-Za-z]:", text):
        raise ValueError(f"the name {text!r} leads out of its folder: only plain file names are read")
    return text


def storable(text: str) -> bool:
    """Return whether UTF-8 can encode a text: JSON can contain half a character (a lone surrogate)."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def read_splits(lists: Mapping[str, Path], wanted: Sequence[str], how: str) -> list[tuple[str, str]]:
    """Return split and name of each scan of the wanted splits, in the order of the lists.

    `lists`: the list of each split of the release; lists that are not wanted are only compared with the others, and
    those that cannot be read are logged. `how`: how to get a list. Raises `MissingData` for a wanted list that is
    absent, empty or unreadable (a scan that is in it twice, a line that is no name of a scan), and for a scan in two
    lists.
    """
    found: dict[str, dict[str, int]] = {}
    for split in dict.fromkeys((*wanted, *lists)):
        path = lists.get(split)
        if path is None or not note(path).is_file():
            if split in wanted:
                raise MissingData(f"no split file {path or split}; {how}")
            continue
        try:
            found[split] = _read_list(path)
        except MissingData as error:
            if split in wanted:
                raise
            _log.warning("%s: the list of split '%s' is left out, because this run does not need it", error, split)
            continue
        if split in wanted and not found[split]:
            raise MissingData(f"{path}: names no scan; {how}")
    for split, names in found.items():
        for other, others in found.items():
            both = sorted(names.keys() & others.keys()) if other > split else []
            if both:
                raise MissingData(
                    f"{lists[split]} and {lists[other]} share {len(both)} scans, such as {both[0]} (line "
                    f"{names[both[0]]}, line {others[both[0]]}): a scan is trained on or tested, never both; remove it "
                    "from one list, or download the lists again"
                )
    return [(split, name) for split in wanted for name in found[split]]


def _read_list(path: Path) -> dict[str, int]:
    """Return the names of a split list with the line of each. Empty lines and comments after # are left out."""
    found: dict[str, int] = {}
    for number, line in enumerate(re.split(r"\r\n|\r|\n", _release_text(path)), 1):
        for name in line.partition("#")[0].split():
            if not is_scan_name(name):
                raise MissingData(
                    f"{path}: line {number}: {name[:100]!r} is no name of a scan; write the name of its folder alone, "
                    "one per line"
                )
            if name in found:
                raise MissingData(f"{path}: names {name} twice, in lines {found[name]} and {number}; remove one")
            found[name] = number
    return found


def read_table(path: Path, columns: Iterable[str | tuple[str, ...]], delimiter: str = ",") -> list[dict[str, str]]:
    """Return the rows of a table of the release, every cell as text without blanks around it.

    `columns`: required columns; a tuple names alternatives, of which one is required. Quotation marks in a table with
    tabs are plain characters, because some cells of ScanNet's table contain them. Raises `MissingData` for a table
    without one of the columns or without rows.
    """
    quoting = csv.QUOTE_NONE if delimiter == "\t" else csv.QUOTE_MINIMAL
    reader = csv.DictReader(io.StringIO(_release_text(path), newline=""), delimiter=delimiter, quoting=quoting)
    try:
        header = [name.strip() for name in reader.fieldnames or ()]
        reader.fieldnames = header
        for column in columns:
            names = (column,) if isinstance(column, str) else column
            if not set(names) & set(header):
                raise MissingData(
                    f"{path}: has no column {' or '.join(names)}, only {', '.join(header[:8]) or 'nothing'}: it is "
                    "another table, or damaged; download it again"
                )
        # A short row lacks cells; a long row has its last cells under the key None.
        rows = [{name: (row.get(name) or "").strip() for name in header} for row in reader]
    except csv.Error as error:
        raise MissingData(f"{path}: no readable table ({error}); download it again") from None
    rows = [row for row in rows if any(row.values())]
    if not rows:
        raise MissingData(f"{path}: a table without rows: damaged or cut; download it again")
    return rows


def _release_text(path: Path) -> str:
    try:
        return read_text(path)
    except ScanError as error:
        raise MissingData(str(error)) from None
