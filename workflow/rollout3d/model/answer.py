"""Questions and a model to predictions: used by the difficulty filter and by evaluation alike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rollout3d.model.encode import Image, Prompt
from rollout3d.model.generate_hf import generate as generate_hf
from rollout3d.model.load import Policy
from rollout3d.model.media import FrameStore, own_images, own_video
from rollout3d.model.prompts import Style, question_parts
from rollout3d.model.sampling import Completion, Generate, Sampling
from rollout3d.progress import progress
from rollout3d.scoring.scorers import score


@dataclass(frozen=True)
class Setting:
    """What a model is shown of a scene."""

    name: str
    """Written into the predictions: frames2, frames16, frames16_bev, eval32, black32, ..."""
    frame_set: str = "train16"
    """Sampling of the frames table: train16 | eval32."""
    n_frames: int = 16
    """Frames shown, evenly spaced, both ends included."""
    max_pixels: int = 128 * 28 * 28
    """Pixels a frame."""
    bev: bool = False
    """Whether the top view is shown before the video."""
    black: bool = False
    """Whether every pixel is black: what the model answers without seeing."""


def build_prompt(
    row: Mapping[str, Any],
    policy: Policy,
    store: FrameStore | None,
    setting: Setting,
    prompt_style: Style = "direct",
    think: str = "video_r1",
) -> Prompt:
    """The prompt of one question: its scene's video (and top view), or its own pictures and video if it brings any."""
    pictures, video = own_images(row), own_video(row, setting.n_frames, setting.max_pixels)
    bev = None
    if not pictures and video is None:
        if store is None or not row["scene_id"]:
            raise ValueError(f"question {row['question_id']} has neither pictures nor a scene with frames")
        video = store.video(row["scene_id"], setting.frame_set, setting.n_frames, setting.max_pixels)
        bev = store.bev(row["scene_id"]) if setting.bev else None
    if setting.black:
        pictures = [np.zeros_like(picture) for picture in pictures]
        video = None if video is None else replace(video, frames=np.zeros_like(video.frames))
        bev = None if bev is None else np.zeros_like(bev)
    parts = question_parts(
        row,
        video,
        images=[Image(picture) for picture in pictures],
        bev=None if bev is None else Image(bev),
        style=prompt_style,
        think=think,
    )
    return policy.encoder.prompt(parts)


def answer(
    rows: Sequence[Mapping[str, Any]],
    policy: Policy,
    store: FrameStore | None,
    setting: Setting,
    *,
    sampling: Sampling,
    batch_size: int,
    scorer: str,
    prompt_style: Style = "direct",
    think: str = "video_r1",
    seed: int = 0,
    generate: Generate = generate_hf,
) -> Iterator[dict[str, Any]]:
    """Rows of `tables.PREDICTIONS` for question rows: `sampling.n` a question, in the order of `rows`.

    Questions are answered scene by scene, so that a video is decoded and looked at once for neighbours in a batch, and
    the next batch is encoded while the model writes. Draws depend on the question's id and `seed` only. `generate` is a
    back end: `generate_hf.generate`, or the method of a `generate_vllm.Engine`. Scores: `scoring.scorers.score`.
    """
    order = sorted(range(len(rows)), key=lambda i: (rows[i]["scene_id"] or "", i))
    batches = [order[i : i + batch_size] for i in range(0, len(order), batch_size)]

    def encode(batch: Sequence[int]) -> list[Prompt]:
        return [build_prompt(rows[i], policy, store, setting, prompt_style, think) for i in batch]

    done: dict[int, list[Completion]] = {}
    following = 0
    with ThreadPoolExecutor(max_workers=1) as ahead:
        waiting = ahead.submit(encode, batches[0]) if batches else None
        for number, batch in enumerate(progress(batches, f"{setting.name}: batches")):
            assert waiting is not None
            prompts = waiting.result()
            if number + 1 < len(batches):
                waiting = ahead.submit(encode, batches[number + 1])
            written = generate(policy, prompts, sampling, seed, [str(rows[i]["question_id"]) for i in batch])
            done.update(zip(batch, written, strict=True))
            while following in done:
                yield from _predictions(rows[following], policy.name, setting.name, done.pop(following), scorer)
                following += 1


def _predictions(
    row: Mapping[str, Any], model: str, setting: str, completions: Sequence[Completion], scorer: str
) -> Iterator[dict[str, Any]]:
    for sample, completion in enumerate(completions):
        judged = score(completion.text, row, scorer)
        yield {
            "question_id": row["question_id"],
            "model": model,
            "setting": setting,
            "sample": sample,
            "text": completion.text,
            "answer": judged.answer,
            "score": judged.score,
            "scorer": scorer,
            "n_tokens": len(completion.token_ids),
        }
