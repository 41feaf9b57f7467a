"""One GRPO step on a GPU: random weights in the shape of Qwen2.5-VL-3B, 16 frames, 4 + 4 rollouts of 512 tokens.

The step is the trainer's own, phase by phase: views, generation, reward, reference, policy forward and backward,
optimiser (plain torch engine, bfloat16 with float32 masters, gradient checkpointing, everything trained). Rewards of
random words are all 0 and would teach nothing: after they are taken they are replaced by alternating ones. No answer
ends before its last token. Views are made in the open here; in training they are made while the step before computes.

Model FLOP utilisation is the reference's forward, the policy's forward and its backward, by `planning/flops.py`, over
seconds and the device's peak; what gradient checkpointing computes again is in the second number. Beside every phase
stands its floor: operations over the peak or bytes over the bandwidth, recomputation included.

Without a CUDA device nothing is measured; all in one process, the step takes about 70 GiB and vLLM its share beside it.
By hand, on anything:
`python benchmarks/bench_gpu_step.py --shape tiny [--tokens 64 --rollouts 4 --frames 16 --backend vllm]`.
"""

from __future__ import annotations

import argparse
import gc
import importlib.util
import math
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any, ClassVar

import cv2
import numpy as np
import torch
from transformers import AutoModelForImageTextToText, Qwen2_5_VLConfig

from bench_perturb import RUN, region_tables
from devices import Peak, peak, wait
from flops import prompt_sizes, row_sizes, shape_of
from measure import Figure, NotMeasured, table_row
from rollout3d import tables
from rollout3d.config import Grpo, Video
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


@dataclass(frozen=True)
class Case:
    """What is measured. `stored`: height and width of the frames on disk."""

    name: str
    frames: int = 16
    stored: tuple[int, int] = (480, 640)
    prompt_tokens: int = 1260
    rollouts: int = 4
    """Of either view."""
    tokens: int = 512
    """Of a rollout."""
    lengths: tuple[int, ...] = ()
    """Tokens to which the rollouts are cut before training, in order; none: all have `tokens`."""
    repeats: int = 3


SHAPES = {
    "3b": Case("3b"),
    "tiny": Case("tiny", frames=4, stored=(84, 112), prompt_tokens=0, rollouts=2, tokens=6, repeats=1),
}


def figures() -> Iterator[Figure | NotMeasured]:
    what = "GRPO step in the shape of Qwen2.5-VL-3B"
    if not torch.cuda.is_available():
        yield NotMeasured(what, "no CUDA device here")
        return
    for backend in ("hf", *(["vllm"] if importlib.util.find_spec("vllm") else [])):
        try:
            yield measure(SHAPES["3b"], backend, torch.device("cuda", 0))
        except (torch.OutOfMemoryError, ValueError) as error:  # vLLM raises the latter where memory is short
            yield NotMeasured(f"{what}, {backend}", str(error).strip().splitlines()[0])


def measure(shape: Case, backend: str, device: torch.device) -> Figure:
    """The step's utilisation, with everything else in its note."""
    step = Step(shape, backend, device)
    try:
        return _figure(step.measure())
    finally:
        step.close()


@dataclass(frozen=True)
class Measured:
    """A step of which each phase was timed; seconds are medians."""

    name: str
    limit: Peak
    seconds: dict[str, float]
    floors: dict[str, float]
    """Least seconds of the phases that the device works in."""
    needed: float
    """Operations of reference, policy forward and backward."""
    again: float
    """Operations that gradient checkpointing computes once more."""
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
    """Settings of GRPO that let any gap between sampler and trainer pass: the benchmark reports the gap."""

    max_logprob_gap: ClassVar[float] = 1e9


class Timed(Engine):
    """The engine with a clock at its phases; the device is waited for before and after each."""

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
        backend: str,
        device: torch.device,
        optimiser: MakeOptimiser = make_optimiser,
        weights: Path | None = None,
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
            deepspeed="none",
            backend=backend,
            **settings,
        )
        self.video = Video(train_frames=shape.frames)
        weights = weights or folder
        if not (weights / "model.json").exists():
            self._save_random(weights, device)
        self.engine = make_engine(
            weights / "model.json",
            self.grpo,
            World(device=device),
            video=self.video,
            total=RUN.steps,
            optimiser=optimiser,
            of=Timed,
        )
        self.engine.policy.eos_ids = (-1,)  # nothing ends early
        self.questions, self.regions, self.row = self._ask(folder)
        self.group: Group | None = None
        self.gap = float("nan")
        """Mean difference of the sampler's and the trainer's log-probabilities, of the first step."""
        self._taken = 0
        self.written: list[int] = []
        """Tokens of each rollout of the last step, before they were cut."""

    def measure(self, until: float = math.inf) -> Measured:
        """Take a step that is not counted, then those of the shape, but none after `until` (`time.monotonic()`)
        beside the first."""
        device = self.engine.world.device
        self.take()  # kernels are chosen and compiled, frames decoded
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        taken = [self.take()]
        while len(taken) < self.shape.repeats and time.monotonic() < until:
            taken.append(self.take())
        seconds = {phase: median(one[phase] for one in taken) for phase in PHASES}
        return self._summary(seconds, peak(device, getattr(torch, self.grpo.dtype)))

    def take(self) -> dict[str, float]:
        """Take a step; seconds of `PHASES`."""
        engine, grpo, clock = self.engine, self.grpo, Clock()
        engine.clock = clock
        context = Context(grpo, RUN, 0, self._taken, RUN.steps, self.regions)
        with engine.timed("views"):
            self.group = show(self.row, self.questions, context, engine)
        with engine.timed("generation"):
            roll_out([self.group], engine, grpo, self._taken)
        self.written = [len(rollout.completion.token_ids) for rollout in self.group.rollouts]
        _cut(self.group, self.shape.lengths)
        if self._taken == 0:
            self.gap = check_agreement([self.group], engine, grpo)
        with engine.timed("reward"):
            reward(self.group, RUN.reward, grpo)
        _spread(self.group)
        with engine.timed("update"):
            metrics = update([self.group], engine, grpo, self._taken)
        if not np.isfinite([metrics["loss"], metrics["grad_norm"], metrics["kl"]]).all() or not metrics["grad_norm"]:
            raise AssertionError(f"the step did not train: {metrics}")
        self._taken += 1
        inside = sum(clock.seconds[phase] for phase in (*TRAINING, "optimiser"))
        return clock.seconds | {"rest": clock.seconds["update"] - inside}

    def _summary(self, seconds: dict[str, float], limit: Peak) -> Measured:
        engine, group = self.engine, self.group
        config = engine.policy.core.config
        shape, trained = shape_of(config), trained_of(self.grpo)
        pieces = config.text_config.vocab_size >= LARGE_VOCABULARY
        checkpointing = self.grpo.gradient_checkpointing
        rows = row_sizes(engine.packed.rows)
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
            scored=len(engine.packed.targets),
            peak_gib=peak_memory_mb(engine.world.device) / 1024,
            gap=self.gap,
        )

    def close(self) -> None:
        """Give the memory back."""
        self.engine.close()
        del self.engine
        _free()
        self._folder.cleanup()

    def _save_random(self, folder: Path, device: torch.device) -> None:
        """A model of the shape, where the engine will load it from."""
        row = {"question": QUESTION + " ?" * 9, "answer_type": "number", "options": None}
        tokenizer = tiny_tokenizer([question_text(row, style="think")] * 4, 2000)  # every word one token
        config = CONFIGS[self.shape.name](tokenizer)
        with device:
            model = AutoModelForImageTextToText.from_config(config, dtype=getattr(torch, self.grpo.dtype))
        save_policy(Policy(model.eval(), tokenizer, self.video), folder, kind="random")
        del model
        _free()

    def _ask(self, folder: Path) -> tuple[Questions, Regions, dict[str, Any]]:
        """A question about a room whose frames are noise, as long as the shape wants it, and the room's regions."""
        frames = folder / "frames.parquet"
        tables.write(tables.FRAMES, frames, [_frame(self.shape, i) for i in range(self.shape.frames)], NOWHERE)
        row: dict[str, Any] = {
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
        questions = Questions([row], FrameStore([frames]), self.video, "video_r1", 0)
        missing = self.shape.prompt_tokens - self._length(questions, row)
        row["question"] += " ?" * max(0, missing)
        while 0 < self.shape.prompt_tokens < self._length(questions, row) and row["question"].endswith(" ?"):
            row["question"] = row["question"].removesuffix(" ?")
        objects, regions = region_tables(folder, self.shape.stored)
        return questions, Regions([objects], [regions], questions.frame_rows), row

    def _length(self, questions: Questions, row: dict[str, Any]) -> int:
        encoder: Encoder = self.engine.policy.encoder
        return len(questions.prompt(row, questions.media(row), encoder))


def config_3b(tokenizer: Any) -> Qwen2_5_VLConfig:
    """Qwen2.5-VL-3B-Instruct with the control tokens of `tokenizer`."""
    return sized_config(shapes.RELEASED["Qwen2.5-VL-3B-Instruct"], control_ids(tokenizer))


def config_tiny(tokenizer: Any) -> Qwen2_5_VLConfig:
    """A few million parameters, with a vocabulary so large that its logits are taken in pieces."""
    sizes = {"hidden": 64, "layers": 2, "vision_depth": 2, "vision_hidden": 32, "head_dim": 16}
    return tiny_config(LARGE_VOCABULARY, tokenizer=tokenizer, **sizes)


CONFIGS = {"3b": config_3b, "tiny": config_tiny}


def _free() -> None:
    """Give cached memory back to the device: vLLM takes what is free."""
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
    """Rewards 0, 1, 0, 1 .. in place of those of random words."""
    for place, rollout in enumerate(group.rollouts):
        rollout.judged = replace(rollout.judged, total=float(place % 2))
    rewards = torch.tensor(group.rewards, dtype=torch.float64)
    for rollout, advantage in zip(group.pooled, advantages(rewards).tolist()):
        rollout.advantage = advantage


def _figure(found: Measured) -> Figure:
    seconds, floors, limit = found.seconds, found.floors, found.limit
    again = (found.needed + found.again) / found.needed * found.utilisation
    lines = [
        f"{limit.name}: {limit.flops / 1e12:.3g} TFLOP/s, {limit.bandwidth / 1e12:.3g} TB/s ({limit.source})",
        f"prompt of {found.prompt} tokens, {found.visual} visual; "
        f"{len(found.lengths)} rollouts of {max(found.lengths)} tokens; trained on {found.scored} of them",
        f"with recomputation {again:.1%}; {found.needed / 1e12:.3g} TFLOP, "
        f"{found.again / 1e12:.3g} again; generated {sum(found.lengths) / seconds['generation']:.0f} tokens/s",
        f"peak memory {found.peak_gib:.1f} GiB; log-probabilities of sampler and trainer differ by "
        f"{found.gap:.2g} nats",
    ]
    for phase in PHASES:
        floor = f", floor {floors[phase]:.3g} s" if phase in floors else ""
        lines.append(f"{phase:<16} {seconds[phase]:.3g} s{floor}")
    lines.append(f"{'step':<16} {sum(seconds[phase] for phase in PHASES):.3g} s, floor {sum(floors.values()):.3g} s")
    return Figure(
        f"Model FLOP utilisation of training, {found.name}",
        100 * found.utilisation,
        40,
        "%",
        at_least=True,
        note="\n".join(lines),
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=SHAPES, default="3b")
    parser.add_argument("--backend", choices=("hf", "vllm"), default="hf")
    for name in ("frames", "rollouts", "tokens", "repeats"):
        parser.add_argument(f"--{name}", type=int, help="instead of the shape's own")
    given = vars(parser.parse_args(arguments))
    shape, backend = SHAPES[given.pop("shape")], given.pop("backend")
    shape = replace(shape, **{name: value for name, value in given.items() if value})
    if shape.name == "3b" and not torch.cuda.is_available():
        parser.error("the shape of 3B needs a CUDA device; try --shape tiny")
    device = torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
    print(table_row(measure(shape, backend, device)))


if __name__ == "__main__":
    main()
