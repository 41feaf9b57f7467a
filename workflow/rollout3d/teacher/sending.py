"""Send one request until it is answered, and stop early once no request can succeed.

There are three causes of failure. "account": key, money or model are not accepted, so that no request can succeed.
"request": the server refuses this one. "server": it is out of reach, busy or answers nonsense, which may pass, so that
the request is sent again.
"""

from __future__ import annotations

import email.utils
import json
import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from rollout3d.teacher.errors import KEY_VARIABLE, BadReply, TeacherError, TeacherRefused

T = TypeVar("T")
MAX_BACKOFF_S = 30.0
MAX_WAIT_S = 300.0
"""Longest Retry-After that is honoured, seconds."""
MIN_SCANS = 4
"""Minimum number of scans with refused requests before the server counts as broken: one scan alone may be faulty."""
NO_MONEY = frozenset(
    ("insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "quota_exceeded", "insufficient_balance")
)
"""Error codes of an account without money, under status 400, 403 or 429."""
_NO_ACCESS = frozenset(("invalid_api_key", "model_not_found", "account_deactivated", "access_terminated"))
_MODERATED = ("moderation", "flagged", "content_policy", "content_filter")


@dataclass(frozen=True)
class Failure:
    """Cause of a request without reply. `wait_s`: seconds to wait that the server states."""

    cause: Literal["account", "request", "server"]
    text: str
    remedy: str = ""
    wait_s: float | None = None
    busy: bool = False
    """True for a rate limit."""


class Sender:
    """Sends bodies of chat requests, at most `concurrency` at a time. Safe to share between threads.

    `api`: an `openai.OpenAI`. `censor` cuts secrets out of a text. `whom` (model and server), `section` of the
    configuration and its key of the model are named in errors. Once no request can succeed, every `send` raises
    TeacherRefused: after one failure of the account, after as many requests in a row as may be in flight (at least 3)
    that the server left without a reply, or after twice as many (at least 16) that it refused, about at least 4 scans.
    """

    def __init__(
        self,
        api: Any,
        censor: Callable[[str], str],
        *,
        whom: str,
        section: str,
        model_key: str,
        attempts: int,
        concurrency: int,
        backoff_s: float,
    ):
        self._censor, self._whom, self._section, self._model_key = censor, whom, section, model_key
        self._once = api.with_options(max_retries=0)
        self._attempts, self._backoff_s = attempts, backoff_s
        self._slots = threading.BoundedSemaphore(concurrency)
        self._max_silent, self._max_refused = max(3, concurrency), max(16, 2 * concurrency)
        self._lock, self._stopped = threading.Lock(), threading.Event()
        self._error = ""
        self._replies, self._silent = 0, 0
        self._refused: list[str] = []

    def send(self, body: bytes, read: Callable[[Any], T], about: str, billed: Callable[[], None]) -> T:
        """Return `read(completion)`; where that raises BadReply, `billed` is called, and the request is sent again.

        `about`: which scan the request shows. Raises TeacherError if this request failed for good, TeacherRefused if
        none will succeed.
        """
        tries, replies = 0, self._replies
        while True:
            tries += 1
            with self._slots:
                if self._stopped.is_set():
                    raise TeacherRefused(self._error)
                try:
                    reply = read(self._post(body))
                    with self._lock:
                        self._replies, self._silent = self._replies + 1, 0
                        self._refused.clear()
                    return reply
                except BadReply as error:
                    billed()
                    failure = Failure("server", self._censor(str(error)), "see what the server or its proxy answers")
                except self._api_error as error:
                    failure = self._failure(error)
            if failure.cause == "account":
                raise self._stop(failure, failure.text)
            if failure.busy and self._replies > replies:
                tries, replies = tries - 1, self._replies  # others are answered: a matter of time
            wait_s = self._pause_s(tries) if failure.wait_s is None else failure.wait_s
            if failure.cause == "request" or tries >= self._attempts or wait_s > MAX_WAIT_S:
                raise self._give_up(failure, about, tries)
            self._stopped.wait(wait_s)

    def known(self) -> None:
        """Reset the count of refused requests after a reply from the cache: the server has accepted such requests."""
        with self._lock:
            self._refused.clear()

    @property
    def _api_error(self) -> type[Exception]:
        import openai

        return openai.APIError

    def _post(self, body: bytes) -> Any:
        headers = {"Content-Type": "application/json"}
        text = self._once.post("/chat/completions", cast_to=str, content=body, options={"headers": headers})
        try:
            return json.loads(text)
        except ValueError:
            raise BadReply(f"the reply is no JSON, or not all of it: '{text[:100]}'") from None

    def _pause_s(self, tries: int) -> float:
        return min(MAX_BACKOFF_S, self._backoff_s * 2 ** (max(1, tries) - 1)) * random.uniform(0.75, 1.0)

    def _give_up(self, failure: Failure, about: str, tries: int) -> Exception:
        with self._lock:
            if failure.cause == "request":
                self._refused.append(about)
            else:
                self._silent += 1
            silent, refused, scans = self._silent, len(self._refused), len(set(self._refused))
        if silent >= self._max_silent:
            return self._stop(failure, f"{silent} requests in a row had no reply, the last for: {failure.text}")
        if refused >= self._max_refused and scans >= MIN_SCANS:
            return self._stop(failure, f"{refused} requests in a row were refused, the last for: {failure.text}")
        return TeacherError(failure.text + (f" (sent {tries} times)" if tries > 1 else ""))

    def _stop(self, failure: Failure, text: str) -> TeacherRefused:
        with self._lock:
            if not self._stopped.is_set():
                self._error = f"{self._whom}: {text}. To go on: {failure.remedy}, then run again"
                self._stopped.set()
        return TeacherRefused(self._error)

    def _failure(self, error: Any) -> Failure:
        text = self._censor(str(error))
        status = getattr(error, "status_code", None)
        if status is None:
            cause = self._censor(str(error.__cause__ or ""))
            text = " ".join(filter(None, (text.rstrip("."), cause and f"({cause})")))
            return Failure("server", text, "start the server, or mend site.openai_base_url")
        codes = {str(error.code), str(error.type)}
        if not isinstance(error.body, dict):
            text = f"{text} - {self._censor(' '.join(str(error.body).split()))[:200]}"
        if status == 402 or codes & NO_MONEY:
            return Failure("account", f"no money is left: {text}", "add credit to the account")
        if status == 401 or (codes & _NO_ACCESS and "model_not_found" not in codes):
            return Failure("account", text, f"set the environment variable {KEY_VARIABLE} to a key that it accepts")
        if status == 404 or "model_not_found" in codes:
            return Failure("account", text, f"mend {self._model_key} or site.openai_base_url")
        if status == 403 and not any(word in text.lower() or word in codes for word in _MODERATED):
            return Failure("account", text, f"use a key or a {self._model_key} that has access")
        if status in (408, 409, 429) or status >= 500:
            remedy = "wait, or lower api.concurrency" if status == 429 else "see to the server"
            return Failure("server", text, remedy, retry_after_s(error.response.headers), status == 429)
        sent = "model, max_tokens, temperature and frames"
        return Failure("request", text, f"see to what is sent ({self._section}: {sent})")


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Return the wait that a response states, seconds: `Retry-After-Ms`, or `Retry-After` in seconds or as a date."""
    for name, scale in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        try:
            return max(0.0, float(headers[name]) * scale)
        except (KeyError, ValueError):
            continue
    try:
        return max(0.0, email.utils.parsedate_to_datetime(headers["retry-after"]).timestamp() - time.time())
    except (KeyError, ValueError, TypeError):
        return None
