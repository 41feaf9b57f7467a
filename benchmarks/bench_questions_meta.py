"""Questions of the six geometric categories from published boxes: time, memory, and the same bytes for any workers.

Runs `rollout3d questions --meta` on random scenes, with one worker and with two. Then the distance of one pair,
compared with the obvious way to compute it: sample both boxes again for every pair, and take the smallest of all
distances.
"""

from __future__ import annotations

import hashlib
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import combinations, islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from scipy.spatial.distance import cdist
from scipy.spatial.transform import Rotation

from measure import Figure
from rollout3d.geometry.boxes import OrientedBox
from rollout3d.geometry.distance import BoxPoints, box_distance, vsibench_points

POOLS = {"categories repeat": 20, "every object unique": None}
"""Number of categories from which a scene draws; VSI-Bench's scenes have up to 19, with four or five unique ones."""
N_SCENES, N_OBJECTS = 288, 14
N_PAIRS = 40
NAIVE_ROWS = 500


def random_meta(n_scenes: int, n_objects: int, pool: int | None) -> dict[str, Any]:
    """Return metadata in VSI-Bench's form: objects of 0.3 to 1.8 m, turned about the vertical, half of them tilted."""
    scenes = {}
    for s in range(n_scenes):
        rng = np.random.default_rng(s)
        boxes: dict[str, list[dict[str, Any]]] = {}
        for k in range(n_objects):
            category = f"object {k if pool is None else rng.integers(pool)}"
            turn = Rotation.from_euler("zyx", [rng.uniform(0, 360), *rng.normal(0, 5, 2) * (k % 2)], degrees=True)
            sides = np.exp(rng.uniform(np.log(0.3), np.log(1.8), 3))
            box = OrientedBox(rng.uniform([-3, -3, 0], [3, 3, 1.5]), sides, turn.as_matrix())
            low, high = box.aabb()
            boxes.setdefault(category, []).append(
                {
                    "centroid": box.centroid.tolist(),
                    "axesLengths": sides.tolist(),
                    "normalizedAxes": box.normalized_axes.ravel().tolist(),
                    "min": low.tolist(),
                    "max": high.tolist(),
                }
            )
        scenes[f"scene{s:04d}_00"] = {
            "dataset": "scannet",
            "video_path": f"scene{s:04d}_00.mp4",
            "room_size": float(rng.uniform(8, 60)),
            "room_center": [0.0, 0.0, 1.0],
            "object_counts": {category: len(some) for category, some in boxes.items()},
            "object_bbox": boxes,
        }
    return scenes


def measured(command: list[str]) -> tuple[float, float, float]:
    """Return the wall seconds of a command, processor seconds of it and its children, and their peak memory in MiB."""
    start, before, peak = time.perf_counter(), _processor_seconds(), 0.0
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None:
            peak = max(peak, sum(map(_resident, _tree(process.pid))))
            time.sleep(0.05)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed")
    return time.perf_counter() - start, _processor_seconds() - before, peak


def _processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _tree(pid: int) -> list[int]:
    try:
        children = [
            int(c) for task in Path(f"/proc/{pid}/task").iterdir() for c in (task / "children").read_text().split()
        ]
    except OSError:
        return []
    return [pid, *(found for child in children for found in _tree(child))]


def _resident(pid: int) -> float:
    """Return the MiB of a process; pages that several share are divided (proportional set size)."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("Pss:")), 0.0)


def naive_distance(a: OrientedBox, b: OrientedBox) -> float:
    """Return the distance by the benchmark's definition, as directly as memory allows."""
    p, q = vsibench_points(a), vsibench_points(b)
    return min(float(cdist(p[k : k + NAIVE_ROWS], q).min()) for k in range(0, len(p), NAIVE_ROWS))


def boxes_of(scene: dict[str, Any]) -> list[OrientedBox]:
    stated = [box for some in scene["object_bbox"].values() for box in some]
    return [OrientedBox(box["centroid"], box["axesLengths"], box["normalizedAxes"]) for box in stated]


def per_pair(scenes: dict[str, Any], distance: Callable[[Any, Any], float], keep: bool) -> tuple[float, list[float]]:
    """Return the median milliseconds per pair over scenes, and the distances of the first pairs.

    `keep`: points that were sampled for a box are reused.
    """
    spent, found = [], []
    for scene in scenes.values():
        some = [BoxPoints(box) if keep else box for box in boxes_of(scene)]
        pairs = list(islice(combinations(some, 2), N_PAIRS))
        start = time.perf_counter()
        found += [distance(a, b) for a, b in pairs]
        spent.append((time.perf_counter() - start) / len(pairs) * 1e3)
    return statistics.median(spent), found


def figures() -> Iterator[Figure]:
    scenes: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, pool in POOLS.items():
            meta = Path(folder) / "scannet_meta_info_val.json"
            scenes = random_meta(N_SCENES, N_OBJECTS, pool)
            meta.write_text(json.dumps(scenes))
            digests, taken = set(), []
            for workers in (1, 2):
                out = Path(folder) / f"questions_{workers}.parquet"
                command = [sys.executable, "-m", "rollout3d.stages.questions", "--meta", str(meta), "--out", str(out)]
                taken.append(measured([*command, "--workers", str(workers)]))
                digests.add(hashlib.sha256(out.read_bytes()).hexdigest())
            (alone, _, _), (wall, busy, peak) = taken
            equal = "the same bytes" if len(digests) == 1 else "DIFFERENT BYTES"
            note = f"{pq.read_metadata(out).num_rows} questions; {busy:.1f} s of CPU; one worker {alone:.1f} s, {equal}"
            yield Figure(f"Questions of {N_SCENES} published scenes, {name}", wall, 20, "s", note=note)
            yield Figure("... memory of all processes", peak, 1024, "MiB")
        few = dict(islice(scenes.items(), 5))
        ours, ours_found = per_pair(few, box_distance, keep=True)
        naive, naive_found = per_pair(few, naive_distance, keep=False)
        same = "equal" if np.allclose(ours_found, naive_found, rtol=0, atol=1e-12) else "DIFFERENT"
        note = f"all pairs of points {naive:.1f} ms: {naive / ours:.0f}x, {same} results"
        yield Figure("Distance of a pair of boxes", ours, 3, "ms", note=note)
