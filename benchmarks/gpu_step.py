"""A timed GRPO step on one question, by the trainer's own code, for `bench_gpu_step.py` and `gpu_check.py`."""

from __future__ import annotations

import gc
import math
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any, ClassVar, Literal, cast

import cv2
import numpy as np
import torch
from transformers import AutoModelForImageTextToText, Qwen2_5_VLConfig

from bench_perturb import REWARD, RUN, STEPS, region_tables
from devices import Peak, peak, wait
from flops import prompt_sizes, row_sizes, shape_of
from rollout3d import tables
from rollout3d.config import Grpo, Training, Video
from rollout3d.model import shapes
from rollout3d.model.encode import Encoder
from rollout3d.model.load import Policy, save_policy
from rollout3d.model.media import FrameStore
from rollout3d.model.prompts import question_text
from rollout3d.model.regions import Regions
from rollout3d.planning import flops
from rollout3d.planning import seconds as seconds_of
from rollout3d.planning.cards import Card
from rollout3d.planning.flops import trained_of
from rollout3d.tables.rows import QuestionRow
from rollout3d.training.agreement import check_agreement
from rollout3d.training.data import Questions
from rollout3d.training.engines.choose import MakeOptimiser, make_engine, make_optimiser
from rollout3d.training.engines.engine import Engine
from rollout3d.training.group import Group
from rollout3d.training.grpo import reward, roll_out, show, update
from rollout3d.training.metrics import Clock, peak_memory_mb
from rollout3d.training.objective import advantages
from rollout3d.training.packing import LARGE_VOCABULARY, Packed
from rollout3d.training.prefix import Prefix
from rollout3d.training.rollouts import Context
from rollout3d.training.world import World
from toyworld.model.architecture import control_ids, sized_config, tiny_config, tiny_tokenizer

NOWHERE = tables.Lineage("benchmark")
QUESTION = "How many chairs are in this room?"
PHASES = ("views", "generation", "reward", "reference", "policy forward", "policy backward", "optimiser", "rest")
TRAINING = PHASES[3:6]
Backend = Literal["hf", "vllm"]


@dataclass(frozen=True)
class Case:
    """Sizes of a measurement. `stored`: height and width of the frames on disk."""

    name: str
    frames: int = 16
    stored: tuple[int, int] = (480, 640)
    prompt_tokens: int = 1260
    rollouts: int = 4
    """Rollouts of either view."""
    tokens: int = 512
    """Tokens of a rollout."""
    lengths: tuple[int, ...] = ()
    """Tokens to which the rollouts are cut before training, in order; none: all have `tokens`."""
    repeats: int = 3


SHAPES = {
    "3b": Case("3b"),
    "tiny": Case("tiny", frames=4, stored=(84, 112), prompt_tokens=0, rollouts=2, tokens=6, repeats=1),
}


@dataclass(frozen=True)
class Measured:
    """A step of which each phase was timed; seconds are medians."""

    name: str
    limit: Peak
    seconds: dict[str, float]
    floors: dict[str, float]
    """Least seconds of the phases in which the device computes."""
    needed: float
    """Operations of reference, policy forward and backward."""
    again: float
    """Operations that gradient checkpointing repeats."""
    prompt: int
    """Tokens of the prompt."""
    visual: int
    lengths: list[int]
    """Tokens of each rollout, as generated."""
    scored: int
    """Tokens that are trained on."""
    peak_gib: float
    gap: float
    """Mean difference of the sampler's and the trainer's log-probabilities, nats."""

    @property
    def utilisation(self) -> float:
        """Share of the device's peak that the operations of training reach, recomputation left out."""
        return self.needed / sum(self.seconds[phase] for phase in TRAINING) / self.limit.flops


class MeasuredGrpo(Grpo):
    """Settings of GRPO without a limit on the gap between sampler and trainer: the benchmark reports the gap."""

    max_logprob_gap: ClassVar[float] = 1e9


class Timed(Engine):
    """The engine with a clock at its phases; the host waits for the device before and after each."""

    clock = Clock()
    packed: Packed | None = None
    """The last batch that was trained on."""

    @property
    def updated(self) -> int:
        """Parameters that this process's optimiser updates."""
        whole = sum(p.numel() for p in self.trained.values())
        return getattr(self.optimiser, "share", whole)

    @contextmanager
    def timed(self, phase: str) -> Iterator[None]:
        wait(self.world.device)
        with self.clock(phase):
            yield
            wait(self.world.device)

    def logprobs(self, packed: Packed, temperature: float | None = None, prefix: Prefix | None = None) -> torch.Tensor:
        self.packed = packed
        with self.timed("policy forward"):
            return super().logprobs(packed, temperature, prefix)

    def reference_logprobs(self, packed: Packed) -> torch.Tensor:
        with self.timed("reference"):
            return super().reference_logprobs(packed)

    def backward(self, loss: torch.Tensor, last: bool) -> None:
        with self.timed("policy backward"):
            super().backward(loss, last)

    def step(self, step: int) -> float:
        with self.timed("optimiser"):
            return super().step(step)


class Step:
    """A trainer ready to take steps on one question, in a folder of its own."""

    def __init__(
        self,
        shape: Case,
        backend: Backend,
        device: torch.device,
        optimiser: MakeOptimiser = make_optimiser,
        weights: Path | None = None,
        dtype: Literal["bfloat16", "float32"] = "bfloat16",
        **settings: Any,
    ):
        """`optimiser`: makes the engine's. `weights`: folder of a model that an earlier step has saved, or where to
        save it. `settings`: further ones of `grpo`."""
        self.shape, self.backend = shape, backend
        self._folder = tempfile.TemporaryDirectory()
        folder = Path(self._folder.name)
        self.grpo = MeasuredGrpo(
            n_clean=shape.rollouts,
            n_perturbed=shape.rollouts,
            prompts_per_step=1,
            max_new_tokens=shape.tokens,
            **settings,
        )
        self.training = Training(dtype=dtype, deepspeed="none")
        self.video = Video(train_frames=shape.frames)
        weights = weights or folder
        if not (weights / "model.json").exists():
            self._save_random(weights, device)
        self.engine = make_engine(
            weights / "model.json",
            self.grpo,
            World(device=device),
            training=self.training,
            backend=backend,
            video=self.video,
            total=STEPS,
            optimiser=optimiser,
            of=Timed,
        )
        self.engine.policy.eos_ids = (-1,)  # nothing ends early
        self.questions, self.regions, self.row = self._question(folder)
        self.group: Group | None = None
        self.gap = float("nan")
        """Mean difference of the sampler's and the trainer's log-probabilities, of the first step."""
        self._taken = 0
        self.written: list[int] = []
        """Tokens of each rollout of the last step, before they were cut."""

    def measure(self, until: float = math.inf) -> Measured:
        """Take a step that is not counted, then the repeats of the shape, of which only the first may begin after
        `until` (`time.monotonic()`)."""
        device = self.engine.world.device
        self.take()  # kernels are chosen and compiled, frames decoded
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        taken = [self.take()]
        while len(taken) < self.shape.repeats and time.monotonic() < until:
            taken.append(self.take())
        seconds = {phase: median(one[phase] for one in taken) for phase in PHASES}
        return self._summary(seconds, peak(device, getattr(torch, self.training.dtype)))

    def take(self) -> dict[str, float]:
        """Take a step; return the seconds of `PHASES`."""
        engine, grpo, clock = self.engine, self.grpo, Clock()
        engine.clock = clock
        context = Context(grpo, RUN, 0, self._taken, STEPS, self.regions)
        with engine.timed("views"):
            group = self.group = show(self.row, self.questions, context, engine)
        with engine.timed("generation"):
            roll_out([group], engine, grpo, self._taken)
        self.written = [len(rollout.completion.token_ids) for rollout in group.rollouts]
        _cut(group, self.shape.lengths)
        if self._taken == 0:
            self.gap = check_agreement([group], engine, grpo)
        with engine.timed("reward"):
            reward(group, REWARD, grpo)
        _spread(group)
        with engine.timed("update"):
            metrics = update([group], engine, grpo, self._taken)
        if not np.isfinite([metrics["loss"], metrics["grad_norm"], metrics["kl"]]).all() or not metrics["grad_norm"]:
            raise AssertionError(f"the step did not train: {metrics}")
        self._taken += 1
        inside = sum(clock.seconds[phase] for phase in (*TRAINING, "optimiser"))
        return clock.seconds | {"rest": clock.seconds["update"] - inside}

    @property
    def last(self) -> tuple[Group, Packed]:
        """Group and batch of the last step. Raises RuntimeError before the first."""
        if self.group is None or self.engine.packed is None:
            raise RuntimeError("no step was taken yet")
        return self.group, self.engine.packed

    def _summary(self, seconds: dict[str, float], limit: Peak) -> Measured:
        engine, (group, packed) = self.engine, self.last
        shape, trained = shape_of(engine.policy.core.config), trained_of(self.grpo, self.training)
        pieces = shape.vocabulary >= LARGE_VOCABULARY
        checkpointing = self.training.gradient_checkpointing
        rows = row_sizes(packed.rows)
        forward = flops.packed_forward(shape, rows, lora_rank=self.grpo.lora_rank)
        prompts = list({id(rollout.prompt): rollout.prompt for rollout in group.rollouts}.values())
        size = engine.policy.core.lm_head.weight.element_size()
        floors = seconds_of.floors(
            shape,
            [rows],
            prompt_sizes(prompts),
            [len(rollout.prompt) for rollout in group.rollouts],
            max(self.written),
            Card(limit.name, limit.flops, limit.bandwidth, 0.0),
            itemsize=size,
            updated=engine.updated,
            trained=trained,
            checkpointing=checkpointing,
            pieces=pieces,
            lora_rank=self.grpo.lora_rank,
        )
        return Measured(
            f"{self.shape.name}, {self.backend}",
            limit,
            seconds,
            floors,
            needed=forward.total - forward.adapters + forward.trained(trained, checkpointing),
            again=forward.recomputed(pieces, trained) if checkpointing else pieces * forward.head,
            prompt=len(group.prompts[0]),
            visual=sum(medium.n_tokens for medium in group.prompts[0].media),
            lengths=self.written,
            scored=len(packed.targets),
            peak_gib=peak_memory_mb(engine.world.device) / 1024,
            gap=self.gap,
        )

    def close(self) -> None:
        """Free the memory of the device."""
        self.engine.close()
        del self.engine
        _free()
        self._folder.cleanup()

    def _save_random(self, folder: Path, device: torch.device) -> None:
        """Write a model of the shape, which the engine then loads."""
        row = {"question": QUESTION + " ?" * 9, "answer_type": "number", "options": None}
        tokenizer = tiny_tokenizer([question_text(row, style="think")] * 4, 2000)  # every word one token
        config = CONFIGS[self.shape.name](tokenizer)
        with device:
            model = AutoModelForImageTextToText.from_config(config, dtype=getattr(torch, self.training.dtype))
        save_policy(Policy(model.eval(), tokenizer, self.video), folder, kind="random")
        del model
        _free()

    def _question(self, folder: Path) -> tuple[Questions, Regions, QuestionRow]:
        """Return a question of the shape's length about a room whose frames are noise, and the room's regions."""
        frames = folder / "frames.parquet"
        tables.write(tables.FRAMES, frames, [_frame(self.shape, i) for i in range(self.shape.frames)], NOWHERE)
        columns = {
            "question_id": "q",
            "scene_id": "room",
            "answer_type": "number",
            "question_type": "object_counting",
            "question": QUESTION,
            "options": None,
            "ground_truth": "3",
            "objects": [],
            "media": None,
        }
        row = cast("QuestionRow", columns)  # the columns that training reads
        questions = Questions([row], FrameStore([frames]), self.video, "video_r1", 0)
        missing = self.shape.prompt_tokens - self._length(questions, row)
        row["question"] += " ?" * max(0, missing)
        while 0 < self.shape.prompt_tokens < self._length(questions, row) and row["question"].endswith(" ?"):
            row["question"] = row["question"].removesuffix(" ?")
        objects, regions = region_tables(folder, self.shape.stored)
        return questions, Regions([objects], [regions], questions.frame_rows), row

    def _length(self, questions: Questions, row: QuestionRow) -> int:
        encoder: Encoder = self.engine.policy.encoder
        return len(questions.prompt(row, questions.media(row), encoder))


def config_3b(tokenizer: Any) -> Qwen2_5_VLConfig:
    """Qwen2.5-VL-3B-Instruct with the control tokens of `tokenizer`."""
    return sized_config(shapes.RELEASED["Qwen2.5-VL-3B-Instruct"], control_ids(tokenizer))


def config_tiny(tokenizer: Any) -> Qwen2_5_VLConfig:
    """A few million parameters, with a vocabulary so large that its logits are computed in pieces."""
    sizes = {"hidden": 64, "layers": 2, "vision_depth": 2, "vision_hidden": 32, "head_dim": 16}
    return tiny_config(LARGE_VOCABULARY, tokenizer=tokenizer, **sizes)


CONFIGS = {"3b": config_3b, "tiny": config_tiny}


def _free() -> None:
    """Free cached memory of the device: vLLM takes what is free."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _frame(shape: Case, index: int) -> dict[str, Any]:
    height, width = shape.stored
    noise = np.random.default_rng(index).integers(0, 256, (height // 8, width // 8, 3), np.uint8)
    _, data = cv2.imencode(".jpg", cv2.resize(noise, (width, height)))
    return {
        "scene_id": "room",
        "frame_index": index,
        "timestamp_s": index * 0.5,
        "sets": [f"uniform{shape.frames}"],
        "image": {"bytes": data.tobytes(), "path": f"{index}.jpg"},
        "width": width,
        "height": height,
        "source_width": width,
        "source_height": height,
        "K": None,
        "pose": None,
    }


def _cut(group: Group, lengths: Sequence[int]) -> None:
    """Shorten the rollouts of a group to these tokens, in order."""
    for rollout, length in zip(group.rollouts, lengths):
        own = rollout.completion
        rollout.completion = replace(own, token_ids=own.token_ids[:length], logprobs=own.logprobs[:length])


def _spread(group: Group) -> None:
    """Replace the rewards of random words by 0, 1, 0, 1 ..."""
    for place, rollout in enumerate(group.rollouts):
        rollout.judged = replace(rollout.judged, total=float(place % 2))
    rewards = torch.tensor(group.rewards, dtype=torch.float64)
    for rollout, advantage in zip(group.pooled, advantages(rewards).tolist()):
        rollout.advantage = advantage
