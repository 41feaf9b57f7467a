"""Inventory of a release: every scan by the headers of its files, located as the readers locate them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rollout3d.progress import progress
from rollout3d.releases import MissingData
from rollout3d.scenes import datasets
from rollout3d.scenes.assets import Candidate
from rollout3d.scenes.formats.headers import check_header
from rollout3d.scenes.formats.packed import PackedPath
from rollout3d.scenes.ingest import is_there, touching
from rollout3d.scenes.reading import ScanError
from rollout3d.scenes.release import SPLITS, ScanRef, label_table, missing_lists, require

Row = dict[str, Any]

STATES = ("usable", "missing", "damaged", "left_out")
UNLISTED = "unlisted"
"""Split of a scan that is on disk and in no split list: ingest does not read it."""
_NAMED = 3


@dataclass
class Inventory:
    """`rows`: those of the table INVENTORY; `notes`: what the release as a whole lacks."""

    dataset: str
    root: Path
    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def count(self, **values: str) -> int:
        """How many rows have these values."""
        return sum(all(row[name] == value for name, value in values.items()) for row in self.rows)

    @property
    def n_usable(self) -> int:
        """Scans that ingest can read: usable, and in a split list if there is any."""
        usable = [row["split"] for row in self.rows if row["state"] == "usable"]
        unlisted = usable.count(UNLISTED)
        return len(usable) - (unlisted if self.count(split=UNLISTED) < len(self.rows) else 0)


def take_inventory(dataset: str, root: Path, lists: Path | str | None = None) -> Inventory:
    """Look at every scan that a split list names or that is on disk. `lists`: `site.splits` of the dataset.

    Raises `MissingData` if there is no release at `root`.
    """
    reader = datasets.load(dataset)
    require(reader.RELEASE, root)
    found = Inventory(dataset, root)
    refs: dict[str, ScanRef] = {}
    for split in reader.RELEASE.splits:
        try:
            for ref in reader.list_scans(root, [split], lists):
                refs.setdefault(ref.scene_id, ref)
        except MissingData as error:
            found.notes.append(f"split '{split}': {str(error).split('. It comes')[0]}")
    listed = set(refs)
    for ref in reader.on_disk(root):
        refs.setdefault(ref.scene_id, ref)
    lacks_labels = bool(reader.RELEASE.label_tables) and label_table(reader.RELEASE, root) is None
    found.notes += missing_lists(reader.RELEASE, root, [], lists)
    for ref in progress(list(refs.values()), f"{dataset} scans"):
        row = look(dataset, root, ref)
        if lacks_labels and row["state"] == "usable":
            row |= {
                "state": "missing",
                "asset": "label table",
                "reason": "the release has no label table (see the notes)",
            }
        found.rows.append(row if ref.scene_id in listed else row | {"split": UNLISTED})
    return found


def look(dataset: str, root: Path, ref: ScanRef) -> Row:
    """The row of one scan."""
    row: Row = {"dataset": dataset, "scene_id": ref.scene_id, "space_id": ref.space_id, "split": ref.split}
    row |= {"state": "usable", "asset": "", "file": "", "reason": "", "flags": []}
    if not ref.present:
        (folder, *_) = datasets.load(dataset).folders(root, ref)
        reason = "listed in the split file, but not on disk"
        return row | {"state": "missing", "asset": "scan", "file": _relative(folder, root), "reason": reason}
    asset = "scan"
    try:
        with touching(datasets.load(dataset), root, ref):
            for each in datasets.load(dataset).assets(root, ref):
                if not each.needed:
                    continue
                asset = each.what
                _, flags = each.first(_probed)
                row["flags"] += flags
    except ScanError as error:
        there = is_there(error.path) or any(parent.suffix == ".zip" for parent in error.path.parents)
        state = "left_out" if error.expected else "damaged" if there else "missing"
        return row | {"state": state, "asset": asset, "file": _relative(error.path, root), "reason": error.reason}
    return row


def _probed(candidate: Candidate) -> Path | PackedPath:
    """The main path of a candidate whose headers are whole. Raises `ScanError`."""
    for path in candidate.paths:
        check_header(path)
    if candidate.check is not None:
        candidate.check()
    return candidate.paths[0]


def _relative(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def lines(inventory: Inventory, every: bool = False) -> Iterator[str]:
    """The inventory for a terminal: scans by split and state, then reasons; with `every` each scan that is unusable."""
    rows = inventory.rows
    yield f"{inventory.dataset} at {inventory.root}: {len(rows)} scans, {inventory.n_usable} usable"
    yield ""
    yield "split      " + "".join(f"{name.replace('_', ' '):>10}" for name in ("scans", *STATES))
    splits = [split for split in (*SPLITS, UNLISTED) if inventory.count(split=split)]
    for split in splits:
        counts = [inventory.count(split=split), *(inventory.count(split=split, state=state) for state in STATES)]
        yield f"{split:<11}" + "".join(f"{n:>10}" for n in counts)
    counts = [len(rows), *(inventory.count(state=state) for state in STATES)]
    yield f"{'all':<11}" + "".join(f"{n:>10}" for n in counts)
    for state in STATES[1:]:
        some = [row for row in rows if row["state"] == state]
        if some:
            yield ""
            yield f"{state.replace('_', ' ')}:"
            yield from (
                _reasons(some)
                if not every
                else (f"  {row['scene_id']}  {row['asset']}: {row['file']}: {row['reason']}" for row in some)
            )
    flags = Counter(
        flag for row in rows if row["state"] == "usable" for flag in {_general(f, row) for f in row["flags"]}
    )
    if flags:
        yield ""
        yield "usable in another form than downloaded:"
        yield from (f"  {n:>6}  {flag}" for flag, n in sorted(flags.items(), key=lambda e: (-e[1], e[0])))
    if inventory.count(split=UNLISTED):
        yield ""
        yield f"{inventory.count(split=UNLISTED)} scans on disk are in no split list: ingest does not read them"
    for note in inventory.notes:
        yield ""
        yield f"note: {note}"


def _reasons(rows: Iterable[Row]) -> Iterator[str]:
    """One line per asset, file and reason without the parts that differ between scans, the most frequent first."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        file = _general(Path(row["file"]).name, row)
        groups.setdefault(f"{row['asset']}: {file}: {_general(row['reason'].split(';')[0], row)}", []).append(row)
    for text, some in sorted(groups.items(), key=lambda e: (-len(e[1]), e[0])):
        names = ", ".join(row["scene_id"] for row in some[:_NAMED]) + (", ..." if len(some) > _NAMED else "")
        yield f"  {len(some):>6}  {text}  ({names})"


def _general(text: str, row: Row) -> str:
    return re.sub(r"(?<![\w.])\d+(?![\w.])", "N", text.replace(row["scene_id"], "<scan>"))
