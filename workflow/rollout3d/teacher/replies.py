"""Replies of a paid model, and the folder that keeps one JSON file per reply."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rollout3d.files import write_atomically
from rollout3d.teacher.errors import BadReply, TeacherRefused


@dataclass(frozen=True)
class Reply:
    """A reply of a paid model. `usd` is computed from the tokens that the server states as billed."""

    text: str
    request_id: str | None
    tokens_in: int
    tokens_out: int
    usd: float
    finish: str = "stop"
    """`finish_reason` of the server."""
    refusal: str | None = None
    """The model's text where it refused to answer."""
    estimated: bool = False
    """True if the server stated no usage: tokens and dollars are then the maximum cost of the request."""

    @property
    def problem(self) -> str | None:
        """Reason why the text is no answer, although it was paid for; None if it may be one."""
        if self.refusal is not None:
            return f"refused by the model: {' '.join(self.refusal.split())[:200]}"
        if self.finish == "length":
            return f"cut at max_tokens, after {self.tokens_out} tokens"
        if self.finish == "content_filter":
            return "stopped by the server's content filter"
        return None


def reply_of(completion: Any, usd: Callable[[int, int], float], worst: tuple[int, int] | None = None) -> Reply:
    """Return the reply in a chat completion, given as parsed JSON. `usd`: dollars for tokens in and out.

    `worst`: maximum tokens in and out of the request; they count where the server states no usage. Raises
    BadReply for anything else than a completion, and for one without usage where `worst` is not given.
    """
    try:
        choice = completion["choices"][0]
        message = choice["message"]
        text, refusal = message.get("content"), message.get("refusal")
        if not isinstance(text, str | None) or not isinstance(refusal, str | None):
            raise TypeError
    except (KeyError, IndexError, TypeError, AttributeError):
        fault = completion.get("error") if isinstance(completion, dict) else None
        raise BadReply(f"the reply is no chat completion: {json.dumps(fault or completion)[:200]}") from None
    used = completion.get("usage") or {}
    names = ("prompt_tokens", "completion_tokens") if isinstance(used, dict) else ()
    tokens = [n for n in map(used.get, names) if isinstance(n, int) and n >= 0]
    if len(tokens) == 2:
        tokens_in, tokens_out = tokens
    elif worst is None:
        raise BadReply(f"the reply {completion.get('id')} states no usage")
    else:
        tokens_in, tokens_out = worst
    return Reply(
        text or "",
        completion.get("id"),
        tokens_in,
        tokens_out,
        usd(tokens_in, tokens_out),
        str(choice.get("finish_reason") or "stop"),
        refusal,
        len(tokens) < 2,
    )


OPINIONS = "opinions"
"""Folder inside a cache for the replies of a second model: paid from the same budget, not counted as the first's."""


class ReplyCache:
    """A folder of replies by the digest of their request. Safe to share between threads.

    `n` and `usd` are number and dollars of the replies at the start, with those in `OPINIONS` inside.

    Raises TeacherRefused for a damaged file, and where the folder cannot be read or written: replies that were paid for
    must not be lost, or paid for again, unnoticed.
    """

    def __init__(self, folder: Path | str):
        self.folder = Path(folder)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            paths = [p for pattern in ("*.json", f"{OPINIONS}/*.json") for p in sorted(self.folder.glob(pattern))]
        except OSError as error:
            raise TeacherRefused(f"{self.folder}: no folder for paid replies ({error.strerror})") from None
        found = [read_reply(path) for path in paths]
        self.n, self.usd = len(found), sum(reply.usd for reply in found)

    def get(self, digest: str) -> Reply | None:
        """Return the reply to a request; None if it was not paid for yet."""
        path = self._path(digest)
        return read_reply(path) if path.exists() else None

    def put(self, digest: str, reply: Reply) -> None:
        """Store a reply: it is on the disk when this returns."""
        try:
            write_atomically(self._path(digest), json.dumps(asdict(reply)))
        except OSError as error:
            raise TeacherRefused(
                f"{self.folder}: a paid reply cannot be written ({error.strerror}); make room, then run again"
            ) from None

    def _path(self, digest: str) -> Path:
        return self.folder / f"{digest}.json"


def read_reply(path: Path) -> Reply:
    """Read a reply from a file of the cache. Raises TeacherRefused for a damaged one."""
    try:
        reply = Reply(**json.loads(path.read_bytes()))
        if not isinstance(reply.text, str) or not all(
            isinstance(n, int | float) for n in (reply.usd, reply.tokens_in, reply.tokens_out)
        ):
            raise ValueError
    except OSError as error:
        raise TeacherRefused(f"{path}: a paid reply cannot be read ({error.strerror})") from None
    except (ValueError, TypeError):
        size = path.stat().st_size
        raise TeacherRefused(
            f"{path}: a paid reply that is {'damaged' if size else 'empty'}: put it back from a backup, or delete it, "
            "and this one request is paid for again"
        ) from None
    return reply
