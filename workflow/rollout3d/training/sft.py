"""Supervised fine-tuning on reasoning texts: the cold start (OCR, cold start data construction).

Each sample is a question about its video, in the prompt that asks for reasoning, and the target text; in a run of style
direct, the question in VSI-Bench's prompt and the answer alone (SpaceR, section 5.2: SFT). The loss is the mean
cross-entropy over the labelled tokens of the whole batch; learning rate linear to 0.

Departures from Video-R1, whose script the paper follows; the first three are keys, which `config/recipes/` sets:
- labels cover the completion only (`label_mode: video_r1` also trains on the question, on the placeholders of the video
  and on the line break after the turn, by a slip in its code);
- the system turn is the same as in GRPO (`system` has Video-R1's, without the final full stop);
- all labelled tokens of a batch weigh alike (`loss: sample_mean`: all samples);
- the last batch is filled up from the next epoch's order, where its data loader starts again with its first samples;
- answers of style direct stand without tags, as the direct prompt asks for them in evaluation. The paper of SpaceR does
  not show the text that its SFT trains on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal, cast

import torch

from rollout3d import tables
from rollout3d.config import Sft
from rollout3d.model.ahead import Ahead
from rollout3d.model.encode import Encoder, Prompt
from rollout3d.tables.rows import QuestionRow, SftRow
from rollout3d.training.data import Questions
from rollout3d.training.engines.engine import Engine
from rollout3d.training.loop import Loop
from rollout3d.training.metrics import Clock, named, peak_memory_mb
from rollout3d.training.packing import Packed, PackedRow
from rollout3d.training.probes import Probes, take, warn
from rollout3d.training.world import World

LabelMode = Literal["completion", "all_text", "video_r1"]


def sft_steps(n_samples: int, sft: Sft) -> int:
    """Return the number of optimiser steps of the configured epochs; the last batch is filled from the next epoch."""
    return math.ceil(n_samples * sft.epochs / sft.batch_size)


def train_sft(sft: Sft, questions: Questions, engine: Engine, loop: Loop, probes: Probes | None = None) -> None:
    """Train the engine's policy for the loop's steps; metrics go to the loop's table, those of `probes` among them."""
    world = engine.world

    def prepare(step: int) -> list[PackedRow]:
        rows = questions.batch(step, sft.batch_size, world.rank, world.size)
        return [sample(row, questions, engine.policy.encoder, sft.label_mode, sft.system) for row in rows]

    with Ahead(prepare, loop.total) as ahead:
        for step in loop:
            clock = Clock()
            with clock("encode"):
                samples = ahead.take(step)
            seen = take(probes, step, engine, clock)
            with clock("update"):
                part = loss_of(samples, sft.loss, world)
                total, grad_norm = engine.update(samples, part, step)
            mean_loss = world.mean([total])[0]
            row = metric_row(step, engine, mean_loss, grad_norm, named(clock.seconds)) | seen
            loop.record(tables.METRICS, [row] if world.first else [])
            warn(loop, seen)


def loss_of(
    samples: Sequence[PackedRow], mean: Literal["token_mean", "sample_mean"], world: World
) -> Callable[[torch.Tensor, Packed], torch.Tensor]:
    """Return the function that gives a micro-batch's part of the loss.

    The parts add up to this process's share, and the mean of the shares over processes is the mean cross-entropy (nats)
    of the step's samples, over tokens or over samples.
    """
    if mean == "token_mean":
        labelled = world.mean([sum(row.n_scored for row in samples)])[0]
        return lambda logp, _: -logp.sum() / labelled

    def over_samples(logp: torch.Tensor, packed: Packed) -> torch.Tensor:
        each = logp.split([row.n_scored for row in packed.rows])
        return -torch.stack([part.mean() for part in each]).sum() / len(samples)

    return over_samples


def sample(
    row: QuestionRow, questions: Questions, encoder: Encoder, mode: LabelMode, system: str | None = None
) -> PackedRow:
    """Encode a row as prompt, completion and labels; `system` None: the template's system turn.

    The completion is the target of a row of `ocr_sft`, or the answer alone where prompts ask for that.
    """
    prompt = questions.prompt(row, questions.media(row), encoder, system)
    target = row["ground_truth"] if questions.direct else cast(SftRow, row)["target"]
    # The template ends a turn with a line break, which no model has to write; Video-R1 trains on it all the same.
    written = encoder.completion(target, after="\n" if mode == "video_r1" else "")
    return PackedRow(prompt, [written.tolist()], prompt_labels(prompt, encoder, mode))


def prompt_labels(prompt: Prompt, encoder: Encoder, mode: LabelMode) -> list[int]:
    """Return the places in the prompt that carry loss besides the completion.

    completion: none; all_text: everything but vision tokens; video_r1: everything but the placeholders of *images*, as
    Video-R1's script labels it, those of the video included.
    """
    if mode == "completion":
        return []
    hidden = encoder.vision_ids if mode == "all_text" else (encoder.image_pad,)
    shown = ~torch.isin(prompt.input_ids, torch.tensor(hidden))
    return [place for place in shown.nonzero().flatten().tolist() if place > 0]


def metric_row(
    step: int, engine: Engine, loss: float, grad_norm: float, seconds: list[dict[str, Any]]
) -> dict[str, Any]:
    """Return a row of metrics; what only GRPO measures is null."""
    row: dict[str, Any] = dict.fromkeys(tables.METRICS.schema.names)
    return row | {
        "step": step,
        "lr": engine.lr(step),
        "loss": loss,
        "rewards": [],
        "grad_norm": grad_norm,
        "peak_memory_mb": peak_memory_mb(engine.world.device),
        "seconds": seconds,
    }
