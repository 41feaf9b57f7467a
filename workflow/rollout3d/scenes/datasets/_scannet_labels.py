"""VSI-Bench's categories of ScanNet's raw labels, by the release's label table."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from rollout3d.releases import MissingData
from rollout3d.scenes.categories import Labels, Meaning, not_perturbable, plain, resource
from rollout3d.scenes.lists import read_table

_NYU40_STRUCTURE = frozenset({1, 2, 22})
"""NYU40 classes wall, floor, ceiling: raw labels of these, such as "closet wall", are structure too."""


@cache
def meanings(tsv: Path | None) -> Labels:
    """Return the meanings by ScanNet's label table (`scannetv2-labels.combined.tsv`, or the table of version 1).

    Without a table (None) a raw label is known only if it is itself a name of the lists: "chair" is, "office chair" is
    not.

    VSI-Bench merges two label sets: names of ScanNet200, by the raw name and by the `category` column that normalises
    it ("pillows" is a pillow), then classes of NYU40, by the table's class of the raw name ("couch" is a sofa). Rows
    are found by raw name, because ids are not unique. Raises `MissingData` for a table without the columns or rows.
    """
    by_part: dict[str, dict[str, str]] = {"nyu40": {}, "name": {}}
    for row in resource("scannet"):
        by_part[row["part"]][row["key"]] = row["category"]
    rows = {}
    if tsv is None:
        rows = {name: (name, 0) for name in by_part["name"]}
        rows |= {category: (category, int(nyu40)) for nyu40, category in by_part["nyu40"].items()}
        return _scannet_meaning(rows, by_part)
    for row in read_table(tsv, (("raw_category", "category"), "category", "nyu40id"), "\t"):
        raw = row["raw_category"] if "raw_category" in row else row["category"]
        rows.setdefault(plain(raw), (plain(row["category"]), _nyu40(tsv, row["nyu40id"])))
    labels = _scannet_meaning(rows, by_part)
    if not any(labels(name).category for name in rows):
        raise MissingData(f"{tsv}: none of its {len(rows)} labels has a category: another table, or damaged")
    return labels


@cache
def label_ids(tsv: Path) -> Mapping[str, int] | None:
    """Return plain raw label -> `id` of the release's label table, which label pictures hold; None for version 1's.

    Ids are not unique: raw names of one id share pictures. Raises `MissingData` for a table without rows or whose ids
    are no numbers.
    """
    rows = read_table(tsv, (("raw_category", "category"),), "\t")
    if not {"raw_category", "id"} <= rows[0].keys():
        return None
    found: dict[str, int] = {}
    for row in rows:
        if not (row["id"].isascii() and row["id"].isdecimal() and 0 < int(row["id"]) < 1 << 16):
            raise MissingData(f"{tsv}: id {row['id']!r} is no number from 1 to 65535; download the table again")
        found.setdefault(plain(row["raw_category"]), int(row["id"]))
    return found


def _scannet_meaning(rows: Mapping[str, tuple[str, int]], by_part: Mapping[str, Mapping[str, str]]) -> Labels:
    """Return the meanings. `rows`: raw name -> normal name and NYU40 id; `by_part`: the two label sets of the lists."""
    structure = not_perturbable()

    def meaning(label: str) -> Meaning:
        name = plain(label)
        if name not in rows:
            return Meaning(None, name not in structure, known=name in structure)
        normal, nyu40 = rows[name]
        names = by_part["name"]
        category = names.get(name) or names.get(normal) or by_part["nyu40"].get(str(nyu40))
        return Meaning(category, name not in structure and nyu40 not in _NYU40_STRUCTURE)

    return meaning


def _nyu40(tsv: Path, cell: str) -> int:
    """Return the class that a cell names, 0 for an empty cell. Raises `MissingData` for any other text."""
    try:
        return int(cell or 0)
    except ValueError:
        raise MissingData(f"{tsv}: nyu40id {cell!r} is no whole number; download the table again") from None
