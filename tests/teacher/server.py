"""A local OpenAI-compatible server that injects faults by plan.

`plan(request body, number of the request)` gives what becomes of the request: a reply as text, or one of the faults
below. The server counts what a real one would bill (`paid`), so tests can say what was paid, kept and lost.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Chat:
    """A completion. `usage`: False leaves it out. `damage` changes the bytes of the body."""

    text: str | None = "ok"
    finish: str = "stop"
    refusal: str | None = None
    usage: bool = True
    damage: Callable[[bytes], bytes] = bytes
    delay_s: float = 0.0


@dataclass(frozen=True)
class Fails:
    """An error status. `code` as in `insufficient_quota`; `headers` such as Retry-After."""

    status: int
    message: str = "no"
    code: str | None = None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Resets:
    """The connection is closed without an answer."""


@dataclass(frozen=True)
class Hangs:
    """No answer for so many seconds, then a completion that nobody awaits."""

    seconds: float


@dataclass(frozen=True)
class Cuts:
    """Fewer bytes of the completion than its header says."""


Answer = str | Chat | Fails | Resets | Hangs | Cuts
Plan = Callable[[dict[str, Any], int], Answer]
TOKENS_IN, TOKENS_OUT = 1000, 100


class Server:
    """What came in, and what was billed: `paid` are the bodies of the requests that got a completion."""

    def __init__(self, plan: Plan):
        self.plan = plan
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.times: list[float] = []
        self.paid: list[dict[str, Any]] = []
        self.in_flight = self.most_in_flight = 0
        self.base_url = ""
        self.lock = threading.Lock()

    def arrived(self, body: dict[str, Any], headers: dict[str, str]) -> int:
        with self.lock:
            self.requests.append(body)
            self.headers.append(headers)
            self.times.append(time.monotonic())
            self.in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self.in_flight)
            return len(self.requests) - 1

    def left(self) -> None:
        with self.lock:
            self.in_flight -= 1


def texts(body: dict[str, Any]) -> str:
    """The text of a request, without its pictures."""
    return "\n".join(part["text"] for part in body["messages"][0]["content"] if part["type"] == "text")


def completion(number: int, model: str, chat: Chat) -> dict[str, Any]:
    """A chat completion as OpenAI's server writes it."""
    message = {"role": "assistant", "content": chat.text, "refusal": chat.refusal}
    made = {
        "id": f"chatcmpl-{number}",
        "object": "chat.completion",
        "created": 0,
        "model": model,
        "choices": [{"index": 0, "finish_reason": chat.finish, "message": message}],
    }
    total = TOKENS_IN + TOKENS_OUT
    usage = {"prompt_tokens": TOKENS_IN, "completion_tokens": TOKENS_OUT, "total_tokens": total}
    return made | ({"usage": usage} if chat.usage else {})


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, *_: object) -> None:
        """Say nothing: clients are killed here."""


@contextlib.contextmanager
def serve(plan: Plan) -> Iterator[Server]:
    """Run a server on a free port."""
    state = Server(plan)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # the body follows the header at once

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            number = state.arrived(body, dict(self.headers))
            try:
                self._answer(body, number, state.plan(body, number))
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True
            finally:
                state.left()

        def _answer(self, body: dict[str, Any], number: int, answer: Answer) -> None:
            if isinstance(answer, Resets):
                self.close_connection = True
                return
            if isinstance(answer, Fails):
                error = {"message": answer.message, "type": "test", "code": answer.code}
                self._send(answer.status, json.dumps({"error": error}).encode(), answer.headers)
                return
            if isinstance(answer, Hangs):
                time.sleep(answer.seconds)
            chat = answer if isinstance(answer, Chat) else Chat(answer if isinstance(answer, str) else "ok")
            time.sleep(chat.delay_s)
            with state.lock:
                state.paid.append(body)
            data = chat.damage(json.dumps(completion(number, body["model"], chat)).encode())
            self._send(200, data, {}, len(data) // 2 if isinstance(answer, Cuts) else None)

        def _send(self, status: int, data: bytes, headers: dict[str, str], n_bytes: int | None = None) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data[:n_bytes])
            if n_bytes is not None:
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    server = _Quiet(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    state.base_url = f"http://127.0.0.1:{server.server_port}/v1"
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
