"""Training questions with their videos: rows and frames in, prompts out."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from rollout3d import tables
from rollout3d.config import Video as VideoConfig
from rollout3d.config.frames import train_set
from rollout3d.errors import UserError
from rollout3d.geometry.frames import frame_set
from rollout3d.model.encode import Encoder, Image, Prompt, Video
from rollout3d.model.media import FrameStore, own_images, own_times, own_video
from rollout3d.model.prompts import question_parts
from rollout3d.training.sampler import Sampler

log = logging.getLogger(__name__)


class NotTrainable(UserError, ValueError):
    """Inputs or settings that no training can start with; the message names the remedy."""


class Questions:
    """The questions of a training table that can be shown, in a seeded order.

    A question shows its scene's `video.train_frames` frames, or the pictures or the video that it brings along (general
    data). One that has neither is left out, with a line in the log. `think`: the prompt's wording (`prompts.think`).
    `media`: the pictures of `rows` by their place, if the rows hold only their paths (`tables.read_light`).
    """

    def __init__(
        self,
        rows: Iterable[Mapping[str, Any]],
        store: FrameStore,
        video: VideoConfig,
        think: str,
        seed: object,
        media: tables.MediaReader | None = None,
    ):
        self._store, self._video, self._think = store, video, think
        self._set = train_set(video)
        self._n = frame_set(self._set).n_shown
        listed = list(rows)
        self._media, self._place = media, {row["question_id"]: i for i, row in enumerate(listed)}
        self._rows = {row["question_id"]: row for row in listed if row["media"] or row["scene_id"] in store}
        if len(self._rows) < len(listed):
            log.warning(
                "%d of %d questions have no frames and are left out", len(listed) - len(self._rows), len(listed)
            )
        if not self._rows:
            raise NotTrainable("no question of the training table has frames: pass the frames tables of its scenes")
        self._sampler = Sampler(list(self._rows), seed)

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def scenes(self) -> set[str]:
        """Scenes that questions are about."""
        return {row["scene_id"] for row in self._rows.values() if not row["media"]}

    def batch(self, step: int, size: int, rank: int = 0, world: int = 1) -> list[Mapping[str, Any]]:
        """The rows of a step of `size` questions over all processes that are this process's."""
        return [self._whole(question_id) for question_id in self._sampler.take(step * size, size, rank, world)]

    def _whole(self, question_id: str) -> Mapping[str, Any]:
        row = self._rows[question_id]
        return {**row, "media": self._media[self._place[question_id]]} if self._media and row["media"] else row

    def frames(self, row: Mapping[str, Any]) -> np.ndarray | None:
        """The question's video (k, H, W, 3) uint8, read-only; None if it brings still pictures."""
        if row["media"]:
            video = own_video(row, self._set, self._n, self._video.train_pixels)
            return None if video is None else video.frames
        return self._store.frames(row["scene_id"], self._set, self._n, self._video.train_pixels)

    def frame_rows(self, scene_id: str) -> Sequence[Mapping[str, Any]]:
        """The rows of `tables.FRAMES` behind `frames`, in the same order."""
        return self._store.rows(scene_id, self._set, self._n)

    def prompt(
        self, row: Mapping[str, Any], frames: np.ndarray | None, encoder: Encoder, system: str | None = None
    ) -> Prompt:
        """The question asked about these frames (altered ones, perhaps fewer), in the style that asks for reasoning.

        `system`: words of the system turn; None: the chat template's own.
        """
        video = None
        if frames is not None:
            times = (
                own_times(row, self._set, self._n)
                if row["media"]
                else [shown["timestamp_s"] for shown in self.frame_rows(row["scene_id"])]
            )
            video = Video(frames, (times[-1] - times[0]) / max(1, len(frames) - 1))
        images = [Image(picture) for picture in own_images(row)]
        parts = question_parts(row, video, images=images, style="think", think=self._think)
        return encoder.prompt(parts, system)
