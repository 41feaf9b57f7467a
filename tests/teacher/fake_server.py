"""The local server of `teacher.server`, scripted with a status and a text per request."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from teacher.server import Chat, Fails, Server
from teacher.server import serve as serve_plan


@contextlib.contextmanager
def serve(script: Callable[[dict[str, Any], int], tuple[int, str]]) -> Iterator[Server]:
    """Run a server; `script(request body, number of the request)` gives (status, text or error message)."""

    def plan(body: dict[str, Any], number: int) -> Chat | Fails:
        status, text = script(body, number)
        if status == 200:
            return Chat(text)
        return Fails(status, text, headers={"Retry-After-Ms": "5"} if status in (429, 500) else {})

    with serve_plan(plan) as server:
        yield server
