"""One GRPO step on a GPU: random weights in the shape of Qwen2.5-VL-3B, 16 frames, 4 + 4 rollouts of 512 tokens.

The step is the trainer's own, phase by phase: views, generation, reward, reference, policy forward and backward,
optimiser (plain torch engine, bfloat16 with float32 masters, gradient checkpointing, everything trained). Rewards of
random words are all 0 and would teach nothing: after they are taken they are replaced by alternating ones. No answer
ends before its last token. Views are made in the open here; in training they are made while the step before computes.

Model FLOP utilisation is the reference's forward, the policy's forward and twice that for its backward, by `flops.py`,
over seconds and the device's peak; what gradient checkpointing computes again is in the second number. Beside every
phase stands its floor: operations over the peak or bytes over the bandwidth, recomputation included.

Without a CUDA device nothing is measured; all in one process, the step takes about 70 GiB and vLLM its share beside it.
By hand, on anything:
`python benchmarks/bench_gpu_step.py --shape tiny [--tokens 64 --rollouts 4 --frames 16 --backend vllm]`.
"""

from __future__ import annotations

import argparse
import gc
import importlib.util
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np
import torch
from transformers import AutoModelForImageTextToText, Qwen2_5_VLConfig

import flops
from bench_perturb import RUN, region_tables
from devices import Peak, peak, wait
from measure import Figure, NotMeasured, table_row
from rollout3d import tables
from rollout3d.config import Grpo, Video
from rollout3d.model.encode import Encoder
from rollout3d.model.load import Policy, save_policy
from rollout3d.model.media import FrameStore
from rollout3d.model.prompts import question_text
from rollout3d.model.tiny import SPECIALS, tiny_config, tiny_tokenizer
from rollout3d.training.agreement import check_agreement
from rollout3d.training.data import Questions
from rollout3d.training.engine import Engine
from rollout3d.training.group import Group
from rollout3d.training.grpo import reward, roll_out, show, update
from rollout3d.training.metrics import Clock, peak_memory_mb
from rollout3d.training.objective import advantages
from rollout3d.training.packing import LARGE_VOCABULARY, Packed
from rollout3d.training.rollouts import Context
from rollout3d.training.rollouts.regions import Regions
from rollout3d.training.world import World

NOWHERE = tables.Lineage("benchmark")
QUESTION = "How many chairs are in this room?"
PHASES = ("views", "generation", "reward", "reference", "policy forward", "policy backward", "optimiser", "rest")
TRAINING = PHASES[3:6]


@dataclass(frozen=True)
class Shape:
    """What is measured. `stored`: height and width of the frames on disk."""

    name: str
    frames: int = 16
    stored: tuple[int, int] = (480, 640)
    prompt_tokens: int = 1260
    rollouts: int = 4
    """Of either view."""
    tokens: int = 512
    """Of a rollout."""
    repeats: int = 3


SHAPES = {
    "3b": Shape("3b"),
    "tiny": Shape("tiny", frames=4, stored=(84, 112), prompt_tokens=0, rollouts=2, tokens=6, repeats=1),
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


def measure(shape: Shape, backend: str, device: torch.device) -> Figure:
    """The step's utilisation, with everything else in its note."""
    step = Step(shape, backend, device)
    try:
        step.take()  # kernels are chosen and compiled, frames decoded
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        taken = [step.take() for _ in range(shape.repeats)]
        seconds = {phase: median(one[phase] for one in taken) for phase in PHASES}
        return _figure(step, seconds, peak(device, torch.bfloat16))
    finally:
        step.close()


class Timed(Engine):
    """The engine with a clock at its phases; the device is waited for before and after each."""

    clock = Clock()
    packed: Packed | None = None
    """The last batch that was trained on."""

    @contextmanager
    def timed(self, phase: str) -> Iterator[None]:
        wait(self.world.device)
        with self.clock(phase):
            yield
            wait(self.world.device)

    def logprobs(self, packed: Packed, temperature: float | None = None) -> torch.Tensor:
        self.packed = packed
        with self.timed("policy forward"):
            return super().logprobs(packed, temperature)

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

    def __init__(self, shape: Shape, backend: str, device: torch.device):
        self.shape, self.backend = shape, backend
        self._folder = tempfile.TemporaryDirectory()
        folder = Path(self._folder.name)
        self.grpo = Grpo(
            n_clean=shape.rollouts,
            n_perturbed=shape.rollouts,
            max_new_tokens=shape.tokens,
            deepspeed="none",
            backend=backend,
            max_logprob_gap=1e9,  # measured here, not judged
        )
        self.video = Video(train_frames=shape.frames)
        self._save_random(folder, device)
        options = {"peak_lr": self.grpo.lr, "shape": "cosine", "total": RUN.steps, "reference": True}
        self.engine = Timed(
            folder / "model.json", self.grpo, World(device=device), video=self.video, backend=backend, **options
        )
        self.engine.policy.eos_ids = (-1,)  # nothing ends early
        self.questions, self.regions, self.row = self._ask(folder)
        self.group: Group | None = None
        self.gap = float("nan")
        """Mean difference of the sampler's and the trainer's log-probabilities, of the first step."""
        self._taken = 0

    def take(self) -> dict[str, float]:
        """Take a step; seconds of `PHASES`."""
        engine, grpo, clock = self.engine, self.grpo, Clock()
        engine.clock = clock
        context = Context(grpo, RUN, 0, self._taken, RUN.steps, self.regions)
        with engine.timed("views"):
            self.group = show(self.row, self.questions, context, engine)
        with engine.timed("generation"):
            roll_out([self.group], engine, grpo, self._taken)
        if self._taken == 0:
            self.gap = check_agreement([self.group], engine, grpo)
        with engine.timed("reward"):
            reward(self.group, RUN.reward, grpo)
        _spread(self.group)
        with engine.timed("update"):
            told = update([self.group], engine, grpo, self._taken)
        if not np.isfinite([told["loss"], told["grad_norm"], told["kl"]]).all() or not told["grad_norm"]:
            raise AssertionError(f"the step did not train: {told}")
        self._taken += 1
        inside = sum(clock.seconds[phase] for phase in (*TRAINING, "optimiser"))
        return clock.seconds | {"rest": clock.seconds["update"] - inside}

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
            model = AutoModelForImageTextToText.from_config(config, dtype=torch.bfloat16)
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
        return len(questions.prompt(row, questions.frames(row), encoder))


def config_3b(tokenizer: Any) -> Qwen2_5_VLConfig:
    """Qwen2.5-VL-3B-Instruct: 2.775 billion parameters in the language model's layers, 0.311 in the embedding that is
    tied to the head, 0.668 in the vision tower; only the ids of the control tokens are those of `tokenizer`."""
    ids = {token: tokenizer.convert_tokens_to_ids(token) for token in SPECIALS}
    return Qwen2_5_VLConfig(
        text_config={
            "vocab_size": 151_936,
            "hidden_size": 2048,
            "intermediate_size": 11_008,
            "num_hidden_layers": 36,
            "num_attention_heads": 16,
            "num_key_value_heads": 2,
            "max_position_embeddings": 128_000,
            "rms_norm_eps": 1e-6,
            "rope_parameters": {"rope_type": "default", "mrope_section": [16, 24, 24], "rope_theta": 1e6},
            "bos_token_id": ids["<|endoftext|>"],
            "eos_token_id": ids["<|im_end|>"],
            "pad_token_id": ids["<|endoftext|>"],
        },
        vision_config={
            "depth": 32,
            "hidden_size": 1280,
            "intermediate_size": 3420,
            "num_heads": 16,
            "out_hidden_size": 2048,
            "window_size": 112,
            "fullatt_block_indexes": [7, 15, 23, 31],
            "tokens_per_second": 2,
        },
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
        tie_word_embeddings=True,
    )


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


def _frame(shape: Shape, index: int) -> dict[str, Any]:
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


def _spread(group: Group) -> None:
    """Rewards 0, 1, 0, 1 .. in place of those of random words."""
    for place, rollout in enumerate(group.rollouts):
        rollout.judged = replace(rollout.judged, total=float(place % 2))
    rewards = torch.tensor(group.rewards, dtype=torch.float64)
    for rollout, advantage in zip(group.pooled, advantages(rewards).tolist()):
        rollout.advantage = advantage


def _figure(step: Step, seconds: dict[str, float], limit: Peak) -> Figure:
    engine, config = step.engine, step.engine.policy.core.config
    forward = flops.packed_forward(config, engine.packed)
    again = forward.recomputed(config.text_config.vocab_size >= LARGE_VOCABULARY)
    needed, spent = forward.total + forward.trained, sum(seconds[phase] for phase in TRAINING)
    floors = _floors(step, forward.total, forward.trained - forward.total + again, limit)
    lengths = [len(rollout.completion.token_ids) for rollout in step.group.rollouts]
    visual = sum(medium.n_tokens for medium in step.group.prompts[0].media)
    lines = [
        f"{limit.name}: {limit.flops / 1e12:.3g} TFLOP/s, {limit.bandwidth / 1e12:.3g} TB/s ({limit.source})",
        f"prompt of {len(step.group.prompts[0])} tokens, {visual} visual; "
        f"{len(lengths)} rollouts of {max(lengths)} tokens; trained on {len(engine.packed.targets)} of them",
        f"with recomputation {(needed + again) / spent / limit.flops:.1%}; {needed / 1e12:.3g} TFLOP, "
        f"{again / 1e12:.3g} again; generated {sum(lengths) / seconds['generation']:.0f} tokens/s",
        f"peak memory {peak_memory_mb(engine.world.device) / 1024:.1f} GiB; log-probabilities of sampler and trainer "
        f"differ by {step.gap:.2g} nats",
    ]
    for phase in PHASES:
        floor = f", floor {floors[phase]:.3g} s" if phase in floors else ""
        lines.append(f"{phase:<16} {seconds[phase]:.3g} s{floor}")
    lines.append(f"{'step':<16} {sum(seconds[phase] for phase in PHASES):.3g} s, floor {sum(floors.values()):.3g} s")
    return Figure(
        f"Model FLOP utilisation of training, {step.shape.name}, {step.backend}",
        100 * needed / spent / limit.flops,
        40,
        "%",
        at_least=True,
        note="\n".join(lines),
    )


def _floors(step: Step, forward: float, backward: float, limit: Peak) -> dict[str, float]:
    """Least seconds of the phases that the device works in."""
    core, rollouts = step.engine.policy.core, step.group.rollouts
    prompts = list({id(rollout.prompt): rollout.prompt for rollout in rollouts}.values())
    longest = max(len(rollout.completion.token_ids) for rollout in rollouts)
    size = core.lm_head.weight.element_size()
    # The first token comes with the prompt.
    work, moved = flops.decode(core.config, [len(rollout.prompt) for rollout in rollouts], longest - 1, size)
    parameters = sum(p.numel() for p in step.engine.trained.values())
    return {
        "generation": flops.prefill(core.config, prompts).total / limit.flops
        + max(work / limit.flops, moved / limit.bandwidth),
        "reference": forward / limit.flops,
        "policy forward": forward / limit.flops,
        "policy backward": backward / limit.flops,
        "optimiser": flops.adam_bytes(parameters, size) / limit.bandwidth,
    }


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
