"""Have the API teacher's attempts answered in batches, one round after the other, before they are read."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from functools import partial

from rollout3d.cot.opinion import SecondOpinion, verified
from rollout3d.cot.teachers._openai_client import OpenAITeacher
from rollout3d.tables.rows import QuestionRow
from rollout3d.teacher.batched import BatchedChat, Question
from rollout3d.teacher.client import TeacherError

LOG = logging.getLogger(__name__)


def fetch(
    rows: Sequence[QuestionRow],
    teacher: OpenAITeacher,
    chat: BatchedChat,
    attempts: int,
    second: SecondOpinion | None = None,
) -> None:
    """Fill the cache of `chat` with every attempt that `annotate` will read: verification decides which.

    Requests to `second` are sent directly, between the rounds. Raises TeacherRefused where the work cannot go on;
    replies that were paid for are kept.
    """
    rows = sorted(rows, key=lambda row: row["scene_id"] or "")  # each scan's pictures are read once
    known: dict[tuple[str, int], Question] = {}
    for number in range(1, attempts + 1):
        wanted = list(_unanswered(rows, teacher, chat, attempts, known, second))
        if wanted:
            LOG.info("round %d: %d requests in batches", number, len(wanted))
        if not chat.fetch(wanted):
            return


def _unanswered(
    rows: Sequence[QuestionRow],
    teacher: OpenAITeacher,
    chat: BatchedChat,
    attempts: int,
    known: dict[tuple[str, int], Question],
    second: SecondOpinion | None,
) -> Iterator[Question]:
    """Yield the next attempt at each question that earlier ones did not settle, where it has no reply yet."""
    for row in rows:
        for attempt in range(attempts):
            at = (row["question_id"], attempt)
            if at not in known:
                known[at] = chat.question(partial(teacher.parts, row), attempt)
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
