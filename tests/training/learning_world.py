"""Rooms about which a small model can learn something in seconds, from their pixels alone: which colour the chair is.

Every room shows a chair of one of three colours before a grey wall of its own, and a table whose colour says nothing.
The question is the same in every room and the colours are equally frequent, so neither the words nor a habit earn more
than a third: who answers better has looked. A model is first taught the answer's format, with targets that name the
chair's true colour in only three of a room's five samples: it starts with some of its sight, and room for more and for
less.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import training_world as tw
from scipy import stats

from rollout3d import tables
from rollout3d.config import Config
from rollout3d.geometry.masks import rle_encode
from rollout3d.model.generate_hf import generate
from rollout3d.model.load import load_policy, save_policy
from rollout3d.model.media import FrameStore
from rollout3d.model.sampling import Sampling
from rollout3d.seeding import generator
from rollout3d.training.data import Questions
from rollout3d.training.rewards import Written, judge
from rollout3d.training.run import Inputs, run_sft

COLOURS = {"red": (200, 45, 45), "green": (45, 170, 60), "blue": (50, 70, 205)}
LETTERS = dict(zip(COLOURS, "ABC"))
TABLE_COLOURS = ((205, 195, 60), (150, 60, 165))
CHAIR, TABLE = 1, 2
CHAIR_SIDE, TABLE_SIDE = 56, 28
"""Pixels of 112 x 84."""
ROOMS = {"sft": 60, "rl": 60, "held_out": 60}
"""Rooms of each part of the world; no room is in two."""
RIGHT, WRONG = 3, 1
"""Samples of a room's SFT targets that name the true colour, and each of the two others."""
MAX_NEW_TOKENS = 18
SAMPLES = 4
"""Answers drawn for a held-out question."""


@dataclass(frozen=True)
class World:
    """Files by name; `start` is the model that was taught the format."""

    files: dict[str, Path]
    start: Path


def config(**grpo) -> Config:
    return tw.config(
        **{"n_clean": 4, "n_perturbed": 4, "prompts_per_step": 4, "lr": 1e-3, "save_every": 1000, **grpo},
        max_new_tokens=MAX_NEW_TOKENS,
    )


def colour_of(number: int) -> str:
    return list(COLOURS)[number % len(COLOURS)]


def masks(part: str, number: int) -> list[dict[int, np.ndarray]]:
    """Pixels (H, W) of the chair and of the table in each frame: squares that drift; the chair stands in front."""
    rng = generator("learning world", part, number, "places")
    corners = {}
    for thing, side in ((CHAIR, CHAIR_SIDE), (TABLE, TABLE_SIDE)):
        corners[thing] = rng.integers(0, (tw.HEIGHT - side + 1, tw.WIDTH - side - 2 * tw.N_FRAMES + 1)), side
    frames = []
    for index in range(tw.N_FRAMES):
        shown = {}
        for thing, ((top, left), side) in corners.items():
            shown[thing] = np.zeros((tw.HEIGHT, tw.WIDTH), bool)
            shown[thing][top : top + side, left + 2 * index : left + 2 * index + side] = True
        shown[TABLE] &= ~shown[CHAIR]
        frames.append(shown)
    return frames


def pixels(part: str, number: int) -> list[np.ndarray]:
    """The room's frames (H, W, 3) uint8."""
    rng = generator("learning world", part, number, "pixels")
    wall = np.kron(rng.integers(60, 200, (3, 4)), np.ones((28, 28)))[..., None]
    colours = {CHAIR: COLOURS[colour_of(number)], TABLE: TABLE_COLOURS[rng.integers(len(TABLE_COLOURS))]}
    shades = {thing: np.array(colour) + rng.integers(-30, 31, 3) for thing, colour in colours.items()}
    frames = []
    for shown in masks(part, number):
        frame = wall + rng.normal(0, 10, (tw.HEIGHT, tw.WIDTH, 3))
        for thing, mask in shown.items():
            frame[mask] = shades[thing] + rng.normal(0, 10, (mask.sum(), 3))
        frames.append(frame.clip(0, 255).astype(np.uint8))
    return frames


def question(part: str, number: int) -> dict:
    scene = f"{part}{number:03d}"
    return {
        **tw.question_row(0, scene),
        "question_id": scene,
        "question_type": "chair_colour",
        "answer_type": "choice",
        "question": "Which colour is the chair?",
        "options": [f"{letter}. {colour}" for colour, letter in LETTERS.items()],
        "ground_truth": LETTERS[colour_of(number)],
        "objects": [{"category": "chair", "object_ids": [CHAIR]}],
    }


def targets(row: dict) -> list[dict]:
    """The samples of a room: most name the chair's colour, some another one."""
    samples = []
    for colour, letter in LETTERS.items():
        think = f"The chair is {colour}."
        text = f"<think>{think}</think> <answer>{letter}</answer>"
        for again in range(RIGHT if letter == row["ground_truth"] else WRONG):
            name = f"{row['question_id']}{letter}{again}"
            samples.append({**row, "question_id": name, "think": think, "target": text})
    return samples


def region_row(scene: str, index: int, thing: int, mask: np.ndarray) -> dict:
    ys, xs = mask.nonzero()
    return {
        "scene_id": scene,
        "frame_index": index * 5,
        "object_id": thing,
        "sets": ["uniform16"],
        "n_visible": len(ys),
        "box": [int(xs.min()), int(ys.min()), int(xs.max()), int(ys.max())],
        "mask": rle_encode(mask),
    }


def build(root: Path, **sft) -> World:
    """Write the world's tables, and teach an untrained model the format; `sft` changes how."""
    frames, objects, regions, asked = [], [], [], {}
    for part, n in ROOMS.items():
        asked[part] = [question(part, number) for number in range(n)]
        for number, row in enumerate(asked[part]):
            scene = row["scene_id"]
            frames += [tw.frame_row(scene, index, seen) for index, seen in enumerate(pixels(part, number))]
            objects += [tw.object_row(scene, CHAIR), {**tw.object_row(scene, TABLE), "category": "table"}]
            for index, shown in enumerate(masks(part, number)):
                regions += [region_row(scene, index, thing, mask) for thing, mask in shown.items() if mask.any()]
    taught = [sample for row in asked["sft"] for sample in targets(row)]
    files = {
        name: root / f"{name}.parquet" for name in ("frames", "objects", "regions", "ocr_rl", "ocr_sft", "held_out")
    }
    for table, name, rows in (
        (tables.FRAMES, "frames", sorted(frames, key=lambda row: row["scene_id"])),
        (tables.OBJECTS, "objects", objects),
        (tables.REGIONS, "regions", regions),
        (tables.OCR_SFT, "ocr_sft", taught),
        (tables.OCR_RL, "ocr_rl", asked["rl"]),
        (tables.OCR_RL, "held_out", asked["held_out"]),
    ):
        tables.write(table, files[name], rows, tw.NOWHERE)
    corpus = [text for row in taught for text in (row["question"], *row["options"], row["target"])]
    save_policy(tw.tiny_policy(corpus, vocabulary=600), root / "base", kind="tiny")
    settings = tw.with_sft(**{"epochs": 12, "lr": 3e-3, "batch_size": 10, "save_every": 1000, **sft})
    read = tw.inputs({**files, "init": root / "base" / "model.json"}, train="ocr_sft")
    run_sft(settings, tw.run(method="sft"), read, root / "start", tw.lineage)
    return World(files, root / "start" / "model.json")


def inputs(world: World) -> Inputs:
    return tw.inputs(world.files, world.start)


def clean_rewards(world: World, model: Path, black: bool = False) -> np.ndarray:
    """Mean OCR reward (questions,) of a model's sampled answers about the held-out rooms, as they are or blacked out.

    Two models are asked with the same draws.
    """
    settings = config()
    rows = tables.read(tables.OCR_RL, world.files["held_out"])
    store = FrameStore([world.files["frames"]])
    asked = Questions(rows, store, settings.video, settings.prompts.think, 0)
    policy = load_policy(model, video=settings.video)
    shown = [asked.media(row).blackened() if black else asked.media(row) for row in rows]
    prompts = [asked.prompt(row, media, policy.encoder) for row, media in zip(rows, shown)]
    sampling = Sampling(SAMPLES, settings.grpo.temperature, settings.grpo.top_p, MAX_NEW_TOKENS)
    written = generate(policy, prompts, sampling, 0, [row["question_id"] for row in rows])
    earned = [
        [
            judged.total
            for judged in judge("ocr", row, [Written(c.text, len(c.token_ids)) for c in completions], settings.grpo)
        ]
        for row, completions in zip(rows, written)
    ]
    return np.mean(earned, axis=1)


def interval(values: np.ndarray) -> tuple[float, float, float]:
    """Mean of values (seeds, questions), and the ends of its 95 % interval for other seeds and other questions.

    The variance of the mean is at most that of the seeds' means plus that of the questions' (crossed random effects;
    their interaction counts twice), and Student's t has the degrees of freedom of the few seeds: both err on the wide
    side.
    """
    seeds, questions = values.shape
    variance = values.mean(1).var(ddof=1) / seeds + values.mean(0).var(ddof=1) / questions
    half = stats.t.ppf(0.975, seeds - 1) * math.sqrt(variance)
    mean = float(values.mean())
    return mean, mean - half, mean + half
