"""Raw labels to VSI-Bench categories, and which objects may be drowned in noise.

The lists are data: resources/categories/. Names are not harmonised across datasets ("trash bin" in ScanNet, "trash
can" in ScanNet++), because VSI-Bench does not. A label without a category is never asked about; the object stays
perturbable unless it is structure (wall, floor, ceiling) or a mark of the annotators (split, remove). A label that no
list of the release explains is the same, but also counted in the log: it may be a misread list.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

from rollout3d.releases import MissingData
from rollout3d.resources import shipped
from rollout3d.scenes.contract import read_table

RESOURCES = shipped("resources/categories")

_NYU40_STRUCTURE = frozenset({1, 2, 22})
"""wall, floor, ceiling: raw labels such as "closet wall" are structure too."""


class Meaning(NamedTuple):
    """What a raw label means. `known` is false for labels that no list of the release explains."""

    category: str | None
    perturbable: bool
    known: bool = True


Labels = Callable[[str], Meaning]


@cache
def scannet_labels(tsv: Path | None) -> Labels:
    """Meanings by ScanNet's label table (`scannetv2-labels.combined.tsv`; the v1 table is understood too).

    Without a table (None) a raw label is understood where it is itself a name of the lists: "chair" is, "office
    chair" is not.

    VSI-Bench merges two label sets: names of ScanNet200, looked up by the raw name and by the `category` column that
    normalises it ("pillows" is a pillow), then classes of NYU40, which the raw name points to ("couch" is a sofa).
    Rows are found by raw name: ids are not unique. Raises `MissingData` for a table without the needed columns or rows.
    """
    by_part: dict[str, dict[str, str]] = {"nyu40": {}, "name": {}}
    for row in _resource("scannet"):
        by_part[row["part"]][row["key"]] = row["category"]
    rows = {}
    if tsv is None:
        rows = {name: (name, 0) for name in by_part["name"]}
        rows |= {category: (category, int(nyu40)) for nyu40, category in by_part["nyu40"].items()}
        return _scannet_meaning(rows, by_part)
    for row in read_table(tsv, (("raw_category", "category"), "category", "nyu40id"), "\t"):
        raw = row["raw_category"] if "raw_category" in row else row["category"]
        rows.setdefault(_plain(raw), (_plain(row["category"]), _nyu40(tsv, row["nyu40id"])))
    labels = _scannet_meaning(rows, by_part)
    if not any(labels(name).category for name in rows):
        raise MissingData(f"{tsv}: none of its {len(rows)} labels has a category: another table, or damaged")
    return labels


def _scannet_meaning(rows: Mapping[str, tuple[str, int]], by_part: Mapping[str, Mapping[str, str]]) -> Labels:
    """Meanings by raw name -> normal name and NYU40 id, and the lists' two parts."""
    structure = _not_perturbable()

    def meaning(label: str) -> Meaning:
        name = _plain(label)
        if name not in rows:
            return Meaning(None, name not in structure, known=name in structure)
        normal, nyu40 = rows[name]
        names = by_part["name"]
        category = names.get(name) or names.get(normal) or by_part["nyu40"].get(str(nyu40))
        return Meaning(category, name not in structure and nyu40 not in _NYU40_STRUCTURE)

    return meaning


@cache
def scannetpp_labels(benchmark_map: Path | None) -> Labels:
    """Meanings of ScanNet++'s raw labels: the benchmark's own renaming, where its file is there, then VSI-Bench's list.

    `benchmark_map`: metadata/semantic_benchmark/map_benchmark.csv (class, instance_map_to: empty = keep, None = drop).
    It lists every raw label; without it, all but those of VSI-Bench's list are unknown.
    Raises `MissingData` for a file without these columns or without rows.
    """
    categories = {row["label"]: row["category"] for row in _resource("scannetpp")}
    renamed: dict[str, str] = {}
    known = {*categories, *_not_perturbable()}
    if benchmark_map is not None:
        for row in read_table(benchmark_map, ("class", "instance_map_to")):
            known.add(_plain(row["class"]))
            target = row["instance_map_to"]
            if target:
                renamed[_plain(row["class"])] = "" if target == "None" else _plain(target)
    structure = _not_perturbable()

    def meaning(label: str) -> Meaning:
        name = _plain(label)
        return Meaning(categories.get(renamed.get(name, name)) or None, name not in structure, name in known)

    return meaning


@cache
def arkitscenes_labels() -> Labels:
    """Meanings of ARKitScenes' 17 labels; blanks, hyphens and slashes in them count as underscores."""
    categories = {row["label"]: row["category"] for row in _resource("arkitscenes")}
    structure = _not_perturbable()

    def meaning(label: str) -> Meaning:
        name = re.sub(r"[ \-/]", "_", label.strip().lower())
        return Meaning(categories.get(name) or None, name not in structure, name in categories or name in structure)

    return meaning


def _nyu40(tsv: Path, cell: str) -> int:
    """The class that a cell names; 0 for an empty one."""
    try:
        return int(cell or 0)
    except ValueError:
        raise MissingData(f"{tsv}: nyu40id {cell!r} is no whole number; download the table again") from None


def _plain(label: str) -> str:
    return " ".join(label.lower().split())


def _not_perturbable() -> frozenset[str]:
    return frozenset(row["label"] for row in _resource("not_perturbable"))


def _resource(name: str) -> list[dict[str, str]]:
    with open(RESOURCES / f"{name}.csv", newline="") as file:
        return list(csv.DictReader(file))
