"""Compute the work of one optimiser step on each GPU from the configuration and the run's row."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from rollout3d import tables
from rollout3d.config import Config, Grpo, Run, Video, of_run
from rollout3d.config.frames import most_frames
from rollout3d.config.runs import ANSWERS_ONLY
from rollout3d.config.training import Optimiser, Training
from rollout3d.difficulty.select import TRANSITIONS
from rollout3d.model import generate_vllm
from rollout3d.model.pixels import TEMPORAL_PATCH, grid_of
from rollout3d.planning.flops import Grid, RowSize, Trained, trained_of
from rollout3d.planning.shape import Shape, Unplannable, base_model, model_shape
from rollout3d.resize import smart_size
from rollout3d.training.engines.engine import MICRO_TOKENS
from rollout3d.training.packing import HEAD_CHUNKS, LARGE_VOCABULARY, micro_batches
from rollout3d.training.rollouts import gradient_counts, planned_views

TEXT_TOKENS = 220
"""Tokens of a prompt, visual ones excluded: system turn, question, options, request to reason. [assumed]"""
TARGET_TOKENS = 512
"""Tokens of a text that SFT teaches. [Video-R1-COT-165k: at most 512]"""
COLD_START_SAMPLES = 165_000
"""Rows of Video-R1-COT-165k."""
SOURCE = (480, 640)
"""Height and width of a recorded frame; all 4:3 frames are shown at the same size. [ScanNet, ARKitScenes]"""
VLLM_SHARE = 0.3
"""Share of the GPU's memory that vLLM takes where the configuration has no key for it."""
MODEL_LENGTH = inspect.signature(generate_vllm.Engine).parameters["max_model_len"].default
"""Tokens of prompt and answer that vLLM's cache must be able to hold."""


@dataclass(frozen=True)
class Work:
    """One optimiser step on one of `gpus` GPUs."""

    shape: Shape
    settings: Optimiser
    training: Training
    gpus: int
    rows: tuple[RowSize, ...]
    """Packed rows that give gradient; their completions are as long as they may be."""
    views: tuple[tuple[RowSize, int], ...] = ()
    """Prompts that are rolled out, and completions of each; none for SFT."""
    longest: int = 0
    """Most tokens of a completion."""
    tokens: int = 0
    """Tokens of a completion on average."""
    reference: bool = False
    """True if a reference scores the rows too."""
    backend: Literal["hf", "vllm"] | None = None
    """Back end that samples; None for SFT."""
    share: float = 0.0
    """Share of the GPU's memory that vLLM takes."""
    frames: int = 0
    """Frames that are decoded and encoded, all views and samples together."""
    updates: int = 1
    """Optimiser steps on the same rows."""

    @property
    def itemsize(self) -> int:
        """Bytes of a number of the model."""
        return 4 if self.training.dtype == "float32" else 2

    @property
    def trained(self) -> Trained:
        """Parameters that receive a gradient, by name."""
        return trained_of(self.settings, self.training)

    @property
    def trained_parameters(self) -> int:
        """Parameters that receive a gradient."""
        return self.shape.trained_parameters(self.settings.lora_rank, self.training.freeze_vision)

    @property
    def chunks(self) -> int:
        """Number of pieces in which logits are computed."""
        return HEAD_CHUNKS if self.shape.vocabulary >= LARGE_VOCABULARY else 1

    @property
    def zero(self) -> int | None:
        """ZeRO stage; None without DeepSpeed."""
        return None if self.training.deepspeed == "none" else int(self.training.deepspeed[-1])

    @property
    def whole_reference(self) -> bool:
        """True if the reference is a second model on the GPU (`engines.policy.Reference`)."""
        return self.reference and (self.zero == 3 or not self.settings.lora_rank)

    @property
    def copied(self) -> bool:
        """True if rollouts read a second copy of the weights (`engines.choose`): vLLM's on the host."""
        return self.backend is not None and (self.zero == 3 or (self.backend == "vllm" and self.settings.lora_rank > 0))

    @property
    def batches(self) -> list[list[RowSize]]:
        """Packed rows by micro-batch, as the trainer forms them."""
        sizes: Any = self.rows  # the batches depend on lengths alone, so sizes stand for rows
        batches: Any = micro_batches(sizes, MICRO_TOKENS, 1 if self.zero == 3 else None)
        return list(batches)

    @property
    def typical(self) -> Work:
        """This step with every completion of average length."""
        rows = [replace(row, completions=tuple(self.tokens for _ in row.completions)) for row in self.rows]
        return replace(self, rows=tuple(rows), longest=self.tokens)


def work(
    config: Config,
    runs: Mapping[str, Run],
    name: str,
    gpus: int,
    *,
    tokens: int | None = None,
    share: float | None = None,
    shape: Shape | None = None,
) -> Work:
    """Return the step of a run of the run table. `tokens`: mean length of a completion (default: half of the most).
    `share`: of the GPU for vLLM, instead of the configuration's. `shape`: instead of the run's own model.

    Raises Unplannable for a run that trains nothing or whose batch cannot be shared out over `gpus` processes.
    """
    if name not in runs:
        raise Unplannable(f"run '{name}' is not in the run table: one of {', '.join(runs)}")
    run = runs[name]
    config = of_run(config, run)
    if run.method == "none":
        raise Unplannable(f"run '{name}' trains nothing (method none): plan a run of method sft or grpo")
    key, settings = ("sft.batch_size", config.sft) if run.method == "sft" else ("grpo.prompts_per_step", config.grpo)
    size = settings.batch_size if run.method == "sft" else settings.prompts_per_step
    if size % gpus:
        raise Unplannable(f"{key} = {size} cannot be shared out over {gpus} GPUs: give --gpus a divisor of it")
    shape = shape or model_shape(config, base_model(config, runs, name))[0]
    if run.method == "grpo":
        return grpo_work(
            shape,
            config.grpo,
            run,
            config.video,
            gpus,
            training=config.training,
            backend=config.generation.backend,
            tokens=tokens,
            share=share,
        )
    prompt = prompt_size(config.video, most_frames(config.video.train_frames))
    length = tokens or TARGET_TOKENS
    targets = {"completion": 0, "all_text": TEXT_TOKENS, "video_r1": prompt.prompt}[config.sft.label_mode]
    row = replace(prompt, completions=(length,), prompt_targets=targets)
    each = size // gpus
    return Work(
        shape,
        config.sft,
        config.training,
        gpus,
        (row,) * each,
        longest=length,
        tokens=length,
        frames=each * most_frames(config.video.train_frames),
    )


def grpo_work(
    shape: Shape,
    grpo: Grpo,
    run: Run,
    video: Video,
    gpus: int,
    *,
    training: Training,
    backend: Literal["hf", "vllm"],
    prompt_tokens: int | None = None,
    tokens: int | None = None,
    share: float | None = None,
) -> Work:
    """Return the step of a GRPO run: the views are those that its rollout method makes (`training/rollouts`), where
    its schedule alters nothing.

    `prompt_tokens`: of a prompt, visual ones included (default: `TEXT_TOKENS` and them).
    """
    rows: list[RowSize] = []
    views: list[tuple[RowSize, int]] = []
    frames = 0
    longest = grpo.max_new_tokens
    together: tuple[int, ...] = ()
    made = planned_views(grpo, run, most_frames(video.train_frames))
    for view, giving in zip(made, gradient_counts(made, grpo.ablation.grad_limit), strict=True):
        n = 0 if view.frames is None else len(view.frames)
        frames += n
        prompt = prompt_size(video, n, prompt_tokens)
        views.append((prompt, view.n))
        if giving and grpo.ablation.grad_rollouts == "both_on_clean":
            together += (longest,) * giving
        elif giving:
            rows.append(replace(prompt, completions=(longest,) * giving))
    if together:
        rows = [replace(views[0][0], completions=together)]
    each = grpo.prompts_per_step // gpus
    return Work(
        shape,
        grpo,
        training,
        gpus,
        tuple(rows) * each,
        tuple(views) * each,
        longest,
        min(longest, tokens or longest // 2),
        reference=grpo.beta > 0,
        backend=backend,
        share=(share or getattr(grpo, "vllm_memory_share", VLLM_SHARE)) if backend == "vllm" else 0.0,
        frames=each * frames,
        updates=grpo.updates_per_rollout,
    )


def prompt_size(video: Video, frames: int, tokens: int | None = None) -> RowSize:
    """Return the size of a prompt that shows that many frames. `tokens`: all of it (default: `TEXT_TOKENS` and the
    visual ones)."""
    grid = video_grid(video, frames)
    t, h, w = grid
    visual = t * h * w // 4
    if tokens is not None and tokens < visual:
        raise Unplannable(f"a prompt of {tokens} tokens cannot hold {visual} visual ones")
    return RowSize(tokens or visual + TEXT_TOKENS, grids=(grid,))


def video_grid(video: Video, frames: int) -> Grid:
    """Return the patches in time, height and width of a video of 4:3 frames, at the size that training shows."""
    height, width = smart_size(*SOURCE, *video.train_pixels)
    even = frames + frames % TEMPORAL_PATCH
    return grid_of(np.broadcast_to(np.uint8(0), (even, height, width, 3)))


def steps(config: Config, run: Run, samples: int | None = None) -> tuple[int, str]:
    """Return the optimiser steps of a run, and the source of their number. `samples`: of SFT, if its table does not
    exist yet."""
    if run.method == "grpo":
        assert run.steps is not None  # the run table demands it
        return run.steps, "run table"
    config = of_run(config, run)
    table = Path(config.results) / "train" / f"{run.train_table}.parquet"
    source = "--samples"
    if samples is None and table.is_file():
        samples, source = tables.n_rows(table), str(table)
    if samples is None and run.train_table == "video_r1_cot":
        samples, source = COLD_START_SAMPLES, "Video-R1-COT-165k"
    if samples is None and run.train_table in ANSWERS_ONLY:
        samples, source = _asked(config, run.train_table)
        if samples is None:
            raise Unplannable(f"{table}: does not exist, and questions.total is null: give --samples")
    if samples is None:
        samples = len(TRANSITIONS) * max(config.cot.per_transition, config.cot.fallback)
        source = "at most, by cot.per_transition"
    return math.ceil(samples * config.sft.epochs / config.sft.batch_size), f"{samples:,} samples ({source})"


def _asked(config: Config, table: str) -> tuple[int | None, str]:
    """Return the number of questions that a training table of questions and answers will have, and its source."""
    total, general = config.questions.total, config.external.general
    if table == "general_60k":
        return general, "external.general"
    if table == "ocr_rl" and general:
        return None if total is None else total + general, "questions.total and external.general"
    return total, "at most, by questions.total" if table == "sr_resampled" else "questions.total"
