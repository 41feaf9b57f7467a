"""Send many questions to a model: side by side, with a failure limit and progress. Teacher and judge share it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

from rollout3d.config import Api
from rollout3d.errors import UserError
from rollout3d.progress import progress
from rollout3d.teacher.client import ChatClient
from rollout3d.teacher.errors import TeacherRefused

T = TypeVar("T")
R = TypeVar("R")
PREPARING = 4
"""Threads beyond the number of requests in flight, for reading pictures and writing replies."""

ASK_AGAIN = (
    "%d questions are left out because their requests failed. To ask them again: `rollout3d forget %s`, then run the "
    "workflow again; paid replies come from the cache"
)
"""Text of a warning: number of questions, path of the table."""


class TooManyFailed(UserError, RuntimeError):
    """The requests of more questions failed than the configuration allows."""


@dataclass(frozen=True)
class Answered:
    """Outcome of a question: rows for the table; `failed` is the reason if its request failed for good."""

    rows: list[dict[str, Any]]
    accepted: bool
    failed: str | None = None


@dataclass(frozen=True)
class Asking:
    """How questions are sent; the default is for a teacher that is no server.

    `workers`: calls at a time. `max_share_failed` of the questions may fail (`Api.max_share_failed`).
    `whom`: model and server, for errors. `spent_usd`: dollars so far. `kept`: number and place of paid replies, for
    errors.
    """

    workers: int = 1
    max_share_failed: float = 1.0
    whom: str = "the teacher"
    spent_usd: Callable[[], float] = lambda: 0.0
    kept: Callable[[], str] = lambda: "paid replies stay in the cache"

    @classmethod
    def of(cls, chat: ChatClient, api: Api) -> Asking:
        """Return how questions are sent through `chat` under a configuration."""
        workers = api.concurrency + PREPARING
        state = (lambda: chat.spent_usd), (lambda: chat.kept)
        return cls(workers, api.max_share_failed, chat.name, *state)


ONE_BY_ONE = Asking()


def ask_all(
    questions: Sequence[T], ask: Callable[[T], Answered], how: Asking
) -> tuple[list[dict[str, Any]], list[str]]:
    """Return rows of all questions in no particular order, and the reasons of those that failed.

    `ask` is called from several threads if `how.workers` is more than 1. Raises TooManyFailed as soon as more questions
    have failed than may. An exception of `ask` ends the work once the requests in flight are answered.
    """
    rows: list[dict[str, Any]] = []
    failed: list[str] = []
    accepted = 0

    def status() -> str:
        counts = f"{accepted} accepted" + (f", {len(failed)} failed" if failed else "")
        return f"{counts}, {how.spent_usd():.2f} dollars"

    answers = side_by_side(ask, questions, how.workers)
    try:
        for answered in progress(answers, "questions", len(questions), status=status):
            rows += answered.rows
            accepted += answered.accepted
            if answered.failed is not None:
                failed.append(answered.failed)
                if len(failed) > how.max_share_failed * len(questions):
                    raise TooManyFailed(
                        f"{how.whom}: the requests of {len(failed)} of {len(questions)} questions failed, more than "
                        f"MAX_SHARE_FAILED = {how.max_share_failed:g} of them, such as "
                        f"'{answered.failed}'. To go on: remove the cause, then run again, which asks what failed"
                    )
    except (TeacherRefused, TooManyFailed) as error:
        answers.close()  # what is in flight is kept, and counted
        raise type(error)(f"{error}: {how.kept()}") from None
    return rows, failed


def side_by_side(work: Callable[[T], R], items: Iterable[T], workers: int) -> Generator[R]:
    """Yield `work(item)` as the calls end; at most `workers` run at a time, and few wait.

    Closing the generator waits for the running calls.
    """
    if workers == 1:
        yield from map(work, items)
        return
    pool, source = ThreadPoolExecutor(workers), iter(items)
    running: set[Future[R]] = set()
    try:
        while True:
            running |= {pool.submit(work, item) for item in islice(source, 2 * workers - len(running))}
            if not running:
                return
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
