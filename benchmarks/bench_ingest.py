"""The ingest of one ScanNet scan on one core, and its time by phase; imports are not counted."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from measure import Figure, alone, median
from rollout3d import tables
from rollout3d.config import Config
from rollout3d.geometry.boxes import import_open3d
from rollout3d.scenes import ingest, rows, sightings
from rollout3d.scenes.datasets import scannet
from rollout3d.seeding import shard_of
from rollout3d.tables import Lineage
from scans import SCENE_ID, scannet_root

import_open3d()  # otherwise imported on first use

TWO_SHARDS = {"datasets": {"scannet": {"shards": 2, "splits": {"train": ["train"]}}}}
CONFIG = Config.model_validate(TWO_SHARDS)
SHARD = shard_of(SCENE_ID.split("_")[0], 2)

PHASES = (
    ("first appearances at video rate", sightings.Watch, "appearances"),
    ("visibility of objects", sightings.Watch, "rows"),
    ("figures of agreement", rows, "measure"),
    ("frames: decode, resize, encode", ingest.rows, "frame_rows"),
    ("boxes of objects", rows, "object_rows"),
    ("room size", rows, "room_area"),
    ("room centre", rows, "room_center"),
    ("mesh, annotation, index of .sens", scannet, "read_scan"),
    ("BEV picture", rows, "bev"),
    ("walkable grid", rows, "walkable_grid"),
    ("points for viewing", rows, "_view_points"),
)


def figures() -> Iterator[Figure]:
    root = str(scannet_root())
    alone(__name__, "one_scan", root)  # compiles the kernels where they are not cached yet
    runs = [alone(__name__, "one_scan", root) for _ in range(3)]
    phases_s = alone(__name__, "phases", root).value
    total = phases_s.pop("all")
    shares = [f"{seconds:6.2f} s  {100 * seconds / total:3.0f} %  {name}" for name, seconds in phases_s.items()]
    rest = total - sum(phases_s.values())
    yield Figure(
        f"One scan ingested: {runs[0].value}",
        median(run.cpu_s for run in runs),
        10,
        "s",
        note="\n".join(
            [
                f"CPU seconds, median of 3; wall {median(run.wall_s for run in runs):.1f} s. One more run, by phase:",
                *shares,
                f"{rest:6.2f} s  {100 * rest / total:3.0f} %  the rest",
            ]
        ),
    )
    yield Figure("... of it, the agreement of the scan with itself", phases_s["figures of agreement"], 2, "s")
    yield Figure("... resident memory", max(run.peak_mib for run in runs), 1024, "MiB", note="imports included")


def one_scan(root: str) -> str:
    """Ingest the scan with the paper's configuration; return its frames and objects as text."""
    with tempfile.TemporaryDirectory() as out:
        ingest.ingest_shard("scannet", Path(root), Path(out), SHARD, 2, CONFIG, Lineage("ingest"))
        (scene,) = tables.read(tables.SCENES, Path(out) / "scenes.parquet")
        objects = tables.read(tables.OBJECTS, Path(out) / "objects.parquet", ["perturbable"])
        n_objects = sum(row["perturbable"] for row in objects)
        return f"{scene['n_frames']} frames, {n_objects} objects"


def phases(root: str) -> dict[str, float]:
    """Return the CPU seconds of each phase of one ingest, and of all."""
    spent: dict[str, float] = {}

    def timed(name: str, function):
        def call(*args, **kwargs):
            started = time.process_time()
            try:
                return function(*args, **kwargs)
            finally:
                spent[name] = spent.get(name, 0.0) + time.process_time() - started

        return call

    for name, module, function in PHASES:
        setattr(module, function, timed(name, getattr(module, function)))
    started = time.process_time()
    one_scan(root)
    return dict(sorted(spent.items(), key=lambda item: -item[1])) | {"all": time.process_time() - started}
