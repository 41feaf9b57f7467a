"""A local OpenAI-compatible server with scripted replies."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class FakeServer:
    """`script(request body, number of the request)` gives (status, text or error message)."""

    def __init__(self, script: Callable[[dict[str, Any], int], tuple[int, str]]):
        self.script = script
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.base_url = ""
        self._lock = threading.Lock()

    def answer(self, body: dict[str, Any], key: str | None) -> tuple[int, bytes]:
        with self._lock:
            number = len(self.requests)
            self.requests.append(body)
            self.keys.append(key)
        status, text = self.script(body, number)
        if status != 200:
            return status, json.dumps({"error": {"message": text, "type": "test"}}).encode()
        reply = {
            "id": f"chatcmpl-{number}",
            "object": "chat.completion",
            "created": 0,
            "model": body["model"],
            "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}],
            "usage": {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100},
        }
        return status, json.dumps(reply).encode()


@contextlib.contextmanager
def serve(script: Callable[[dict[str, Any], int], tuple[int, str]]) -> Iterator[FakeServer]:
    fake = FakeServer(script)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status, data = fake.answer(body, self.headers.get("Authorization"))
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            if status in (429, 500):
                self.send_header("Retry-After-Ms", "5")
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    fake.base_url = f"http://127.0.0.1:{server.server_port}/v1"
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
