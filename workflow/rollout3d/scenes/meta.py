"""Scenes from published metadata, without a scan: boxes of VSI-Bench, VLM-3R, VSI-590K to rows of scenes and objects.

A file is a JSON object, scene id -> {dataset, room_size, room_center, object_counts, object_bbox}; VLM-3R writes
`object_bboxes` and gives each box an `instance_id`. VSI-590K's files (nyu-visionx/VSI-590K-MetaInfo) are known from
descriptions of their keys; we assume that a single box has VSI-Bench's fields. Counts come from `object_counts`, which
need not equal the number of boxes: in VSI-Bench's own files they differ in 12 places, mostly printers with copied
boxes.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rollout3d import doors
from rollout3d.errors import UserError
from rollout3d.scenes.contract import MAX_ROOM_M2, extent_fault, label_text, object_id, read_stated, size_fault
from rollout3d.scenes.damage import more_than_chance
from rollout3d.scenes.datasets import load, space_of
from rollout3d.scenes.lists import is_scan_name
from rollout3d.scenes.reading import ScanError, read_json
from rollout3d.scenes.scan import matrix
from rollout3d.tables.rows import DroppedSceneRow, ObjectRow, SceneRow

BOX_KEYS = ("object_bbox", "object_bboxes")
"""Keys of the boxes: VSI-Bench's, then VLM-3R's."""
_RELEASED = ("*_meta_info_*.json", "*_meta_info-*.json", "*_coreset_anno_*.json")
"""Names of metadata files: of VSI-Bench and VLM-3R, and of VSI-590K."""

_HOW_TO_GET = (
    "VSI-Bench's are data/meta_info/*_meta_info_val.json of https://github.com/vision-x-nyu/thinking-in-space; "
    "download the file again, or name another with --meta"
)
_SPLIT = re.compile(r"_(train|val|test)(?![a-z])")
_FAR_M = 50.0
"""Largest distance of a box from the room's centre, metres. [assumed]"""
_NAMED = 5

_log = logging.getLogger(__name__)


class MetaError(UserError, ValueError):
    """Metadata that cannot be read; the message names the file and the remedy."""


@dataclass(frozen=True)
class MetaScenes:
    """Rows of the tables, in the order of the files."""

    scenes: list[SceneRow]
    objects: list[ObjectRow]
    dropped: list[DroppedSceneRow]
    """Rows of scenes_dropped."""
    files: tuple[Path, ...]
    """The files that were read."""


def read_meta(paths: Path | str | Iterable[Path | str], max_drop_share: float = 0.05) -> MetaScenes:
    """Read the scenes of metadata files, or of the files in directories (`meta_files`).

    A scene that cannot be read becomes a row of scenes_dropped. Raises MetaError for a file that is no metadata, for a
    scene that is in two files, if no scene can be read, and if more scenes are damaged than a share `max_drop_share` of
    the dataset explains (`more_than_chance`).
    """
    files = meta_files([paths] if isinstance(paths, str | Path) else paths)
    found = MetaScenes([], [], [], tuple(files))
    origin: dict[str, Path] = {}
    damaged: list[str] = []
    total = 0
    for file in files:
        for scene_id, content in _entries(file):
            total += 1
            try:
                scene, objects = _scene(file, scene_id, content)
            except ScanError as error:
                name = scene_id if scene_id.isprintable() else repr(scene_id)  # no table or log stores half a character
                found.dropped.append({"scene_id": name, "file": file.name, "reason": error.reason})
                damaged.append(f"{file}: scene {name}: {error.reason}")
                _log.warning("scene %s of %s dropped: %s", name, file, error.reason)
                continue
            if scene_id in origin:
                raise MetaError(f"scene {scene_id} is in {origin[scene_id]} and in {file}: give only one of the two")
            origin[scene_id] = file
            found.scenes.append(scene)
            found.objects.extend(objects)
    if not found.scenes or more_than_chance(len(damaged), total, max_drop_share):
        listed = "\n  ".join(damaged[:_NAMED])
        raise MetaError(
            f"{len(damaged)} of {total} scenes cannot be read, too many for a random sample if site.max_drop_share = "
            f"{max_drop_share} of the dataset are damaged. The first:\n  {listed}\nRemedy: {_HOW_TO_GET}"
            + (_go_on(len(damaged), total) if found.scenes else "")
        )
    return found


def _go_on(n_damaged: int, total: int) -> str:
    """Return the remedy to read the other scenes: the share of damaged scenes in the file is always accepted."""
    share = math.ceil(100 * n_damaged / total) / 100
    return f'; or continue without them: add --config \'{{"site": {{"max_drop_share": {share}}}}}\''


def meta_files(paths: Iterable[Path | str]) -> list[Path]:
    """Return the given files, and of each directory its files of a known name (`_RELEASED`), or else all its JSON.

    Raises MetaError for a path that is not there, and for a directory without JSON files.
    """
    files: list[Path] = []
    for path in map(Path, paths):
        if path.is_dir():
            inside = sorted({f for name in _RELEASED for f in path.glob(name)}) or sorted(path.glob("*.json"))
            if not inside:
                raise MetaError(f"{path}: holds no *_meta_info_*.json; {_HOW_TO_GET}")
            files += inside
        elif path.exists():
            files.append(path)
        else:
            raise MetaError(f"{path}: no such file or directory; {_HOW_TO_GET}")
    return list(dict.fromkeys(files))


def _entries(file: Path) -> Iterator[tuple[str, Any]]:
    """Return scene ids and contents of one file. Raises MetaError if it is not a JSON object of scenes."""
    try:
        content = read_json(file)
    except (ScanError, RecursionError) as error:
        raise MetaError(f"{file}: {getattr(error, 'reason', 'nested too deeply')}; {_HOW_TO_GET}") from error
    if not content:
        raise MetaError(f"{file}: is empty; {_HOW_TO_GET}")
    if not any(isinstance(value, dict) and "object_counts" in value for value in content.values()):
        raise MetaError(f"{file}: no entry has object_counts, so this is not scene metadata; {_HOW_TO_GET}")
    return iter(content.items())


def _scene(file: Path, scene_id: str, content: Any) -> tuple[SceneRow, list[ObjectRow]]:
    """Return the row of `scenes` and the rows of `objects` of one entry. Raises ScanError that names the fault."""
    if not is_scan_name(scene_id):
        raise ScanError(file, f"{scene_id!r} is no name of a scene")
    if not isinstance(content, dict):
        raise ScanError(file, f"{scene_id!r}: a {type(content).__name__} where a scene's metadata belongs")
    dataset = _dataset(file, content.get("dataset"))
    counts = _counts(file, content.get("object_counts"))
    flags = ["meta_only"] + (["no_visit_id"] if load(dataset).RELEASE.listed_spaces else [])
    area = content.get("room_size")
    if area is None:
        flags.append("no_room_size")
    elif not _number(area) or not 0 < area <= MAX_ROOM_M2:
        raise ScanError(file, f"room_size {area!r} is no area of a room in square metres")
    center = content.get("room_center")
    try:
        center = None if center is None else _finite(matrix(center, 1, 3)[0]).tolist()
    except (TypeError, ValueError) as error:
        raise ScanError(file, f"room_center: {error}") from error
    objects = _objects(file, scene_id, content, counts, flags)
    _require_one_room(file, objects, center)
    split = _SPLIT.search(file.stem)
    scene: SceneRow = {
        "scene_id": scene_id,
        "space_id": space_of(dataset, scene_id),
        "dataset": dataset,
        # The published files are of validation splits; a file without a split in its name is held out, too.
        "split": split.group(1) if split else "val",
        "scene_type": None,
        "fps": None,
        "n_frames": None,
        "width": None,
        "height": None,
        "rotation_deg": None,
        "to_aligned": None,
        "room_size_m2": None if area is None else float(area),
        "room_center": center,
        "object_counts": [{"category": category, "n": n} for category, n in counts.items()],
        "flags": flags,
        "agreement": None,
        "floor_area_m2": None,
    }
    return scene, objects


def _dataset(file: Path, stated: Any) -> str:
    """Return the dataset that the entry states (also as "ScanNet++"), else the one that the file's name begins with."""
    for text in (stated, file.name.split("_")[0]):
        plain = re.sub(r"[^a-z]", "", re.sub(r"[ _]?v\d+$", "", str(text).lower().replace("+", "p")))
        if plain in doors.DATASETS.names:
            return plain
    raise ScanError(file, f"dataset {stated!r} is none of {', '.join(doors.DATASETS.names)}")


def _counts(file: Path, stated: Any) -> dict[str, int]:
    """Return the instances per category, in the file's order, by which the benchmark's generator chooses triples."""
    if not isinstance(stated, dict):
        raise ScanError(file, "lacks object_counts, instances per category")
    for category, n in stated.items():
        if not _is_category(category):
            raise ScanError(file, f"object_counts of {category!r}, which is no name of a category")
        if not _count(n):
            raise ScanError(file, f"object_counts of {category!r} is {n!r}, not a number of objects")
    return dict(stated)


def _objects(
    file: Path, scene_id: str, content: Mapping[str, Any], counts: Mapping[str, int], flags: list[str]
) -> list[ObjectRow]:
    """Return rows of `objects`, by category in the order of the counts; add oddities to `flags`.

    Exact copies of a box are left out where a category has more boxes than its count. Ids are VLM-3R's where every box
    has its own, else 0, 1, ...
    """
    boxes = next((content[key] for key in BOX_KEYS if key in content), None)
    if not isinstance(boxes, dict) or not all(isinstance(b, list) and _is_category(c) for c, b in boxes.items()):
        raise ScanError(file, "lacks object_bbox, a list of boxes per category")
    rows: list[ObjectRow] = []
    instances: list[Any] = []
    for category in dict.fromkeys([*counts, *sorted(boxes)]):
        n, read = counts.get(category, 0), []
        for k, stated in enumerate(boxes.get(category, ())):
            try:
                read.append((_box(scene_id, category, stated, flags), stated.get("instance_id")))
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                what = f"lacks {error}" if isinstance(error, KeyError) else str(error)
                raise ScanError(file, f"box {k} of {category!r}: {what}") from error
        if len(read) > n:
            different: dict[tuple[float, ...], tuple[ObjectRow, Any]] = {}
            for row, instance in read:
                key = (*row["centroid"], *row["axes_lengths"], *row["normalized_axes"])
                different.setdefault(key, (row, instance))
            flags += [f"copied_boxes:{category}"] if len(different) < len(read) else []
            read = list(different.values())
        flags += [f"boxes_differ_from_count:{category}"] if len(read) != n else []
        rows += [row for row, _ in read]
        instances += [instance for _, instance in read]
    for k, (row, found) in enumerate(zip(rows, _ids(instances) or range(len(rows)))):
        row["object_id"] = found
        if instances[k] is not None and found != instances[k] and "renumbered_objects" not in flags:
            flags.append("renumbered_objects")
    return rows


def _ids(instances: list[Any]) -> list[int] | None:
    """Return the stated ids; None unless every box has its own."""
    try:
        found = [object_id(instance) for instance in instances]
    except ValueError:
        return None
    return found if len(set(found)) == len(found) else None


def _require_one_room(file: Path, objects: list[ObjectRow], center: list[float] | None) -> None:
    """Raise ScanError for a box far from the room's centre, or from the median of the boxes where none is stated."""
    if not objects:
        return
    centroids = np.array([row["centroid"] for row in objects])
    middle = np.median(centroids, axis=0) if center is None else np.array(center)
    away = np.abs(centroids - middle).max(axis=1)
    worst = int(away.argmax())
    if away[worst] > _FAR_M:
        row = objects[worst]
        raise ScanError(
            file,
            f"box of {row['category']!r}: a centre at {row['centroid']} m is in no room with the others, "
            f"{away[worst]:.1f} m from its middle",
        )


def _box(scene_id: str, category: str, stated: Mapping[str, Any], flags: list[str]) -> ObjectRow:
    """Return a row of `objects`, with -1 for its id. The axis-aligned box is the stated one, else that of the corners.

    Sides of flat boxes are padded like those of boxes that we compute. Raises ValueError for a box of no room.
    """
    found = read_stated(stated, category, category, flags)
    if isinstance(found, str):
        raise ValueError(found or "no box")
    box, (low, high) = found
    own_low, own_high = box.aabb()
    # The stated corners need not be those of the box: both are stored, and neither may lie far from the other.
    fault = size_fault(box) or extent_fault(np.minimum(low, own_low), np.maximum(high, own_high))
    if fault:
        raise ValueError(fault)
    return {
        "scene_id": scene_id,
        "object_id": -1,
        "label": category,
        "category": category,
        "perturbable": True,
        **box.to_row(),
        "aabb_min": low.tolist(),
        "aabb_max": high.tolist(),
        "n_points": None,
        "point_distances": None,
        "first_labelled_frame": None,
    }


def _is_category(text: str) -> bool:
    """Return whether a key names a category: text as it is stored, neither empty nor with blanks around it."""
    try:
        return bool(text) and label_text(text) == text
    except ValueError:
        return False


def _count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _finite(values: np.ndarray) -> np.ndarray:
    if not np.isfinite(values).all():
        raise ValueError(f"{values.tolist()} is not finite")
    return values
