"""The ingest stage on two shards: two processes at once, compared with one after the other; imports included."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

import pyarrow.parquet as pq

from measure import Figure, median, one_thread
from scans import scannet_root

CONFIG = {"datasets": {"scannet": {"shards": 2, "splits": {"train": ["train"]}}}}


def figures() -> Iterator[Figure]:
    at_once, in_turn = [], []
    with tempfile.TemporaryDirectory() as out:
        _run([0, 1], out)  # afterwards both ways have the file in the disk's cache, and compiled kernels
        for shard in (0, 1):
            if not pq.read_metadata(f"{out}/{shard}/scenes.parquet").num_rows:
                raise SystemExit(f"shard {shard} dropped its scan: see scenes_dropped")
        for _ in range(3):
            at_once.append(_run([0, 1], out))
            in_turn.append(tuple(map(sum, zip(_run([0], out), _run([1], out)))))
    (together, busy), (apart, busy_apart) = (map(median, zip(*runs)) for runs in (at_once, in_turn))
    yield Figure(
        "Two workers on two shards, against one after the other",
        apart / together,
        1.7,
        "x",
        at_least=True,
        note=f"wall {together:.1f} s and {apart:.1f} s, CPU {busy:.1f} s and {busy_apart:.1f} s (medians of 3) on "
        f"{os.cpu_count()} cores\nvalid on an idle machine only; by CPU seconds it would be "
        f"{2 * busy_apart / busy:.2f} x",
    )


def _run(shards: list[int], out: str) -> tuple[float, float]:
    """Ingest shards at the same time; return the wall seconds, and the CPU seconds of all."""
    started, busy = time.perf_counter(), _children_s()
    processes = [_start(shard, out) for shard in shards]
    for process in processes:
        errors = process.communicate()[1]
        if process.returncode:
            raise SystemExit(f"the ingest stage failed:\n{errors}")
    return time.perf_counter() - started, _children_s() - busy


def _children_s() -> float:
    """Return the CPU seconds of the processes that have ended."""
    times = os.times()
    return times.children_user + times.children_system


def _start(shard: int, out: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "rollout3d.stages.ingest", "--config", json.dumps(CONFIG), "--dataset", "scannet"]
    command += ["--shard", str(shard), "--root", str(scannet_root()), "--out-dir", f"{out}/{shard}"]
    return subprocess.Popen(command, env=one_thread(), stderr=subprocess.PIPE, text=True)
