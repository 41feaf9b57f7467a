"""Validate the annotations of every release: names, ids, labels and boxes, each in one place.

A fault drops everything that it puts in doubt:

- The release: a split list that is empty, names a scan twice or shares one with another list, and a table without rows
  or columns. They concern every scan, so they raise `MissingData`, which ends the run.
- The scan: an invalid id, two objects with one id, a label that cannot be stored, and boxes of which more than half
  cannot be this room's. The annotation as a whole is in doubt, so they raise ValueError or `ScanError`.
- The object: an invalid box, or one that cannot be this room's. The object is in no table, and flags name it. It still
  counts in `object_counts`, so that counting questions stay right and questions that need every box of its category
  are left out.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rollout3d.geometry.boxes import MIN_SIDE_M, OrientedBox
from rollout3d.geometry.distance import STEP_M
from rollout3d.scenes.categories import Labels
from rollout3d.scenes.lists import storable
from rollout3d.scenes.reading import ScanError
from rollout3d.scenes.scan import Annotated, Room, matrix, released_box, unknown_labels

if TYPE_CHECKING:
    from rollout3d.scenes.formats.packed import PackedPath

_log = logging.getLogger(__name__)

MAX_ID = 2**63 - 1
"""Largest object id: tables store 64-bit integers."""
MAX_LABEL = 200
"""Largest number of characters of a raw label."""
MAX_SIDE_M = 50.0
"""Longest side of an object's box, metres. No room of the benchmarks is longer. [assumed]"""
OUTSIDE_M = 2.0
"""Metres that a box may extend out of the mesh: annotators complete furniture that was scanned in part. [assumed]"""
MAX_GRID = 2_000_000
"""Largest number of points of a box on VSI-Bench's sampling grid (250 m3): more are damage and fill the memory."""
MAX_ROOM_M2 = 2_000.0
"""Largest floor area, m2: many times that of any room in the benchmarks. [assumed]"""
MAX_REFUSED = 0.5
"""Largest share of a scan's boxes that may be refused; with more, the scan is dropped. [assumed]"""
SAME_AABB_M = 0.01
"""Largest difference, metres, between a box and the axis-aligned box stated beside it without a flag. [assumed]"""

Corners = tuple[np.ndarray, np.ndarray]
"""Lowest and highest corner (3,) of an axis-aligned box."""

LOST_OBJECTS = ("empty_objects:", "objects_without_box:", "refused_box")
"""Beginnings of the flags that name annotated objects which are in no table."""

# --- objects ---------------------------------------------------------------------------------------------------------


def object_id(value: Any) -> int:
    """Return an object's id: a whole number from 0 to `MAX_ID`. Raises ValueError for anything else.

    A float is accepted if it is whole and exact (below 2**53). Text and booleans are not.
    """
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"the object id {value!r} is no whole number")
    if not 0 <= value <= MAX_ID:
        raise ValueError(f"the object id {value} is not from 0 to 2**63 - 1")
    return value


def label_text(value: Any) -> str:
    """Return a raw label with single blanks between its words. Raises ValueError for a label that cannot be stored."""
    if not isinstance(value, str):
        raise ValueError(f"the label {value!r} is no text")
    text = " ".join(value.split())
    if len(text) > MAX_LABEL:
        raise ValueError(f"a label of {len(text)} characters, at most {MAX_LABEL} can be one: {text[:40]!r}...")
    if not storable(text) or not text.isprintable():
        raise ValueError(f"the label {value!r} holds characters that are no text")
    return text


def identity(entry: Mapping[str, Any]) -> tuple[int, str]:
    """Return `objectId` and `label` of an entry of an annotation. Raises ValueError naming the entry."""
    stated, label = entry["objectId"], entry["label"]
    try:
        return object_id(stated), label_text(label)
    except ValueError as error:
        raise ValueError(f"object {stated!r}, {label!r}: {error}") from None


class NoObjects(ScanError):
    """An annotation without objects: no damage, but no question can be about the scan."""

    def __init__(self, path: Path | PackedPath):
        super().__init__(path, "annotates no object", expected=True)


@dataclass(frozen=True)
class Refused:
    """An annotated object whose box cannot be used; an empty `reason` means that the annotation states no box."""

    object_id: int
    label: str
    category: str | None
    reason: str = ""


@dataclass(frozen=True)
class Accepted:
    """Result of `accept`: the accepted objects of an annotation."""

    objects: list[Annotated]
    """Accepted objects, sorted by id."""
    unboxed: list[str]
    """Category of each other object that has a category."""
    flags: list[str]
    """Flags of the scan."""
    n_annotated: int
    """Number of different objects in the annotation."""

    def into(self, room: Room) -> Room:
        """Return a room with these objects and flags."""
        room.objects, room.unboxed, room.n_annotated = self.objects, self.unboxed, self.n_annotated
        room.flags += unknown_labels(self.objects) + self.flags
        return room


def accept(
    path: Path | PackedPath, found: Sequence[Annotated | Refused], vertices: np.ndarray, n_empty: int = 0
) -> Accepted:
    """Compare the objects of one annotation with each other and with the mesh, vertices (V,3).

    `n_empty`: number of further objects in the annotation without a vertex of the mesh. Raises `NoObjects` for an
    annotation without objects, `ScanError` for two objects with one id, if more than `MAX_REFUSED` of the stated boxes
    are refused, and if no box is left.
    """
    if not found:
        raise NoObjects(path)
    _require_own_ids(path, found)
    bounds = vertices.min(axis=0) - OUTSIDE_M, vertices.max(axis=0) + OUTSIDE_M
    objects: list[Annotated] = []
    refused: list[Refused] = []
    for item in found:
        fault = None if isinstance(item, Refused) else box_fault(item, *bounds)
        if isinstance(item, Refused):
            refused.append(item)
        elif fault:
            refused.append(Refused(item.object_id, item.label, item.category, fault))
        else:
            objects.append(item)
    wrong = [item for item in refused if item.reason]
    stated = len(objects) + len(wrong)
    if wrong and len(wrong) > MAX_REFUSED * stated:
        raise ScanError(
            path,
            f"{len(wrong)} of {stated} boxes cannot be this room's (object {wrong[0].object_id}, '{wrong[0].label}': "
            f"{wrong[0].reason}): it is of another scan, in another unit, or damaged; download it again",
        )
    without = len(refused) - len(wrong)
    flags = [f"objects_without_box:{without}"] if without else []
    flags += [f"refused_boxes:{len(wrong)}"] if wrong else []
    flags += [f"refused_box:{item.object_id} {item.label}: {item.reason}" for item in wrong]
    if not objects:
        raise ScanError(path, f"none of its {len(found)} objects has a box: it is damaged; download it again")
    unboxed = [item.category for item in refused if item.category]
    return Accepted(sorted(objects, key=lambda item: item.object_id), unboxed, flags, len(found) + n_empty)


def _require_own_ids(path: Path | PackedPath, found: Iterable[Annotated | Refused]) -> None:
    labels: dict[int, str] = {}
    for item in found:
        if item.object_id in labels:
            first = labels[item.object_id]
            raise ScanError(path, f"two objects, '{first}' and '{item.label}', share the objectId {item.object_id}")
        labels[item.object_id] = item.label


# --- boxes -----------------------------------------------------------------------------------------------------------


def read_box(stated: Mapping[str, Any], pad: bool) -> tuple[OrientedBox, bool]:
    """Return the box of an annotation, and whether it was flat.

    `pad`: widen thin sides to `MIN_SIDE_M`, for objects with a category; floors and walls may be planes. Raises
    KeyError, TypeError or ValueError for an invalid box: numbers that are not finite, negative sides, axes that are not
    orthonormal, no extent at all.
    """
    box = released_box(stated)
    if box.axes_lengths.max() < MIN_SIDE_M:
        raise ValueError(f"a box without extent: sides of {box.axes_lengths.tolist()} m")
    if not pad or box.axes_lengths.min() >= MIN_SIDE_M:
        return box, False
    return OrientedBox(box.centroid, np.maximum(box.axes_lengths, MIN_SIDE_M), box.normalized_axes), True


def read_corners(stated: Mapping[str, Any], box: OrientedBox) -> tuple[Corners, bool]:
    """Return the axis-aligned box that is stated beside a box, else the box's own, and whether they agree.

    Raises ValueError for corners that are not finite, or whose minimum exceeds the maximum.
    """
    own_low, own_high = box.aabb()
    if "min" not in stated or "max" not in stated:
        return (own_low, own_high), True
    low, high = (matrix(stated[key], 1, 3)[0] for key in ("min", "max"))
    if not np.isfinite([low, high]).all() or not (low <= high).all():
        raise ValueError(f"no box from {low.tolist()} to {high.tolist()}: corners must be finite, min below max")
    agree = max(abs(low - own_low).max(), abs(high - own_high).max()) <= SAME_AABB_M
    return (low, high), bool(agree)


def read_stated(stated: Any, category: str | None, label: str, flags: list[str]) -> tuple[OrientedBox, Corners] | str:
    """Return the box of an annotation and its axis-aligned box, or the fault as text; "" if no box is stated.

    `category`: category of the object, None without one. Oddities of a usable box are added to `flags`, once per
    category or, without one, once per label.
    """
    if not stated:
        return ""
    try:
        box, flat = read_box(stated, category is not None)
        corners, agree = read_corners(stated, box)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        return f"lacks {error}" if isinstance(error, KeyError) else str(error)
    name = category or label
    for flag in [f"flat_box:{name}"] * flat + [f"min_max_differ_from_box:{name}"] * (not agree):
        flags += [flag] if flag not in flags else []
    return box, corners


def read_object(
    entry: Mapping[str, Any],
    stated: Any,
    labels: Labels,
    members: Callable[[OrientedBox, Corners], tuple[np.ndarray, int]],
    flags: list[str],
) -> Annotated | Refused:
    """Return an annotated object with its stated box, or the refusal of the box. Raises ValueError naming the entry.

    `entry`: the object's `objectId` and `label`. `stated`: its box, empty if the annotation states none. `members`:
    function from box and corners to the indices of the object's vertices and the number of mesh vertices. Oddities of
    the box are added to `flags`.
    """
    number, label = identity(entry)
    category, perturbable, known = labels(label)
    found = read_stated(stated, category, label, flags)
    if isinstance(found, str):
        return Refused(number, label, category, found)
    box, corners = found
    index, n_points = members(box, corners)
    return Annotated(
        number, label, category, perturbable, lambda: box, *corners, n_points, index, known=known, stated=True
    )


def size_fault(box: OrientedBox) -> str | None:
    """Return the fault of a box that is too large for an object in a room; None for a possible size."""
    sides = box.axes_lengths
    if sides.max() > MAX_SIDE_M or np.prod(np.maximum(np.ceil(sides / STEP_M), 1)) > MAX_GRID:
        return f"sides of {np.round(sides, 2).tolist()} m are no object's in a room"
    return None


def extent_fault(low: np.ndarray, high: np.ndarray) -> str | None:
    """Return the fault of an axis-aligned box, corners (3,), with a side too long for an object in a room, or None."""
    if (high - low).max() > MAX_SIDE_M:
        return f"sides of {np.round(high - low, 2).tolist()} m are no object's in a room"
    return None


def box_fault(item: Annotated, lowest: np.ndarray, highest: np.ndarray) -> str | None:
    """Return the fault of an object's boxes in a room between two corners (3,); None for possible boxes.

    Only objects with a category have a largest volume, because walls and floors fill a room. A stated box is tested
    together with the corners beside it, because both are stored. A minimal box is computed only where the axis-aligned
    one is too large to decide.
    """
    low, high = np.asarray(item.aabb_min), np.asarray(item.aabb_max)
    if item.stated:
        own_low, own_high = item.box.aabb()
        low, high = np.minimum(low, own_low), np.maximum(high, own_high)
    if not np.isfinite([low, high]).all() or (low > high).any():
        return f"no box from {low.tolist()} to {high.tolist()}"
    out = float(max((lowest - low).max(), (high - highest).max()))
    if out > 0:
        return f"reaches {out + OUTSIDE_M:.1f} m out of the mesh"
    fault = extent_fault(low, high)
    if fault:
        return fault
    if item.category and np.prod(np.maximum(np.ceil((high - low) / STEP_M), 1)) > MAX_GRID:
        return size_fault(item.box)
    return None
