"""A small model, videos, and what our own evaluation shows it: the reference of tests of exported folders."""

from __future__ import annotations

import json
from contextlib import redirect_stdout
from io import StringIO
from types import SimpleNamespace

import av
import numpy as np

from rollout3d import tables
from rollout3d.config import Config
from rollout3d.evaluation.benchmarks._common import frame_row
from rollout3d.evaluation.benchmarks._vsibench_videos import Source
from rollout3d.evaluation.benchmarks.vsibench import sample_video
from rollout3d.geometry.frames import frame_set
from rollout3d.model.answer import Setting, answer
from rollout3d.model.load import load_policy, save_policy
from rollout3d.model.media import FrameStore
from rollout3d.model.sampling import Sampling
from rollout3d.stages.export import main
from toyworld.model.architecture import build_tiny

NOWHERE = tables.Lineage("test")
VIDEO = {
    "eval_frames": 6,
    "eval_max_pixels": 9408,
    "min_pixels": 784,
    "train_max_pixels": 9408,
    "train_min_pixels": 784,
}


def film(path, seed, n=23, width=150, height=100):
    """A video of noise that changes from frame to frame, at 10 frames per second."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = width, height, "yuv420p", 4_000_000
        for _ in range(n):
            coarse = rng.integers(0, 256, (height // 10, width // 10, 3), np.uint8)
            picture = coarse.repeat(10, axis=0).repeat(10, axis=1)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(stream.encode())
    return path


def exported(run, to, config):
    """What the command prints."""
    with redirect_stdout(StringIO()) as printed:
        main(["lmms-eval", str(run), "--to", str(to), "--config", json.dumps(config)])
    return printed.getvalue()


def make(root, tokenizer, scenes):
    """A small model with random weights, large enough that every input matters, and a video of each scene."""
    policy = build_tiny(tokenizer, seed=1, hidden=64, layers=2, vision_hidden=64)
    for weight in policy.model.parameters():
        if weight.ndim > 1:
            weight.data.mul_(2.0)
    made = root / "results/runs/ocr"
    save_policy(policy, made, kind="grpo", prompts={"think": "video_r1"})
    videos = {scene: film(root / f"{scene}.mp4", seed) for seed, scene in enumerate(scenes)}
    return SimpleNamespace(root=root, made=made, videos=videos)


def evaluated(run, docs, config, shown, style, think):
    """Prompts and answers of our own evaluation: frames from a table, answers by `model.answer`."""
    config = Config.model_validate(config)
    wanted = frame_set(shown)
    rows = [
        frame_row(scene, index, seconds, rgb, names, config)
        for scene, video in run.videos.items()
        for index, seconds, rgb, names in sample_video(Source(video), [wanted], "")
    ]
    path = run.root / f"frames_{shown}_{config.video.eval_max_pixels}.parquet"
    tables.write(tables.FRAMES, path, rows, NOWHERE)
    policy = load_policy(run.made / "model.json", video=config.video)
    width = dict.fromkeys(tables.QUESTIONS.schema.names)
    questions = [
        {
            **width,
            "question_id": str(doc["id"]),
            "scene_id": doc["scene_name"],
            "question_type": doc["question_type"],
            "question": doc["question"],
            "options": doc["options"],
            "answer_type": "choice" if doc["options"] else "number",
            "ground_truth": doc["ground_truth"],
        }
        for doc in docs
    ]
    seen = []
    kept = policy.encoder.prompt
    policy.encoder.prompt = lambda parts, system=None: seen.append(kept(parts, system)) or seen[-1]
    found = list(
        answer(
            questions,
            policy,
            FrameStore([path]),
            [Setting(shown, frame_set=shown, pixels=config.video.eval_pixels)],
            sampling=Sampling(max_new_tokens=config.generation.max_new_tokens),
            batch_size=8,
            scorer="tagged",
            prompt_style=style,
            think=think,
        )
    )
    return seen, [row["text"] for row in found]
