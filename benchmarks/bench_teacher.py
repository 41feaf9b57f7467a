"""Requests per second to a teacher that takes 200 ms, with 32 frames and a view from above in each request.

The server is a process of its own that reads a request whole, waits and answers. Frames are of 50 kB, about what JPEGs
of 364x504 pixels take; two questions per scan, from tables on disk. It is compared with the obvious way: as many
threads as requests may be in flight, each of which reads and encodes its pictures and calls the `openai` package.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

import numpy as np

from measure import Figure
from rollout3d import tables
from rollout3d.cot.annotate import annotate
from rollout3d.cot.teachers._openai_client import OpenAITeacher
from rollout3d.tables.rows import HardRow, QuestionRow
from rollout3d.teacher.asking import PREPARING, Asking
from rollout3d.teacher.client import ChatClient, Image, Price
from rollout3d.teacher.pictures import frame_pictures

SCANS, PER_SCAN, FRAMES, FRAME_BYTES, BEV_BYTES = 100, 2, 32, 50_000, 40_000
CONCURRENCY, LATENCY_S = 8, 0.2
NOWHERE = tables.Lineage("benchmark")
PROMPT = "$question $answer $answer_form $n_frames " + "how a careful observer reaches this answer " * 40
SERVER = """
import json, socketserver, sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

text = "<think>" + "I look. " * 100 + "</think><answer>A</answer>"
choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
usage = {"prompt_tokens": 9000, "completion_tokens": 200, "total_tokens": 9200}
made = {"id": "x", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice], "usage": usage}
reply = json.dumps(made).encode()

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    rbufsize = 1 << 20

    def do_POST(self):
        left = int(self.headers["Content-Length"])
        while left:
            left -= len(self.rfile.read1(min(left, 1 << 20)))
        time.sleep(float(sys.argv[1]))
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)

    def log_message(self, *_):
        pass

server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
"""


def figures() -> Iterator[Figure]:
    os.environ["OPENAI_API_KEY"] = "none"
    server = subprocess.Popen([sys.executable, "-c", SERVER, str(LATENCY_S)], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        base_url = f"http://127.0.0.1:{int(server.stdout.readline())}/v1"
        with tempfile.TemporaryDirectory() as folder:
            rows, frames, maps = _world(Path(folder))
            obvious = _obvious(rows, frames, maps, base_url)
            wall, cpu = time.perf_counter(), time.process_time()
            ours = _ours(rows, frames, maps, base_url, Path(folder))
            busy = (time.process_time() - cpu) / (time.perf_counter() - wall)
    finally:
        server.kill()
        server.wait()
    allowed = CONCURRENCY / LATENCY_S
    yield Figure(
        f"Requests to a teacher, of {allowed:g}/s that concurrency {CONCURRENCY} allows",
        100 * ours / allowed,
        90,
        "%",
        at_least=True,
        note=f"{ours:.1f} requests/s; the obvious way {obvious:.1f}/s; {busy:.0%} of one core, {len(rows)} requests",
    )


def _ours(rows: list[QuestionRow], frames: Path, maps: Path, base_url: str, folder: Path) -> float:
    price = Price(0.0, 0.0, 1.0)
    options = {"max_tokens": 1024, "temperature": 1.0, "base_url": base_url, "concurrency": CONCURRENCY}
    chat = ChatClient("m", price, folder / "replies", **options)
    teacher = OpenAITeacher(chat, [frames], [maps], FRAMES, "uniform32", PROMPT)
    hard: list[HardRow] = [{"question_id": row["question_id"], "transition": "frames"} for row in rows]
    started = time.perf_counter()
    found = annotate(hard, rows, teacher, 1, Asking(CONCURRENCY + PREPARING))
    seconds = time.perf_counter() - started
    if len(list(chat.cache.glob("*.json"))) != len(rows) or {row["verdict"] for row in found} != {"accepted"}:
        raise AssertionError(f"not every question was one request: {found[0]}")
    return len(rows) / seconds


def _obvious(rows: list[QuestionRow], frames: Path, maps: Path, base_url: str) -> float:
    import openai
    from openai.types.chat import ChatCompletionContentPartParam

    api = openai.OpenAI(api_key="none", base_url=base_url)
    readers = tables.SceneReader(tables.FRAMES, [frames]), tables.SceneReader(tables.MAPS, [maps])
    reading = threading.Lock()

    def request(row: QuestionRow) -> str | None:
        scene = row["scene_id"] or ""
        with reading:
            bev = readers[1].rows(scene, ["bev"])[0]["bev"]["bytes"] or b""
            shown = [
                Image(bev, "image/png", 432, 432),
                *frame_pictures(readers[0], scene, "uniform32", FRAMES),
            ]
        content: list[ChatCompletionContentPartParam] = [
            {"type": "image_url", "image_url": {"url": image.url}} for image in shown
        ]
        content.append({"type": "text", "text": PROMPT + row["question"]})
        reply = api.chat.completions.create(model="m", messages=[{"role": "user", "content": content}])
        return reply.choices[0].message.content

    started = time.perf_counter()
    with ThreadPoolExecutor(CONCURRENCY) as pool:
        list(pool.map(request, rows))
    return len(rows) / (time.perf_counter() - started)


def _world(folder: Path) -> tuple[list[QuestionRow], Path, Path]:
    """Return the questions of `SCANS` scans, and the files of their frames and maps."""
    rng = np.random.default_rng(0)
    zero = {"timestamp_s": 0.0, "width": 504, "height": 364, "source_width": 504, "source_height": 364}
    zero |= {"K": None, "pose": None}
    above = {"m_per_px": 0.01, "x0": 0.0, "y0": 0.0, "floor_rect": [0.0] * 4, "walkable": b"", "cell_m": 0.05}
    above |= {"grid_origin": [0.0, 0.0], "grid_size": [0, 0], "points": [], "appearances": []}
    header = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + (432).to_bytes(4, "big") * 2
    frames, maps, rows = [], [], []
    for scan in range(SCANS):
        scene = f"scene{scan:04}_00"
        for i in range(FRAMES + 16):
            shown = {"scene_id": scene, "frame_index": i, "sets": ["uniform32"] if i % 3 else ["uniform16"]}
            frames.append(shown | {"image": {"bytes": rng.bytes(FRAME_BYTES), "path": f"{i}.jpg"}} | zero)
        maps.append({"scene_id": scene, "bev": {"bytes": header + rng.bytes(BEV_BYTES), "path": "bev.png"}} | above)
        about = {"scene_id": scene, "question_type": "object_rel_direction_easy", "answer_type": "choice"}
        about |= {"options": ["A. left", "B. right"], "ground_truth": "A"}
        for k in range(PER_SCAN):
            text = f"Is lamp {k} to the left or the right of the tv?"
            # The columns that the teacher reads.
            rows.append(cast("QuestionRow", about | {"question_id": f"{scene}-{k}", "question": text}))
    tables.write(tables.FRAMES, folder / "frames.parquet", frames, NOWHERE)
    tables.write(tables.MAPS, folder / "maps.parquet", maps, NOWHERE)
    return rows, folder / "frames.parquet", folder / "maps.parquet"
