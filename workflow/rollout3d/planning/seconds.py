"""Predict the seconds of each phase of a step: operations over a card's peak, bytes over its bandwidth.

`floors` gives the least seconds of each phase. A plan uses the same floors on a card at assumed shares of its peaks,
and adds the rest: Python between decoded tokens, the transfer of weights to vLLM, checkpoints.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rollout3d.planning import flops
from rollout3d.planning.cards import Card
from rollout3d.planning.flops import RowSize, Trained
from rollout3d.planning.memory import checkpoint_bytes
from rollout3d.planning.shape import Shape
from rollout3d.planning.work import Work

TOKEN_S = {"hf": 0.030, "vllm": 0.002}
"""Seconds per decoded token on the host: the least of a step with transformers, and an addition to the GPU's with vLLM.
[assumed]"""
RELOAD_RATE = 25e9
"""Bytes per second at which weights reach vLLM, tensor by tensor. [assumed]"""
FRAME_S = 0.01
"""CPU seconds per frame: decoding, noise, patches. [assumed]"""


@dataclass(frozen=True)
class Rates:
    """Assumed rates of the machine."""

    compute: float = 0.4
    """Share of the card's operations per second that training reaches."""
    memory: float = 0.6
    """Share of its bytes per second, and of its link's, that decoding, update and collectives reach."""
    disk: float = 1e9
    """Bytes per second of the disk that checkpoints go to, and of their digests."""


def floors(
    shape: Shape,
    batches: Sequence[Sequence[RowSize]],
    prompts: Sequence[RowSize],
    answers: Sequence[int],
    longest: int,
    card: Card,
    *,
    itemsize: int,
    updated: float,
    trained: Trained = "everything",
    checkpointing: bool = True,
    pieces: bool = True,
    reference: bool = True,
    lora_rank: int = 0,
) -> dict[str, float]:
    """Return the least seconds of generation, reference, policy forward, policy backward and optimiser on one card.

    `batches`: micro-batches of packed rows. `prompts`: prompts to prefill. `answers`: tokens of each completion's
    prompt; all are decoded to `longest` tokens. `updated`: parameters that this GPU's optimiser updates. `pieces`:
    logits are computed in pieces, and again in the backward.
    """
    forward = backward = scored = 0.0
    for rows in batches:
        counted = flops.packed_forward(shape, rows, lora_rank=lora_rank)
        forward += counted.total
        scored += counted.total - counted.adapters
        backward += counted.backward(trained, checkpointing)
        if checkpointing:
            backward += counted.recomputed(pieces, trained)
        elif pieces:
            backward += counted.head
    found = {}
    if answers:
        # The first token comes with the prompt.
        operations, moved = flops.decode(shape, answers, max(0, longest - 1), itemsize)
        prefill = flops.prefill(shape, prompts).total / card.flops
        found["generation"] = prefill + max(operations / card.flops, moved / card.bandwidth)
    if reference:
        found["reference"] = scored / card.flops
    found["policy forward"] = forward / card.flops
    found["policy backward"] = backward / card.flops
    found["optimiser"] = flops.adam_bytes(int(updated), itemsize) / card.bandwidth
    return found


def seconds(work: Work, card: Card, rates: Rates) -> dict[str, float]:
    """Return the expected seconds of a step by phase: views, rollouts, reference, update, save. Views are made during
    the step before, and count only as far as they exceed the other phases. `save`: a checkpoint's share per step."""
    usual = work.typical
    split = work.gpus if work.zero in (2, 3) else 1
    real = card.derated(rates.compute, rates.memory)
    found = floors(
        work.shape,
        usual.batches,
        [prompt for prompt, _ in work.views],
        [prompt.prompt for prompt, n in work.views for _ in range(n)],
        work.tokens,
        real,
        itemsize=work.itemsize,
        updated=work.trained_parameters / split,
        trained=work.trained,
        checkpointing=work.training.gradient_checkpointing,
        pieces=work.chunks > 1,
        reference=work.reference,
        lora_rank=work.settings.lora_rank,
    )
    phases = {"views": work.frames * FRAME_S}
    if work.backend == "hf":
        phases["rollouts"] = max(found["generation"], TOKEN_S["hf"] * work.tokens)
    elif work.backend == "vllm":
        moved = work.shape.parameters * work.itemsize * (2 if work.copied else 1)
        phases["rollouts"] = found["generation"] + TOKEN_S["vllm"] * work.tokens + moved / RELOAD_RATE
    if work.reference:
        phases["reference"] = found["reference"]
    update = found["policy forward"] + found["policy backward"] + found["optimiser"]
    phases["update"] = work.updates * (update + _collectives(usual) / real.link)
    # Written once, then read for its digest.
    phases["save"] = 2 * checkpoint_bytes(work) / rates.disk / work.training.save_every
    return phases


def step_seconds(phases: dict[str, float]) -> float:
    """Return the seconds of a step: all phases but the views, or the views if they take longer."""
    rest = sum(spent for phase, spent in phases.items() if phase != "views")
    return max(rest, phases["views"])


def _collectives(work: Work) -> float:
    """Return the bytes that each GPU sends for the gradients and weights of one update."""
    if work.gpus == 1:
        return 0.0
    trained, others = work.trained_parameters * work.itemsize, (work.gpus - 1) / work.gpus
    if work.zero == 3:
        # Weights are gathered for the forward, its recomputation and the backward of each micro-batch.
        gathers = (3 if work.training.gradient_checkpointing else 2) * len(work.batches)
        return others * (gathers * work.shape.parameters * work.itemsize + trained * len(work.batches))
    if work.zero == 2:
        # ZeRO-2 reduces after every micro-batch, and gathers the updated weights once.
        return others * trained * (len(work.batches) + 1)
    return 2 * others * trained
