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

    @property
    def tokens(self) -> int:
        """Upper bound of OpenAI's price of a picture: 85 tokens, and 170 for each tile of 512x512 pixels."""
        return 85 + 170 * math.ceil(self.width / 512) * math.ceil(self.height / 512)


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

    def cost(self, tokens_in: int, tokens_out: int) -> float:
        return (tokens_in * self.usd_per_million_in + tokens_out * self.usd_per_million_out) / 1e6


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
        self._client = openai.OpenAI(api_key=key or "none", base_url=base_url, max_retries=retries, timeout=timeout_s)
        self._cache = Path(cache)
        self._cache.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._spent = sum(json.loads(path.read_text())["usd"] for path in sorted(self._cache.glob("*.json")))

    @property
    def spent_usd(self) -> float:
        """Cost of every reply in the cache, this run's and earlier ones'."""
        return self._spent

    def digest(self, parts: Sequence[str | Image], attempt: int = 0) -> str:
        """sha256 of all that decides the reply: model, options, texts, pictures, number of the attempt."""
        said = [part if isinstance(part, str) else tables.digest(part.data) for part in parts]
        return tables.digest([self.model, self._options, said, attempt])

    def chat(self, parts: Sequence[str | Image], attempt: int = 0) -> Reply:
        """Send `parts` as one user message, in order; a cached reply is returned without a request.

        Raises `TeacherRefused` if the worst case of this request would exceed the limit, or the key or the model is
        not accepted; `TeacherError` if the server refuses this request or stays out of reach.
        """
        path = self._cache / f"{self.digest(parts, attempt)}.json"
        if path.exists():
            return Reply(**json.loads(path.read_text()))
        held = self._reserve(parts)
        try:
            reply = self._ask(parts)
        except BaseException:
            self._settle(held, 0.0)
            raise
        aside = path.with_suffix(f".{os.getpid()}.{threading.get_ident()}.tmp")
        aside.write_text(json.dumps(asdict(reply)))
        os.replace(aside, path)
        self._settle(held, reply.usd)
        return reply

    def _reserve(self, parts: Sequence[str | Image]) -> float:
        tokens_in = 32 + sum(math.ceil(len(p) / 2) if isinstance(p, str) else p.tokens for p in parts)
        worst = self.price.cost(tokens_in, self._options["max_tokens"])
        with self._lock:
            if self._spent + worst > self.price.max_usd:
                raise TeacherRefused(
                    f"spending limit: {self._spent:.2f} of {self._limit_key} = {self.price.max_usd:.2f} dollars are "
                    f"spent or promised and the next request may cost {worst:.3f}; raise {self._limit_key} or ask "
                    f"less. Paid replies stay in {self._cache} and are not paid for again"
                )
            self._spent += worst
        return worst

    def _settle(self, held: float, usd: float) -> None:
        with self._lock:
            self._spent += usd - held

    def _ask(self, parts: Sequence[str | Image]) -> Reply:
        content: list[dict[str, Any]] = [
            {"type": "text", "text": part}
            if isinstance(part, str)
            else {"type": "image_url", "image_url": {"url": part.url}}
            for part in parts
        ]
        try:
            answer = self._client.chat.completions.create(
                model=self.model, messages=[{"role": "user", "content": content}], **self._options
            )
        except self._hopeless as error:
            raise TeacherRefused(self._without_key(f"{self.model}: {type(error).__name__}: {error}")) from None
        except self._api_error as error:
            raise TeacherError(self._without_key(f"{type(error).__name__}: {error}")) from None
        if not answer.choices or answer.usage is None:
            raise TeacherError(f"the server's reply {answer.id} holds no choice or no token counts")
        used = answer.usage
        usd = self.price.cost(used.prompt_tokens, used.completion_tokens)
        text = answer.choices[0].message.content or ""
        return Reply(text, answer.id, used.prompt_tokens, used.completion_tokens, usd)

    def _without_key(self, text: str) -> str:
        return text.replace(self._client.api_key, "[key]")[:500]
