"""Ingest one shard of a dataset: raw scans to the tables scenes, objects, frames, maps, visibility, scenes_dropped."""

from __future__ import annotations

import errno
import logging
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from scipy.spatial import QhullError

from rollout3d import tables
from rollout3d.config import Config
from rollout3d.config.frames import stored_sets
from rollout3d.errors import UserError
from rollout3d.fingerprint import note
from rollout3d.progress import progress
from rollout3d.releases import MissingData
from rollout3d.scenes import datasets, oddities, rows
from rollout3d.scenes.contract import MAX_ROOM_M2
from rollout3d.scenes.damage import more_than_chance
from rollout3d.scenes.datasets import Dataset
from rollout3d.scenes.reading import ScanError
from rollout3d.scenes.release import ScanRef
from rollout3d.scenes.scan import UNKNOWN_LABEL, Scan
from rollout3d.scenes.sightings import Watch
from rollout3d.seeding import shard_of
from rollout3d.tables.rows import DroppedSceneRow

NAMES = ("scenes", "objects", "frames", "maps", "visibility", "scenes_dropped")
"""Tables of a shard."""

_log = logging.getLogger(__name__)
_NAMED = 5
_WRITING = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
"""Errors of the disk that is written to, which end the run: they do not concern the scan that is being read."""


class TooManyFailures(UserError, RuntimeError):
    """More scans of a shard failed than the configuration allows; the message lists the first ones."""


def shard_scans(dataset: str, root: Path, shard: int, n_shards: int, config: Config) -> list[ScanRef]:
    """Return the scans of one shard, in the order of the split files, including those that are not on disk.

    `max_scans` of the dataset limits each split to its first scans on disk, before shards are formed. A space with
    scans to train on and scans to test on is logged: the leak guard keeps its questions out of training. Raises
    `MissingData` if the release, or every scan of it, is missing.
    """
    spec = config.datasets[dataset]
    splits = [*dict.fromkeys((*spec.splits.train, *spec.splits.test))]
    refs = datasets.load(dataset).list_scans(root, splits, config.site.splits.get(dataset))
    if not any(ref.present for ref in refs):
        raise MissingData(_nothing(datasets.load(dataset), root, splits, refs))
    if spec.max_scans is not None:
        by_split = {split: [r for r in refs if r.split == split and r.present] for split in splits}
        refs = [ref for split in splits for ref in by_split[split][: spec.max_scans]]
    mine = [ref for ref in refs if shard_of(ref.space_id, n_shards) == shard]
    _warn_of_shared_spaces(dataset, mine, spec.splits.train)
    return mine


def _nothing(reader: Dataset, root: Path, splits: list[str], refs: list[ScanRef]) -> str:
    """Return a message with the expected folders and the content of the release's folders."""
    name = reader.RELEASE.name
    example = refs[0] if refs else ScanRef("<scan>", "", splits[0])
    places = sorted({folder.parent for folder in reader.folders(root, example)})
    there = "; ".join(f"{place} {_content(place)}" for place in [root, *places])
    listed = f"none of the {len(refs)} scans of" if refs else "no scan in"
    expected = " or ".join(str(folder) for folder in reader.folders(root, example))
    return (
        f"{name}: {listed} the splits {', '.join(splits)} is there, looked for as {expected}. What is there: "
        f"{there}. Download the scans, or point site.roots.{name} at them in config/local.yaml"
    )


def _content(folder: Path) -> str:
    """Return the first names in a folder, as part of a sentence."""
    if not folder.is_dir():
        return "does not exist"
    names = sorted(path.name + "/" * path.is_dir() for path in folder.iterdir())
    more = f", ... ({len(names)} entries)" if len(names) > _NAMED else ""
    return f"holds {', '.join(names[:_NAMED]) or 'nothing'}{more}"


def _warn_of_shared_spaces(dataset: str, refs: list[ScanRef], trained: Collection[str]) -> None:
    sides: dict[str, set[bool]] = {}
    for ref in refs:
        sides.setdefault(ref.space_id, set()).add(ref.split in trained)
    both = sorted(space for space, found in sides.items() if len(found) > 1)
    if both:
        _log.warning(
            "%s: %d spaces have scans to train on and scans to test on, such as %s: none of them is trained on",
            *(dataset, len(both), both[0]),
        )


def ingest_shard(
    dataset: str,
    root: Path,
    out_dir: Path,
    shard: int,
    n_shards: int,
    config: Config,
    lineage: tables.Lineage | Callable[[], tables.Lineage],
    sets: Collection[str] = (),
) -> None:
    """Write the tables (`NAMES`) of one shard to `out_dir`, all of them even if empty.

    `sets`: frame sets to store (`config/frames.py`); empty = those that the configuration itself reads.

    A scan that cannot be read becomes a row of scenes_dropped, and so does a listed scan that is not on disk. Raises
    `MissingData` without the release. A dataset of one shard also raises it if the release itself rules out every scan,
    unless `site.max_drop_share` is 1. Raises `TooManyFailures`, and writes no table, as soon as more scans are damaged
    than a shard may have by chance (`more_than_chance`).
    """
    root = Path(root)
    refs = shard_scans(dataset, root, shard, n_shards, config)
    present = [ref for ref in refs if ref.present]
    for path in (path for ref in refs if not ref.present for path in datasets.load(dataset).folders(root, ref)):
        note(path)
    dropped = [_dropped(ref, "", "listed in the split file, but not on disk") for ref in refs if not ref.present]
    if dropped:
        _log.warning("%s: %d of the shard's %d scans are not on disk", dataset, len(dropped), len(refs))
    damaged: list[str] = []
    unknown: Counter[str] = Counter()
    n_written = 0
    with ExitStack() as stack:
        writers = {
            name: stack.enter_context(tables.Writer(tables.TABLES[name], Path(out_dir) / f"{name}.parquet", lineage))
            for name in NAMES
        }
        for ref in progress(present, f"{dataset} {shard}/{n_shards}"):
            try:
                found = ingest_scan(datasets.load(dataset), root, ref, config, sets)
            except ScanError as error:
                file = relative(error.path, root)
                dropped.append(_dropped(ref, file, error.reason))
                _log.warning("%s: scan %s dropped: %s: %s", dataset, ref.scene_id, file, error.reason)
                if not error.expected:
                    damaged.append(f"{ref.scene_id}: {file}: {error.reason}")
                if not error.expected and more_than_chance(len(damaged), len(present), config.site.max_drop_share):
                    raise TooManyFailures(_complaint(dataset, damaged, len(present), config)) from None
                continue
            except Exception as error:  # a fault of ours, not of the scan's files
                error.add_note(f"while ingesting {dataset} scan {ref.scene_id}")
                raise
            n_written += 1
            writers["scenes"].write(found["scenes"])
            writers["objects"].write(found["objects"])
            writers["frames"].write(found["frames"])
            writers["maps"].write(found["maps"])
            writers["visibility"].write(found["visibility"])
            unknown.update(_unknown_labels(found))
        if present and not n_written:
            message = _nothing_left(dataset, dropped, refs)
            _log.warning("%s", message)
            if n_shards == 1 and not damaged and config.site.max_drop_share < 1:
                raise MissingData(message)
        writers["scenes_dropped"].write(dropped)
    if unknown:
        _log.warning("%s: %s", dataset, _label_warning(unknown))


@contextmanager
def touching(reader: Dataset, root: Path, ref: ScanRef) -> Iterator[None]:
    """Convert an error of the disk or of permissions into a `ScanError`, because it concerns one scan.

    `reading` converts errors of a file's content; folders are listed outside of it. `MissingData` passes unchanged, and
    so do errors of writing, such as a full disk.
    """
    try:
        yield
    except MissingData:
        raise
    except OSError as error:
        if error.errno in _WRITING:
            raise
        named = isinstance(error.filename, str | os.PathLike)
        path = Path(error.filename) if named else reader.folders(root, ref)[0]
        raise ScanError(path, f"cannot be read ({error.strerror or type(error).__name__})") from error


def is_there(path: Path) -> bool:
    """Return whether a path exists; a path without permission to check counts as there."""
    try:
        return path.exists()
    except OSError:
        return True


def ingest_scan(
    reader: Dataset, root: Path, ref: ScanRef, config: Config, sets: Collection[str] = ()
) -> rows.SceneTables:
    """Return the rows of one scan by table. Raises `ScanError` if it cannot be used.

    `sets`: frame sets to store; empty = those that the configuration itself reads.
    """
    with touching(reader, root, ref), datasets.read_scan(reader, root, ref) as scan:
        try:
            sets = sets or stored_sets(config)
            frames = rows.frame_rows(scan, config, sets)
            lost = sum(row["pose"] is None for row in frames)
            if lost == len(frames) and not _any_pose(scan):
                raise ScanError(scan.source.poses_path, "no frame of the video has a valid pose")
            if lost:
                scan.room.flags.append(f"lost_frames:{lost}")
            if scan.room.colors is None:
                scan.room.flags.append("no_mesh_colors")
            objects = rows.object_rows(scan, config)
            scene = rows.scene_row(scan, config)
            area = scene["room_size_m2"]
            if area is None or not area > 0:
                raise ScanError(scan.room.mesh_path, "a room without any area")
            if area > MAX_ROOM_M2:
                raise ScanError(scan.room.mesh_path, f"a room of {area:.0f} m2: no room is that large")
            watch = Watch(scan, config, sets)
            found: rows.SceneTables = {
                "scenes": [scene],
                "objects": objects,
                "frames": frames,
                "maps": [rows.map_row(scan, config, watch.appearances())],
                "visibility": watch.rows(),
            }
            odd = [*oddities.orientation_flags(scan), *oddities.depth_flags(scan)]
            scene["flags"] += [flag for flag in odd if flag not in scene["flags"]]
            return found
        except ScanError:
            raise
        except (ValueError, ArithmeticError, QhullError) as error:
            # Geometry raises for degenerate meshes and boxes, and does not name their file.
            raise ScanError(scan.room.mesh_path, str(error) or type(error).__name__) from error


def _any_pose(scan: Scan) -> bool:
    return any(scan.camera(index)[1] is not None for index in range(scan.source.n_frames))


def _unknown_labels(found: rows.SceneTables) -> list[str]:
    """Return the label of each object that the release's lists do not explain, by the scene's flags."""
    flags = {flag for scene in found["scenes"] for flag in scene["flags"]}
    return [row["label"] for row in found["objects"] if UNKNOWN_LABEL + row["label"] in flags]


def _label_warning(labels: Counter[str]) -> str:
    most = ", ".join(f"{label} {n}" for label, n in sorted(labels.items(), key=lambda e: (-e[1], e[0]))[:_NAMED])
    return (
        f"{labels.total()} objects with {len(labels)} labels that no list of the release explains: {most}"
        f"{', ...' if len(labels) > _NAMED else ''}; they are perturbed like others, and no question is about them"
    )


def relative(path: Path, root: Path) -> str:
    """Return the file at fault relative to the root; empty if the fault is in no single file."""
    if path == Path():
        return ""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def _dropped(ref: ScanRef, file: str, reason: str) -> DroppedSceneRow:
    return {"scene_id": ref.scene_id, "file": file, "reason": reason}


def _nothing_left(dataset: str, dropped: list[DroppedSceneRow], refs: list[ScanRef]) -> str:
    """Return a message that no scan of a shard can be used, with the most frequent reasons and the remedy."""
    reasons = Counter(row["reason"] for row in dropped)
    most = sorted(reasons.items(), key=lambda each: (-each[1], each[0]))
    listed = "".join(f"\n  {n} x {reason}" for reason, n in most[:_NAMED]) + ("\n  ..." if len(most) > _NAMED else "")
    return (
        f"{dataset}: none of the shard's {len(refs)} scans can be used, so it has no questions:{listed}\n"
        f"Download more scans, or the files that these lack; `rollout3d inventory {dataset} ROOT` lists what each lacks"
    )


def _complaint(dataset: str, damaged: list[str], total: int, config: Config) -> str:
    listed = "\n  ".join(damaged[:_NAMED])
    return (
        f"{dataset}: {len(damaged)} of the shard's {total} scans cannot be read, too many for a random shard if "
        f"site.max_drop_share = {config.site.max_drop_share} of the dataset are damaged. The first ones:\n  {listed}\n"
        "Download them again, or raise site.max_drop_share in config/local.yaml to continue without them "
        "(scenes_dropped lists them); finished shards are not ingested again"
    )
