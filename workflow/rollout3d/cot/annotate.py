"""Hard questions and a teacher -> annotations: try, verify, try again; every attempt is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

from rollout3d.cot.verify import verify

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Draft:
    """What a teacher wrote; `error` instead of `text` where it could not write."""

    prompt_digest: str
    text: str | None = None
    error: str | None = None
    request_id: str | None = None
    tokens_in: int = 0
    tokens_out: int = 0
    usd: float = 0.0


class Teacher(Protocol):
    """Writes `<think>..</think> <answer>..</answer>` for a question row. Called from several threads."""

    name: str
    model: str

    def write(self, row: Row, attempt: int) -> Draft: ...


def annotate(
    hard: Iterable[Row], questions: Iterable[Row], teacher: Teacher, attempts: int, workers: int = 1
) -> Iterator[dict[str, Any]]:
    """ANNOTATIONS rows, sorted by question and attempt; a question is tried until accepted, at most `attempts` times.

    Raises ValueError if a hard question is unknown. An exception of the teacher that is not about one question (a
    spending limit, a wrong key) ends the work; replies paid for until then are in the teacher's cache.
    """
    by_id = {row["question_id"]: row for row in questions}
    wanted = sorted(row["question_id"] for row in hard)
    unknown = [q for q in wanted if q not in by_id]
    if unknown:
        raise ValueError(f"{len(unknown)} hard questions are not in the question table, such as {unknown[0]}")

    def work(question_id: str) -> list[dict[str, Any]]:
        return list(_attempts(by_id[question_id], teacher, attempts))

    for rows in _in_order(work, wanted, workers):
        yield from rows


def _attempts(row: Row, teacher: Teacher, attempts: int) -> Iterator[dict[str, Any]]:
    for attempt in range(attempts):
        draft = teacher.write(row, attempt)
        verdict = None if draft.text is None else verify(draft.text, row)
        yield {
            "question_id": row["question_id"],
            "attempt": attempt,
            "teacher": teacher.name,
            "model": teacher.model,
            "prompt_digest": draft.prompt_digest,
            "request_id": draft.request_id,
            "think": verdict.think if verdict else None,
            "answer": verdict.answer if verdict else None,
            "verdict": "failed" if verdict is None else "accepted" if verdict.accepted else "rejected",
            "reason": verdict.reason if verdict else draft.error,
            "tokens_in": draft.tokens_in,
            "tokens_out": draft.tokens_out,
            "usd": draft.usd,
        }
        if verdict and verdict.accepted:
            return


def _in_order(
    work: Callable[[str], list[dict[str, Any]]], items: list[str], workers: int
) -> Iterator[list[dict[str, Any]]]:
    if workers == 1:
        yield from map(work, items)
        return
    pool = ThreadPoolExecutor(workers)
    try:
        yield from pool.map(work, items)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
