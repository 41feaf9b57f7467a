"""Send chat requests through OpenAI's Batch API: half the price, within 24 hours, and never paid for twice.

Requests go out in files of at most 50,000; a batch is created from each, polled, and its replies are collected into
the cache that ordinary requests use. `batch_records` records open batches. At whatever moment the process is killed,
the next one continues: an input file on disk is uploaded, a batch that was created but not recorded is found on the
server by the digest of its input file, a batch that ended is collected.

Source: OpenAI, "Batch API" guide.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

from rollout3d.teacher.batch_lines import STOPS, Line, read_line
from rollout3d.teacher.batch_records import ENDPOINT, MAX_REQUESTS, Record, Records, Request
from rollout3d.teacher.client import TeacherError, TeacherRefused

LOG = logging.getLogger(__name__)
POLL_S = 30.0
"""Seconds between two polls of the open batches."""
OUTAGE_S = 3600.0
"""Maximum time for which the server may be out of reach while batches are open, seconds."""
LOOKS_S = (2.0, 10.0, 30.0)
"""Seconds before each search for a batch whose creation was not confirmed."""
SUBMISSIONS = 3
"""Maximum number of times that a request is sent which batches leave unanswered."""
DOWNLOADS = 3
"""Maximum number of times that a result file is read which holds damaged lines or fewer than the server counts."""
UPLOAD_TIMEOUT_S = 900.0
KEPT_S = 30 * 86400
"""Seconds for which the server keeps results. [OpenAI: 30 days]"""
MARK = "rollout3d_input"
"""Key of the batch's metadata that holds the sha256 of its input file."""
_ENDED = ("completed", "failed", "expired", "cancelled")


class Ledger(Protocol):
    """The cache of replies, and the money spent on them."""

    def has(self, digest: str) -> bool:
        """Return whether the reply is in the cache."""
        ...

    def keep(self, digest: str, completion: dict[str, Any]) -> None:
        """Put a chat completion into the cache at the batch price. Raises TeacherError if it is none."""
        ...

    def room_usd(self) -> float:
        """Return the dollars that may still be spent, open batches not counted."""
        ...

    def refuse(self, worst_usd: float, promised_usd: float) -> TeacherRefused:
        """Return the error of a reached limit."""
        ...


class _Broken(Exception):
    """A download ended early."""


class Batches:
    """Sends requests in batches and collects the replies. `api` is an `openai.OpenAI`; `records` lie beside the cache.

    `censor` cuts secrets out of an error's text.
    """

    def __init__(self, api: Any, records: Records, ledger: Ledger, censor: Callable[[str], str] = str):
        import openai

        self._openai, self._api, self._records, self._ledger = openai, api, records, ledger
        self._censor = censor
        self._most = MAX_REQUESTS
        self._alone = False
        """True once the server's queue was full: batches are then sent one at a time."""
        self._failed: dict[str, str] = {}
        self._nonsense: dict[str, str] = {}
        """Digest -> fault of a reply that could not be kept."""
        self._tried: Counter[str] = Counter()
        self._said = ""

    @property
    def folder(self) -> Path:
        """Where the records lie."""
        return self._records.folder

    def fetch(self, requests: Iterable[Request]) -> dict[str, str]:
        """Have every request answered; return the reasons of those that failed for good, by digest.

        Replies are in the cache afterwards. Raises TeacherRefused where no further request is worth sending: the limit
        is reached, the account or the model is refused, a batch was cancelled, or the server is out of reach; all that
        was paid for is kept, and the next call continues.
        """
        wanted = {request.digest: request for request in requests}
        with self._records.take():
            for record in self._records.open:
                self._tried.update(record.digests)
                self._send(record)
            while True:
                while self._submit(wanted):
                    pass
                if not self._records.open:
                    break
                self._poll()
        return {digest: reason for digest, reason in self._failed.items() if digest in wanted}

    # -- sending ------------------------------------------------------------------------------------------------------

    def _missing(self, wanted: dict[str, Request]) -> Iterator[Request]:
        out = self._records.out
        for digest, request in wanted.items():
            if digest in out or digest in self._failed or self._ledger.has(digest):
                continue
            yield request

    def _submit(self, wanted: dict[str, Request]) -> bool:
        """Send one more batch; return False if there is nothing to send, or something must come back first."""
        open_ = self._records.open
        if open_ and (self._alone or any(record.status == "validating" for record in open_)):
            return False  # a full queue shows then; uploading to it would be in vain
        first = next(self._missing(wanted), None)
        if first is None:
            return False
        room = self._ledger.room_usd() - self._records.promised_usd
        record = self._records.prepare(self._missing(wanted), room, self._most)
        if record is None:
            if open_:
                return False  # what comes back costs less than was promised for it
            raise self._ledger.refuse(first.worst_usd, self._records.promised_usd)
        self._tried.update(record.digests)
        self._send(record)
        return True

    def _send(self, record: Record) -> None:
        """Continue a record until the server has its batch."""
        path = self._records.input_file(record)
        if record.batch_id is None:
            found = self._find(record)
            if found is None and record.file_id is None:
                if not path.exists():
                    self._records.save(record, done=True, status="lost before it was sent")
                    return
                record = self._records.save(record, file_id=self._upload(record, path))
            batch_id, file_id = found or (self._create(record), record.file_id)
            record = self._records.save(record, batch_id=batch_id, file_id=file_id, status="validating")
            LOG.info(
                "batch %s: %d requests, %.0f MB, %.2f dollars at most",
                batch_id,
                len(record.digests),
                record.n_bytes / 1e6,
                record.promised_usd,
            )
        path.unlink(missing_ok=True)

    def _upload(self, record: Record, path: Path) -> str:
        api = self._api.with_options(timeout=UPLOAD_TIMEOUT_S)
        try:
            with open(path, "rb") as stream:  # streamed: a path would be read into memory whole
                return api.files.create(file=(f"rollout3d-{record.input[:16]}.jsonl", stream), purpose="batch").id
        except self._openai.APIError as error:
            raise self._refused(f"uploading {path}", error) from None

    def _create(self, record: Record) -> str:
        """Create the batch of an uploaded file. A server that does not confirm it is asked whether it has it."""
        api = self._api.with_options(max_retries=0)  # a retry after a time-out would create, and pay for, a second one
        what = f"creating the batch of {record.file_id}"
        said = ""
        for pause in LOOKS_S:
            try:
                return api.batches.create(
                    input_file_id=record.file_id,
                    endpoint=ENDPOINT,
                    completion_window="24h",
                    metadata={MARK: record.input},
                ).id
            except self._openai.APIError as error:
                if not self._passes(error):
                    raise self._refused(what, error) from None
                said = self._censor(f"{type(error).__name__}: {error}")
                LOG.warning("%s: %s; looking whether the server has it", what, said)
            time.sleep(pause)
            found = self._find(record)
            if found:
                return found[0]
        raise TeacherRefused(
            f"{what}: {said}. The server does not show the batch; run the stage again, it looks for it first"
        )

    def _find(self, record: Record) -> tuple[str, str] | None:
        """Ids of batch and file where the server has this very input and no record knows: the most useful batch."""
        known = {each.batch_id for each in self._records.all.values()}
        oldest = time.time() - KEPT_S
        found = []
        try:
            for batch in self._api.batches.list(limit=100):
                if batch.created_at < oldest:
                    break
                if (batch.metadata or {}).get(MARK) == record.input and batch.id not in known:
                    found.append(batch)
        except self._openai.APIError as error:
            raise self._refused("listing batches", error) from None
        found = [batch for batch in found if batch.status != "failed"]
        found.sort(key=lambda batch: (batch.status in ("expired", "cancelling", "cancelled"), batch.created_at))
        return (found[0].id, found[0].input_file_id) if found else None

    # -- waiting ------------------------------------------------------------------------------------------------------

    def _poll(self) -> None:
        """Poll the open batches until one of them changes its status; collect those that have ended."""
        reached = time.monotonic()
        while True:
            ended, changed = [], False
            for record in self._records.open:
                try:
                    batch = self._api.batches.retrieve(record.batch_id)
                except self._openai.NotFoundError:
                    raise self._gone(record, f"the server knows no batch {record.batch_id}: another key?") from None
                except self._openai.APIError as error:
                    if not self._passes(error) or time.monotonic() - reached > OUTAGE_S:
                        raise self._refused(f"batch {record.batch_id}", error) from None
                    LOG.warning("batch %s: %s; trying again", record.batch_id, self._censor(str(error)))
                    continue
                reached = time.monotonic()
                changed |= batch.status != record.status
                record = self._note(record, batch)
                if batch.status in _ENDED:
                    ended.append((record, batch))
            self._say()
            stops = [self._collect(record, batch) for record, batch in ended]
            if ended:
                self._say()
            for stop in filter(None, stops):
                raise stop
            if changed or ended:
                return
            time.sleep(POLL_S)

    def _note(self, record: Record, batch: Any) -> Record:
        counts = batch.request_counts
        now = (batch.status, counts.completed if counts else 0, counts.failed if counts else 0)
        if now == (record.status, record.completed, record.failed):
            return record
        return self._records.save(record, status=now[0], completed=now[1], failed=now[2])

    def _say(self) -> None:
        open_, all_ = self._records.open, self._records.all.values()
        said = (
            f"batches: {len(all_) - len(open_)} of {len(all_)} collected; requests: {sum(r.completed for r in all_)} "
            f"answered, {sum(r.failed for r in all_)} failed, of {sum(len(r.digests) for r in all_)}; "
            f"{self._ledger.room_usd():.2f} dollars left, {self._records.promised_usd:.2f} of them promised"
        )
        if said != self._said:
            LOG.info("%s", said)
            self._said = said

    # -- collecting ---------------------------------------------------------------------------------------------------

    def _collect(self, record: Record, batch: Any) -> TeacherRefused | None:
        """Keep the replies of a batch that has ended and settle what it cost; return the error that ends the work."""
        name = f"batch {record.batch_id}"
        good, stop = self._lines(record, batch)
        if batch.status == "failed":
            stop = self._invalid(record, (batch.errors.data if batch.errors else None) or [])
        lost = max(0, record.completed - good)
        if lost:
            LOG.warning(
                "%s: %d replies that the server counts could not be read: they are asked for again, and counted as "
                "paid for at their estimate",
                name,
                lost,
            )
        for digest in record.digests:
            if not self._ledger.has(digest) and self._tried[digest] >= SUBMISSIONS:
                said = self._nonsense.get(digest, batch.status)
                self._failed.setdefault(
                    digest, f"left unanswered by {SUBMISSIONS} batches, the last {record.batch_id} ({said})"
                )
        self._forget_input(record)
        self._records.save(record, done=True, lost_usd=lost * record.promised_usd / len(record.digests))
        if batch.status == "expired":
            LOG.warning("%s expired with %d of %d requests answered", name, good, len(record.digests))
        if batch.status == "cancelled" and stop is None:
            return TeacherRefused(
                f"{name} was cancelled: what it had completed is kept; run the stage again to have the rest answered"
            )
        return stop

    def _invalid(self, record: Record, errors: list[Any]) -> TeacherRefused | None:
        """Return the error of a batch that the server did not begin; None if smaller batches may succeed."""
        codes = [error.code for error in errors]
        said = "; ".join(f"{e.code}: {e.message}" + (f" (line {e.line})" if e.line else "") for e in errors[:3])
        if "token_limit_exceeded" in codes:
            n, others = len(record.digests), len(self._records.open) > 1
            if n > 1 or others:
                self._alone, self._most = True, n if others else max(1, n // 2)
                for digest in record.digests:
                    self._tried[digest] -= 1
                LOG.warning(
                    "batch %s: the server's queue for this model is full (%s): smaller batches follow, one at a time. "
                    "A higher usage tier of the account has a longer queue",
                    record.batch_id,
                    self._censor(said),
                )
                return None
            said += ": other batches of the account fill the queue, or one request is longer than its tier allows: "
            said += "run again when they have ended, or ask without batches (api.batch: false)"
        return TeacherRefused(self._censor(f"batch {record.batch_id} was not begun: {said or 'no reason given'}"))

    def _lines(self, record: Record, batch: Any) -> tuple[int, TeacherRefused | None]:
        """Read the result files; return the number of replies, and the error that ends the work, if any.

        A file with damaged lines, or with fewer replies than the server counts, is read again, DOWNLOADS times in all.
        """
        good: set[str] = set()
        mine = set(record.digests)
        stop: TeacherRefused | None = None
        for file_id, expected in ((batch.output_file_id, record.completed), (batch.error_file_id, 0)):
            broken: _Broken | None = None
            for _ in range(DOWNLOADS if file_id else 0):
                damaged, broken = 0, None
                try:
                    for text in self._download(record, file_id):
                        line = read_line(text)
                        if line is None or line.digest not in mine:
                            damaged += 1
                        elif line.stops:
                            stop = TeacherRefused(self._censor(f"batch {record.batch_id}: {line.error}"))
                        elif self._take(line):
                            good.add(line.digest)
                except _Broken as error:
                    broken = error
                if not broken and not damaged and len(good) >= expected:
                    break
                LOG.warning("result file %s: %s", file_id, broken or f"{damaged} damaged lines, {len(good)} replies")
            if file_id and broken:
                raise TeacherRefused(f"result file {file_id}: {broken}; run the stage again, it is read again")
        return len(good), stop

    def _take(self, line: Line) -> bool:
        """Keep the reply or the error of one line; return True if it is a reply."""
        if line.completion is None:
            if not line.again:
                self._failed[line.digest] = self._censor(line.error)
            return False
        try:
            if not self._ledger.has(line.digest):
                self._ledger.keep(line.digest, line.completion)
        except TeacherError as error:  # paid for and no completion: as a damaged line
            self._nonsense[line.digest] = self._censor(str(error))
            return False
        return True

    def _download(self, record: Record, file_id: str) -> Iterator[str]:
        """Lines of a result file, one at a time. Raises _Broken where the connection ends early."""
        try:
            with self._api.files.with_streaming_response.content(file_id) as response:
                yield from filter(str.strip, response.iter_lines())
        except self._openai.NotFoundError:
            raise self._gone(record, f"the server has no result file {file_id} any more") from None
        except Exception as error:
            if isinstance(error, self._openai.APIError) and not self._passes(error):
                raise self._refused(f"result file {file_id}", error) from None
            # While the body is read, errors are those of httpx or httpx2, whichever `openai` was installed with.
            if isinstance(error, self._openai.APIError | OSError) or type(error).__module__.startswith("httpx"):
                raise _Broken(self._censor(f"{type(error).__name__}: {error}")) from None
            raise

    def _forget_input(self, record: Record) -> None:
        """Delete the pictures from the server; a failure is logged only."""
        try:
            self._api.files.delete(record.file_id)
        except self._openai.APIError as error:
            LOG.info("input file %s stays on the server: %s", record.file_id, self._censor(str(error)))

    def _passes(self, error: Exception) -> bool:
        """Return whether an error may pass; the server may have carried out the request all the same."""
        if isinstance(error, self._openai.RateLimitError):
            return getattr(error, "code", None) not in STOPS
        return isinstance(error, self._openai.APIConnectionError | self._openai.InternalServerError)

    def _refused(self, what: str, error: Exception) -> TeacherRefused:
        said = self._censor(f"{what}: {type(error).__name__}: {error}")
        if isinstance(error, self._openai.NotFoundError):
            said += ". Has this server a Batch API? Without one, set api.batch to false"
        return TeacherRefused(f"{said}. What was sent is on record in {self._records.folder}: run the stage again")

    def _gone(self, record: Record, said: str) -> TeacherRefused:
        return TeacherRefused(
            f"{said}. Its {len(record.digests)} requests may be paid for: to have them answered once more, and paid "
            f"for again, delete {self._records.path(record)}"
        )
