"""Training data of the small model: rooms rendered straight to frames, with descriptions and questions.

Answers alone do not train a vision tower: one token per video carries too little information about its pixels. A list
of what each moment shows does. So every room has a few lessons about one video: a description of each pair of frames
with counts, an inventory, questions of the benchmark with direct answers, and questions with reasoning in the format of
the prompt. The models of the paper can reason in words from the start; this one must learn it here.

The paper's configuration uses none of this, and none of these rooms is a scan of the pipeline.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from typing import Any

import numpy as np

from rollout3d import config as configuration
from rollout3d.config import question_types
from rollout3d.config.frames import most_frames
from rollout3d.geometry.boxes import OrientedBox
from rollout3d.geometry.distance import BoxPoints
from rollout3d.model.prompts import question_text
from rollout3d.progress import progress
from rollout3d.questions import generate
from rollout3d.questions.scene import Item, SceneView
from rollout3d.seeding import generator, stable_hash
from toyworld.rendering.quick import sample_room
from toyworld.rooms.vocabulary import CATEGORIES, FORMATS
from toyworld.rooms.world import Thing, World
from toyworld.settings import settings_of

DESCRIBE = "Describe what each moment of the video shows."
COUNT_ALL = "List everything in the room with its number."
"""Questions of the description and of the inventory."""
Reason = Callable[[Mapping[str, Any]], str | None]
"""Question row -> `<think>..</think> <answer>..</answer>`; None if no reasoning leads to its answer."""

CLIP_MOMENTS = 2
"""Largest number of pairs of frames per clip."""
QUESTIONS_A_ROOM = 3
"""Questions per room that are answered directly."""
DIRECT_WEIGHT = 3.0
"""Weight of a direct answer in the loss: it is one or two tokens among hundreds, and is not learnt with weight 1."""
REASONED_WEIGHT = 2.0
"""Weight of an answer with reasoning in the loss."""
REASONED_A_ROOM = 2
"""Questions per room that are answered with reasoning."""


@dataclass(frozen=True)
class Lesson:
    """One exchange about a room's video."""

    question: str
    answer: str
    weight: float
    """Weight of the answer in the loss."""


@dataclass(frozen=True, eq=False)
class Room:
    """A rendered room and its lessons."""

    frames: np.ndarray
    """(n, H, W, 3) uint8."""
    lessons: tuple[Lesson, ...]
    moments: tuple[Mapping[str, int], ...] = ()
    """Counts by category that each pair of frames shows; empty if the frames are black."""


def make_rooms(config: configuration.Config, reason: Reason, workers: int) -> list[Room]:
    """Make `toyworld.model.rooms` rooms, in order, by `workers` processes, whose number does not change the rooms.

    `reason` writes the reasoning of questions that are answered with it.
    """
    seeds = range(settings_of(config).model.rooms)
    if workers == 1:
        return [make_room(i, config, reason) for i in progress(seeds, "rooms")]
    # Forking is safe before torch has threads, and saves each worker the imports.
    with ProcessPoolExecutor(workers, mp_context=get_context("fork")) as pool:
        made = pool.map(partial(make_room, config=config, reason=reason), seeds, chunksize=16)
        return list(progress(made, "rooms", total=len(seeds)))


def make_room(index: int, config: configuration.Config, reason: Reason) -> Room:
    """Make room number `index`: its frames, at the training resolution, and its lessons."""
    settings = settings_of(config)
    rng = generator(config.seed, "base model", index)
    # Mostly the number of frames of training, sometimes those of evaluation and of the setting frames2.
    n_frames = int(rng.choice([most_frames(config.video.train_frames)] * 7 + [config.video.eval_frames] * 2 + [2]))
    dataset = str(rng.choice(FORMATS))
    height, width = frame_size(config.video)
    frames, world, seen = sample_room(
        stable_hash(config.seed, "base model room", index),
        n_frames,
        width,
        height,
        n_objects=settings.scans.n_objects,
    )
    view = scene_view(world, dataset, seen, f"base{index}")
    moments = what_moments_show(world, dataset, seen)
    lessons = [describe(moments), inventory(view)]
    lessons += questions(view, config, rng, reason)
    if rng.random() < settings.model.blind:
        return Room(np.zeros_like(frames), tuple(lessons))
    return Room(frames, tuple(lessons), moments)


def clip(room: Room, rng: np.random.Generator) -> Room:
    """Return two or four consecutive frames of a room that is not black, with their description."""
    length = int(rng.integers(1, min(len(room.moments), CLIP_MOMENTS) + 1))
    start = int(rng.integers(len(room.moments) - length + 1))
    moments = room.moments[start : start + length]
    return Room(room.frames[2 * start : 2 * (start + length)], (describe(moments),), moments)


def frame_size(video: configuration.Video) -> tuple[int, int]:
    """Return (height, width) of a 4:3 frame at the training resolution, multiples of 28."""
    from rollout3d.resize import smart_size

    return smart_size(480, 640, *video.train_pixels)


def asked_as(thing: Thing, dataset: str) -> str | None:
    """Return the category under which a dataset's questions ask about a thing; None if they never do."""
    return CATEGORIES[thing.category].asked_as.get(dataset)


def scene_view(world: World, dataset: str, seen: list[tuple[int, ...]], name: str) -> SceneView:
    """Return a world as the question generators read a scan: exact boxes, no walkable grid.

    `seen`: ids of the things that each moment shows; `name`: scene and space id.
    """
    items: dict[str, list[Item]] = {}
    for thing in world.things:
        called = asked_as(thing, dataset)
        if called:
            box = OrientedBox(np.array(thing.center), np.array(thing.size), thing.rotation().T)
            items.setdefault(called, []).append(Item(thing.thing_id, BoxPoints(box)))
    first: dict[str, float] = {}
    for moment, things in enumerate(seen):
        for thing_id in things:
            called = asked_as(world.things[thing_id], dataset)
            if called:
                first.setdefault(called, float(moment))
    return SceneView(
        scene_id=name,
        space_id=name,
        dataset=dataset,
        split="train",
        room_size_m2=sum(polygon_area(room) for room in world.rooms),
        counts={called: len(found) for called, found in sorted(items.items())},
        items={called: tuple(found) for called, found in items.items()},
        appearances=first,
    )


def polygon_area(polygon: tuple[tuple[float, float], ...]) -> float:
    """Return the area of a simple polygon (shoelace formula), square metres."""
    x, y = np.array(polygon).T
    return float(abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2)


def what_moments_show(world: World, dataset: str, seen: list[tuple[int, ...]]) -> tuple[Mapping[str, int], ...]:
    """Return the counts by category in each pair of frames; a pair is one temporal patch of the vision tower."""
    moments = []
    for start in range(0, len(seen), 2):
        things = {i for shown in seen[start : start + 2] for i in shown}
        moments.append(Counter(c for i in things if (c := asked_as(world.things[i], dataset))))
    return tuple(moments)


def describe(moments: Sequence[Mapping[str, int]]) -> Lesson:
    """Return the lesson that describes each moment, in order."""
    said = (f"{k}: {listing(shown) or 'nothing'}." for k, shown in enumerate(moments, start=1))
    return Lesson(DESCRIBE, " ".join(said), 1.0)


def listing(counts: Mapping[str, int]) -> str:
    """Return counts by category as text, sorted by name, such as "1 bed, 2 chair"."""
    return ", ".join(f"{n} {name}" for name, n in sorted(counts.items()))


def inventory(view: SceneView) -> Lesson:
    """Return the lesson that lists every category with its count."""
    return Lesson(COUNT_ALL, f"{listing(view.counts)}.", 1.0)


def questions(
    view: SceneView, config: configuration.Config, rng: np.random.Generator, reason: Reason
) -> Iterator[Lesson]:
    """Yield questions of the benchmark about a room, first one per question type: direct ones, then with reasoning."""
    few = dict.fromkeys(question_types.PER_SCENE, 2)
    asked = config.questions.model_copy(update={"distance": "exact", "per_scene": few})
    rows, _ = generate.questions_for_scene(view, asked, config.seed)
    rows = [rows[i] for i in rng.permutation(len(rows))]
    seen: Counter[str] = Counter()
    rank = {}
    for row in rows:
        rank[row["question_id"]] = seen[row["question_type"]]
        seen[row["question_type"]] += 1
    rows.sort(key=lambda row: rank[row["question_id"]])
    for row in rows[:QUESTIONS_A_ROOM]:
        yield Lesson(question_text(row), row["ground_truth"], DIRECT_WEIGHT)
    for row in rows[QUESTIONS_A_ROOM : QUESTIONS_A_ROOM + REASONED_A_ROOM]:
        reasoning = reason(row)
        if reasoning is not None:
            yield Lesson(question_text(row, style="think", think=config.prompts.think), reasoning, REASONED_WEIGHT)
