"""Train the small Qwen2.5-VL from scratch on rooms rendered straight to frames.

The lessons of a room share its video: the vision tower encodes it once, and every lesson reads the same keys and values
(`rollout3d.training.prefix`). First come clips of two or four frames with a description only, which bootstraps visual
grounding; then whole rooms, in the second half with choices among things; in a second course answers with reasoning
beside direct ones, which a model this small learns last; in a third one short thoughts and cognitive maps. Muon
optimises the matrices (about a third fewer steps than AdamW here), AdamW everything else. Learning rates fall evenly
from the start: at a constant rate the noise of four rooms hides everything that only some questions teach. Several
processes of one thread share a step, because operators this small gain little from a second thread. A training that is
stopped goes on where it was and ends with the same bytes. The result is an ordinary Hugging Face directory, which the
pipeline reads as it does the 3B model.
"""

from __future__ import annotations

import logging
import resource
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
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
from rollout3d.training.packing import LogProbs, PackedRow, pack
from rollout3d.training.prefix import Prefix
from toyworld.model import checkpoint, lessons
from toyworld.model.architecture import build_tiny, tiny_tokenizer
from toyworld.model.dense import DenseHead
from toyworld.settings import SmallModel, settings_of

log = logging.getLogger(__name__)

WARM_UP = 100
"""Steps in which the learning rate rises."""
LATE_FROM, REASONED_FROM = 0.55, 0.7
"""Shares of `toyworld.model.steps` after which facts with a choice, and answers with reasoning, are taught."""
PEAKS = (1.0, 0.6, 0.5)
"""Peak of the learning rates in each course, as a share of the first peak."""
QUESTION_WEIGHT = 0.01
"""Weight of each question token, since questions name categories often and teach copying; an answer token has its
lesson's weight divided by the root of the answer's length."""
DENSE_WEIGHT = 0.3
"""Weight of the dense target of the vision tower."""
PIECE = 400
"""Most tokens of a forward, those of the video included, where several lessons share one: attention computes every
pair of them."""
CORPUS_ROOMS = 200
"""Rooms whose lessons the tokeniser learns from."""
SAVE_EVERY_S = 300.0
"""Seconds between two checkpoints."""


def train(config: Config, name: str, out_dir: Path, lineage: tables.Lineage, reason: lessons.Reason) -> None:
    """Train, and write `model.json`, its weights and `metrics.parquet` to `out_dir`; go on where an earlier call was.

    `reason` writes the reasoning of questions that are answered with it.
    """
    processes = settings_of(config).model.processes
    with tempfile.TemporaryDirectory() as meeting:
        arguments = (processes, f"file://{meeting}/rendezvous", config, name, out_dir, lineage, reason)
        # Forked before torch has started a thread: workers import nothing again.
        start_processes(_work, arguments, nprocs=processes, start_method="fork")


def _work(
    rank: int,
    world: int,
    meeting: str,
    config: Config,
    name: str,
    out_dir: Path,
    lineage: tables.Lineage,
    reason: lessons.Reason,
) -> None:
    """Run one process: build the model, train it together with the others, and write it if this is the first one."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=world)
    unfinished = out_dir / "unfinished.safetensors"
    trainer = Trainer(config, name, reason, rank, world)
    metrics = trainer.run(unfinished, {"identity": lineage.identity, "processes": world})
    if rank == 0:
        tables.write(tables.METRICS, out_dir / "metrics.parquet", metrics, lineage)
        prompts = {"think": config.prompts.think}
        # Before it is evaluated, so that what travels with the package is what was measured.
        torch.nn.Module.to(trainer.policy.model, torch.bfloat16)
        save_policy(trainer.policy, out_dir, kind="tiny", lineage=lineage.as_dict(), prompts=prompts)
        unfinished.unlink(missing_ok=True)
    dist.barrier()
    dist.destroy_process_group()


@dataclass(frozen=True, eq=False)
class Lessoned:
    """A row with the weight in the loss of each of its scored tokens, and what its frames show."""

    row: PackedRow
    total: float
    """Sum of the weights."""
    cells: lessons.Cells | None


class Trainer:
    """One process's share of a training. Processes hold the same weights and differ in the rooms of a step."""

    def __init__(self, config: Config, name: str, reason: lessons.Reason, rank: int = 0, world: int = 1):
        self.config, self.reason, self.rank, self.world = config, reason, rank, world
        self.settings: SmallModel = settings_of(config).model
        tokenizer = tiny_tokenizer(corpus(config, reason), self.settings.vocabulary)
        self.policy = build_tiny(
            tokenizer,
            config.seed,
            config.video,
            name,
            hidden=self.settings.hidden,
            layers=self.settings.layers,
            vision_depth=self.settings.vision_depth,
            vision_hidden=self.settings.vision_hidden,
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.dense = DenseHead(self.policy)
        self.scorer = LogProbs(self.policy)
        self.optimizers = make_optimizers(self.policy, self.dense, self.settings)
        if rank == 0:
            count = sum(p.numel() for p in self.policy.model.parameters())
            log.info("%s: %.2f M parameters, %d processes", name, count / 1e6, world)

    @cached_property
    def parameters(self) -> list[torch.nn.Parameter]:
        """Everything that is trained."""
        return [*self.policy.model.parameters(), *self.dense.parameters()]

    def run(self, unfinished: Path, about: dict) -> list[dict]:
        """Train the policy in place, from the checkpoint `unfinished` if there is one; return the metrics' rows."""
        modules = {"model": self.policy.model, "dense": self.dense}
        metrics = checkpoint.resume(unfinished, about, modules, self.optimizers)
        if self.world > 1:
            dist.barrier()  # nobody writes while another still reads
        self.policy.model.train()
        saved = time.monotonic()
        before, total = len(metrics), sum(self.settings.courses)
        steps = range(before, total)
        for step in progress(steps, "base model", total=total, before=before) if self.rank == 0 else steps:
            metrics.append(self.step(step))
            if self.rank == 0 and time.monotonic() - saved > SAVE_EVERY_S:
                checkpoint.save(unfinished, about, modules, self.optimizers, metrics)
                saved = time.monotonic()
        self.policy.model.eval()
        return metrics

    def step(self, step: int) -> dict:
        """Make one update of the weights; return its row of the metrics."""
        started = time.monotonic()
        loss = torch.zeros(())
        for room in self.rooms(step):
            loss += self.backward(room, places=course_at(step, self.settings)[0] > 0) / self.settings.batch_size
        self._sum_over_processes(loss)
        norm = float(torch.nn.utils.clip_grad_norm_(self.parameters, 1.0))
        rate = share_of_peak(step, self.settings)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = optimizer.defaults["lr"] * rate
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return _metrics(step, self.settings.lr * rate, float(loss), norm, time.monotonic() - started)

    def rooms(self, step: int) -> Iterable[lessons.Room]:
        """Yield this process's rooms of a step; no room comes twice."""
        first = step * self.settings.batch_size
        for index in range(first + self.rank, first + self.settings.batch_size, self.world):
            if step < self.settings.clips:
                yield lessons.make_clip(index, self.config)
            else:
                yield lessons.make_room(index, self.config, self.reason, asked_at(step, self.settings))

    def backward(self, room: lessons.Room, places: bool = False) -> torch.Tensor:
        """Add a room's gradient, for a step's mean; return its loss in nats per unit of weight.

        `places`: the places of what visual tokens show are a target too.
        """
        item = lesson_row(self.policy, room)
        prefix = Prefix(self.policy, item.row.prompt)
        dense = DENSE_WEIGHT * self.dense(item.cells, places)
        loss = dense.detach().clone()
        for piece in item.row.pieces(PIECE) or [item.row]:
            packed = pack([piece], behind_prompt=True)
            part = -(self.scorer(packed, prefix=prefix) * packed.weight).sum() / item.total
            (part / self.settings.batch_size).backward()
            prefix.collect()
            loss += part.detach()
        (prefix.pull() + dense / self.settings.batch_size).backward()
        return loss

    def _sum_over_processes(self, loss: torch.Tensor) -> None:
        """Sum gradients and loss over all processes, in place, in one all-reduce."""
        if self.world == 1:
            return
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in self.parameters]
        flat = torch.cat([loss.reshape(1), *(gradient.flatten() for gradient in gradients)])
        dist.all_reduce(flat)
        loss.copy_(flat[0])
        start = 1
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            parameter.grad = gradient.copy_(flat[start : start + gradient.numel()].view_as(gradient))
            start += gradient.numel()


def asked_at(step: int, settings: SmallModel) -> lessons.Asked:
    """Return what rooms are asked at a step."""
    course, step = course_at(step, settings)
    if course:
        return (lessons.BOTH, lessons.SHORT)[course - 1]
    done = step / settings.steps
    if done < LATE_FROM:
        return lessons.EARLY
    if done < REASONED_FROM:
        return lessons.LATE
    return replace(lessons.LATE, reasoned=lessons.REASONED_A_ROOM)


def course_at(step: int, settings: SmallModel) -> tuple[int, int]:
    """Return the number of a step's course, from 0, and that of the step within it."""
    before = 0
    for course, steps in enumerate(settings.courses):
        if step < before + steps:
            return course, step - before
        before += steps
    raise ValueError(f"step {step} is behind the last of the courses, of {settings.courses} steps")


def share_of_peak(step: int, settings: SmallModel) -> float:
    """Return the learning rate of a step as a share of the first peak: in each course it rises, and falls evenly to 0.

    `PEAKS` are those of the courses.
    """
    course, step = course_at(step, settings)
    steps = settings.courses[course]
    return PEAKS[course] * min((step + 1) / WARM_UP, (steps - step) / steps)


def make_optimizers(policy: Policy, dense: DenseHead, settings: SmallModel) -> list[torch.optim.Optimizer]:
    """Return AdamW for embeddings, norms, biases, the patch convolution and the dense head, Muon for other matrices."""
    # Torch orthogonalises in bfloat16, about twenty times slower on CPUs without instructions for it.
    _muon._zeropower_via_newtonschulz = orthogonalised
    matrices, others = [], [*dense.parameters()]
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


def lesson_row(policy: Policy, room: lessons.Room) -> Lessoned:
    """Return a row: the room's video as prefix, its lessons as branches."""
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
    return Lessoned(PackedRow(prefix, branches, weight=torch.tensor(weights)), sum(weights), room.cells)


def corpus(config: Config, reason: lessons.Reason) -> list[str]:
    """Return the tokeniser's training texts: lessons of the first rooms, and the wording of every prompt."""
    taught = replace(lessons.EARLY, reasoned=lessons.REASONED_A_ROOM)
    rooms = (lessons.make_room(i, config, reason, taught) for i in range(CORPUS_ROOMS))
    texts = [text for room in rooms for lesson in room.lessons for text in (lesson.question, lesson.answer)]
    for name in ("direct", f"think_{config.prompts.wording}"):
        texts += wording(name).values()
    return texts


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
