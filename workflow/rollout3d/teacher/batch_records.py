"""Records on disk of requests sent through a Batch API: one per batch, and the input file until it is sent.

A record is written, and synced, before each step that cannot be repeated, so a killed process leaves all that the next
one needs to continue: the requests that are out, their maximum cost, and the server's names of file and batch.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from rollout3d.errors import UserError
from rollout3d.files import remove_leftovers, sync, write_atomically

MAX_BYTES = 190_000_000
"""Bytes per input file. [OpenAI: 200 MB]"""
MAX_REQUESTS = 50_000
"""Requests per input file. [OpenAI]"""
ENDPOINT = "/v1/chat/completions"


class RecordError(UserError, RuntimeError):
    """The records cannot be used: one is damaged, or another process holds them."""


@dataclass(frozen=True)
class Request:
    """One chat request. `digest` names it in the cache and in the batch; `body` makes its JSON, pictures and all."""

    digest: str
    worst_usd: float
    body: Callable[[], dict[str, Any]]


@dataclass(frozen=True)
class Record:
    """State of one batch.

    `input`: sha256 of the input file. `file_id`, `batch_id`: the server's names, None until known. `status`: the
    server's last one, "prepared" before. `done`: everything is collected.
    """

    number: int
    input: str
    n_bytes: int
    digests: tuple[str, ...]
    promised_usd: float
    """Maximum cost of the requests, dollars."""
    file_id: str | None = None
    batch_id: str | None = None
    status: str = "prepared"
    done: bool = False
    completed: int = 0
    failed: int = 0
    lost_usd: float = 0.0
    """Estimated cost of replies that were paid for and could not be read."""


@dataclass
class Records:
    """The records in a folder. `take` is to be held while they are changed."""

    folder: Path
    all: dict[int, Record] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.load()

    def load(self) -> None:
        """Read the folder. Raises RecordError for a damaged record."""
        self.all.clear()
        for path in sorted(self.folder.glob("*.json")):
            try:
                values = json.loads(path.read_text(encoding="utf-8"))
                record = Record(**values | {"digests": tuple(values["digests"])})
            except (OSError, ValueError, TypeError, KeyError) as error:
                raise RecordError(
                    f"{path}: not a readable record of a batch ({error}). It names requests that may be paid for: "
                    "restore it, or delete it if that batch is not to be collected"
                ) from None
            self.all[record.number] = record

    @property
    def open(self) -> list[Record]:
        """Records of batches that are not collected yet, oldest first."""
        return [record for _, record in sorted(self.all.items()) if not record.done]

    @property
    def promised_usd(self) -> float:
        """Maximum cost of open batches plus the estimated cost of lost replies, dollars."""
        return sum(record.promised_usd for record in self.open) + sum(r.lost_usd for r in self.all.values())

    @property
    def out(self) -> set[str]:
        """Digests of the requests in open batches."""
        return {digest for record in self.open for digest in record.digests}

    def save(self, record: Record, **changes: Any) -> Record:
        """Write a record with `changes`, so that it outlasts a crash; return it."""
        record = replace(record, **changes)
        write_atomically(self.path(record), json.dumps(asdict(record), indent=1))
        self.all[record.number] = record
        return record

    def path(self, record: Record) -> Path:
        return self.folder / f"{record.number:05}.json"

    def input_file(self, record: Record) -> Path:
        return self.folder / f"{record.number:05}.jsonl"

    @contextmanager
    def take(self) -> Iterator[None]:
        """Keep other processes from sending the same requests. Raises RecordError if one has the records."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with open(self.folder / "lock", "w") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise RecordError(
                    f"{self.folder}: another process sends or collects these batches: wait for it, or end it; it loses "
                    "nothing"
                ) from None
            except OSError:
                pass  # a file system without locks
            self.load()
            remove_leftovers(self.folder)
            for path in self.folder.glob("[0-9]*.jsonl"):
                if path.stem.isdigit() and int(path.stem) not in self.all:
                    path.unlink()  # its record was not written yet, so nothing was sent
            yield

    def prepare(self, requests: Iterable[Request], room_usd: float, most: int = MAX_REQUESTS) -> Record | None:
        """Write the next input file and its record, of the first requests that fit.

        They are at most `most` and cost at most `room_usd` together; returns None if the first alone costs more. Memory
        holds one request at a time.
        """
        number = max(self.all, default=0) + 1
        digests: list[str] = []
        n_bytes, promised = 0, 0.0
        hashed = hashlib.sha256()
        aside = self.folder / f".{number:05}.{os.getpid()}.tmp"
        with open(aside, "wb") as stream:
            for request in requests:
                if len(digests) >= min(most, MAX_REQUESTS) or promised + request.worst_usd > room_usd:
                    break
                line = json.dumps(
                    {"custom_id": request.digest, "method": "POST", "url": ENDPOINT, "body": request.body()}
                ).encode()
                if digests and n_bytes + len(line) + 1 > MAX_BYTES:
                    break
                stream.write(line + b"\n")
                hashed.update(line + b"\n")
                digests.append(request.digest)
                n_bytes, promised = n_bytes + len(line) + 1, promised + request.worst_usd
            stream.flush()
            os.fsync(stream.fileno())
        if not digests:
            aside.unlink()
            return None
        record = Record(number, hashed.hexdigest(), n_bytes, tuple(digests), promised)
        os.replace(aside, self.input_file(record))
        sync(self.folder)
        return self.save(record)
