"""Training questions with their videos: table rows and frames in, prompts out."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import cast

from rollout3d import tables
from rollout3d.config import Video as VideoConfig
from rollout3d.config.frames import train_set
from rollout3d.errors import UserError
from rollout3d.geometry.frames import frame_set
from rollout3d.model.encode import Encoder, Prompt
from rollout3d.model.media import FrameStore, QuestionMedia, question_media
from rollout3d.model.prompts import question_prompt
from rollout3d.tables.rows import FrameRow, QuestionRow
from rollout3d.training.sampler import Sampler

log = logging.getLogger(__name__)


class NotTrainable(UserError, ValueError):
    """Inputs or settings that no training can start with; the message names the remedy."""


class Questions:
    """The questions of a training table, in a seeded order.

    A question's video is `video.train_frames` frames of its scene; general data brings pictures or a video of its own,
    or is a text alone. Questions about scenes without frames are left out, with a line in the log. `think`: the wording
    of the prompt (`prompts.think`); None for prompts that ask for the answer alone.
    `listed`: scene_id -> categories that a map prompt lists in place of its own list (`prompts.leak_keys`).
    `media`: the pictures of `rows` by their place, if the rows hold only their paths (`tables.read_light`).
    """

    def __init__(
        self,
        rows: Iterable[QuestionRow],
        store: FrameStore,
        video: VideoConfig,
        think: str | None,
        seed: object,
        media: tables.MediaReader | None = None,
    ):
        self._store, self._video, self._think = store, video, think
        self._set = train_set(video)
        self._n = frame_set(self._set).n_shown
        listed = list(rows)
        self._media, self._place = media, {row["question_id"]: i for i, row in enumerate(listed)}
        self._rows = {
            row["question_id"]: row
            for row in listed
            if row["media"] or row["scene_id"] is None or row["scene_id"] in store
        }
        if len(self._rows) < len(listed):
            log.warning(
                "%d of %d questions are about scenes without frames and are left out",
                len(listed) - len(self._rows),
                len(listed),
            )
        alone = sum(row["scene_id"] is None and not row["media"] for row in self._rows.values())
        if alone:
            log.info("%d of %d questions show nothing: they are text alone", alone, len(self._rows))
        if not self._rows:
            raise NotTrainable("no question of the training table has frames: pass the frames tables of its scenes")
        self.listed: Mapping[str, Sequence[str]] = {}
        self._sampler = Sampler(list(self._rows), seed)

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def direct(self) -> bool:
        """True if prompts ask for the answer alone."""
        return self._think is None

    @property
    def scenes(self) -> set[str]:
        """Scenes whose videos the questions are about."""
        return {row["scene_id"] for row in self._rows.values() if row["scene_id"] and not row["media"]}

    def batch(self, step: int, size: int, rank: int = 0, world: int = 1) -> list[QuestionRow]:
        """Return this process's questions of a step that has `size` questions over all processes."""
        return [self._whole(question_id) for question_id in self._sampler.take(step * size, size, rank, world)]

    def _whole(self, question_id: str) -> QuestionRow:
        """Return a question with the bytes of its own pictures, if it brings any."""
        row = self._rows[question_id]
        if self._media is None or not row["media"]:
            return row
        return cast(QuestionRow, {**row, "media": self._media[self._place[question_id]]})

    def media(self, question: QuestionRow) -> QuestionMedia:
        """Return the question's pictures, or its video of `video.train_frames` frames at the training size, or nothing
        for a text alone."""
        return question_media(question, self._store, self._set, self._n, self._video.train_pixels)

    def frame_rows(self, scene_id: str) -> Sequence[FrameRow]:
        """Return the frame rows of a scene's video as it is shown, in order, repeats included."""
        return self._store.rows(scene_id, self._set, self._n)

    def prompt(
        self, question: QuestionRow, media: QuestionMedia, encoder: Encoder, system: str | None = None
    ) -> Prompt:
        """Encode the question with these media (altered ones, perhaps), in the style of the run.

        `system`: words of the system turn; None: the chat template's own.
        """
        listed = self.listed.get(question["scene_id"] or "")
        if self._think is None:
            return question_prompt(question, media, encoder, "direct", system=system)
        return question_prompt(question, media, encoder, "think", self._think, system, listed)
