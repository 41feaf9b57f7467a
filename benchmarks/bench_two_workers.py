"""The ingest stage on two shards: two processes at once, beside one after the other; imports included."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

from measure import Figure, median, one_thread
from scans import scannet_root

CONFIG = {"datasets": {"scannet": {"shards": 2, "splits": {"train": ["train"], "test": ["val"]}}}}


def figures() -> Iterator[Figure]:
    at_once, in_turn = [], []
    with tempfile.TemporaryDirectory() as out:
        _wait([_start(0, out)])  # both ways find the file in the cache of the disk, and compiled kernels
        for _ in range(3):
            at_once.append(_seconds(out, together=True))
            in_turn.append(_seconds(out, together=False))
    yield Figure(
        "Two workers on two shards, against one after the other",
        median(in_turn) / median(at_once),
        1.7,
        "x",
        at_least=True,
        note=f"{median(at_once):.1f} s and {median(in_turn):.1f} s (medians of 3), {os.cpu_count()} cores",
    )


def _seconds(out: str, together: bool) -> float:
    started = time.perf_counter()
    if together:
        _wait([_start(shard, out) for shard in (0, 1)])
    else:
        for shard in (0, 1):
            _wait([_start(shard, out)])
    return time.perf_counter() - started


def _start(shard: int, out: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "rollout3d.stages.ingest", "--config", json.dumps(CONFIG), "--dataset", "scannet"]
    command += ["--shard", str(shard), "--root", str(scannet_root()), "--out-dir", f"{out}/{shard}"]
    return subprocess.Popen(command, env=one_thread(), stderr=subprocess.PIPE, text=True)


def _wait(processes: list[subprocess.Popen]) -> None:
    for process in processes:
        errors = process.communicate()[1]
        if process.returncode:
            raise SystemExit(f"the ingest stage failed:\n{errors}")
