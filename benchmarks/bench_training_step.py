"""The training part of a GRPO step (reference, policy, backward), packed as it is here and one sequence at a time.

A prompt of 1,260 tokens, 1,040 of them visual, and random weights (small: 256 hidden, 6 layers; tiny: 128, 3). `packed`
is OCR's batch: the 4 clean rollouts in one row behind one prompt. `separate` is that of trainers without packing: all 8
rollouts, a sequence each, and prompt and vision tower are repeated in every one. `OCR against vanilla`
is a whole step: two views rolled out 4 times and 4 trained on, against one view rolled out 8 times and all trained on;
rollouts have the full length and both steps are packed.

`behind their prompt` is the plain engine's way with a group that is too long for one packed row: the prompt is computed
once, then every completion by itself, reading its keys and values. Policy and reference, forward and backward,
in operations as torch counts them (attention over every pair, as kernels with a mask compute it), against 8 sequences
of their own. The bound is that of the tokens, (P + 8c) / 8(P + c).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from measure import Figure
from rollout3d.model import generate_hf
from rollout3d.model.encode import Prompt
from rollout3d.model.load import Policy
from rollout3d.model.sampling import Sampling
from rollout3d.training.objective import clipped_ratio, kl_k3
from rollout3d.training.packing import LogProbs, PackedRow, pack
from rollout3d.training.prefix import Prefix
from small_model import completions, cpu_seconds, model, prompt

TARGETS = {("small", 64): 0.30, ("small", 300): 0.40}
"""Targets of the ratio packed / separate; other sizes are only reported."""


def figures() -> Iterator[Figure]:
    for size, length in (("tiny", 64), ("tiny", 500), ("small", 64), ("small", 300), ("small", 500)):
        yield packed_or_separate(size, length)
    yield behind_their_prompt(300)
    for length in (64, 300):
        yield ocr_or_vanilla(length)


def packed_or_separate(size: str, length: int) -> Figure:
    policy, reference = model(size), model(size)
    question, words = prompt(policy), completions(policy, 8, length)
    packed = cpu_seconds(lambda: _train(policy, reference, [PackedRow(question, words[:4])]), 2)
    separate = cpu_seconds(lambda: [_train(policy, reference, [PackedRow(question, [c])]) for c in words], 1)
    target = TARGETS.get((size, length))
    return Figure(
        f"4 clean packed / 8 separate, {size}, {length} tokens",
        packed / separate,
        target or 1.0,
        "x",
        note=f"{packed:.2f} s and {separate:.2f} s of CPU" + ("" if target else "; reported, no target of its own"),
    )


def behind_their_prompt(length: int) -> Figure:
    policy, reference = model("small"), model("small")
    question, words = prompt(policy), completions(policy, 8, length)
    row = PackedRow(question, words)
    behind = _operations(lambda: _train_behind(policy, reference, row))
    separate = 8 * _operations(lambda: _train(policy, reference, [PackedRow(question, words[:1])]))  # all cost the same
    bound = (len(question) + 8 * length) / (8 * (len(question) + length))
    return Figure(
        f"8 behind their prompt / 8 separate, small, {length} tokens",
        behind / separate,
        round(1.2 * bound, 3),
        "x",
        note=f"{behind:.3g} and {separate:.3g} operations; bound by tokens {bound:.3g}",
    )


def ocr_or_vanilla(length: int) -> Figure:
    policy, reference = model("small"), model("small")
    policy.eos_ids = (-1,)  # nothing ends early: both steps write equally many tokens
    ocr = cpu_seconds(lambda: _step(policy, reference, [(0, 4, True), (1, 4, False)], length), 1)
    vanilla = cpu_seconds(lambda: _step(policy, reference, [(0, 8, True)], length), 1)
    return Figure(
        f"OCR step / vanilla step of n = 8, small, {length} tokens",
        ocr / vanilla,
        1.0 if length == 300 else 1.5,
        "x",
        note=f"{ocr:.2f} s and {vanilla:.2f} s of CPU" + ("" if length == 300 else "; reported, no target of its own"),
    )


def _train(policy: Policy, reference: Policy, rows: Sequence[PackedRow]) -> None:
    """Run reference forward, policy forward and backward of one packed batch."""
    packed = pack(rows)
    with torch.no_grad():
        ref = LogProbs(reference)(packed)
    _loss(LogProbs(policy)(packed), ref).backward()
    policy.model.zero_grad()


def _train_behind(policy: Policy, reference: Policy, row: PackedRow) -> None:
    """Update one group with its prompt computed once and every completion by itself."""
    own = Prefix(policy, row.prompt)
    with torch.no_grad():
        theirs = Prefix(reference, row.prompt)
    for piece in row.pieces(1):
        packed = pack([piece], behind_prompt=True)
        with torch.no_grad():
            ref = LogProbs(reference)(packed, prefix=theirs)
        _loss(LogProbs(policy)(packed, prefix=own), ref).backward()
        own.collect()
    own.pull().backward()
    policy.model.zero_grad()


def _loss(logp: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    gain = clipped_ratio(logp, logp.detach(), torch.ones_like(logp), 0.2) - 0.04 * kl_k3(logp, reference)
    return -gain.mean()


def _operations(work: Callable[[], object]) -> int:
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops()


def _step(policy: Policy, reference: Policy, views: Sequence[tuple[int, int, bool]], length: int) -> None:
    """Roll out all views in one call, and train on those that give gradient.

    `views`: video, number of rollouts, True if they give gradient.
    """
    prompts: list[Prompt] = [prompt(policy, seed) for seed, _, _ in views]
    drawn = [(made, n) for made, (_, n, _) in zip(prompts, views) for n in [4] * (n // 4)]
    sampling = Sampling(4, 1.0, 0.95, length)
    keys = [str(i) for i in range(len(drawn))]
    written = generate_hf.generate(policy, [made for made, _ in drawn], sampling, 0, keys)
    for made, (_, _, gives) in zip(prompts, views):
        if gives:
            answers = [c.token_ids for (own, _), group in zip(drawn, written) if own is made for c in group]
            _train(policy, reference, [PackedRow(made, answers)])
