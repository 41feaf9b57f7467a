"""A small results directory for the page: scenes of noise, regions, invented results. Never results."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from evaluation.small_world import CONFIG as SMALL
from evaluation.small_world import LINEAGE, SCENES, frame_rows, map_rows, question_rows
from report.small_study import fabricate
from rollout3d import tables
from rollout3d.config import Config, read_runs
from rollout3d.geometry.masks import rle_encode
from rollout3d.report.study import Files

RUN_TABLE = str(Path(__file__).parents[2] / "config" / "runs.tsv")
CONFIG = Config.model_validate(
    SMALL
    | {"preset": "demo", "results": "results/demo", "runs": {"table": RUN_TABLE, "recipes": False, "max_steps": 6}}
)
RUNS = {name: run for name, run in read_runs(RUN_TABLE, CONFIG).items() if name in ("qwen3b", "sft", "ocr")}
LABELS = ("sofa", "lamp", "lamp", "wall")


def object_rows():
    return [
        {
            "scene_id": scene,
            "object_id": i,
            "label": label,
            "category": label,
            "perturbable": label != "wall",
            "centroid": [0.0] * 3,
            "axes_lengths": [1.0] * 3,
            "normalized_axes": np.eye(3).ravel().tolist(),
            "aabb_min": [0.0] * 3,
            "aabb_max": [1.0] * 3,
            "n_points": 3,
        }
        for scene in SCENES
        for i, label in enumerate(LABELS)
    ]


def region_rows():
    """Object i covers rows 14 i to 14 i + 9 of every frame."""
    rows = []
    for scene in SCENES:
        for frame in (0, 3, 6, 9):
            for i in range(len(LABELS)):
                mask = np.zeros((56, 56), bool)
                mask[14 * i : 14 * i + 10] = True
                rows.append(
                    {
                        "scene_id": scene,
                        "frame_index": frame,
                        "object_id": i,
                        "sets": ["uniform16"],
                        "n_visible": int(mask.sum()),
                        "box": [0, 14 * i, 55, 14 * i + 9],
                        "mask": rle_encode(mask),
                    }
                )
    return rows


def scene_rows():
    return [
        {
            "scene_id": scene,
            "space_id": scene,
            "dataset": "scannet",
            "split": "train",
            "scene_type": None,
            "fps": 10.0,
            "n_frames": 10,
            "width": 56,
            "height": 56,
            "rotation_deg": 0,
            "to_aligned": np.eye(4).ravel().tolist(),
            "room_size_m2": 20.0,
            "room_center": None,
            "object_counts": [],
            "flags": [],
            "agreement": None,
        }
        for scene in SCENES
    ]


def source_rows():
    names = ("source", "question_type", "fate", "reason", "n", "chance", "text_only", "text_only_rule")
    rows = [("spacer", "object_counting", "train", "", 70, 0.375, 0.5, "learned")]
    rows += [("spacer", "", "unusable", "missing field", 4, None, None, None)]
    rows += [("spacer", "object_counting", "dropped", "leak guard: its space is tested by vsibench", 1234, *3 * [None])]
    return [dict(zip(names, row)) for row in rows]


RULES = ("frequent", "learned", "letter", "longest", "shortest", "alphabetical", "reversed", "listing")
RULES += ("unlike listing", "not the listing")


def bias_rows():
    """Every rule of the table, as wide as it gets."""
    names = ("question_type", "measure", "name", "value", "n")
    rows = []
    for kind in ("object_counting", "object_rel_direction_medium", "route_planning"):
        rows += [(kind, "score", "chance", 0.25, 12345)]
        rows += [(kind, "score", rule, 0.4 if rule == "longest" else 0.25, 12345) for rule in RULES]
        rows += [(kind, "answer", f"Turn <Back>, Turn Left, Turn Right {i}", 0.5 - 0.1 * i, 20) for i in range(3)]
    return [dict(zip(names, row)) for row in rows]


def build(root: Path):
    """Write the tables of a study under `root`; return their paths by the report's arguments."""
    scenes = {}
    for name, table, rows in (
        ("scenes", tables.SCENES, scene_rows()),
        ("frames", tables.FRAMES, frame_rows()),
        ("objects", tables.OBJECTS, object_rows()),
        ("maps", tables.MAPS, map_rows()),
        ("regions.aabb_none", tables.REGIONS, region_rows()),
    ):
        path = root / "scenes" / "scannet" / "0" / f"{name}.parquet"
        tables.write(table, path, rows, LINEAGE)
        scenes[name.split(".")[0]] = [str(path)]
    train = root / "train" / "ocr_rl.parquet"
    tables.write(tables.OCR_RL, train, question_rows(), LINEAGE)
    files = fabricate(root, scenes, question_rows(), question_rows(), CONFIG, RUNS)
    sources, bias = root / "train" / "ocr_rl_sources.parquet", root / "report" / "bias.parquet"
    tables.write(tables.SOURCES, sources, source_rows(), LINEAGE)
    tables.write(tables.BIAS, bias, bias_rows(), LINEAGE)
    return {**files, "train": str(train), "sources": str(sources), "bias": str(bias)}


def files_of(files, **changes):
    """`files`, what `build` returned, as the report reads them."""
    given = {name: value for name, value in files.items() if name != "predictions"}
    return Files(**(given | changes))
