"""Twins: altered videos of a question, shown in place of its own, as a `PROBES` table describes them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from rollout3d.model.encode import Video
from rollout3d.model.media import FrameStore, MissingFrames
from rollout3d.model.regions import Regions
from rollout3d.seeding import generator
from rollout3d.tables.rows import ProbeRow, QuestionRow

BLACK = "black"
"""Name of the probe that needs no table: every picture is black."""
CONTEXT = "drowned_context"
"""Name of the probe that leaves the pixels of the objects which the question names as they are."""


class Twins:
    """The altered videos of questions, for one frame set.

    `rows`: how each is made, as in a `PROBES` table; rows of other frame sets are left out. `objects`, `regions`: files
    of those tables, for objects under noise. `seed` draws the noise. `source`: the file of `rows`, for messages.
    """

    def __init__(
        self,
        rows: Iterable[ProbeRow],
        frame_set: str,
        store: FrameStore,
        objects: Iterable[Path | str] = (),
        regions: Iterable[Path | str] = (),
        seed: int = 0,
        source: str = "table of probes",
    ):
        self._rows = {(row["question_id"], row["probe"]): row for row in rows if frame_set in row["sets"]}
        self._set, self._store, self._seed, self._source = frame_set, store, seed, source
        self._tables = list(objects), list(regions)
        self._regions: Regions | None = None

    def usable(self, question_id: str, probe: str) -> bool:
        """Return whether the question has such a twin. Raises ValueError if no row is about it."""
        return self._row(question_id, probe)["reason"] is None

    def video(self, question: QuestionRow, probe: str, video: Video, n: int | None, pixels: tuple[int, int]) -> Video:
        """Return the twin of `video`, which has n frames (None: all of the set) of `pixels` pixels.

        Raises MissingFrames if regions are needed and not given.
        """
        row = self._row(question["question_id"], probe)
        if row["scene_id"] is not None and row["scene_id"] != question["scene_id"]:
            video = self._store.video(row["scene_id"], self._set, n, pixels)
        frames = video.frames if row["order"] is None else video.frames[row["order"]]
        if row["objects"]:
            frames = self._drowned(question, probe, row["objects"], frames, n)
        return replace(video, frames=frames)

    def _drowned(
        self, question: QuestionRow, probe: str, objects: Sequence[int], frames: np.ndarray, n: int | None
    ) -> np.ndarray:
        """Return frames (k, H, W, 3) with every pixel of the objects replaced by noise, uniform over all colours.

        Of `CONTEXT` the pixels of the objects that the question names are left out.
        """
        if self._regions is None:
            self._regions = Regions(*self._tables, lambda scene: self._store.rows(scene, self._set, n))
        scene = question["scene_id"]
        if scene is None or scene not in self._regions:
            raise MissingFrames(f"scene {scene}: no regions of objects to drown: give --objects and --regions")
        region = self._regions.union(scene, objects, frames.shape[:3])
        if probe == CONTEXT:
            named = [each for mention in question["objects"] for each in mention["object_ids"]]
            region &= ~self._regions.union(scene, named, frames.shape[:3])
        rng = generator(self._seed, probe, question["question_id"])
        frames = frames.copy()
        frames[region] = rng.integers(0, 256, (int(region.sum()), 3), np.uint8)
        return frames

    def _row(self, question_id: str, probe: str) -> ProbeRow:
        if (question_id, probe) not in self._rows:
            raise ValueError(
                f"{self._source}: has no probe '{probe}' of question {question_id} for {self._set}; make the table "
                "again"
            )
        return self._rows[question_id, probe]
