"""A server that answers as the Hub does to the client's upload of a folder, and keeps what it was sent."""

from __future__ import annotations

import base64
import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Hub:
    """State of the server. `repos`: repository -> whether it is private; `refuse`: status of every upload, 0 = none."""

    repos: dict[str, bool] = field(default_factory=dict)
    refuse: int = 0
    address: str = ""
    requests: list[tuple[str, str]] = field(default_factory=list)
    """Method and path of every request."""
    tokens: set[str] = field(default_factory=set)
    created: list[dict[str, Any]] = field(default_factory=list)
    cards: list[dict[str, Any]] = field(default_factory=list)
    """Bodies of the requests to check a card."""
    files: dict[str, bytes] = field(default_factory=dict)


def answer(hub: Hub, method: str, path: str, body: bytes) -> tuple[int, Any]:
    """Return status and JSON of the answer to a request."""
    if path == "/api/repos/create":
        given = json.loads(body)
        hub.created.append(given)
        name = f"{given['organization']}/{given['name']}" if given.get("organization") else given["name"]
        url = f"{hub.address}/{'datasets/' if given['type'] == 'dataset' else ''}{name}"
        if name in hub.repos:
            return 409, {"error": "You already created this repository", "url": url}
        hub.repos[name] = bool(given.get("private")) or given.get("visibility") == "private"
        return 200, {"url": url, "id": name}
    if path == "/api/validate-yaml":
        hub.cards.append(json.loads(body))
        return 200, {"errors": [], "warnings": []}
    _, _, kind, owner, name, *rest = path.split("/")
    repo = f"{owner}/{name}"
    if rest[:1] == ["preupload"]:
        paths = [each["path"] for each in json.loads(body)["files"]]
        return 200, {"files": [{"path": each, "uploadMode": "regular", "shouldIgnore": False} for each in paths]}
    if rest[:1] == ["commit"]:
        if hub.refuse:
            return hub.refuse, {"error": "no write access"}
        for line in body.decode().splitlines():
            entry = json.loads(line)
            if entry["key"] == "file":
                hub.files[entry["value"]["path"]] = base64.b64decode(entry["value"]["content"])
        return 200, {"commitUrl": f"{hub.address}/{repo}/commit/1", "commitOid": "1", "pullRequestUrl": None}
    if method == "GET" and repo in hub.repos:
        return 200, {"id": repo, "private": hub.repos[repo], "sha": "0", "siblings": [], "tags": [], "downloads": 0}
    return 404, {"error": f"no {kind} {repo}"}


@contextlib.contextmanager
def serve() -> Iterator[Hub]:
    """Run a server on a free port."""
    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            """Print nothing."""

        def handle_any(self) -> None:
            body = self._body()
            path = self.path.partition("?")[0]
            hub.requests.append((self.command, path))
            hub.tokens.add(self.headers.get("Authorization", ""))
            status, given = answer(hub, self.command, path, body)
            data = json.dumps(given).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding") != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length") or 0))
            parts = []
            while size := int(self.rfile.readline().strip(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)

        do_GET = do_POST = do_PUT = do_HEAD = handle_any

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.address = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
