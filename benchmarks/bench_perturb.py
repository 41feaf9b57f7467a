"""The perturbed video of one question: masks decoded, joined and brought to size, noise drawn and added.

16 frames of 280x364, region masks stored at 364x504, 8 of 16 objects drawn, which cover 25 % of the pixels; the noise
from a generator per (seed, step, question). The frames are in memory, as in training; the video is the one that the
rollout method returns. It is compared with the obvious way: every run length decoded and resized as a picture, noise
for every pixel, kept where the mask is.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import cast

import numpy as np

from measure import Figure
from rollout3d import tables
from rollout3d.config import Grpo, Run
from rollout3d.geometry.masks import rle_decode, rle_encode
from rollout3d.model.regions import Regions
from rollout3d.seeding import generator
from rollout3d.tables.rows import QuestionRow
from rollout3d.training.rollouts import Context, make_views

N, SHOWN, STORED, OBJECTS = 16, (280, 364), (364, 504), 16
REPEATS = 15
NOWHERE = tables.Lineage("benchmark")
STEPS, REWARD = 2000, "ocr"
RUN = Run(
    run="ocr",
    method="grpo",
    init="sft",
    train_table="ocr_rl",
    rollout="object_centric",
    schedule="linear",
    regions="aabb_none",
    reward=REWARD,
    steps=STEPS,
)
ROW = cast("QuestionRow", {"question_id": "q", "scene_id": "room", "objects": []})
"""The columns that the rollout method reads."""


def figures() -> Iterator[Figure]:
    frames = np.random.default_rng(0).integers(0, 256, (N, *SHOWN, 3), np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        paths = region_tables(Path(folder))
        shown = [{"frame_index": i, "width": STORED[1], "height": STORED[0]} for i in range(N)]
        regions = Regions(paths[:1], paths[1:], lambda scene: shown)
        step = iter(range(10_000))

        def ours() -> np.ndarray:
            context = Context(Grpo(), RUN, 0, next(step) % 3, STEPS, regions)
            altered = make_views(ROW, frames, context)[1].frames
            assert altered is not None
            return altered

        share = np.mean([(ours() != frames).any(-1).mean() for _ in range(3)])
        if not 0.24 < share < 0.26:
            raise AssertionError(f"{share:.1%} of the pixels are altered, not 25 %")
        fast, wall = _milliseconds(ours)
        masks = {object_id: [_disc(object_id, i) for i in range(N)] for object_id in range(OBJECTS // 2)}
        stored = {object_id: [rle_encode(mask) for mask in of_frames] for object_id, of_frames in masks.items()}
        slow, _ = _milliseconds(lambda: _obvious(frames, stored, next(step)))
    yield Figure(
        "Perturbing 16 frames of 280x364 with 25 % masked",
        fast,
        20,
        "ms",
        note=f"CPU, median of {REPEATS}, one core; wall {wall:.1f} ms; the obvious way takes {slow:.0f} ms",
    )


def _obvious(frames: np.ndarray, stored: dict[int, list[bytes]], step: int) -> np.ndarray:
    rng = generator(0, "ocr", 0, "views", step, "q")
    (height, width), (h, w) = STORED, SHOWN
    y, x = np.arange(h) * height // h, np.arange(w) * width // w
    mask = np.zeros(frames.shape[:3], bool)
    for of_frames in stored.values():
        for i, data in enumerate(of_frames):
            mask[i] |= rle_decode(data, width, height)[np.ix_(y, x)]
    noise = rng.normal(0, 128, frames.shape)
    return np.where(mask[..., None], np.clip(np.rint(frames + noise), 0, 255), frames).astype(np.uint8)


def _disc(object_id: int, frame: int, stored: tuple[int, int] = STORED) -> np.ndarray:
    """An ellipse in its own cell of a 4x4 grid, of half the cell; neighbouring frames shift by a pixel."""
    (height, width), (row, column) = stored, divmod(object_id, 4)
    y, x = np.mgrid[:height, :width]
    v, u = (y / height * 4 - row - 0.5), ((x - frame % 5) / width * 4 - column - 0.5)
    return u * u + v * v <= 0.5 / np.pi


def region_tables(folder: Path, stored: tuple[int, int] = STORED) -> tuple[Path, Path]:
    """The objects of a scene named room and their regions in `N` frames of `stored` height and width; two tables."""
    zero = [0.0, 0.0, 0.0]
    about = {"label": "chair", "category": "chair", "perturbable": True, "centroid": zero, "axes_lengths": zero}
    about |= {"normalized_axes": [1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0], "aabb_min": zero, "aabb_max": zero, "n_points": 1}
    objects = [{"scene_id": "room", "object_id": i, **about} for i in range(OBJECTS)]
    paths = folder / "objects.parquet", folder / "regions.parquet"
    tables.write(tables.OBJECTS, paths[0], objects, NOWHERE)
    rows = [
        {
            "scene_id": "room",
            "frame_index": frame,
            "object_id": object_id,
            "sets": ["uniform16"],
            "n_visible": int(mask.sum()),
            "box": [0, 0, stored[1] - 1, stored[0] - 1],
            "mask": rle_encode(mask),
        }
        for frame in range(N)
        for object_id in range(OBJECTS)
        for mask in (_disc(object_id, frame, stored),)
    ]
    tables.write(tables.REGIONS, paths[1], rows, NOWHERE)
    return paths


def _milliseconds(work: Callable[[], object]) -> tuple[float, float]:
    """Return the median CPU and wall milliseconds of a call."""
    work()
    spent = []
    for _ in range(REPEATS):
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        spent.append((1000 * (time.process_time() - cpu), 1000 * (time.perf_counter() - wall)))
    return median(cpu for cpu, _ in spent), median(wall for _, wall in spent)
