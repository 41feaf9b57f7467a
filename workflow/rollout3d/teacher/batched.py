"""A chat client whose replies come from batches: they are fetched first, then read from the cache."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rollout3d.teacher.batch import Batches
from rollout3d.teacher.batch_records import RecordError, Records, Request
from rollout3d.teacher.client import ChatClient, Image, Reply, TeacherError, TeacherRefused

Parts = Sequence[str | Image]


@dataclass(frozen=True)
class Question:
    """One future chat request. `parts` reads the pictures again when it is called: they are not held in memory."""

    digest: str
    worst_tokens: tuple[int, int]
    """Most tokens in and out."""
    parts: Callable[[], Parts]


class BatchedChat:
    """Answers as `ChatClient` does, from the cache; `fetch` fills it through the Batch API.

    `name` is that of the records, so that two files of questions may share a cache.
    """

    def __init__(self, chat: ChatClient, name: str):
        self._chat, self.model = chat, chat.model
        self._failed: dict[str, str] = {}
        self._ledger = _Ledger(chat)
        try:
            records = Records(records_folder(chat.cache, name))
        except RecordError as error:
            raise TeacherRefused(str(error)) from None
        self._batches = Batches(chat.api, records, self._ledger, chat.censored)

    @property
    def spent_usd(self) -> float:
        return self._chat.spent_usd

    def digest(self, parts: Parts, attempt: int = 0) -> str:
        return self._chat.digest(parts, attempt)

    def question(self, parts: Callable[[], Parts], attempt: int = 0) -> Question:
        """Return the request with the content `parts()`, its digest and its maximum number of tokens."""
        content = parts()
        return Question(self.digest(content, attempt), self._chat.worst_tokens(content), parts)

    def peek(self, digest: str) -> Reply | None:
        """Return the fetched reply, None if it was not requested. Raises TeacherError if the request failed."""
        if digest in self._failed:
            raise TeacherError(self._failed[digest])
        return self._chat.cached(digest)

    def chat(self, parts: Parts, attempt: int = 0) -> Reply:
        """Return the fetched reply. Raises TeacherError if the request failed, or was never sent."""
        reply = self.peek(self.digest(parts, attempt))
        if reply is None:
            raise TeacherError("no batch has answered this request")
        return reply

    def fetch(self, questions: Iterable[Question]) -> bool:
        """Have `questions` answered in batches; return False if there were none. Raises TeacherRefused."""
        cost = self._chat.price.cost
        requests = []
        for q in questions:
            requests.append(Request(q.digest, cost(*q.worst_tokens), lambda q=q: self._chat.body(q.parts())))
            self._ledger.worst_tokens[q.digest] = q.worst_tokens
        if not requests:
            return False
        try:
            self._failed |= self._batches.fetch(requests)
        except RecordError as error:
            raise TeacherRefused(str(error)) from None
        except OSError as error:
            raise TeacherRefused(
                f"{error.filename or self._batches.folder}: cannot be read or written ({error.strerror or error}): "
                "make room, then run again; batches that were sent are on record"
            ) from None
        return True


class _Ledger:
    """The cache of a chat client, as batches see it."""

    def __init__(self, chat: ChatClient):
        self._chat = chat
        self.worst_tokens: dict[str, tuple[int, int]] = {}

    def has(self, digest: str) -> bool:
        return self._chat.cached(digest) is not None

    def keep(self, digest: str, completion: dict[str, Any]) -> None:
        self._chat.keep(digest, completion, self.worst_tokens.get(digest))

    def room_usd(self) -> float:
        return self._chat.price.max_usd - self._chat.spent_usd

    def refuse(self, worst_usd: float, promised_usd: float) -> TeacherRefused:
        return self._chat.limit_reached(worst_usd, promised_usd)


def records_folder(cache: Path, name: str) -> Path:
    """Return the folder of the records of batches, beside the replies."""
    return cache / "batches" / name


def refuse_open(cache: Path, name: str, key: str) -> None:
    """Raise TeacherRefused if batches are open: their requests would be paid for twice."""
    try:
        records = Records(records_folder(cache, name))
    except RecordError as error:
        raise TeacherRefused(str(error)) from None
    if records.open:
        n = sum(len(record.digests) for record in records.open)
        raise TeacherRefused(
            f"{len(records.open)} batches with {n} requests are not collected yet: set {key}: true to collect them, or "
            f"delete {records.folder} to pay for their requests once more"
        )
