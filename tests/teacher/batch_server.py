"""A local server with OpenAI's Batch API: files, batches, result files, and faults by plan.

A batch is worked on when it is created, so `paid` counts what a real server would bill. `faults` maps a place to a
function that is called there with the server; it may kill the client, or raise `Drop` or `Answer`. Places:
"upload:half", "upload", "create:before", "create:after", "list", "retrieve", "content", "content:half" (no `Answer`).
"""

from __future__ import annotations

import contextlib
import itertools
import json
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from teacher.server import Chat, completion

Script = Callable[[dict[str, Any], int], tuple[int, Any]]
"""(body of a request, number of the request) -> (status, text of the reply or error, or a `Chat`)."""


class Drop(Exception):
    """Close the connection without an answer."""


class Answer(Exception):
    """Answer with an error instead."""

    def __init__(self, status: int, message: str):
        self.status, self.message = status, message


class BatchServer:
    """`endings`: number of a batch -> how it ends: "expired:K" and "cancelled:K" after K requests, or
    "failed:CODE". `damage`: changes the bytes of an output file, given the number of the download."""

    def __init__(self, script: Script):
        self.script = script
        self.faults: dict[str, Callable[[BatchServer], None]] = {}
        self.endings: dict[int, str] = {}
        self.damage: Callable[[bytes, int], bytes] = lambda data, n: data
        self.validating = 1
        """How often a batch is retrieved before it is in progress, and again before it has ended."""
        self.files: dict[str, dict[str, Any]] = {}
        self.numbers = itertools.count()
        self.batches: list[dict[str, Any]] = []
        self.paid: Counter[str] = Counter()
        self.bodies: list[dict[str, Any]] = []
        self.log: list[str] = []
        self.downloads = 0
        self.base_url = ""
        self.lock = threading.RLock()

    def fault(self, place: str) -> None:
        if place in self.faults:
            self.faults[place](self)

    def count(self, what: str) -> int:
        """How often a method and path was asked for, such as "POST /v1/batches"."""
        return self.log.count(what)

    def add_file(self, data: bytes, name: str) -> str:
        file_id = f"file-{next(self.numbers)}"
        self.files[file_id] = {"id": file_id, "object": "file", "bytes": len(data), "created_at": int(time.time())}
        self.files[file_id] |= {"filename": name, "purpose": "batch", "status": "processed", "data": data}
        return file_id

    def create(self, wanted: dict[str, Any]) -> dict[str, Any]:
        number = len(self.batches)
        lines = [json.loads(line) for line in self.files[wanted["input_file_id"]]["data"].splitlines()]
        ending, _, detail = self.endings.get(number, "completed").partition(":")
        batch = {"id": f"batch-{number}", "object": "batch", "created_at": int(time.time()), **wanted}
        batch |= {"ending": ending, "looks": 0, "errors": None, "output_file_id": None, "error_file_id": None}
        batch["counts"] = {"total": len(lines), "completed": 0, "failed": 0}
        if ending == "failed":
            batch["errors"] = {"object": "list", "data": [{"code": detail, "message": f"said {detail}", "line": None}]}
            self.batches.append(batch)
            return batch
        run = lines if ending == "completed" else lines[: int(detail)]
        good, bad = [], []
        for line in run:
            status, reply = self.script(line["body"], len(self.bodies))
            self.bodies.append(line["body"])
            row = {"id": f"batch_req_{len(self.bodies)}", "custom_id": line["custom_id"], "error": None}
            if status == 200:
                self.paid[line["custom_id"]] += 1
                good.append(
                    row | {"response": {"status_code": 200, "body": _body(line["body"], reply, len(self.bodies))}}
                )
            else:
                bad.append(row | {"response": {"status_code": status, "body": {"error": {"message": reply}}}})
        for line in lines[len(run) :]:
            error = {"code": f"batch_{ending}", "message": "This request could not be executed."}
            bad.append({"id": "x", "custom_id": line["custom_id"], "response": None, "error": error})
        batch["counts"] = {"total": len(lines), "completed": len(good), "failed": len(bad)}
        for key, rows in (("output_file_id", good), ("error_file_id", bad)):
            if rows:
                batch[key] = self.add_file("".join(json.dumps(row) + "\n" for row in rows).encode(), key)
        self.batches.append(batch)
        return batch

    def shown(self, batch: dict[str, Any]) -> dict[str, Any]:
        looks, ended = batch["looks"], batch["ending"]
        status = "validating" if looks < self.validating else "in_progress" if looks < 2 * self.validating else ended
        if ended == "failed" and status == "in_progress":
            status = "failed"
        done = status == ended
        shown = {k: v for k, v in batch.items() if k not in ("ending", "looks", "counts")} | {"status": status}
        shown["request_counts"] = batch["counts"] if done else batch["counts"] | {"completed": 0, "failed": 0}
        if not done:
            shown |= {"output_file_id": None, "error_file_id": None, "errors": None}
        return shown


def _body(asked: dict[str, Any], reply: Any, number: int) -> Any:
    """The body of a response: of a text or a `Chat` a completion, of anything else that itself."""
    chat = Chat(reply) if isinstance(reply, str) else reply
    return completion(number, asked["model"], chat) if isinstance(chat, Chat) else chat


class _Handler(BaseHTTPRequestHandler):
    server_: BatchServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # the body follows the header at once

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except Answer as answer:
            self._json(answer.status, {"error": {"message": answer.message}})
        except (Drop, ConnectionError):
            self.close_connection = True
            with contextlib.suppress(OSError):
                self.connection.close()

    def do_POST(self) -> None:
        server, path = self.server_, self.path.split("?")[0]
        n = int(self.headers["Content-Length"]) if "Content-Length" in self.headers else None
        if path == "/v1/files":
            half = self.rfile.read(n // 2)
            server.fault("upload:half")
            data = half + self.rfile.read(n - n // 2)
            if len(data) < n:
                raise Drop
            server.log.append("POST /v1/files")
            name, content = _multipart(data, self.headers["Content-Type"])
            with server.lock:
                file_id = server.add_file(content, name)
            server.fault("upload")
            self._json(200, {k: v for k, v in server.files[file_id].items() if k != "data"})
        elif path == "/v1/batches":
            wanted = json.loads(self.rfile.read(n))
            server.log.append("POST /v1/batches")
            server.fault("create:before")
            with server.lock:
                batch = server.create(wanted)
            server.fault("create:after")
            self._json(200, server.shown(batch))
        elif path == "/v1/chat/completions":
            asked = json.loads(self.rfile.read(n))
            server.log.append(f"POST {path}")
            with server.lock:
                status, reply = server.script(asked, len(server.bodies))
                server.bodies.append(asked)
            self._json(
                status, _body(asked, reply, len(server.bodies)) if status == 200 else {"error": {"message": reply}}
            )
        else:
            self._json(404, {"error": {"message": f"no {path}"}})

    def do_GET(self) -> None:
        server, path = self.server_, self.path.split("?")[0]
        server.log.append(f"GET {path}")
        if path == "/v1/batches":
            server.fault("list")
            shown = [server.shown(batch) for batch in reversed(server.batches)]
            self._json(200, {"object": "list", "data": shown, "has_more": False})
        elif match := re.fullmatch(r"/v1/batches/batch-(\d+)", path):
            server.fault("retrieve")
            batch = server.batches[int(match[1])]
            shown = server.shown(batch)
            batch["looks"] += 1
            self._json(200, shown)
        elif (match := re.fullmatch(r"/v1/files/(file-\d+)/content", path)) and match[1] in server.files:
            server.fault("content")
            data = server.files[match[1]]["data"]
            if server.files[match[1]]["filename"] == "output_file_id":
                data = server.damage(data, server.downloads)
                server.downloads += 1
            self.send_response(200)
            self.send_header("Content-Type", "application/octet-stream")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data[: len(data) // 2])
            self.wfile.flush()
            server.fault("content:half")
            self.wfile.write(data[len(data) // 2 :])
        else:
            self._json(404, {"error": {"message": f"no {path}"}})

    def do_DELETE(self) -> None:
        file_id = self.path.rsplit("/", 1)[-1]
        self.server_.log.append(f"DELETE {self.path}")
        found = self.server_.files.pop(file_id, None)
        self._json(200 if found else 404, {"id": file_id, "object": "file", "deleted": bool(found)})

    def _json(self, status: int, value: Any) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


def _multipart(data: bytes, kind: str) -> tuple[str, bytes]:
    """File name and content of a form."""
    boundary = re.search(r"boundary=([^;]+)", kind)[1].strip('"').encode()
    for part in data.split(b"--" + boundary):
        head, _, body = part.partition(b"\r\n\r\n")
        if name := re.search(rb'filename="([^"]+)"', head):
            return name[1].decode(), body.removesuffix(b"\r\n")
    raise ValueError("no file in the form")


@contextlib.contextmanager
def serve(script: Script) -> Iterator[BatchServer]:
    """Serve on a free port of this machine."""
    batch_server = BatchServer(script)
    handler = type("Handler", (_Handler,), {"server_": batch_server})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    batch_server.base_url = f"http://127.0.0.1:{server.server_port}/v1"
    try:
        yield batch_server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
