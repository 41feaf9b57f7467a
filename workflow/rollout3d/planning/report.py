"""Text of a plan: the output of `rollout3d plan`, and the table of docs/planning.md."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from rollout3d import doors
from rollout3d.config import Config, Run, Training
from rollout3d.errors import InvalidInput
from rollout3d.planning import memory
from rollout3d.planning.cards import Card, choose
from rollout3d.planning.memory import GIB, USABLE
from rollout3d.planning.seconds import Rates, seconds, step_seconds
from rollout3d.planning.shape import released
from rollout3d.planning.work import Work, work

PARTS = (
    *("weights", "gathered weights", "reference", "rollout copy", "optimiser", "gradients", "activations"),
    *("tree mask", "rollout cache", "vLLM weights", "vLLM cache", "overhead"),
)
"""Parts of memory, in the order of the lines."""
NOTES = {
    "vLLM cache": "keys, values and activations of vLLM",
    "overhead": "CUDA, NCCL, fragmentation: assumed",
    "optimiser": "float32 masters and Adam's means",
    "tree mask": "and attention's copies of it",
}
LORA_RANK = 64
"""LoRA rank that is proposed to runs that do not fit, and that the table shows. [assumed]"""
TABLE_GIB = (24, 48, 80)
STEPS = 2000
"""Steps of OCR's GRPO run. [OCR, implementation details]"""


@dataclass(frozen=True)
class Plan:
    """One run on cards of `gib` GiB."""

    run: str
    model: str
    work: Work
    gib: float
    card: Card
    rates: Rates
    steps: int
    steps_from: str
    kept: int
    """Most checkpoints on the disk at one time."""

    @property
    def moments(self) -> dict[str, memory.Parts]:
        """Bytes by moment and part."""
        return memory.memory(self.work, self.gib)

    @property
    def fits(self) -> bool:
        """Return whether the run fits its cards."""
        return not problems(self.work, self.gib)

    @property
    def hours(self) -> float:
        """Hours of all steps."""
        return self.steps * step_seconds(seconds(self.work, self.card, self.rates)) / 3600


def problems(work: Work, gib: float) -> list[str]:
    """Return a sentence per part that does not fit; empty if everything fits."""
    usable = USABLE * gib
    found = []
    moment, needed = memory.peak(memory.memory(work, gib))
    if needed > usable * GIB:
        found.append(f"{moment}: {needed / GIB:.1f} GiB of {usable:.1f}")
    least = memory.least_share(work, gib)
    if work.backend == "vllm" and work.share < least:
        found.append(
            f"vLLM: a share of {work.share:.2f} does not hold its weights, activations and one request of full length: "
            f"at least {least:.2f}"
        )
    return found


def lines(plan: Plan) -> Iterator[str]:
    """Yield the lines of a plan."""
    step, settings, training = plan.work, plan.work.settings, plan.work.training
    usable = USABLE * plan.gib
    yield f"{plan.run}: {plan.model}, {step.shape.parameters / 1e9:.2f} billion parameters"
    yield (
        f"{step.gpus} GPUs of {plan.gib:g} GiB ({usable:.1f} usable), deepspeed {training.deepspeed}, "
        f"{training.dtype}, LoRA rank {settings.lora_rank or 'none'}, "
        f"gradient checkpointing {'on' if training.gradient_checkpointing else 'off'}"
        + (f", vLLM share {step.share:.2f}" if step.backend == "vllm" else "")
    )
    rolled = sum(n for _, n in step.views)
    grad = [length for row in step.rows for length in row.completions]
    yield (
        f"per GPU and step: {len(step.rows)} packed rows, {len(grad)} completions with gradient"
        + (f", {rolled} rolled out" if rolled else "")
        + f"; longest row {max(map(len, step.rows)):,} tokens"
    )
    yield ""
    moments = plan.moments
    yield "GiB per GPU" + " " * 15 + "".join(f"{name:>11}" for name in moments)
    for part in PARTS:
        if any(part in parts for parts in moments.values()):
            cells = "".join(f"{parts.get(part, 0) / GIB:>11.2f}" for parts in moments.values())
            yield f"  {part:<24}{cells}" + (f"   {NOTES[part]}" if part in NOTES else "")
    yield f"  {'all':<24}" + "".join(f"{sum(parts.values()) / GIB:>11.2f}" for parts in moments.values())
    if host := memory.host_bytes(step):
        yield f"  in main memory, per process: {host / GIB:.1f} GiB, the weights that vLLM reads"
    yield ""
    yield from _times(plan)
    yield ""
    yield from _verdict(plan)


def _times(plan: Plan) -> Iterator[str]:
    card, rates, step = plan.card, plan.rates, plan.work
    yield (
        f"seconds per step on {card.name} ({card.flops / 1e12:.0f} TFLOP/s at {rates.compute:.0%}, "
        f"{card.bandwidth / 1e12:.2f} TB/s and {card.link / 1e9:.0f} GB/s between GPUs at {rates.memory:.0%}; "
        f"assumed), completions of {step.tokens} tokens"
    )
    phases = seconds(step, card, rates)
    for phase, spent in phases.items():
        note = {
            "views": "made during the step before",
            "save": f"a checkpoint every {step.training.save_every} steps, disk at {rates.disk / 1e9:g} GB/s",
        }.get(phase)
        yield f"  {phase:<12}{spent:>8.2f}" + (f"   {note}" if note else "")
    one = step_seconds(phases)
    yield f"  {'step':<12}{one:>8.2f}"
    yield f"{plan.steps:,} steps ({plan.steps_from}): {plan.hours:.1f} hours, {plan.hours * step.gpus:.0f} GPU hours"
    size, weights = memory.checkpoint_bytes(step), step.shape.parameters * step.itemsize
    yield (
        f"disk: {(plan.kept * size + weights) / 1e9:.0f} GB ({plan.kept} checkpoints of {size / 1e9:.1f} GB while it "
        f"trains, {weights / 1e9:.1f} GB of weights at the end)"
    )


def _verdict(plan: Plan) -> Iterator[str]:
    wrong = problems(plan.work, plan.gib)
    if not wrong:
        moment, needed = memory.peak(plan.moments)
        yield f"fits: {needed / GIB:.1f} of {USABLE * plan.gib:.1f} GiB at most ({moment})"
        return
    for sentence in wrong:
        yield f"DOES NOT FIT: {sentence}"
    remedies = changes(plan.work, plan.gib)
    section = "sft" if plan.work.backend is None else "grpo"
    for values, changed in remedies:
        named = ", ".join(f"{section_of(key, section)}.{key}: {str(value).lower()}" for key, value in values.items())
        yield f"  fits with {named}: {memory.peak(memory.memory(changed, plan.gib))[1] / GIB:.1f} GiB"
    if not remedies:
        yield "  no setting of this run makes it fit: use more or larger GPUs, fewer rollouts or shorter completions"


def changes(work: Work, gib: float, most: int = 3) -> list[tuple[dict[str, Any], Work]]:
    """Return settings that make a run fit, fewest first: (values to set, changed step). None contains another."""
    alone: list[dict[str, Any]] = [
        {},
        {"gradient_checkpointing": True},
        {"deepspeed": "zero2"},
        {"deepspeed": "zero3"},
        {"lora_rank": LORA_RANK, "deepspeed": "none"},
    ]
    beside: list[dict[str, Any]] = [{}]
    if work.backend == "vllm":
        beside += [{"vllm_memory_share": fitting_share(work, gib)}, {"backend": "hf"}]
    found: list[tuple[dict[str, Any], Work]] = []
    # A setting of vLLM costs nothing, transformers' decoding costs hours.
    for values in sorted((one | other for other in beside for one in alone), key=lambda v: ("backend" in v, len(v))):
        changed = _changed(work, values)
        if changed == work or any(known.items() <= values.items() for known, _ in found):
            continue
        if not problems(changed, gib):
            found.append((values, changed))
    return found[:most]


def section_of(key: str, own: str) -> str:
    """Return the section of a key that a plan proposes; `own`: the section of the run (`sft`, `grpo`)."""
    if key in Training.model_fields:
        return "training"
    return "generation" if key == "backend" else own


def fitting_share(work: Work, gib: float) -> float:
    """Return the smallest share of a GPU that holds vLLM, rounded up to a twentieth; at most 0.95."""
    return min(0.95, math.ceil(20 * memory.least_share(work, gib)) / 20)


def _changed(work: Work, values: dict[str, Any]) -> Work:
    own = {key: value for key, value in values.items() if key in ("lora_rank",)}
    shared = {key: value for key, value in values.items() if key in Training.model_fields}
    backend = values.get("backend", work.backend)
    share = values.get("vllm_memory_share", work.share) if backend == "vllm" else 0.0
    return replace(
        work,
        settings=work.settings.model_copy(update=own),
        training=work.training.model_copy(update=shared),
        backend=backend,
        share=share,
    )


def table(gpus: int = 8) -> Iterator[str]:
    """Yield a Markdown table: GiB per GPU that OCR training of the two released models takes, and which cards hold it.

    In brackets the sampling back end: vLLM with the smallest share that holds it, else transformers (hf). Hours: of
    `STEPS` steps on the largest card.
    """
    yield f"| {gpus} GPUs | " + " | ".join(f"{gib} GiB" for gib in TABLE_GIB) + " | hours |"
    yield "|---" * (len(TABLE_GIB) + 2) + "|"
    variants: dict[str, dict[str, Any]] = {
        "full, ZeRO-2": {"deepspeed": "zero2"},
        "full, ZeRO-3": {"deepspeed": "zero3"},
        f"LoRA {LORA_RANK}": {"deepspeed": "none", "lora_rank": LORA_RANK},
    }
    for size in ("3B", "7B"):
        for variant, values in variants.items():
            cells, hours = [], "-"
            for gib in TABLE_GIB:
                step = _ocr(size, values, gpus)
                step = _changed(step, {"vllm_memory_share": fitting_share(step, gib)})
                if problems(step, gib):
                    step = _changed(step, {"backend": "hf"})
                if problems(step, gib):
                    cells.append("no")
                    continue
                needed = memory.peak(memory.memory(step, gib))[1] / GIB
                cells.append(f"{needed:.1f} ({f'vLLM {step.share:.2f}' if step.backend == 'vllm' else 'hf'})")
                spent = step_seconds(seconds(step, choose(None, gib), Rates()))
                hours = f"{STEPS * spent / 3600:.1f}"
            yield f"| {size}, {variant} | " + " | ".join(cells) + f" | {hours} |"


def _ocr(size: str, values: dict[str, Any], gpus: int) -> Work:
    """Return OCR's step with the paper's settings, `values` laid over them."""
    laid: dict[str, dict[str, Any]] = {}
    for key, value in values.items():
        laid.setdefault(section_of(key, "grpo"), {})[key] = value
    config = Config.model_validate(laid)
    rollout, cells = paper_rollout()
    row = {"run": "ocr", "method": "grpo", "init": "base", "train_table": "ocr_rl", "rollout": rollout, "steps": STEPS}
    run = Run.model_validate(row | cells)
    return work(config, {"ocr": run}, "ocr", gpus, shape=released(f"Qwen2.5-VL-{size}-Instruct"))


def paper_rollout() -> tuple[str, dict[str, Any]]:
    """Return the rollout method whose file declares `PAPER`, and those cells. Raises InvalidInput unless one does."""
    declared = doors.ROLLOUTS.declaring("PAPER")
    if len(declared) != 1:
        raise InvalidInput(
            f"PAPER, the cells of the paper's own run, is declared by {', '.join(declared) or 'no file'} of "
            "training/rollouts: leave it in the file of the paper's method alone"
        )
    return next(iter(declared.items()))
