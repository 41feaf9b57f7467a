"""Three scenes of noise, questions about them, and a tiny policy: enough to run every stage of these rooms."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from blank_map import blank_map
from rollout3d import tables
from rollout3d.config import Config
from rollout3d.model.encode import Prompt
from rollout3d.model.sampling import Completion, Sampling
from toyworld.model.architecture import build_tiny, tiny_tokenizer

LINEAGE = tables.Lineage("test")
CONFIG = {
    "seed": 1,
    "torch_threads": 1,
    "video": {
        "train_frames": 4,
        "eval_frames": 6,
        "min_pixels": 784,
        "train_min_pixels": 784,
        "train_max_pixels": 1568,
        "eval_max_pixels": 3136,
        "image_max_pixels": 784,
    },
    "prompts": {"think": "plain"},
}
SCENES = ("a", "b", "c")


def picture(seed: int, extension: str, side: int = 56) -> dict[str, Any]:
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    return {"bytes": cv2.imencode(extension, pixels)[1].tobytes(), "path": f"{seed}{extension}"}


def frame_rows() -> list[dict[str, Any]]:
    """Ten frames per scene: uniform4 are 0 3 6 9, uniform6 are 0 2 4 5 7 9."""
    return [
        {
            "scene_id": scene,
            "frame_index": i,
            "timestamp_s": i / 10,
            "sets": [*(["uniform4"] if i in (0, 3, 6, 9) else []), *(["uniform6"] if i in (0, 2, 4, 5, 7, 9) else [])],
            "image": picture(100 * s + i, ".jpg"),
            "width": 56,
            "height": 56,
            "source_width": 56,
            "source_height": 56,
            "K": None,
            "pose": None,
        }
        for s, scene in enumerate(SCENES)
        for i in range(10)
    ]


def map_rows() -> list[dict[str, Any]]:
    return [blank_map(scene, picture(1000 + s, ".png", 28)["bytes"], m_per_px=0.1) for s, scene in enumerate(SCENES)]


def question_rows() -> list[dict[str, Any]]:
    """For each scene a size question with evidence, and a direction question without any."""
    rows = []
    for s, scene in enumerate(SCENES):
        common = {
            "scene_id": scene,
            "space_id": scene,
            "split": "train",
            "dataset": "scannet",
            "media": None,
            "source": "generated",
        }
        sides = [1.5 + s / 10, 0.4, 0.3]
        sofa = {"category": "sofa", "position": [1, 1, 0.5], "sides_m": sides}
        evidence = {"centres": {"bed": [[0, 0]], "sofa": [[1, 1]]}, "object": sofa, "longest_cm": 150 + 10 * s}
        rows.append(
            {
                "question_type": "object_size_estimation",
                "answer_type": "number",
                "question": "How long is the sofa?",
                "options": None,
                "ground_truth": str(150 + 10 * s),
                "objects": [{"category": "sofa", "object_ids": [1]}],
                "evidence": json.dumps(evidence),
                **common,
            }
        )
        rows.append(
            {
                "question_type": "object_rel_direction_easy",
                "answer_type": "choice",
                "question": "Is the tv left or right?",
                "options": ["A. left", "B. right"],
                "ground_truth": "AB"[s % 2],
                "objects": [],
                "evidence": "{}",
                **common,
            }
        )
    return [{"question_id": tables.question_id(row), **row} for row in rows]


def write_tables(root: Path) -> dict[str, str]:
    files = {name: str(root / f"{name}.parquet") for name in ("questions", "ocr_rl", "frames", "maps")}
    tables.write(tables.QUESTIONS, files["questions"], question_rows(), LINEAGE)
    tables.write(tables.OCR_RL, files["ocr_rl"], question_rows(), LINEAGE)
    tables.write(tables.FRAMES, files["frames"], frame_rows(), LINEAGE)
    tables.write(tables.MAPS, files["maps"], map_rows(), LINEAGE)
    return files


def tiny_policy(name: str = "tiny"):
    corpus = ["These are frames of a video. Is the tv left or right? How long is the sofa? <think> <answer>"] * 4
    video = Config.model_validate(CONFIG).video
    return build_tiny(tiny_tokenizer(corpus, 400), 1, video, name, hidden=32, layers=1, vision_hidden=32)


class Recorder:
    """A generator that writes down what it was asked, and answers `text`."""

    def __init__(self, text: str = "A"):
        self.text = text
        self.prompts: list[Prompt] = []
        self.samplings: list[Sampling] = []
        self.keys: list[str] = []

    def __call__(self, policy, prompts, sampling, seed=0, keys=None):
        self.prompts += prompts
        self.samplings.append(sampling)
        self.keys += keys
        return [[Completion([5, 6], self.text, True, [0.0, 0.0])] for _ in prompts]
