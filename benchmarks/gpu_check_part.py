"""One part of `gpu_check.py`, in a process of its own: `gpu_check_part.py NUMBER WEIGHTS RESULT SECONDS [--dry]`."""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import math
import platform
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
import transformers

from bench_perturb import RUN
from devices import wait
from flops import prompt_sizes, row_sizes, shape_of
from gpu_check import PARTS
from gpu_step import PHASES, SHAPES, TRAINING, Backend, Case, Measured, Step
from rollout3d.planning import memory
from rollout3d.planning.memory import GIB, USABLE
from rollout3d.planning.report import LORA_RANK
from rollout3d.planning.report import PARTS as ORDER
from rollout3d.planning.work import grpo_work
from rollout3d.training.engines.choose import MakeOptimiser, make_optimiser
from zero2_share import RANKS, ZeroTwoShare

LENGTHS = (300, 768, 433, 635, 366, 701, 500, 568)
"""Tokens of the eight rollouts: evenly spread between 300 and 768, in no order."""
CHECK = Case("3b", tokens=768, lengths=LENGTHS, repeats=2)
DRY = replace(SHAPES["tiny"], tokens=12, lengths=(5, 12, 7, 9))


@dataclass(frozen=True)
class Part:
    """One configuration of the step."""

    backend: Backend
    optimiser: MakeOptimiser
    settings: dict[str, Any]
    """Settings of `grpo` with which the step runs."""
    planned: dict[str, Any]
    """Settings of `grpo` that are planned."""
    deepspeed: Literal["none", "zero2"]
    """ZeRO stage that is planned."""
    gpus: int


SHARED = {"prompts_per_step": RANKS}
MADE = dict(
    zip(
        PARTS,
        (
            Part("hf", make_optimiser, {"lora_rank": LORA_RANK}, {}, "none", 1),
            Part("hf", ZeroTwoShare, {}, SHARED, "zero2", RANKS),
            Part("vllm", ZeroTwoShare, {}, SHARED, "zero2", RANKS),
        ),
        strict=True,
    )
)


def run(part: Part, dry: bool, weights: Path, seconds: float) -> dict[str, Any]:
    """Measure a part within about `seconds`; return its values, or the reason why it was not measured."""
    end = time.monotonic() + seconds
    if part.backend == "vllm" and vllm_version() is None:
        return {"not_measured": "vLLM cannot be imported here"}
    if part.backend == "vllm" and dry:
        return {"not_measured": "dry mode"}
    device = torch.device("cpu") if dry else torch.device("cuda", 0)
    dtype = "float32" if dry else "bfloat16"
    try:
        step = Step(DRY if dry else CHECK, part.backend, device, part.optimiser, weights, dtype=dtype, **part.settings)
    except (torch.OutOfMemoryError, ValueError) as error:  # vLLM raises the latter where memory is short
        return {"not_measured": str(error).strip().splitlines()[0]}
    try:
        measured = step.measure(until=end - seconds / 3)
        reload = _reload(step) if part.backend == "vllm" else None
        return {**_values(measured, planned(part, step, device), device), "reload_s": reload}
    except torch.OutOfMemoryError as error:
        return {"not_measured": str(error).strip().splitlines()[0]}
    finally:
        step.close()


def planned(part: Part, step: Step, device: torch.device) -> memory.Parts:
    """Return the bytes that `rollout3d plan` predicts at the peak, for the rows that were trained on."""
    shape = shape_of(step.engine.policy.core.config)
    grpo = step.grpo.model_copy(update=part.planned)
    training = step.training.model_copy(update={"deepspeed": part.deepspeed})
    work = grpo_work(shape, grpo, RUN, step.video, part.gpus, training=training, backend=part.backend)
    group, packed = step.last
    prompts = {id(rollout.prompt): rollout.prompt for rollout in group.rollouts}
    views = tuple((size, step.shape.rollouts) for size in prompt_sizes(list(prompts.values())))
    rows = tuple(row_sizes(packed.rows))
    total = torch.cuda.mem_get_info(device)[1] if device.type == "cuda" else 80 * GIB * USABLE
    work = replace(work, rows=rows, views=views, longest=max(step.written))
    moments = memory.memory(work, total / USABLE / GIB)
    return moments[memory.peak(moments)[0]]


def machine(dry: bool) -> dict[str, str]:
    """Return the versions of the software, and the card."""
    card = None if dry else torch.cuda.get_device_properties(0)
    return {
        "Python": platform.python_version(),
        "torch": torch.__version__,
        "CUDA": torch.version.cuda or "none",
        "transformers": transformers.__version__,
        "vLLM": vllm_version() or "none",
        "card": f"{card.name}, {card.total_memory / GIB:.1f} GiB" if card else f"none ({platform.machine()} CPU)",
    }


def vllm_version() -> str | None:
    """Return vLLM's version; None if it cannot be imported."""
    try:
        from vllm import LLM  # noqa: F401  # pyright: ignore[reportMissingImports]  (an environment of its own)

        return importlib.metadata.version("vllm")
    except Exception:  # whatever a library that does not fit the machine raises
        return None


def _reload(step: Step) -> float:
    """Return the seconds to pass the weights to vLLM."""
    engine = step.engine
    wait(engine.world.device)
    started = time.perf_counter()
    engine.sampler.vllm.load_weights(engine.policy)
    wait(engine.world.device)
    return time.perf_counter() - started


def _values(found: Measured, plan: memory.Parts, device: torch.device) -> dict[str, Any]:
    gpu = device.type == "cuda"
    return {
        "seconds": {phase: found.seconds[phase] for phase in PHASES},
        "floors": found.floors,
        "training_s": sum(found.seconds[phase] for phase in TRAINING),
        "card_peak": {"flops": found.limit.flops, "bandwidth": found.limit.bandwidth, "source": found.limit.source},
        "tflop": found.needed / 1e12,
        "tflop_recomputed": found.again / 1e12,
        "utilisation": found.utilisation,
        "utilisation_with_recomputation": (found.needed + found.again) / found.needed * found.utilisation,
        "prompt_tokens": found.prompt,
        "visual_tokens": found.visual,
        "generated_tokens": sum(found.lengths),
        "trained_tokens": found.scored,
        "gap_nats": found.gap if math.isfinite(found.gap) else None,
        "peak_gib": found.peak_gib if gpu else None,
        "reserved_gib": torch.cuda.max_memory_reserved(device) / GIB if gpu else None,
        "planned_gib": {name: plan[name] / GIB for name in ORDER if name in plan},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("number", type=int)
    parser.add_argument("weights", type=Path)
    parser.add_argument("result", type=Path)
    parser.add_argument("seconds", type=float)
    parser.add_argument("--dry", action="store_true")
    args = parser.parse_args()
    dry = args.dry or not torch.cuda.is_available()
    part = MADE[PARTS[args.number]]
    found = {"dry": dry, "machine": machine(dry), **run(part, dry, args.weights, args.seconds)}
    args.result.write_text(json.dumps(found))


if __name__ == "__main__":
    main()
