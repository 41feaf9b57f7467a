"""Have the attempts of the API teacher answered in batches, one round after the other, before they are read."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rollout3d.cot.opinion import SecondOpinion, verified
from rollout3d.cot.teachers._openai_client import OpenAITeacher
from rollout3d.teacher.batched import BatchedChat, Question
from rollout3d.teacher.client import TeacherError

LOG = logging.getLogger(__name__)


def fetch(
    rows: Sequence[Mapping[str, Any]],
    teacher: OpenAITeacher,
    chat: BatchedChat,
    attempts: int,
    second: SecondOpinion | None = None,
) -> None:
    """Fill the cache of `chat` with every attempt that `annotate` will ask for: verification decides which.

    `second` is asked directly, between the rounds.

    Raises TeacherRefused where the work cannot go on; what was paid for is kept.
    """
    rows = sorted(rows, key=lambda row: row["scene_id"])  # each scan's pictures are read once
    known: dict[tuple[str, int], Question] = {}
    for number in range(1, attempts + 1):
        wanted = list(_unanswered(rows, teacher, chat, attempts, known, second))
        if wanted:
            LOG.info("round %d: %d requests in batches", number, len(wanted))
        if not chat.fetch(wanted):
            return


def _unanswered(
    rows: Sequence[Mapping[str, Any]],
    teacher: OpenAITeacher,
    chat: BatchedChat,
    attempts: int,
    known: dict[tuple[str, int], Question],
    second: SecondOpinion | None,
) -> Iterator[Question]:
    """The next attempt at each question that those before did not settle, where it has no reply yet."""
    for row in rows:
        for attempt in range(attempts):
            at = (row["question_id"], attempt)
            if at not in known:
                known[at] = chat.question(lambda row=row: teacher.parts(row), attempt)
            try:
                reply = chat.peek(known[at].digest)
            except TeacherError:
                break  # its row says so; a rerun goes on there
            if reply is None:
                yield known[at]
                break
            if reply.problem:
                continue
            verdict, opinion = verified(reply.text, row, second)
            if verdict.accepted or opinion.error:
                break
