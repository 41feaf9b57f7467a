"""Questions about 1,201 scans by the rules of SpaceR and of Spatial-R1, from stored scene tables: CPU time and memory.

ScanNet's training split has 1,201 scans. Here 40 made-up rooms of 15 to 40 things are repeated under other names, with
made-up first frames, point distances and floor areas. `questions` runs with one process, then `assemble`.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import cast

import numpy as np
import pyarrow.parquet as pq

from bench_questions_meta import measured
from measure import Figure
from rollout3d import tables
from rollout3d.geometry.boxes import OrientedBox
from rollout3d.questions import types
from rollout3d.seeding import generator
from rollout3d.tables.rows import ObjectRow, SceneRow
from toyworld.rooms.vocabulary import CATEGORIES, SCANNET
from toyworld.rooms.world import build_world

N_SCENES, N_ROOMS, N_OBJECTS = 1201, 40, (15, 40)
FPS, N_FRAMES = 24.0, 1200
CPU_S, MIB = 60, 1536
PRESETS = ("spacer", "spatial_r1")
CONFIG = Path(__file__).parents[1] / "config"
FAMILIES = 6
"""SpaceR's families of questions: relative distance and direction, order, object and room size, absolute distance,
counts; Spatial-R1 names the two sizes as tasks of their own."""
LINEAGE = tables.Lineage("ingest")


def room(number: int) -> tuple[SceneRow, list[ObjectRow]]:
    """Return the rows of a made-up room as ingest would write them."""
    world, rng = build_world(number, N_OBJECTS), generator(number, "first frames")
    objects: list[ObjectRow] = []
    counts: dict[str, int] = {}
    for thing in world.things:
        kind = CATEGORIES[thing.category]
        label, category = kind.labels.get(SCANNET, (thing.category,))[0], kind.asked_as.get(SCANNET)
        box = OrientedBox(np.array(thing.center), np.array(thing.size), thing.rotation().T)
        low, high = box.aabb()
        if category:
            counts[category] = counts.get(category, 0) + 1
        objects.append(
            {
                "scene_id": "",
                "object_id": thing.thing_id,
                "label": label,
                "category": category,
                "perturbable": True,
                **box.to_row(),
                "aabb_min": low.tolist(),
                "aabb_max": high.tolist(),
                "n_points": 500,
                "point_distances": [],
                "first_labelled_frame": int(rng.integers(N_FRAMES)),
            }
        )
    for one, other in combinations(objects, 2):
        gap = float(np.linalg.norm(np.subtract(one["centroid"], other["centroid"])))
        assert one["point_distances"] is not None
        one["point_distances"].append({"object_id": other["object_id"], "metres": max(gap - 0.5, 0.01)})
    area = float(rng.uniform(8, 45))
    scene = dict.fromkeys(tables.SCENES.schema.names) | {
        "dataset": SCANNET,
        "split": "train",
        "fps": FPS,
        "n_frames": N_FRAMES,
        "room_size_m2": area,
        "floor_area_m2": area * 0.9,
        "object_counts": [{"category": name, "n": n} for name, n in sorted(counts.items())],
        "flags": [],
    }
    return cast(SceneRow, scene), objects


def write_tables(folder: Path) -> tuple[Path, Path]:
    """Write the tables scenes and objects of all scans."""
    rooms = [room(number) for number in range(N_ROOMS)]
    scenes: list[SceneRow] = []
    objects: list[ObjectRow] = []
    for number in range(N_SCENES):
        scene, things = rooms[number % N_ROOMS]
        name = f"scene{number:04d}_00"
        scenes.append({**scene, "scene_id": name, "space_id": name[:-3]})
        objects += [cast(ObjectRow, {**thing, "scene_id": name}) for thing in things]
    paths = folder / "scenes.parquet", folder / "objects.parquet"
    tables.write(tables.SCENES, paths[0], scenes, LINEAGE)
    tables.write(tables.OBJECTS, paths[1], objects, LINEAGE)
    return paths


def figures() -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        scenes, objects = write_tables(folder)
        for preset in PRESETS:
            given = ["--config", str(CONFIG / "config.yaml"), str(CONFIG / "presets" / f"{preset}.yaml")]
            made, train = folder / f"{preset}.parquet", folder / f"{preset}_train.parquet"
            asked = [*given, "--scenes", str(scenes), "--objects", str(objects), "--out", str(made)]
            _, asking_s, asking_mib = measured([sys.executable, "-m", "rollout3d.stages.questions", *asked])
            out = [f"--{key}={folder / f'{preset}_{key}.parquet'}" for key in ("out-test", "dropped", "sources")]
            kept = [*given, "--questions", str(made), "--scenes", str(scenes), f"--out-train={train}", *out]
            _, keeping_s, keeping_mib = measured([sys.executable, "-m", "rollout3d.stages.assemble", *kept])
            counts = Counter(
                types.load(kind).scored_as.name
                for kind in pq.read_table(train, columns=["question_type"])["question_type"].to_pylist()
            )
            note = f"{pq.read_metadata(made).num_rows:,} questions, then {counts.total():,}: " + ", ".join(
                f"{n:,} {kind}" for kind, n in sorted(counts.items())
            )
            if preset == "spacer" and len(counts) < FAMILIES:
                raise SystemExit(f"{preset}: only {', '.join(counts)}")
            seconds = f"questions {asking_s:.0f} s, assemble {keeping_s:.0f} s"
            yield Figure(
                f"{N_SCENES:,} scans by the rules of {preset}", asking_s + keeping_s, CPU_S, "s of CPU", note=note
            )
            yield Figure("... memory", max(asking_mib, keeping_mib), MIB, "MiB", note=seconds)
