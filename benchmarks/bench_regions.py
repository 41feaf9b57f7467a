"""Regions of 60 objects in 32 frames of 640x480 with the sensor's depth, reading the scan included."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from measure import Figure, alone, median
from rollout3d.config import Config, RegionMode
from rollout3d.geometry.camera import resize_intrinsics, sample_indices
from rollout3d.scenes import datasets, regions, rows
from rollout3d.scenes.datasets import scannet
from rollout3d.scenes.release import ScanRef
from rollout3d.scenes.scan import Scan
from rollout3d.tables.rows import FrameRow
from scans import HEIGHT, SCENE_ID, WIDTH, scannet_root

REF = ScanRef(SCENE_ID, SCENE_ID.split("_")[0], "train")
SIZE, N = (640, 480), 32


def figures() -> Iterator[Figure]:
    root = str(scannet_root())
    modes: tuple[RegionMode, ...] = ("aabb_depth", "instance_depth")
    for mode in modes:
        runs = [alone(__name__, "timed", root, mode) for _ in range(4)][1:]
        value = runs[0].value
        yield Figure(
            f"Regions {mode}: {value['objects']} objects x {value['frames']} frames",
            median(run.value["cpu_s"] for run in runs),
            1.5,
            "s",
            note=f"CPU seconds, median of 3; wall {median(run.value['wall_s'] for run in runs):.2f} s; "
            f"{value['regions']} regions",
        )


def timed(root: str, mode: RegionMode) -> dict[str, float]:
    """Time the regions of the scan, whose objects and frames are prepared before the clock starts."""
    with datasets.read_scan(scannet, Path(root), REF) as scan:
        objects = rows.object_rows(scan, Config())
        frames = [_frame(scan, index) for index in sample_indices(scan.source.n_frames, N)]
    wall, cpu = time.perf_counter(), time.process_time()
    found = regions.scene_regions(scannet.NAME, Path(root), REF, objects, frames, mode)
    return {
        "wall_s": time.perf_counter() - wall,
        "cpu_s": time.process_time() - cpu,
        "objects": sum(row["perturbable"] for row in objects),
        "frames": len(frames),
        "regions": len(found),
    }


def _frame(scan: Scan, index: int) -> FrameRow:
    """Return the row of a frame stored at 640x480, without its picture."""
    K, pose = scan.camera(index)
    return {
        "scene_id": SCENE_ID,
        "frame_index": index,
        "timestamp_s": index / scan.source.fps,
        "sets": [f"uniform{N}"],
        "image": {"bytes": None, "path": None},
        "width": SIZE[0],
        "height": SIZE[1],
        "source_width": WIDTH,
        "source_height": HEIGHT,
        "K": resize_intrinsics(K, (WIDTH, HEIGHT), SIZE).ravel().tolist(),
        "pose": None if pose is None else pose.ravel().tolist(),
    }
