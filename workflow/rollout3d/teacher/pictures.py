"""Pictures for a teacher or judge: the stored frames, byte by byte, read and encoded when they are sent."""

from __future__ import annotations

import base64
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from rollout3d import tables
from rollout3d.errors import InvalidInput
from rollout3d.geometry.camera import sample_indices
from rollout3d.tables.frame_sets import of_set

KEPT_SCENES = 4
"""Number of scenes whose pictures stay in memory: questions come scene by scene."""


@dataclass(frozen=True)
class Image:
    """An encoded picture. `width` and `height` in pixels, for the estimate of its price."""

    data: bytes
    mime: str
    width: int
    height: int

    @cached_property
    def digest(self) -> str:
        """sha256 of the bytes."""
        return tables.digest(self.data)

    @cached_property
    def encoded_url(self) -> bytes:
        """The picture as an address of ASCII characters that JSON needs not to escape."""
        return b"data:%s;base64,%s" % (self.mime.encode(), base64.b64encode(self.data))

    @property
    def url(self) -> str:
        return self.encoded_url.decode()


class ScenePictures:
    """Pictures by scene, those of the last few scenes kept. Safe to share between threads."""

    def __init__(self, read: Callable[[str], list[Image]], kept: int = KEPT_SCENES):
        self._read, self._kept = read, kept
        self._pictures: OrderedDict[str, list[Image]] = OrderedDict()
        self._lock = threading.Lock()

    def __getitem__(self, scene_id: str) -> list[Image]:
        with self._lock:  # also because Parquet readers are not safe to share
            if scene_id in self._pictures:
                self._pictures.move_to_end(scene_id)
            else:
                self._pictures[scene_id] = self._read(scene_id)
                while len(self._pictures) > self._kept:
                    self._pictures.popitem(last=False)
            return self._pictures[scene_id]


def frame_pictures(frames: tables.SceneReader, scene_id: str, frame_set: str, n: int) -> list[Image]:
    """Return `n` evenly spread frames of a scan, or all where it has fewer, of those of the set `frame_set`.

    Raises ValueError if there are none.
    """
    rows = of_set(frames.rows(scene_id, ["frame_index", "sets", "image", "width", "height"]), frame_set)
    if not rows:
        raise InvalidInput(f"scene {scene_id} has no frames: rerun ingest for its shard")
    chosen = dict.fromkeys(sample_indices(len(rows), n))  # a short video repeats frames
    return [
        Image(row["image"]["bytes"], "image/jpeg", row["width"], row["height"]) for row in (rows[i] for i in chosen)
    ]
