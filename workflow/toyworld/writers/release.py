"""Write a whole release of one dataset: its scans, split lists and metadata, and the true answers beside it."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from rollout3d.errors import InvalidInput
from rollout3d.progress import progress
from rollout3d.seeding import stable_hash
from toyworld.rendering.recording import Recording, record
from toyworld.rooms.vocabulary import CATEGORIES
from toyworld.rooms.world import build_world
from toyworld.settings import Scans
from toyworld.truth import truth
from toyworld.writers import annotation, arkitscenes, scannet, scannetpp
from toyworld.writers.scannet_labels import write_labels

MARKER = "SYNTHETIC.txt"
"""File in the root of every rendered release; a directory without it is never overwritten."""

_WRITERS = {"scannet": scannet, "scannetpp": scannetpp, "arkitscenes": arkitscenes}
_LAYOUTS: tuple[tuple[Literal["raw", "3dod"], ...], ...] = (("raw",), ("3dod",), ("raw", "3dod"))
_FEW_FRAMES = 4
"""Frames of ScanNet's test scan, whose pictures are large."""
_TEST_SIZE = (640, 480)
"""(width, height) of the colour of ScanNet's test scan; a few scans of the real release have this size."""


@dataclass(frozen=True)
class Planned:
    """One scan of a release before it is written."""

    scene_id: str
    space_id: str
    space: int
    """Number of the physical space; scans of one space show the same world."""
    take: int
    """Number of the scan within its space."""
    split: str
    quirks: Any
    """The `Quirks` of the dataset's writer."""
    aside: bool = False
    """True for a scan that no question is asked about because of its quirk; the counts of `Scans` exclude it."""


def write_release(dataset: str, root: Path, scans: Scans, seed: int) -> list[dict[str, Any]]:
    """Plan a release of `dataset`, film it and write it under `root`, as `write_scans` does."""
    planned = plan(dataset, scans, seed)
    return write_scans(dataset, root, planned, lambda scan: film(dataset, scan, scans, seed), seed)


def write_scans(
    dataset: str, root: Path, planned: Sequence[Planned], recording_of: Callable[[Planned], Recording], seed: int
) -> list[dict[str, Any]]:
    """Write a release of `dataset` with these scans under `root`; return the rows of `tables.SCANS`, sorted by file.

    `recording_of` is called for one scan after the other. The true answers about a scan go to
    `root/../<dataset>_truth/<scene_id>.json`: `truth.truth`, and under `release` the scan's ids, each thing's label and
    object id, and the 4x4 from the world to the frame of the written scan. A rendered release at `root` is replaced.
    Raises ValueError for an unknown dataset, and InvalidInput if `root` holds anything else.
    """
    if dataset not in _WRITERS:
        raise ValueError(f"no writer for dataset '{dataset}': choose from {sorted(_WRITERS)}")
    _clear(root, dataset)
    owners: dict[Path, str] = {}
    facts = root.parent / f"{dataset}_truth"
    shutil.rmtree(facts, ignore_errors=True)
    facts.mkdir(parents=True)
    for scan in progress(planned, f"{dataset} scans"):
        recording = recording_of(scan)
        owners |= dict.fromkeys(_write_scan(dataset, recording, root, scan, seed), scan.scene_id)
        (facts / f"{scan.scene_id}.json").write_text(json.dumps(_facts(dataset, recording, scan, seed)) + "\n")
    shared = {"scannet": _share_scannet, "scannetpp": _share_scannetpp, "arkitscenes": _share_arkitscenes}
    owners |= dict.fromkeys([*shared[dataset](root, planned), root / MARKER], "")
    rows = [_row(dataset, owner, path, root) for path, owner in owners.items()]
    return sorted(rows, key=lambda row: row["file"])


def plan(dataset: str, scans: Scans, seed: int) -> list[Planned]:
    """Return the scans of a release, training first; quirks are assigned by position.

    With three or more training scans, the first space of ScanNet and ARKitScenes is scanned twice, and a scan aside is
    added at the end: one of the test split for ScanNet, one that the annotators skipped for ARKitScenes.
    """
    n, n_train = scans.scans_per_dataset, scans.scans_per_dataset - scans.val_scans
    twice = dataset != "scannetpp" and n_train >= 3
    planned = []
    for i in range(n):
        space, take = (max(i - 1, 0), int(i == 1)) if twice else (i, 0)
        scene_id, space_id = _names(dataset, space, take, seed)
        if dataset == "arkitscenes" and n_train >= 3 and i == n_train - 1:
            space_id = "NA"
        planned.append(
            Planned(
                scene_id=scene_id,
                space_id=space_id,
                space=space,
                take=take,
                split="train" if i < n_train else "val",
                quirks=_quirks(dataset, i),
            )
        )
    if twice and dataset == "scannet":
        hidden = scannet.Quirks(hidden=True, depth_divisor=1)
        planned.append(Planned("scene0707_00", "scene0707", n, 0, "test", hidden, aside=True))
    elif twice:
        scene_id, space_id = _names(dataset, 0, 2, seed)
        planned.append(Planned(scene_id, space_id, 0, 2, "train", arkitscenes.Quirks(skipped=True), aside=True))
    return planned


def _names(dataset: str, space: int, take: int, seed: int) -> tuple[str, str]:
    """Return scene id and space id in the dataset's own style."""
    if dataset == "scannet":
        return f"scene{space:04d}_{take:02d}", f"scene{space:04d}"
    if dataset == "scannetpp":
        name = f"{stable_hash(seed, 'scannetpp', space):016x}"[:10]
        return name, name
    visit = 420000 + 100 * (stable_hash(seed, "visits") % 50) + space
    return f"{41000000 + 10 * visit + take}", str(visit)


def _quirks(dataset: str, i: int) -> Any:
    if dataset == "scannet":
        return scannet.Quirks(
            depth_divisor=1 if i % 4 == 3 else 2,
            extrinsics=i % 4 != 1,
            corrupt_times=i % 4 == 2,
            projected=i == 1,
            duplicated_groups=i % 5 == 2,
            unlisted_label=i % 3 == 1,
        )
    if dataset == "scannetpp":
        packing = ("stream", "records_lz4", "records_deflate")[i % 3]
        return scannetpp.Quirks(depth_packing=packing, odd_length=i % 3 == 2, dslr=i == 1)
    return arkitscenes.Quirks(
        rotation_deg=(0, 90, 180, 270)[i % 4],
        layouts=_LAYOUTS[i % 3],
        delimiter=("_", " ", "/", "-")[i % 4],
    )


def film(dataset: str, scan: Planned, scans: Scans, seed: int) -> Recording:
    """Record the world of a planned scan, upright."""
    world = build_world(stable_hash(seed, "world", dataset, scan.space) % 2**31, scans.n_objects)
    if scan.take:  # another walk through the same things
        world = replace(world, seed=stable_hash(world.seed, "take", scan.take) % 2**31)
    size = (scans.width, scans.height)
    if getattr(scan.quirks, "rotation_deg", 0) in (90, 270):  # a portrait picture from a landscape sensor
        size = size[::-1]
    hidden = dataset == "scannet" and scan.quirks.hidden
    if hidden:
        size = _TEST_SIZE
    elif dataset == "scannet" and scan.quirks.depth_divisor == 1:  # colour differs in size between devices
        size = 2 * round(0.4 * size[0]), 2 * round(0.4 * size[1])
    recording = record(world, scans.seconds, scans.fps, *size)
    return replace(recording, poses=recording.poses[:_FEW_FRAMES], lost=()) if hidden else recording


def _write_scan(dataset: str, recording: Recording, root: Path, scan: Planned, seed: int) -> list[Path]:
    where = {"split": scan.split} if dataset == "arkitscenes" else {}
    return _WRITERS[dataset].write_scan(recording, root, scan.scene_id, seed=seed, quirks=scan.quirks, **where)


def _facts(dataset: str, recording: Recording, scan: Planned, seed: int) -> dict[str, Any]:
    writer = _WRITERS[dataset]
    spoken = writer.labels(recording.world, scan.scene_id, seed=seed, quirks=scan.quirks)
    placement = writer.release_from_world(recording, scan.scene_id, seed=seed)
    release = {
        "dataset": dataset,
        "scene_id": scan.scene_id,
        "space_id": scan.space_id,
        "split": scan.split,
        "lost": list(recording.lost),
        "rotation_deg": getattr(scan.quirks, "rotation_deg", 0),
        "release_from_world": placement.tolist(),
        "labels": {str(thing_id): label for thing_id, label in spoken.items()},
        # By thing id; things without a label are left out.
        "object_ids": {
            str(thing_id): number
            for number, thing_id in enumerate(
                sorted(thing_id for thing_id, label in spoken.items() if label is not None), writer.FIRST_OBJECT_ID
            )
        },
    }
    return {**truth(recording), "release": release}


def _clear(root: Path, dataset: str) -> None:
    if root.exists() and any(root.iterdir()):
        if not (root / MARKER).exists():
            raise InvalidInput(
                f"{root} holds files that are no synthetic release (no {MARKER}): nothing is written there; "
                "choose another directory, or empty this one yourself"
            )
        shutil.rmtree(root)
    root.mkdir(parents=True, exist_ok=True)
    text = f"Procedural scans in the format of {dataset}. Written by a program, which replaces the whole directory.\n"
    (root / MARKER).write_text(text)


def _share_scannet(root: Path, planned: Sequence[Planned]) -> list[Path]:
    # The download has the label tables of both versions.
    tables = [root / name for name in ("scannetv2-labels.combined.tsv", "scannet-labels.combined.tsv")]
    write_labels(tables[0])
    write_labels(tables[1], version=1)
    lists = []
    for split in ("train", "val", *(["test"] if any(scan.split == "test" for scan in planned) else [])):
        path = root / f"scannetv2_{split}.txt"
        # Copies of the lists differ in whether they end in a newline.
        end = "" if split == "val" else "\n"
        path.write_text("\n".join(scan.scene_id for scan in planned if scan.split == split) + end)
        lists.append(path)
    return [*tables, *lists]


def _share_scannetpp(root: Path, planned: Sequence[Planned]) -> list[Path]:
    texts = {
        f"splits/nvs_sem_{split}.txt": [scan.scene_id for scan in planned if scan.split == split]
        for split in ("train", "val")
    }
    words = sorted({word for each in CATEGORIES.values() for word in each.labels.get("scannetpp", ())})
    structure = list(annotation.STRUCTURE.values())
    texts["metadata/semantic_classes.txt"] = structure + words + ["object", "remove", "split"]
    texts["metadata/instance_classes.txt"] = words
    texts["metadata/semantic_benchmark/top100.txt"] = structure + words
    texts["metadata/semantic_benchmark/top100_instance.txt"] = words
    mapping = ["class,count,semantic_map_to,instance_map_to"]
    mapping += [f"{word},1,," for word in words] + [f"{word},1,,None" for word in [*structure, "object"]]
    texts["metadata/semantic_benchmark/map_benchmark.csv"] = mapping
    return list(_write_lines(root, texts))


def _share_arkitscenes(root: Path, planned: Sequence[Planned]) -> list[Path]:
    splits = ["video_id,visit_id,fold"]
    splits += [f"{scan.scene_id},{scan.space_id},{arkitscenes.FOLDS[scan.split]}" for scan in planned]
    metadata = [f"{splits[0]},sky_direction,is_in_upsampling,has_laser_scanner_point_clouds"]
    sky = {0: "Up", 90: "Left", 180: "Down", 270: "Right"}
    for i, (line, scan) in enumerate(zip(splits[1:], planned)):
        # The released column is often wrong, and so is every third value here.
        metadata.append(f"{line},{'Up' if i % 3 == 1 else sky[scan.quirks.rotation_deg]},False,False")
    return list(
        _write_lines(
            root,
            {
                "raw/metadata.csv": metadata,
                "raw/raw_train_val_splits.csv": splits,
                "3dod/3dod_train_val_splits.csv": splits,
            },
        )
    )


def _write_lines(root: Path, texts: dict[str, list[str]]) -> Iterator[Path]:
    for name, lines in texts.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{line}\n" for line in lines))
        yield path


def _row(dataset: str, scene_id: str, path: Path, root: Path) -> dict[str, Any]:
    data = path.read_bytes()
    return {
        "dataset": dataset,
        "scene_id": scene_id,
        "file": path.relative_to(root).as_posix(),
        "n_bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
    }
