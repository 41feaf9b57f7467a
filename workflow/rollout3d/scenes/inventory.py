"""Inventory of a release: the state of every scan by the headers of its files, which the readers' code locates."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from rollout3d.progress import progress
from rollout3d.releases import MissingData
from rollout3d.scenes import datasets
from rollout3d.scenes.assets import Candidate
from rollout3d.scenes.formats.headers import check_header
from rollout3d.scenes.formats.packed import PackedPath
from rollout3d.scenes.ingest import is_there, relative, touching
from rollout3d.scenes.reading import ScanError
from rollout3d.scenes.release import SPLITS, ScanRef, label_table, missing_lists, require
from rollout3d.tables.rows import InventoryRow

STATES = ("usable", "missing", "damaged", "left_out")
UNLISTED = "unlisted"
"""Split of a scan that is on disk and in no split list: ingest does not read it."""
_NAMED = 3


@dataclass
class Inventory:
    """State of every scan of a release."""

    dataset: str
    root: Path
    rows: list[InventoryRow] = field(default_factory=list)
    """Rows of the table INVENTORY."""
    notes: list[str] = field(default_factory=list)
    """What the release as a whole lacks."""

    def count(self, split: str | None = None, state: str | None = None) -> int:
        """Return the number of rows with this split and this state; None = any."""
        return sum(split in (None, row["split"]) and state in (None, row["state"]) for row in self.rows)

    @property
    def n_usable(self) -> int:
        """Number of scans that ingest can read: usable, and in a split list if there is one."""
        usable = [row["split"] for row in self.rows if row["state"] == "usable"]
        unlisted = usable.count(UNLISTED)
        return len(usable) - (unlisted if self.count(split=UNLISTED) < len(self.rows) else 0)


def take_inventory(dataset: str, root: Path, lists: Path | str | None = None) -> Inventory:
    """Check every scan that a split list names or that is on disk.

    `lists`: folder of the split lists, `site.splits` of the dataset. Raises `MissingData` without a release at `root`.
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
        row = inspect_scan(dataset, root, ref)
        if lacks_labels and row["state"] == "usable":
            row["state"], row["asset"] = "missing", "label table"
            row["reason"] = "the release has no label table (see the notes)"
        if ref.scene_id not in listed:
            row["split"] = UNLISTED
        found.rows.append(row)
    return found


def inspect_scan(dataset: str, root: Path, ref: ScanRef) -> InventoryRow:
    """Return the inventory's row of one scan."""
    flags: list[str] = []

    def row(state: str, asset: str = "", file: str = "", reason: str = "") -> InventoryRow:
        return {
            "dataset": dataset,
            "scene_id": ref.scene_id,
            "space_id": ref.space_id,
            "split": ref.split,
            "state": state,
            "asset": asset,
            "file": file,
            "reason": reason,
            "flags": flags,
        }

    if not ref.present:
        (folder, *_) = datasets.load(dataset).folders(root, ref)
        return row("missing", "scan", relative(folder, root), "listed in the split file, but not on disk")
    asset = "scan"
    try:
        with touching(datasets.load(dataset), root, ref):
            for each in datasets.load(dataset).assets(root, ref):
                if not each.needed:
                    continue
                asset = each.what
                flags += each.first(_probed)[1]
    except ScanError as error:
        there = is_there(error.path) or any(parent.suffix == ".zip" for parent in error.path.parents)
        state = "left_out" if error.expected else "damaged" if there else "missing"
        return row(state, asset, relative(error.path, root), error.reason)
    return row("usable")


def _probed(candidate: Candidate) -> Path | PackedPath:
    """Check the headers of a candidate's files; return its main path. Raises `ScanError`."""
    for path in candidate.paths:
        check_header(path)
    if candidate.check is not None:
        candidate.check()
    return candidate.paths[0]


def lines(inventory: Inventory, every: bool = False) -> Iterator[str]:
    """Yield the inventory for a terminal: scans by split and state, then reasons; with `every` each unusable scan."""
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


def _reasons(rows: Iterable[InventoryRow]) -> Iterator[str]:
    """Yield one line per asset, file and reason, the most frequent first, without parts that differ between scans."""
    groups: dict[str, list[InventoryRow]] = {}
    for row in rows:
        file = _general(Path(row["file"]).name, row)
        groups.setdefault(f"{row['asset']}: {file}: {_general(row['reason'].split(';')[0], row)}", []).append(row)
    for text, some in sorted(groups.items(), key=lambda e: (-len(e[1]), e[0])):
        names = ", ".join(row["scene_id"] for row in some[:_NAMED]) + (", ..." if len(some) > _NAMED else "")
        yield f"  {len(some):>6}  {text}  ({names})"


def _general(text: str, row: InventoryRow) -> str:
    """Return a text with placeholders for numbers and the scan's name."""
    return re.sub(r"(?<![\w.])\d+(?![\w.])", "N", text.replace(row["scene_id"], "<scan>"))
