"""Rollouts whose prompt is prefilled once, compared with `model.generate(num_return_sequences=n)` of transformers.

One prompt with 1,040 visual tokens, 8 answers of 64 new tokens, random weights (256 hidden, 6 layers). transformers
5.17 repeats the pixels n times before the vision tower and prefills n equal prompts.

The host waits for the device where it reads a tensor. Reading tokens, log-probabilities and ends at every step would be
three reads per step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any
from unittest.mock import patch

import torch
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VLTextModel

from measure import Figure
from rollout3d.model import generate_hf
from rollout3d.model.sampling import Sampling
from small_model import cpu_seconds, model, prompt

N, NEW = 8, 64


def figures() -> Iterator[Figure]:
    policy = model("small")
    question = prompt(policy)
    policy.eos_ids = (-1,)  # nothing ends early

    def ours() -> int:
        (group,) = generate_hf.generate(policy, [question], Sampling(N, 1.0, 0.95, NEW))
        return sum(len(completion.token_ids) for completion in group)

    def theirs() -> int:
        ids = question.input_ids[None]
        core: Any = policy.core  # its class does not declare transformers' `generate`
        types = (ids == policy.encoder.video_pad).long() * 2
        with torch.no_grad():
            written = core.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                mm_token_type_ids=types,
                pixel_values_videos=question.pixel_values_videos,
                video_grid_thw=question.video_grid_thw,
                second_per_grid_ts=torch.tensor(question.second_per_grid),
                suppress_tokens=list(policy.suppress_ids),
                num_return_sequences=N,
                do_sample=True,
                top_p=0.95,
                min_new_tokens=NEW,
                max_new_tokens=NEW,
            )
        return int((written.shape[1] - ids.shape[1]) * len(written))

    if not ours() == theirs() == N * NEW:
        raise AssertionError("the two do not write equally many tokens")
    fast, slow = cpu_seconds(ours), cpu_seconds(theirs)
    yield Figure(
        "Generation: reads of the device by the host per step",
        _reads(ours) / NEW,
        1.1,
        "",
        note=f"{NEW} steps that write {N} tokens each",
    )
    yield Figure(
        "Generation: num_return_sequences / shared prefill",
        slow / fast,
        1.5,
        "x",
        at_least=True,
        note=f"{slow:.2f} s and {fast:.2f} s of CPU, prompt of {len(question)} tokens, {N} x {NEW} new tokens",
    )


def _reads(work: Callable[[], object]) -> int:
    """Count the tensors that the host reads from the first forward of the language model on, the prompt's."""
    seen: list[str] = []
    names = ("tolist", "item", "cpu", "numpy", "__bool__", "__int__", "__float__", "__index__")

    def noted(event: str, call: Callable[..., object]) -> Callable[..., object]:
        return lambda *given, **named: seen.append(event) or call(*given, **named)

    with ExitStack() as stack:
        for name in names:
            stack.enter_context(patch.object(torch.Tensor, name, noted("read", getattr(torch.Tensor, name))))
        forward = noted("forward", Qwen2_5_VLTextModel.forward)
        stack.enter_context(patch.object(Qwen2_5_VLTextModel, "forward", forward))
        work()
    return seen[seen.index("forward") :].count("read")
