"""Let a teacher annotate the hard questions: try, verify, try again; every attempt is kept."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, cast

from rollout3d.cot.opinion import Opinion, SecondOpinion, verified
from rollout3d.errors import InvalidInput
from rollout3d.tables.rows import AnnotationRow, HardRow, QuestionRow
from rollout3d.teacher.asking import ONE_BY_ONE, Answered, Asking, ask_all


@dataclass(frozen=True)
class Draft:
    """A teacher's text; `error` instead of `text` where it could not write.

    `problem`: why the text, though paid for, is no answer (cut off, refused, filtered).
    """

    prompt_digest: str
    text: str | None = None
    error: str | None = None
    problem: str | None = None
    request_id: str | None = None
    tokens_in: int = 0
    tokens_out: int = 0
    usd: float = 0.0


class Teacher(Protocol):
    """Writes `<think>..</think> <answer>..</answer>` for a question row. Called from several threads."""

    name: str
    model: str

    def write(self, row: QuestionRow, attempt: int) -> Draft:
        """Write for a question; `attempt` counts from 0."""
        ...


def annotate(
    hard: Iterable[HardRow],
    questions: Iterable[QuestionRow],
    teacher: Teacher,
    attempts: int,
    how: Asking = ONE_BY_ONE,
    second: SecondOpinion | None = None,
) -> list[AnnotationRow]:
    """Return annotation rows, sorted by question and attempt.

    A question is tried until a text is accepted, at most `attempts` times. A question whose request failed for good
    ends with a row of the verdict `failed`; a rerun continues there. `second` gives an opinion on right reasoning that
    no rule decides; its cost is part of the row's. Questions come scene by scene.

    Raises InvalidInput if a hard question is unknown, and TooManyFailed if more questions fail than may. An exception
    of the teacher that is not about one question (a spending limit, a wrong key) ends the work; replies paid for until
    then are in its cache.
    """
    by_id = {row["question_id"]: row for row in questions}
    wanted = sorted(row["question_id"] for row in hard)
    unknown = [q for q in wanted if q not in by_id]
    if unknown:
        raise InvalidInput(f"{len(unknown)} hard questions are not in the question table, such as {unknown[0]}")

    def ask(row: QuestionRow) -> Answered:
        rows = list(_attempts(row, teacher, attempts, second))
        last = rows[-1]["verdict"]
        return Answered(rows, last == "accepted", rows[-1]["reason"] if last == "failed" else None)

    rows, _ = ask_all(
        sorted((by_id[q] for q in wanted), key=lambda row: row["scene_id"] or ""),
        ask,
        how,
    )
    rows.sort(key=lambda row: (row["question_id"], row["attempt"]))
    return cast("list[AnnotationRow]", rows)


def _attempts(
    row: QuestionRow, teacher: Teacher, attempts: int, second: SecondOpinion | None
) -> Iterator[dict[str, Any]]:
    for attempt in range(attempts):
        draft = teacher.write(row, attempt)
        verdict, opinion = None, Opinion()
        if draft.text is not None and not draft.problem:
            verdict, opinion = verified(draft.text, row, second)
        accepted = verdict is not None and verdict.accepted
        failed = draft.text is None or opinion.error is not None
        yield {
            "question_id": row["question_id"],
            "attempt": attempt,
            "teacher": teacher.name,
            "model": teacher.model,
            "prompt_digest": draft.prompt_digest,
            "request_id": draft.request_id,
            "think": verdict.think if verdict else None,
            "answer": verdict.answer if verdict else None,
            "verdict": "failed" if failed else "accepted" if accepted else "rejected",
            "reason": verdict.reason if verdict else draft.problem or draft.error,
            "tokens_in": draft.tokens_in + opinion.tokens_in,
            "tokens_out": draft.tokens_out + opinion.tokens_out,
            "usd": draft.usd + opinion.usd,
        }
        if accepted or failed:
            return
