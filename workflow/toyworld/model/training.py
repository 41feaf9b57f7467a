"""Train the small Qwen2.5-VL from scratch on rooms rendered straight to frames.

One packed row per room: all lessons share the video as their prefix, so the vision tower encodes a video once per step.
Short clips with descriptions may be added to each step (`toyworld.model.clips`), which bootstraps visual grounding.
Question tokens have a small weight too, since they name categories often and teach copying. Muon optimises the matrices
(about a third fewer steps than AdamW here), AdamW everything else, with one-cycle learning rates. Several processes of
one thread share a step, because operators this small gain little from a second thread. The result is an ordinary
Hugging Face directory, which the pipeline reads as it reads the 3B model.
"""

from __future__ import annotations

import logging
import resource
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.distributed as dist
from torch.multiprocessing.spawn import start_processes
from torch.optim import _muon

from rollout3d import tables
from rollout3d.config import Config
from rollout3d.model.encode import Prompt, Text, Video
from rollout3d.model.load import Policy, save_policy
from rollout3d.model.prompts import wording
from rollout3d.progress import progress
from rollout3d.seeding import generator
from rollout3d.training.packing import LogProbs, PackedRow, pack
from toyworld.model import lessons
from toyworld.model.architecture import build_tiny, tiny_tokenizer
from toyworld.settings import SmallModel, settings_of

log = logging.getLogger(__name__)

WARM_UP = 0.1
"""Share of the steps before the peak of the one-cycle schedule."""
QUESTION_WEIGHT = 0.05
"""Weight of each question token; an answer token has its lesson's weight divided by the root of the answer's length."""


@dataclass(frozen=True)
class Lessoned:
    """A packed row, and the weight in the loss of each of its scored tokens."""

    row: PackedRow
    weights: torch.Tensor


def train(config: Config, name: str, out_dir: Path, lineage: tables.Lineage, reason: lessons.Reason) -> None:
    """Render the rooms, train, and write `model.json`, its weights and `metrics.parquet` to `out_dir`.

    `reason` writes the reasoning of questions that are answered with it.
    """
    processes = settings_of(config).model.processes
    rooms = lessons.make_rooms(config, reason, workers=processes)
    with tempfile.TemporaryDirectory() as meeting:
        arguments = (processes, f"file://{meeting}/rendezvous", rooms, config, name, out_dir, lineage)
        # Forked before torch has started a thread: workers share the rooms' memory and import nothing again.
        start_processes(_work, arguments, nprocs=processes, start_method="fork")


def _work(rank: int, world: int, meeting: str, rooms: Sequence[lessons.Room], config: Config, name: str, *out) -> None:
    """Run one process: build the model, train it together with the others, and write it if this is the first one."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=world)
    out_dir, lineage = out
    settings = settings_of(config).model
    policy = build_tiny(
        tiny_tokenizer(_corpus(rooms, config), settings.vocabulary),
        config.seed,
        config.video,
        name,
        hidden=settings.hidden,
        layers=settings.layers,
        vision_depth=settings.vision_depth,
        vision_hidden=settings.vision_hidden,
    )
    if rank == 0:
        count = sum(p.numel() for p in policy.model.parameters())
        log.info("%s: %.2f M parameters, %d rooms, %d processes", name, count / 1e6, len(rooms), world)
    metrics = _loop(policy, rooms, config, rank, world)
    if rank == 0:
        tables.write(tables.METRICS, out_dir / "metrics.parquet", metrics, lineage)
        save_policy(policy, out_dir, kind="tiny", lineage=lineage.as_dict(), prompts={"think": config.prompts.think})
    dist.barrier()
    dist.destroy_process_group()


def _loop(policy: Policy, rooms: Sequence[lessons.Room], config: Config, rank: int, world: int) -> list[dict]:
    """Train the policy in place; return the rows of the metrics table."""
    settings = settings_of(config).model
    parameters = list(policy.model.parameters())
    optimizers = _optimizers(policy, settings)
    schedules = [
        torch.optim.lr_scheduler.OneCycleLR(
            optimizer, optimizer.defaults["lr"], total_steps=settings.steps, pct_start=WARM_UP, cycle_momentum=False
        )
        for optimizer in optimizers
    ]
    scorer = LogProbs(policy)
    policy.model.train()
    order = _order(len(rooms), settings.steps * settings.batch_size, config.seed)
    shown = [room for room in rooms if room.moments]
    metrics = []
    steps = range(settings.steps)
    for step in progress(steps, "base model") if rank == 0 else steps:
        started = time.monotonic()
        chosen = order[step * settings.batch_size : (step + 1) * settings.batch_size]
        loss = torch.zeros(())
        # One room per forward: padding would cost more than a batch saves.
        for item in (lesson_row(policy, rooms[i]) for i in chosen[rank::world]):
            logp = scorer(pack([item.row]))
            part = -(logp * item.weights).sum() / item.weights.sum() / settings.batch_size
            part.backward()
            loss += part.detach()
        if settings.clips:
            rng = generator(config.seed, "base model clips", step, rank)
            some = rng.integers(len(shown), size=settings.clips // world)
            items = [lesson_row(policy, lessons.clip(shown[i], rng)) for i in some]
            weights = torch.cat([item.weights for item in items])
            logp = scorer(pack([item.row for item in items]))
            (-(logp * weights).sum() / weights.sum() / world).backward()
        _sum_over_processes(parameters, loss)
        norm = float(torch.nn.utils.clip_grad_norm_(parameters, 1.0))
        rate = float(schedules[0].get_last_lr()[0])
        for stepped in (*optimizers, *schedules):
            stepped.step()
        policy.model.zero_grad(set_to_none=True)
        metrics.append(_metrics(step, rate, float(loss), norm, time.monotonic() - started))
    policy.model.eval()
    return metrics


def _optimizers(policy: Policy, settings: SmallModel) -> list[torch.optim.Optimizer]:
    """Return AdamW for embeddings, norms, biases and the patch convolution, and Muon for every other matrix."""
    # Torch orthogonalises in bfloat16, about twenty times slower on CPUs without instructions for it.
    _muon._zeropower_via_newtonschulz = orthogonalised
    matrices, others = [], []
    for name, parameter in policy.model.named_parameters():
        (matrices if parameter.ndim == 2 and "embed" not in name else others).append(parameter)
    return [
        torch.optim.AdamW(others, lr=settings.lr, weight_decay=0.01),
        torch.optim.Muon(matrices, lr=settings.matrix_lr, weight_decay=0.01),
    ]


def orthogonalised(update: torch.Tensor, coefficients: tuple[float, ...], steps: int, eps: float) -> torch.Tensor:
    """Return a matrix with the same singular vectors, singular values near 1: Muon's quintic iteration in float32."""
    a, b, c = coefficients
    wide = update.float() if update.size(0) <= update.size(1) else update.float().T
    x = wide / wide.norm().clamp(min=eps)
    for _ in range(steps):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    return x if update.size(0) <= update.size(1) else x.T


def _sum_over_processes(parameters: Sequence[torch.Tensor], loss: torch.Tensor) -> None:
    """Sum gradients and loss over all processes, in place, in one all-reduce."""
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
    flat = torch.cat([loss.reshape(1), *(gradient.flatten() for gradient in gradients)])
    dist.all_reduce(flat)
    loss.copy_(flat[0])
    start = 1
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient.copy_(flat[start : start + gradient.numel()].view_as(gradient))
        start += gradient.numel()


def lesson_row(policy: Policy, room: lessons.Room) -> Lessoned:
    """Return a packed row: the room's video as prefix, its lessons as branches."""
    video = Video(room.frames)
    branches, weights = [], []
    prefix: Prompt | None = None
    for lesson in room.lessons:
        full = policy.encoder.prompt([video, Text(lesson.question)])
        # The prefix ends with the vision_end token; everything after it belongs to the branch.
        cut = int((full.input_ids == policy.encoder.vision_ids[1]).nonzero()[-1]) + 1
        if prefix is None:
            positions = full.position_ids[:, :cut]
            prefix = Prompt(full.input_ids[:cut], positions, int(positions[:, -1].max()) + 1, full.media, full.key)
        question = full.input_ids[cut:].tolist()
        answer = policy.encoder.completion(lesson.answer).tolist()
        branches.append(question + answer)
        # A lesson's weight grows with the root of its length: a long description counts more than a single letter,
        # but does not dominate the loss.
        each = lesson.weight / len(answer) ** 0.5
        weights += [QUESTION_WEIGHT] * len(question) + [each] * len(answer)
    assert prefix is not None
    return Lessoned(PackedRow(prefix, branches), torch.tensor(weights))


def _corpus(rooms: Sequence[lessons.Room], config: Config) -> list[str]:
    """Return the tokeniser's training texts: all lessons, and the wording of every prompt of the study."""
    texts = [text for room in rooms for lesson in room.lessons for text in (lesson.question, lesson.answer)]
    for name in ("direct", f"think_{config.prompts.think}"):
        texts += wording(name).values()
    return texts


def _order(n: int, wanted: int, seed: int) -> list[int]:
    """Return `wanted` room numbers or more: seeded permutations of all rooms, one after the other."""
    order: list[int] = []
    while len(order) < wanted:
        order += generator(seed, "base model order", len(order)).permutation(n).tolist()
    return order


def _metrics(step: int, rate: float, loss: float, norm: float, seconds: float) -> dict:
    empty = dict.fromkeys(tables.METRICS.schema.names)
    return {
        **empty,
        "step": step,
        "lr": rate,
        "loss": loss,
        "rewards": [],
        "grad_norm": norm,
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "seconds": [{"name": "step", "value": seconds}],
    }
