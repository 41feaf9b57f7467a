"""Facts about releases, places of their scans and lists, and checks before a scan is read.

The module imports little, because configuration checks and the Snakefile's preflight use it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rollout3d.releases import MissingData

SPLITS = ("train", "val", "test")

Note = Callable[[Path], Path]
"""Function that is called with every path that is searched; `fingerprint.note` records it."""


@dataclass(frozen=True)
class ScanRef:
    """One scan of a release.

    `present`: false for a listed scan that is not on disk. `annotated`: false to read the scan without its annotation.
    `folder`: folder of its files, if that is not their place in a release. `alone`: true for a scan outside a release,
    for which the tables that a release shares among its scans may be missing.
    """

    scene_id: str
    space_id: str
    split: str
    present: bool = True
    annotated: bool = True
    folder: Path | None = None
    alone: bool = False


@dataclass(frozen=True)
class Evidence:
    """Properties of a release's annotation and axes that `scenes.agreement` and `rollout3d check-scan` can check."""

    floor_at_zero: bool = False
    """The release aligns its scans so that the floor is at height 0."""
    states_corners: bool = False
    """The annotation states an axis-aligned box along with each oriented box."""
    points_in_box: bool = False
    """An object's points are those in its box, because the annotation does not name them."""
    max_depth_m: float = 0.10
    """Largest median difference between measured depth and the mesh's depth with which `check-scan` passes, metres."""
    instance_pictures: str = ""
    """Name of the release's optional pictures of its instances; its sources are `scan.InstanceSource`s."""


@dataclass(frozen=True)
class Release:
    """Facts about the release of a dataset. Folders and files are relative to the root of the release."""

    name: str
    """Name of the dataset: that of its file."""
    title: str
    """Name of the dataset in texts."""
    folders: tuple[str, ...]
    """Folders of scans: a release is there if one of them is. Messages name the first."""
    scan_folder: str
    """Folder of a scan, for messages."""
    how: str
    """How to get the release, as a clause of a sentence."""
    terms: str
    """The title with the licence of the scans, for the report."""
    n_scans: int
    """Number of scans of all splits: an upper bound for estimates."""
    splits: tuple[str, ...] = SPLITS
    """Splits that the release has."""
    lists: tuple[Mapping[str, str], ...] = ()
    """Names of the split lists by split, for each edition of the release; the preferred edition first."""
    list_folders: tuple[str, ...] = (".",)
    """Folders that are searched for split lists, in order; they may be outside the root (`..`)."""
    label_tables: tuple[str, ...] = ()
    """Tables that explain raw labels, of which the release needs one; searched in the folders of split lists."""
    scan_tables: tuple[str, ...] = ()
    """Tables of scans, splits and spaces that replace split lists."""
    telltales: tuple[str, ...] = ()
    """Endings of files whose names begin with the scan's id, from which the id of a scan outside a release is read."""
    telltale_files: tuple[str, ...] = ()
    """Files of a scan without its id in their names: the folder of a scan outside a release then has the id as name."""
    archives: bool = False
    """True if a zip archive may replace a scan's folder."""
    scan_form: str = ""
    """Regular expression whose first group is a scan's name, lower case, within a longer text; empty: any name."""
    scan_form_alone: str = ""
    """`scan_form` for texts that name no dataset; empty: the same."""
    own_form: bool = False
    """True if every scan's name has the form, and no name of another dataset has it."""
    spellings: tuple[str, ...] = ()
    """Other spellings of the dataset's name in files of others, lower case, letters only."""
    listed_spaces: bool = False
    """True if only a table of the release states which scans show the same physical space."""
    evidence: Evidence = field(default_factory=Evidence)


def missing(release: Release, root: Path | str) -> str | None:
    """Return a message for the user if the release is not at `root`; None if it is there."""
    if any((Path(root) / folder).is_dir() for folder in release.folders):
        return None
    inside = Path(root).is_dir() and Path(root).name in release.folders
    hint = f"; {root} seems to be that folder itself: name the one above it" if inside else ""
    return (
        f"{release.name}: nothing at {Path(root) / release.folders[0]}{hint}. To get it: {release.how}. "
        f"If it is elsewhere, name its folder in config/local.yaml (config/README.md): site.roots.{release.name}"
    )


def require(release: Release, root: Path | str) -> None:
    """Raise `MissingData` if the release is not at `root`."""
    message = missing(release, root)
    if message:
        raise MissingData(message)


def _ignore(path: Path) -> Path:
    return path


def list_names(release: Release, split: str) -> tuple[str, ...]:
    """Return the names that the list of a split may have, the preferred one first."""
    return tuple(edition[split] for edition in release.lists)


def list_places(release: Release, root: Path | str, lists: Path | str | None = None) -> list[Path]:
    """Return the folders that are searched for split lists, in order.

    `lists` (`site.splits`), if given, is the only one; a file means its folder.
    """
    if lists is not None:
        return [Path(lists).parent if Path(lists).is_file() else Path(lists)]
    return [Path(os.path.normpath(Path(root) / folder)) for folder in release.list_folders]


def find_list(
    release: Release, root: Path | str, split: str, lists: Path | str | None = None, note: Note = _ignore
) -> Path:
    """Return the first list of a split that is there; without one, its first place."""
    places = [place / file for file in list_names(release, split) for place in list_places(release, root, lists)]
    return next((path for path in places if note(path).is_file()), places[0])


def list_file(
    release: Release, root: Path | str, split: str, lists: Path | str | None = None, note: Note = _ignore
) -> Path:
    """Return the first list of a split that is there. Raises `MissingData` without one."""
    path = find_list(release, root, split, lists, note)
    if path.is_file():
        return path
    name, places, names = release.name, list_places(release, root, lists), list_names(release, split)
    given = f"site.splits.{name} = {lists}, and it" if lists is not None else "It"
    raise MissingData(
        f"{name}: no split file {places[0] / names[0]}, nor {' or '.join(dict.fromkeys(names))} in any of "
        f"{', '.join(str(place) for place in places)}. {given} comes with the download: {release.how}. If the lists "
        f"are elsewhere, name their folder in config/local.yaml: site.splits.{name}"
    )


def list_files(
    release: Release, root: Path | str, wanted: Iterable[str], lists: Path | str | None = None, note: Note = _ignore
) -> dict[str, Path]:
    """Return the list of each split of the release at `root`. Raises `MissingData` without a wanted one.

    All lists are of the edition of the first wanted one, because editions divide the scans in different ways. Only a
    wanted list that this edition lacks may be of another edition.
    """
    found: dict[str, Path] = {}
    wanted = set(wanted)
    for split in sorted(SPLITS, key=lambda split: split not in wanted):
        path = _of_edition(release, next(iter(found.values())), root, split, lists, note) if found else None
        if path is None and (split in wanted or not found):
            try:
                path = list_file(release, root, split, lists, note)
            except MissingData:
                if split in wanted:
                    raise
        if path is not None:
            found[split] = path
    return {split: found[split] for split in SPLITS if split in found}


def _of_edition(
    release: Release, like: Path, root: Path | str, split: str, lists: Path | str | None, note: Note
) -> Path | None:
    """Return the list of a split of the edition that the list `like` belongs to; None if it is not there."""
    edition = next(each for each in release.lists if like.name in each.values())
    places = [place / edition[split] for place in list_places(release, root, lists)]
    return next((path for path in places if note(path).is_file()), None)


def label_table(release: Release, root: Path | str, note: Note = _ignore) -> Path | None:
    """Return the first of the release's label tables that is there; None without one."""
    found = (place / file for file in release.label_tables for place in list_places(release, root))
    return next((path for path in found if note(path).is_file()), None)


def outside(release: Release, root: Path | str, lists: Path | str | None = None) -> list[Path]:
    """Return every path outside the root that is searched for a list or table, for the record of raw files."""
    names = sorted({file for split in SPLITS for file in list_names(release, split)})
    places = [place / file for place in list_places(release, root, lists) for file in names]
    places += [place / file for place in list_places(release, root) for file in release.label_tables]
    if lists is not None:
        places += [Path(lists) / table for table in release.scan_tables]
    inside = Path(os.path.abspath(root))
    return [path for path in places if inside not in Path(os.path.abspath(path)).parents]


def missing_lists(
    release: Release, root: Path | str, splits: Iterable[str], lists: Path | str | None = None
) -> list[str]:
    """Return a message for each missing list of a split, and for a missing label table that the release needs."""
    found = []
    for split in splits if release.lists else ():
        try:
            list_file(release, root, split, lists)
        except MissingData as error:
            found.append(str(error))
    if release.label_tables and label_table(release, root) is None:
        name, table = release.name, release.label_tables[0]
        found.append(f"{name}: no {table} in {root}. It comes with the download: {release.how}")
    return found
