"""Where the raw releases are expected, and how a user gets them: texts shared by the Snakefile and the readers."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from rollout3d.errors import UserError

_HOW = {
    "scannet": (
        "scans",
        "sign the ScanNet Terms of Use (http://www.scan-net.org), then download with the script you are sent: .sens, "
        ".txt, _vh_clean_2.ply, segs.json and aggregation.json of each scan into scans/, with "
        "scannetv2-labels.combined.tsv and scannetv2_{train,val}.txt beside it",
    ),
    "scannetpp": (
        "data",
        "apply for ScanNet++ (https://kaldir.vc.in.tum.de/scannetpp), then download the iphone and scans assets into "
        "data/, with splits/ and metadata/ beside it",
    ),
    "arkitscenes": (
        "raw",
        "download ARKitScenes (https://github.com/apple/ARKitScenes, Apple's licence): raw/ with vga_wide, "
        "lowres_depth, trajectories, meshes and annotations, and raw/metadata.csv",
    ),
}

_OTHER_FOLDERS = {"scannet": ("scans_train", "scans_val", "scans_test"), "arkitscenes": ("3dod",)}
"""Folders that hold scans too: a release is there if it has any."""

_FILES = {
    "spacer": (
        "SpaceR-151k.jsonl",
        "follow https://github.com/OuyangKun10/SpaceR to the dataset, and unpack its general data beside the file",
    ),
    "vlm3r_route": (
        "merged_qa_route_plan_train.json",
        "follow https://github.com/VITA-Group/VLM-3R to the dataset, folder vsibench_train",
    ),
    "vlm3r_order": (
        "the JSON file of appearance orders",
        "follow https://github.com/VITA-Group/VLM-3R to the dataset, folder vsibench_train",
    ),
    "video_r1": (
        "Video-R1-260k.json",
        "`hf download Video-R1/Video-R1-data --repo-type dataset --local-dir DIR` (309 GB, "
        "https://huggingface.co/datasets/Video-R1/Video-R1-data), and unpack each archive in the folder where it lies",
    ),
    "video_r1_cot": (
        "Video-R1-COT-165k.json",
        "`hf download Video-R1/Video-R1-data --repo-type dataset --local-dir DIR` (309 GB, "
        "https://huggingface.co/datasets/Video-R1/Video-R1-data), and unpack each archive in the folder where it lies",
    ),
}
"""Training file, by its key in `site.external` -> its name, and how to get it."""


SPLITS = ("train", "val", "test")

SCANNET_SPLITS = ("scannetv2_{}.txt", "scannetv1_{}.txt")
"""Split files of ScanNet's two versions, by split."""
SCANNET_LABELS = ("scannetv2-labels.combined.tsv", "scannet-labels.combined.tsv")
"""Label tables of both versions; the download of version 2 holds both, and its own goes first."""
SCANNETPP_SPLITS = {"train": "nvs_sem_train.txt", "val": "nvs_sem_val.txt", "test": "sem_test.txt"}
"""Files in ScanNet++'s splits/, by split."""
ARKITSCENES_TABLES = (
    "raw/metadata.csv", "metadata.csv", "raw/raw_train_val_splits.csv", "raw_train_val_splits.csv",
    "3dod/3dod_train_val_splits.csv", "3dod_train_val_splits.csv", "3dod/metadata.csv",
)  # fmt: skip
"""Tables of ARKitScenes' videos, visits and folds, relative to the root."""
LIST_FOLDERS = {
    "scannet": (
        ".",
        "Tasks/Benchmark",
        "splits",
        "meta_data",
        "..",
        "../Tasks/Benchmark",
        "../ScanNet/Tasks/Benchmark",
    ),
    "scannetpp": ("splits", ".", "../splits"),
}
"""Where split lists are looked for, relative to the root: as downloaded, as in the release's repository, beside it."""


class MissingData(UserError, FileNotFoundError):
    """A release is not where the configuration says; the message is all that a user needs."""


def missing(name: str, root: Path | str) -> str | None:
    """What to tell the user if the release `name` is not at `root`; None if it is there."""
    folder, how = _HOW[name]
    expected = Path(root) / folder
    if expected.is_dir() or any((Path(root) / other).is_dir() for other in _OTHER_FOLDERS.get(name, ())):
        return None
    inside = Path(root).is_dir() and Path(root).name in (folder, *_OTHER_FOLDERS.get(name, ()))
    hint = f"; {root} seems to be that folder itself: name the one above it" if inside else ""
    return (
        f"{name}: nothing at {expected}{hint}. To get it: {how}. "
        f"If it lies elsewhere, say so in config/local.yaml (config/README.md): site.roots.{name}"
    )


def list_names(name: str, split: str) -> tuple[str, ...]:
    """The names that the list of a split may have, the preferred one first."""
    if name == "scannet":
        return tuple(file.format(split) for file in SCANNET_SPLITS)
    return (SCANNETPP_SPLITS[split],)


def list_places(name: str, root: Path | str, lists: Path | str | None = None) -> list[Path]:
    """The folders in which split lists are looked for, in order: `lists` (`site.splits`) alone, if it is given; a file
    stands for its folder."""
    if lists is not None:
        return [Path(lists).parent if Path(lists).is_file() else Path(lists)]
    return [Path(os.path.normpath(Path(root) / folder)) for folder in LIST_FOLDERS[name]]


def find_list(
    name: str,
    root: Path | str,
    split: str,
    lists: Path | str | None = None,
    note: Callable[[Path], Path] = lambda path: path,
) -> Path:
    """The list of a split of the release at `root`, the first that is there; without one, where it belongs.

    `note` is called with every path that is looked at (`fingerprint.note` records it).
    """
    places = [place / file for file in list_names(name, split) for place in list_places(name, root, lists)]
    return next((path for path in places if note(path).is_file()), places[0])


def list_file(
    name: str,
    root: Path | str,
    split: str,
    lists: Path | str | None = None,
    note: Callable[[Path], Path] = lambda path: path,
) -> Path:
    """The list of a split of the release at `root`, the first that is there. Raises `MissingData` without one."""
    path = find_list(name, root, split, lists, note)
    if path.is_file():
        return path
    places, names = list_places(name, root, lists), list_names(name, split)
    given = f"site.splits.{name} = {lists}, and it" if lists is not None else "It"
    raise MissingData(
        f"{name}: no split file {places[0] / names[0]}, nor {' or '.join(dict.fromkeys(names))} in any of "
        f"{', '.join(str(place) for place in places)}. {given} comes with the download: {_HOW[name][1]}. If the lists "
        f"lie elsewhere, name their folder in config/local.yaml: site.splits.{name}"
    )


def list_files(
    name: str,
    root: Path | str,
    wanted: Iterable[str],
    lists: Path | str | None = None,
    note: Callable[[Path], Path] = lambda path: path,
) -> dict[str, Path]:
    """The list of each split that the release at `root` has. Raises `MissingData` without one that is wanted.

    ScanNet's lists are those of the version of the first wanted one; only a wanted list that this version lacks may be
    of the other.
    """
    found, wanted = {}, set(wanted)
    for split in sorted(SPLITS, key=lambda split: split not in wanted):
        path = None
        if name == "scannet" and found:
            path = _of_version(next(iter(found.values())), root, split, lists, note)
        if path is None and (split in wanted or name != "scannet" or not found):
            try:
                path = list_file(name, root, split, lists, note)
            except MissingData:
                if split in wanted:
                    raise
        if path is not None:
            found[split] = path
    return {split: found[split] for split in SPLITS if split in found}


def _of_version(
    like: Path, root: Path | str, split: str, lists: Path | str | None, note: Callable[[Path], Path]
) -> Path | None:
    """The list of a split of that version of ScanNet of which the list `like` is; None without one.

    Each version divides the scans in its own way: lists of both share scans.
    """
    pattern = next(each for each in SCANNET_SPLITS if like.name in {each.format(any_) for any_ in SPLITS})
    places = [place / pattern.format(split) for place in list_places("scannet", root, lists)]
    return next((path for path in places if note(path).is_file()), None)


def label_table(root: Path | str, note: Callable[[Path], Path] = lambda path: path) -> Path | None:
    """ScanNet's label table: of version 2, else of version 1, in the first place that has it; None without one."""
    found = (place / file for file in SCANNET_LABELS for place in list_places("scannet", root))
    return next((path for path in found if note(path).is_file()), None)


def outside(name: str, root: Path | str, lists: Path | str | None = None) -> list[Path]:
    """Every place outside the release's root where a list of it is looked for: what a record of its files adds."""
    if name == "arkitscenes":
        beside = [Path(lists) / table for table in ARKITSCENES_TABLES] if lists is not None else []
        return _beyond(root, beside)
    if name not in LIST_FOLDERS:
        return []
    names = {file for split in ("train", "val", "test") for file in list_names(name, split)}
    beside = [path / file for path in list_places(name, root, lists) for file in sorted(names)]
    beside += [path / file for path in list_places(name, root) for file in SCANNET_LABELS if name == "scannet"]
    return _beyond(root, beside)


def _beyond(root: Path | str, paths: Iterable[Path]) -> list[Path]:
    """The paths that are not below the root."""
    inside = Path(os.path.abspath(root))
    return [path for path in paths if inside not in Path(os.path.abspath(path)).parents]


def missing_lists(name: str, root: Path | str, splits: Iterable[str], lists: Path | str | None = None) -> list[str]:
    """Messages about lists that the release at `root` lacks: scans of each split, and ScanNet's label table.

    Empty if nothing is missing. ARKitScenes needs none: its folders say what they are.
    """
    found = []
    for split in splits if name in LIST_FOLDERS else ():
        try:
            list_file(name, root, split, lists)
        except MissingData as error:
            found.append(str(error))
    if name == "scannet" and label_table(root) is None:
        found.append(f"{name}: no {SCANNET_LABELS[0]} in {root}. It comes with the download: {_HOW[name][1]}")
    return found


def missing_file(source: str, path: str | None) -> str | None:
    """What to tell the user if the training file `source` is not configured (None) or not at `path`; None if it is."""
    name, how = _FILES[source]
    if path and Path(path).is_file():
        return None
    fault = f"no file {path}" if path else "not configured"
    return (
        f"{source}: {fault}. To get it: {how}. Then set site.external.{source} to the path of {name} in "
        "config/local.yaml (config/README.md)"
    )


def require(name: str, root: Path | str) -> None:
    """Raise `MissingData` if the release `name` is not at `root`."""
    message = missing(name, root)
    if message:
        raise MissingData(message)
