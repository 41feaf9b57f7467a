"""One question to a model behind an API: the view from above, frames of the video, and the text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from string import Template
from typing import Any, Protocol

from rollout3d import tables
from rollout3d.config import Cot
from rollout3d.cot.annotate import Draft
from rollout3d.errors import InvalidInput
from rollout3d.tables.rows import QuestionRow
from rollout3d.teacher.errors import TeacherError
from rollout3d.teacher.estimate import png_size
from rollout3d.teacher.pictures import Image, ScenePictures, frame_pictures
from rollout3d.teacher.replies import Reply

_ANSWER_FORMS = {
    "choice": "the letter of the option and nothing else",
    "number": "the number, in digits, and nothing else",
}

TEMPERATURE = 1.0
"""Temperature at which the teacher replies. [Video-R1's annotation]"""


def options(cot: Cot) -> dict[str, Any]:
    """Return what decides a reply besides the model and the content of the request."""
    return {"max_tokens": cot.max_tokens, "temperature": TEMPERATURE}


class Chat(Protocol):
    """The part of a chat client that a teacher uses."""

    @property
    def model(self) -> str:
        """Name of the model."""
        ...

    def digest(self, parts: Sequence[str | Image], attempt: int = 0) -> str:
        """Return the digest of a request."""
        ...

    def chat(self, parts: Sequence[str | Image], attempt: int = 0) -> Reply:
        """Return the reply to a request."""
        ...


class OpenAITeacher:
    """Sends the view from above and `n_frames` frames of the frame set `frame_set` with each question.

    `prompt` is a template with $question, $answer, $answer_form and $n_frames. Safe to share between threads.
    """

    name = "openai"

    def __init__(
        self,
        chat: Chat,
        frames: Iterable[Path | str],
        maps: Iterable[Path | str],
        n_frames: int,
        frame_set: str,
        prompt: str,
    ):
        self.model = chat.model
        self._chat, self._n_frames, self._set = chat, n_frames, frame_set
        self._prompt = Template(prompt)
        self._frames = tables.SceneReader(tables.FRAMES, frames)
        self._maps = tables.SceneReader(tables.MAPS, maps)
        self._pictures = ScenePictures(self._read)

    def write(self, row: QuestionRow, attempt: int) -> Draft:
        """Send one request. Pictures are the stored JPEG and PNG bytes. Raises TeacherRefused at the spending limit."""
        parts = self.parts(row)
        digest = self._chat.digest(parts, attempt)
        try:
            reply = self._chat.chat(parts, attempt)
        except TeacherError as error:
            return Draft(digest, error=str(error))
        return Draft(
            digest,
            reply.text,
            problem=reply.problem,
            request_id=reply.request_id,
            tokens_in=reply.tokens_in,
            tokens_out=reply.tokens_out,
            usd=reply.usd,
        )

    def parts(self, row: QuestionRow) -> list[str | Image]:
        """Return the content of a question's request: the view from above, the frames, the text.

        Raises ValueError for a question about no scan.
        """
        if row["scene_id"] is None:
            raise InvalidInput(f"question {row['question_id']} is about no scan: the teacher has nothing to look at")
        pictures = self._pictures[row["scene_id"]]
        return [*pictures, self._text(row, len(pictures) - 1)]

    def _text(self, row: QuestionRow, n_frames: int) -> str:
        question = "\n".join([row["question"], *(row["options"] or [])])
        form = _ANSWER_FORMS.get(row["answer_type"], "the answer and nothing else")
        return self._prompt.substitute(
            question=question, answer=row["ground_truth"], answer_form=form, n_frames=n_frames
        )

    def _read(self, scene_id: str) -> list[Image]:
        maps = self._maps.rows(scene_id, ["bev"])
        if not maps:
            raise InvalidInput(f"scene {scene_id} has no map: rerun ingest for its shard")
        frames = frame_pictures(self._frames, scene_id, self._set, self._n_frames)
        bev = maps[0]["bev"]["bytes"] or b""
        return [Image(bev, "image/png", *png_size(bev)), *frames]
