"""One chat request to an OpenAI-compatible server, with a spending limit and a cache.

The `openai` package retries time-outs, connection errors, 408, 409, 429 and 5xx with exponential backoff and honours
`Retry-After`; what fails after that raises `TeacherError`. Every reply that was paid for is written to the cache
before it is used, so an interrupted stage never pays for the same request twice. The key comes from the environment
variable OPENAI_API_KEY; it is held by the `openai` client alone and is cut out of every error message.
"""

from __future__ import annotations

import base64
import json
import math
import os
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rollout3d import tables
from rollout3d.teacher.prices import GPT_4O, ModelPrice, PictureRule

KEY_VARIABLE = "OPENAI_API_KEY"


class TeacherError(RuntimeError):
    """One request failed for good; others may still succeed."""


class TeacherRefused(RuntimeError):
    """The teacher may not be asked at all: no key, or the spending limit is reached."""


@dataclass(frozen=True)
class Image:
    """An encoded picture for the teacher. `width` and `height` in pixels, for the estimate of its price."""

    data: bytes
    mime: str
    width: int
    height: int

    @property
    def url(self) -> str:
        return f"data:{self.mime};base64,{base64.b64encode(self.data).decode()}"


@dataclass(frozen=True)
class Reply:
    """What came back. `usd` is computed from the tokens that the server says it billed."""

    text: str
    request_id: str | None
    tokens_in: int
    tokens_out: int
    usd: float


@dataclass(frozen=True)
class Price:
    """US dollars a million tokens, and the limit for all replies in the cache together."""

    usd_per_million_in: float
    usd_per_million_out: float
    max_usd: float
    pictures: PictureRule = GPT_4O
    """How many tokens a picture costs."""

    def cost(self, tokens_in: int, tokens_out: int) -> float:
        return (tokens_in * self.usd_per_million_in + tokens_out * self.usd_per_million_out) / 1e6


def budget(known: ModelPrice, max_usd: float) -> Price:
    """What a client pays, in batches or at the list price, and its limit."""
    rates = (known.cost(1e6, 0), known.cost(0, 1e6))
    return Price(*rates, max_usd, known.pictures)


def request_digest(model: str, options: dict[str, Any], parts: Sequence[str | Image], attempt: int) -> str:
    """Digest under which the reply to a request is kept."""
    said = [part if isinstance(part, str) else tables.digest(part.data) for part in parts]
    return tables.digest([model, options, said, attempt])


class ChatClient:
    """Asks one model. Safe to share between threads.

    `cache` is a directory of one JSON file a reply; what it holds counts as spent. Raises `TeacherRefused` on
    construction while `price.max_usd` is 0, or without a key for OpenAI's own server; `limit_key` is the
    configuration key that it names as the remedy.
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
        limit_key: str = "cot.max_usd",
        retries: int = 8,
        timeout_s: float = 180.0,
    ):
        if price.max_usd <= 0:
            raise TeacherRefused(
                f"the teacher {model} costs money and the spending limit is 0: set {limit_key} to what it may cost"
            )
        key = os.environ.get(KEY_VARIABLE)
        if not key and base_url is None:
            raise TeacherRefused(
                f"no key: set the environment variable {KEY_VARIABLE}, or site.openai_base_url to a server without one"
            )
        try:
            import openai
        except ImportError:
            raise TeacherRefused("the package openai is missing: pip install 'rollout3d[api]'") from None
        self.model, self.price, self._limit_key = model, price, limit_key
        self._options = {"max_tokens": max_tokens, "temperature": temperature}
        self._api_error = openai.APIError
        self._hopeless = (openai.AuthenticationError, openai.PermissionDeniedError, openai.NotFoundError)
        self.api = openai.OpenAI(api_key=key or "none", base_url=base_url, max_retries=retries, timeout=timeout_s)
        self.cache = Path(cache)
        self.cache.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._spent = sum(json.loads(path.read_text())["usd"] for path in sorted(self.cache.glob("*.json")))

    @property
    def spent_usd(self) -> float:
        """Cost of every reply in the cache, this run's and earlier ones'."""
        return self._spent

    def digest(self, parts: Sequence[str | Image], attempt: int = 0) -> str:
        """sha256 of all that decides the reply: model, options, texts, pictures, number of the attempt."""
        return request_digest(self.model, self._options, parts, attempt)

    def chat(self, parts: Sequence[str | Image], attempt: int = 0) -> Reply:
        """Send `parts` as one user message, in order; a cached reply is returned without a request.

        Raises `TeacherRefused` if the worst case of this request would exceed the limit, or the key or the model is
        not accepted; `TeacherError` if the server refuses this request or stays out of reach.
        """
        digest = self.digest(parts, attempt)
        reply = self.cached(digest)
        if reply is not None:
            return reply
        held = self._reserve(parts)
        try:
            completion = self._ask(parts)
            reply = self._read(completion)
        except BaseException:
            self._settle(held, 0.0)
            raise
        self._write(digest, reply)
        self._settle(held, reply.usd)
        return reply

    def cached(self, digest: str) -> Reply | None:
        """The reply in the cache, None if there is none."""
        try:
            return Reply(**json.loads((self.cache / f"{digest}.json").read_text()))
        except FileNotFoundError:
            return None

    def keep(self, digest: str, completion: dict[str, Any]) -> None:
        """Put a completion that came another way into the cache. Raises TeacherError if it is none."""
        reply = self._read(completion)
        self._write(digest, reply)
        self._settle(0.0, reply.usd)

    def body(self, parts: Sequence[str | Image]) -> dict[str, Any]:
        """The request's JSON, pictures encoded."""
        content: list[dict[str, Any]] = [
            {"type": "text", "text": part}
            if isinstance(part, str)
            else {"type": "image_url", "image_url": {"url": part.url}}
            for part in parts
        ]
        return {"model": self.model, "messages": [{"role": "user", "content": content}], **self._options}

    def worst_usd(self, parts: Sequence[str | Image]) -> float:
        """What a request costs at most: every character of text counts as half a token."""
        rule = self.price.pictures
        tokens = (math.ceil(len(p) / 2) if isinstance(p, str) else rule.tokens(p.width, p.height) for p in parts)
        return self.price.cost(32 + sum(tokens), self._options["max_tokens"])

    def limit_reached(self, worst: float, promised: float = 0.0) -> TeacherRefused:
        """The error that says that the limit allows no further request."""
        return TeacherRefused(
            f"spending limit: {self._spent + promised:.2f} of {self._limit_key} = {self.price.max_usd:.2f} dollars are "
            f"spent or promised and the next request may cost {worst:.3f}; raise {self._limit_key} or ask less. Paid "
            f"replies stay in {self.cache} and are not paid for again"
        )

    def _reserve(self, parts: Sequence[str | Image]) -> float:
        worst = self.worst_usd(parts)
        with self._lock:
            if self._spent + worst > self.price.max_usd:
                raise self.limit_reached(worst)
            self._spent += worst
        return worst

    def _settle(self, held: float, usd: float) -> None:
        with self._lock:
            self._spent += usd - held

    def _write(self, digest: str, reply: Reply) -> None:
        path = self.cache / f"{digest}.json"
        aside = path.with_suffix(f".{os.getpid()}.{threading.get_ident()}.tmp")
        aside.write_text(json.dumps(asdict(reply)))
        os.replace(aside, path)

    def _ask(self, parts: Sequence[str | Image]) -> dict[str, Any]:
        try:
            return self.api.chat.completions.create(**self.body(parts)).to_dict()
        except self._hopeless as error:
            raise TeacherRefused(self.censored(f"{self.model}: {type(error).__name__}: {error}")) from None
        except self._api_error as error:
            raise TeacherError(self.censored(f"{type(error).__name__}: {error}")) from None

    def _read(self, completion: dict[str, Any]) -> Reply:
        used = completion.get("usage")
        if not completion.get("choices") or not used:
            raise TeacherError(f"the server's reply {completion.get('id')} holds no choice or no token counts")
        usd = self.price.cost(used["prompt_tokens"], used["completion_tokens"])
        text = completion["choices"][0]["message"].get("content") or ""
        return Reply(text, completion.get("id"), used["prompt_tokens"], used["completion_tokens"], usd)

    def censored(self, text: str) -> str:
        return text.replace(self.api.api_key, "[key]")[:500]
