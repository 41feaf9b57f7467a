"""The scan that the benchmarks read: one ScanNet scan of the usual size, written by the project's own writers.

A furnished flat of 60 objects and 83,774 vertices, filmed for 50 s at 30 Hz: 1500 frames of 1296x968 with depth of
648x484 (the writer keeps every second pixel; a real scan has 640x480). Pictures and depth have the noise of a
sensor: without it they would decompress faster than real ones.
"""

from __future__ import annotations

import inspect
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from rollout3d import tables
from rollout3d.code import closure
from rollout3d.seeding import generator, shard_of
from toyworld.rendering.recording import Recording, record
from toyworld.rooms.world import build_world
from toyworld.writers import scannet
from toyworld.writers.scannet_labels import write_labels

SCENE_ID, OTHER_ID = "scene0000_00", "scene0001_00"
"""Two names of the scan: the second is a link to the first, for benchmarks that need two shards."""
N_FRAMES, WIDTH, HEIGHT, HZ, N_OBJECTS = 1500, 1296, 968, 30.0, 60

_CACHE = Path(__file__).parent / ".cache"
_SEED = 1
_COLOR_NOISE, _DEPTH_NOISE, _UNKNOWN_SHARE = 2.5, 0.0015, 0.08
_ROLL = 64


class _Filmed(Recording):
    """A recording with the noise of a sensor: grain, depth noise that grows with z^2, patches of unknown depth."""

    def frames(self) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        rng = generator(_SEED, "sensor noise")
        size = (self.height + _ROLL, self.width + _ROLL)
        grain = np.rint(rng.normal(0, _COLOR_NOISE, (*size, 3))).astype(np.int16)
        noise = rng.normal(0, _DEPTH_NOISE, size).astype(np.float32)
        blotches = np.kron(rng.random((size[0] // 16 + 1, size[1] // 16 + 1)) < _UNKNOWN_SHARE, np.ones((16, 16), bool))
        for rgb, depth, thing in super().frames():
            dy, dx = rng.integers(0, _ROLL, 2)
            window = slice(dy, dy + self.height), slice(dx, dx + self.width)
            rgb = np.clip(rgb + grain[window], 0, 255).astype(np.uint8)
            depth = depth + noise[window] * depth * depth
            yield rgb, np.where(blotches[window], np.float32(0), depth), thing


def scannet_root() -> Path:
    """Return a ScanNet release with the scan under both names; written once, then taken from `.cache`.

    The names fall into the two shards of a dataset of two. It is written again (about 1 GB) after a change of the
    writers.
    """
    code = closure("render_scans").digest
    own = [inspect.getsource(part) for part in (_Filmed, _write)]
    numbers = [_SEED, N_FRAMES, WIDTH, HEIGHT, HZ, N_OBJECTS, _COLOR_NOISE, _DEPTH_NOISE, _UNKNOWN_SHARE, _ROLL]
    root = _CACHE / f"scannet-{tables.digest([code, own, numbers])[:12]}"
    if not root.exists():
        print(f"writing the benchmarks' scan to {root} (a minute or two)", file=sys.stderr)
        shutil.rmtree(_CACHE, ignore_errors=True)  # scans of earlier versions
        aside = root.with_name(f"{root.name}.{os.getpid()}")
        _write(aside)
        aside.rename(root)
    return root


def _write(root: Path) -> None:
    world = build_world(_SEED, (N_OBJECTS, N_OBJECTS))
    filmed = record(world, N_FRAMES / HZ, HZ, WIDTH, HEIGHT)
    files = scannet.write_scan(_Filmed(**vars(filmed)), root, SCENE_ID, seed=_SEED)
    other = root / "scans" / OTHER_ID
    other.mkdir()
    for file in files:
        twin = other / file.name.replace(SCENE_ID, OTHER_ID)
        if file.suffix == ".json":  # names the scan that it is of
            twin.write_text(file.read_text().replace(SCENE_ID, OTHER_ID))
        else:
            twin.symlink_to(Path("..") / SCENE_ID / file.name)
    write_labels(root / "scannetv2-labels.combined.tsv")
    (root / "scannetv2_train.txt").write_text(f"{SCENE_ID}\n{OTHER_ID}\n")
    (root / "scannetv2_val.txt").write_text("")
    assert sorted(shard_of(name.split("_")[0], 2) for name in (SCENE_ID, OTHER_ID)) == [0, 1]
