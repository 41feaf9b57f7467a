"""Pixels of each object in the frames of a video, read from the region tables on demand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rollout3d import tables

FrameRows = Callable[[str], Sequence[Mapping[str, Any]]]
"""Scene -> its frame rows as a model is shown them, in order, repeats included: `frame_index` is read, and for `union`
width and height."""


class Regions:
    """Region masks of the perturbable objects, in the size and order in which a model is shown the frames.

    `objects`, `regions`: files of those tables. `frame_rows`: the frames of a scene that are shown.
    """

    def __init__(self, objects: Iterable[Path | str], regions: Iterable[Path | str], frame_rows: FrameRows):
        rows = tables.read_many(tables.OBJECTS, objects, ["scene_id", "object_id", "perturbable"])
        self._perturbable = {(row["scene_id"], row["object_id"]) for row in rows if row["perturbable"]}
        self._reader = tables.SceneReader(tables.REGIONS, regions)
        self._frame_rows = frame_rows
        self._scene: tuple[str, dict[tuple[int, int], bytes]] | None = None

    def __contains__(self, scene_id: str) -> bool:
        return scene_id in self._reader

    def objects(self, scene_id: str) -> list[int]:
        """Return the perturbable objects with a region in at least one of the frames shown, sorted."""
        shown = {row["frame_index"] for row in self._frame_rows(scene_id)}
        return sorted({object_id for frame, object_id in self._masks(scene_id) if frame in shown})

    def areas(self, scene_id: str, spared: Iterable[int] = ()) -> dict[int, int]:
        """Return the pixels of each of `objects`, at the stored size, summed over the frames shown and repeated.

        `spared`: objects whose pixels do not count where another object's mask has them, too.
        """
        shown, without = Counter(row["frame_index"] for row in self._frame_rows(scene_id)), frozenset(spared)
        masks = {key: _runs(mask) for key, mask in self._masks(scene_id).items() if key[0] in shown}
        before = {
            frame: _covered(
                [runs for (other, object_id), runs in masks.items() if other == frame and object_id in without]
            )
            for frame in {frame for frame, object_id in masks if object_id in without}
        }
        found: dict[int, int] = {}
        for (frame, object_id), (starts, ends) in masks.items():
            pixels = int((ends - starts).sum())
            if frame in before and object_id not in without:
                upto = before[frame]
                last = len(upto) - 1
                pixels -= int((upto[np.minimum(ends, last)] - upto[np.minimum(starts, last)]).sum())
            found[object_id] = found.get(object_id, 0) + shown[frame] * pixels
        return found

    def frames(self, scene_id: str, object_ids: Iterable[int]) -> set[int]:
        """Return the indices of the stored frames in which any of the objects has a region."""
        wanted = set(object_ids)
        return {frame for frame, object_id in self._masks(scene_id) if object_id in wanted}

    def union(self, scene_id: str, object_ids: Iterable[int], shape: tuple[int, int, int]) -> np.ndarray:
        """Return the pixels (k, H, W) bool that any of the objects covers in the k frames shown: `shape`.

        Masks are stored at the frames' stored size; a picture of another size takes the nearest stored pixel. Raises
        ValueError if the number of frames is not that of the frame rows.
        """
        # Imported late: numba compiles it, and vLLM's CPU build cannot start in a process that has loaded numba.
        from rollout3d.geometry.masks import rle_paint

        rows = self._frame_rows(scene_id)
        k = shape[0]
        if len(rows) != k:
            raise ValueError(f"scene {scene_id}: {k} frames shown but {len(rows)} frame rows")
        masks, wanted = self._masks(scene_id), list(object_ids)
        union = np.zeros(shape, np.bool_)
        for picture, row in zip(union, rows):
            for object_id in wanted:
                mask = masks.get((row["frame_index"], object_id))
                if mask is not None:
                    rle_paint(mask, row["width"], row["height"], picture)
        return union

    def _masks(self, scene_id: str) -> dict[tuple[int, int], bytes]:
        """Return (frame_index, object_id) -> run lengths, of the perturbable objects; the last scene is kept."""
        if self._scene is None or self._scene[0] != scene_id:
            rows = self._reader.rows(scene_id, ["frame_index", "object_id", "mask"])
            found = {
                (row["frame_index"], row["object_id"]): row["mask"]
                for row in rows
                if (scene_id, row["object_id"]) in self._perturbable
            }
            self._scene = (scene_id, found)
        return self._scene[1]


def _runs(mask: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Return where the runs of true pixels of a mask start and end; its lengths start with one of zeros."""
    ends = np.frombuffer(mask, "<u4").cumsum(dtype=np.int64)
    return ends[0::2][: len(ends) // 2], ends[1::2]


def _covered(masks: Sequence[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Return, for every pixel up to the last true one and for the one behind it, how many before it any mask covers."""
    steps = np.zeros(max(int(ends.max(initial=0)) for _, ends in masks) + 1, np.int64)
    for starts, ends in masks:
        steps[starts] += 1
        steps[ends] -= 1
    return np.concatenate([[0], np.cumsum(steps.cumsum()[:-1] > 0)])
