"""A results folder with few rows of every kind that is published, written by hand. Numbers in it are invented."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np

from evaluation.eval_rows import question
from rollout3d import tables
from rollout3d.config import Config

NOWHERE = tables.Lineage("test", {"site.models": "/home/someone/models", "questions.total": 7})
TOYWORLD = {"scans": {}, "model": {}}
ROOMS = ("scene0001_00", "scene0002_00", "scene0003_00")
"""Two rooms to train on, one to test."""


def picture(number: int) -> bytes:
    """A JPEG file whose pixels depend on `number`."""
    pixels = np.full((28, 56, 3), 40 * (number % 5), np.uint8)
    return cv2.imencode(".jpg", pixels)[1].tobytes()


def of_room(room: str, number: int, split: str, **changes):
    ids = {"scene_id": room, "space_id": room[:9], "split": split}
    return question(f"{room}-{number}", "object_counting", str(number + 2), **ids, **changes)


def general(number: int, **changes):
    media = [{"bytes": picture(number), "path": "video/00001.000.jpg"}, {"bytes": picture(3), "path": "image/0.png"}]
    ids = {"scene_id": None, "space_id": None, "split": "train", "dataset": "video_r1", "source": "Video-R1-260k.json"}
    return question(f"general-{number}", "OCR", "text", **ids, media=media, **changes)


def frame(room: str, index: int):
    return {
        "scene_id": room,
        "frame_index": index,
        "timestamp_s": index / 10,
        "sets": ["uniform8"],
        "image": {"bytes": picture(index), "path": f"{room}/{index}.jpg"},
        "width": 56,
        "height": 28,
        "source_width": 56,
        "source_height": 28,
        "K": [float(k) for k in range(9)],
        "pose": None,
    }


def score(task: str, view: str, value: float, **changes):
    how = {"scorer": "tagged", "settings": "8 frames uniform", "model_digest": "1234"}
    row = dict.fromkeys(tables.SCORES.schema.names)
    row |= {"run": "ocr", "benchmark": "vsibench", "task": task, "view": view, "score": value, "n": 6, "rests_on": []}
    return row | (how if view not in ("random", "frequent") else {}) | changes


SCORES = [
    score("object_counting", "video", 61.25),
    score("overall", "video", 61.25),
    score("object_counting", "black", 50.5),
    score("overall", "black", 50.5),
    score("overall", "seen", 10.75, low=-1.5, high=23.0),
    score("object_counting", "random", 20.0),
    score("overall", "random", 20.0),
    score("overall", "frequent", 30.0),
]


def build(root: Path, synthetic: bool = False, with_general: bool = True, **rows) -> SimpleNamespace:
    """Write the folder; `rows`: other rows of `train`."""
    results = root / "results"
    train = [of_room(room, i, "train") for room in ROOMS[:2] for i in range(3)]
    train = rows.get("train", train + ([general(0), general(1)] if with_general else []))
    test = [of_room(ROOMS[2], i, "val") for i in range(2)]
    with tables.Writer(tables.OCR_RL, results / "train/ocr_rl.parquet", NOWHERE) as writer:
        for start in range(0, len(train), 3):
            writer.write(train[start : start + 3])
    tables.write(tables.QUESTIONS, results / "questions/test.parquet", test, NOWHERE)
    taught = {"think": "I look.", "target": "<think>I look.</think>\n<answer>2</answer>"}
    tables.write(tables.OCR_SFT, results / "train/ocr_sft.parquet", [row | taught for row in train[:2]], NOWHERE)
    dropped = [{"question_id": "x", "file": "", "reason": "ambiguous: two sofas"}]
    tables.write(tables.QUESTIONS_DROPPED, results / "train/ocr_rl_dropped.parquet", dropped, NOWHERE)
    frames = [frame(room, index) for room in ROOMS for index in (0, 30)]
    tables.write(tables.FRAMES, results / "scenes/scannet/0/frames.parquet", frames, NOWHERE)
    tables.write(tables.SCORES, results / "eval/ocr/vsibench/scores.parquet", SCORES, NOWHERE)
    values = Config().model_dump(mode="json") | {"results": "results/own", "preset": None}
    values["toyworld"] = TOYWORLD if synthetic else None
    values.pop("site")
    (results / ".study").mkdir()
    (results / ".study" / "1.json").write_text(json.dumps({"config": values, "code": {}}))
    return SimpleNamespace(root=root, results=results, train=train, test=test, frames=frames, values=values)
