"""Chat requests to an OpenAI-compatible server, with a spending limit and a cache.

Every reply that was paid for is on the disk before it is used, so an interrupted stage pays again at most for the
requests that were in flight. The key comes from the environment variable OPENAI_API_KEY; it, and a password in the
server's address, are cut out of every error message.
"""

from __future__ import annotations

import base64
import json
import logging
import math
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from rollout3d import tables
from rollout3d.config import Api, Cot, Judge
from rollout3d.teacher.account import Account
from rollout3d.teacher.errors import KEY_VARIABLE, BadReply, TeacherError, TeacherRefused, api_key
from rollout3d.teacher.pictures import Image
from rollout3d.teacher.prices import GPT_4O, ModelPrice, PictureRule
from rollout3d.teacher.prices import price as model_price
from rollout3d.teacher.replies import Reply, ReplyCache, reply_of
from rollout3d.teacher.sending import Sender

__all__ = ["KEY_VARIABLE", "ChatClient", "Image", "Price", "Reply", "TeacherError", "TeacherRefused", "open_client"]

LOG = logging.getLogger(__name__)
Parts = Sequence[str | Image]
"""Texts and pictures of one user message, in order."""
_LOUD = ("openai", "httpx", "httpx2", "httpcore", "httpcore2")
"""Loggers that write a line per request, with the address."""


@dataclass(frozen=True)
class Price:
    """US dollars per million tokens, and the limit for all replies in the cache together."""

    usd_per_million_in: float
    usd_per_million_out: float
    max_usd: float
    pictures: PictureRule = GPT_4O
    """How many tokens a picture costs."""

    def cost(self, tokens_in: int, tokens_out: int) -> float:
        return (tokens_in * self.usd_per_million_in + tokens_out * self.usd_per_million_out) / 1e6


def budget(known: ModelPrice, max_usd: float) -> Price:
    """Return a client's price, in batches or at the list price, with its limit."""
    rates = (known.cost(1e6, 0), known.cost(0, 1e6))
    return Price(*rates, max_usd, known.pictures)


def request_digest(model: str, options: dict[str, Any], parts: Parts, attempt: int) -> str:
    """Return the digest under which the reply to a request is kept."""
    content = [part if isinstance(part, str) else part.digest for part in parts]
    return tables.digest([model, options, content, attempt])


def open_client(
    settings: Cot | Judge, api: Api, options: Mapping[str, Any], section: str, cache: Path | str, base_url: str | None
) -> ChatClient:
    """Return the chat client that a section of the configuration (`cot`, `judge`) asks for.

    `options`: max_tokens and temperature of every request.

    Raises TeacherRefused while its `max_usd` is 0, and PriceError for a model without a price.
    """
    known = model_price(api.model, api.prices, api.batch)
    LOG.info("%s", known)
    return ChatClient(
        api.model,
        budget(known, settings.max_usd),
        cache,
        max_tokens=options["max_tokens"],
        temperature=options["temperature"],
        base_url=base_url,
        section=section,
        attempts=api.request_attempts,
        timeout_s=api.timeout_s,
        concurrency=api.concurrency,
    )


class ChatClient:
    """Sends requests to one model. Safe to share between threads.

    `cache` is a folder of one JSON file per reply; what it holds counts as spent. `section` of the configuration is
    named in remedies, for the model `model_key`. `account`: another client's, for one limit
    on both. A request is sent at most `attempts` times,
    after pauses that double from `backoff_s`. Raises TeacherRefused on construction while `price.max_usd` is 0, without
    a key for OpenAI's own server, and for a damaged file in the cache.
    """

    def __init__(
        self,
        model: str,
        price: Price,
        cache: Path | str,
        *,
        max_tokens: int,
        temperature: float,
        base_url: str | None = None,
        section: str = "cot",
        attempts: int = 6,
        timeout_s: float = 180.0,
        concurrency: int = 8,
        backoff_s: float = 0.5,
        account: Account | None = None,
        model_key: str = "api.model",
    ):
        if price.max_usd <= 0:
            raise TeacherRefused(
                f"the model {model} costs money and the spending limit is 0: set {section}.max_usd to what it may cost"
            )
        key = api_key()
        if not key and base_url is None:
            raise TeacherRefused(
                f"no key: set the environment variable {KEY_VARIABLE}, or site.openai_base_url to a server without one"
            )
        try:
            import openai
        except ImportError:
            raise TeacherRefused("the package openai is missing: pip install 'rollout3d[api]'") from None
        for name in _LOUD:
            logging.getLogger(name).setLevel(logging.WARNING)
        self.model, self.price, self.section = model, price, section
        self._options = {"max_tokens": max_tokens, "temperature": temperature}
        try:
            self.api = openai.OpenAI(
                api_key=key or "none", base_url=base_url, max_retries=attempts - 1, timeout=timeout_s
            )
        except Exception:  # of the address: its text may hold a password
            raise TeacherRefused("site.openai_base_url is no usable address") from None
        self._secrets = _secrets(str(self.api.base_url), key)
        self.name = f"{model} at {_public(str(self.api.base_url))}"
        """Model and server, without secrets."""
        self._sender = Sender(
            self.api,
            self.censored,
            whom=self.name,
            section=section,
            model_key=model_key,
            attempts=attempts,
            concurrency=concurrency,
            backoff_s=backoff_s,
        )
        self._replies = ReplyCache(cache)
        self.cache = self._replies.folder
        self._asking = _Keyed()
        self.account = account or Account(price.max_usd, self._replies.usd, self._replies.n)

    @property
    def spent_usd(self) -> float:
        """Cost of every reply in the cache, this run's and earlier ones', and of damaged replies of this run."""
        return self.account.spent_usd

    def digest(self, parts: Parts, attempt: int = 0) -> str:
        """Return the sha256 of all that decides the reply: model, options, texts, pictures, number of the attempt."""
        return request_digest(self.model, self._options, parts, attempt)

    def chat(self, parts: Parts, attempt: int = 0) -> Reply:
        """Send `parts` as one user message, in order; a cached reply is returned without a request.

        Check `Reply.problem` before using its text. Raises TeacherRefused if the worst case of this request would
        exceed the limit or no request can succeed; TeacherError if the server refuses this request or leaves it
        unanswered.
        """
        digest = self.digest(parts, attempt)
        with self._asking(digest):  # two questions may be one request
            reply = self.cached(digest)
            if reply is not None:
                self._sender.known()
                return reply
            tokens = self.worst_tokens(parts)
            worst = self.price.cost(*tokens)
            with self.account.reserved(worst, self.limit_reached):
                about = next((part.digest for part in parts if isinstance(part, Image)), digest)
                reply = self._sender.send(
                    self.encoded(parts),
                    lambda completion: reply_of(completion, self.price.cost, tokens),
                    about,
                    lambda: self.account.count(worst),
                )
                self.account.count(reply.usd)
            self._put(digest, reply)
            return reply

    def cached(self, digest: str) -> Reply | None:
        """Return the reply in the cache, None if there is none."""
        return self._replies.get(digest)

    def keep(self, digest: str, completion: Any, worst_tokens: tuple[int, int] | None = None) -> None:
        """Put a chat completion that came another way into the cache, and count it as spent.

        `worst_tokens` counts where the completion states no usage. Raises TeacherError if it is no completion.
        """
        try:
            reply = reply_of(completion, self.price.cost, worst_tokens)
        except BadReply as error:
            raise TeacherError(str(error)) from None
        self._put(digest, reply)
        self.account.count(reply.usd)

    def body(self, parts: Parts) -> dict[str, Any]:
        """Return the request's JSON, pictures encoded."""
        content: list[dict[str, Any]] = [
            {"type": "text", "text": part}
            if isinstance(part, str)
            else {"type": "image_url", "image_url": {"url": part.url}}
            for part in parts
        ]
        return {"model": self.model, "messages": [{"role": "user", "content": content}], **self._options}

    def encoded(self, parts: Parts) -> bytes:
        """Return the request's JSON as bytes, joined by hand: escaping megabytes of pictures would take longest."""
        empty = json.dumps(self.body([])).encode()
        content = b", ".join(
            json.dumps({"type": "text", "text": part}).encode()
            if isinstance(part, str)
            else b'{"type": "image_url", "image_url": {"url": "%s"}}' % part.encoded_url
            for part in parts
        )
        return empty.replace(b'"content": []', b'"content": [%s]' % content, 1)

    def worst_tokens(self, parts: Parts) -> tuple[int, int]:
        """Return the maximum tokens in and out of a request: every character of text counts as half a token."""
        rule = self.price.pictures
        tokens = (math.ceil(len(p) / 2) if isinstance(p, str) else rule.tokens(p.width, p.height) for p in parts)
        return 32 + sum(tokens), self._options["max_tokens"]

    def worst_usd(self, parts: Parts) -> float:
        """Return the maximum cost of a request, dollars."""
        return self.price.cost(*self.worst_tokens(parts))

    def limit_reached(self, worst: float, promised: float = 0.0) -> TeacherRefused:
        """Return the error of a limit that allows no further request."""
        key = f"{self.section}.max_usd"
        return TeacherRefused(
            f"spending limit: {self.spent_usd + promised:.2f} of {key} = {self.account.max_usd:.2f} dollars are spent "
            f"or promised and the next request may cost {worst:.3f}; raise {key} or ask less"
        )

    def censored(self, text: str) -> str:
        """Return a text without the key and the address's password, cut to 500 characters."""
        for secret, name in self._secrets:
            text = text.replace(secret, name)
        return text[:500]

    @property
    def kept(self) -> str:
        """Number and place of paid replies, for the end of an error."""
        return f"{self.account.n_replies} paid replies stay in {self.cache} and are not paid for again"

    def _put(self, digest: str, reply: Reply) -> None:
        self._replies.put(digest, reply)
        self.account.kept()


class _Keyed:
    """One lock per key, as long as a thread holds or awaits it."""

    def __init__(self) -> None:
        self._lock, self._locks, self._users = threading.Lock(), {}, Counter()

    @contextmanager
    def __call__(self, key: str) -> Iterator[None]:
        with self._lock:
            lock = self._locks.setdefault(key, threading.Lock())
            self._users[key] += 1
        try:
            with lock:
                yield
        finally:
            with self._lock:
                self._users[key] -= 1
                if not self._users[key]:
                    del self._users[key], self._locks[key]


def _secrets(base_url: str, key: str | None) -> list[tuple[str, str]]:
    """Return texts that no message may hold, the longest first, each with its replacement."""
    parts = urlsplit(base_url)
    found = {key: "[key]"} if key else {}
    for secret in (parts.password, f"{parts.username}:{parts.password}"):
        if parts.password and secret:
            plain = unquote(secret)
            for form in (secret, plain, base64.b64encode(plain.encode()).decode()):
                found[form] = "[password]"
    if parts.query:
        found[parts.query] = "[query]"
    return sorted(found.items(), key=lambda item: -len(item[0]))


def _public(base_url: str) -> str:
    """Return an address without user, password and query."""
    parts = urlsplit(base_url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}"
