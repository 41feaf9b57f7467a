"""A room of five objects and eight frames, as tables, to be looked at."""

from __future__ import annotations

import cv2
import numpy as np

from rollout3d import tables
from rollout3d.geometry.masks import rle_encode
from rollout3d.report.view import collect, locate

LINEAGE = tables.Lineage("test")
SCENE = "scene0007_00"
WIDTH, HEIGHT = 112, 84
K = [90.0, 0, 50.0, 0, 92.0, 44.0, 0, 0, 1]
LOST = 10
HOSTILE = '</script><img src=x onerror="throw 1">'


def box(number, label, category, centre, sides, turn=0.0, perturbable=True):
    axes = np.array([[np.cos(turn), np.sin(turn), 0], [-np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
    half = np.abs(axes.T) @ np.array(sides) / 2
    return {
        "scene_id": SCENE,
        "object_id": number,
        "label": label,
        "category": category,
        "perturbable": perturbable,
        "centroid": list(centre),
        "axes_lengths": list(sides),
        "normalized_axes": axes.ravel().tolist(),
        "aabb_min": (np.array(centre) - half).tolist(),
        "aabb_max": (np.array(centre) + half).tolist(),
        "n_points": 100,
    }


OBJECTS = [
    box(1, "sofa", "sofa", (0.8, 0.8, 0.4), (1.6, 0.8, 0.8), 0.3),
    box(2, "lamp", "lamp", (3.4, 3.2, 1.5), (0.3, 0.3, 0.4)),
    box(4, "office chair", "chair", (0.8, 3.2, 0.5), (0.5, 0.5, 1.0), 0.7),
    box(9, "floor", None, (2, 2, 0), (4, 4, 0.05), perturbable=False),
    box(12, HOSTILE, None, (3.2, 0.8, 0.3), (0.4, 0.4, 0.6)),
]
SHAPES = {1: (slice(40, 80), slice(10, 60)), 2: (slice(5, 25), slice(80, 100)), 9: (slice(60, 84), slice(0, 112))}
"""Rows and columns of an object's region in every training frame."""


def mask_of(number):
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[SHAPES[number]] = True
    return mask


def pose_of(i):
    """Camera at (0.5 + 0.1 i, 0.5, 1.5), looking along +y and 20 degrees down."""
    down = np.deg2rad(20)
    pose = np.eye(4)
    pose[:3, 0] = (1, 0, 0)
    pose[:3, 1] = (0, -np.sin(down), -np.cos(down))
    pose[:3, 2] = (0, np.cos(down), -np.sin(down))
    pose[:3, 3] = (0.5 + 0.1 * i, 0.5, 1.5)
    return pose.ravel().tolist()


def frame_rows():
    pixels = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    jpeg = cv2.imencode(".jpg", pixels)[1].tobytes()
    return [
        {
            "scene_id": SCENE,
            "frame_index": i,
            "timestamp_s": i / 10,
            "sets": ["uniform16"] if i % 10 == 0 else ["uniform32"],
            "image": {"bytes": jpeg, "path": f"{i}.jpg"},
            "width": WIDTH,
            "height": HEIGHT,
            "source_width": WIDTH,
            "source_height": HEIGHT,
            "K": K,
            "pose": None if i == LOST else pose_of(i),
        }
        for i in range(0, 40, 5)
    ]


def region_rows(numbers=(1, 2, 9)):
    return [
        {
            "scene_id": SCENE,
            "frame_index": i,
            "object_id": number,
            "sets": ["uniform16"],
            "n_visible": int(mask_of(number).sum()),
            "box": [0, 0, 1, 1],
            "mask": rle_encode(mask_of(number)),
        }
        for i in (0, 20, 30)
        for number in numbers
    ]


def map_row():
    rng = np.random.default_rng(1)
    flat = np.c_[rng.uniform(0, 4, (900, 2)), np.zeros(900)]
    high = np.c_[rng.uniform(0, 4, (300, 2)), rng.uniform(0, 2.5, 300)]
    bev = np.zeros((432, 432, 3), np.uint8)
    bev[16:416, 16:416] = 120
    bev[16:216, 16:216] = (0, 0, 255)  # BGR: red where x is low and y is high
    names = ("x", "y", "z", "red", "green", "blue")
    return {
        "scene_id": SCENE,
        "bev": {"bytes": cv2.imencode(".png", bev)[1].tobytes(), "path": "bev.png"},
        "m_per_px": 0.01,
        "x0": -0.155,
        "y0": 4.155,
        "floor_rect": [0.0, 0.0, 4.0, 4.0],
        "walkable": np.packbits(np.arange(64) < 16).tobytes(),  # the two lowest rows: y below 1
        "cell_m": 0.5,
        "grid_origin": [0.0, 0.0],
        "grid_size": [8, 8],
        "points": [dict(zip(names, (*map(float, xyz), 200, 100, 50))) for xyz in (*flat, *high)],
        "appearances": [{"category": "sofa", "first_seen_s": 0.5}],
    }


def scene_row(name=SCENE):
    return {
        "scene_id": name,
        "space_id": name[:9],
        "dataset": "scannet",
        "split": "train",
        "scene_type": "Bedroom",
        "fps": 10.0,
        "n_frames": 40,
        "width": WIDTH,
        "height": HEIGHT,
        "rotation_deg": 0,
        "to_aligned": np.eye(4).ravel().tolist(),
        "room_size_m2": 16.0,
        "room_center": None,
        "object_counts": [{"category": "sofa", "n": 1}],
        "flags": [],
        "agreement": None,
    }


def write(folder, **changes):
    """A shard's tables; a name given as None is left out."""
    content = {
        "scenes": (tables.SCENES, [scene_row(name) for name in (SCENE, "scene0007_01", "scene0140_00")]),
        "objects": (tables.OBJECTS, OBJECTS),
        "frames": (tables.FRAMES, frame_rows()),
        "maps": (tables.MAPS, [map_row()]),
        "regions.aabb_none": (tables.REGIONS, region_rows()),
        "regions.aabb_none_raw_files": (tables.RAW_FILES, []),
        "regions.instance_depth": (tables.REGIONS, region_rows((1,))),
    }
    for name, (table, rows) in content.items():
        rows = changes.get(name.replace(".", "_"), rows)
        if rows is not None:
            tables.write(table, folder / f"{name}.parquet", rows, LINEAGE)
    return folder


def shown(folder, **options):
    return collect(locate(SCENE, [folder]), **options)
