"""Rollouts whose prompt is prefilled once, compared with `model.generate(num_return_sequences=n)` of transformers.

One prompt with 1,040 visual tokens, 8 answers of 64 new tokens, random weights (256 hidden, 6 layers). transformers
5.17 repeats the pixels n times before the vision tower and prefills n equal prompts.

Eight questions about that video, answered with 8 tokens each, compared with eight prompts that go through whole: the
vision tower runs once in both.

The host waits for the device where it reads a tensor. Reading tokens, log-probabilities and ends at every step would be
three reads per step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VLTextModel

from measure import Figure
from rollout3d.model import generate_hf, prefill
from rollout3d.model.encode import Prompt, Text, Video
from rollout3d.model.load import Policy
from rollout3d.model.sampling import Sampling
from small_model import FRAMES, cpu_seconds, model, prompt

N, NEW = 8, 64
ANSWER = 8


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
    about = [_asked(policy, place) for place in range(N)]
    short = Sampling(max_new_tokens=ANSWER)

    def shared() -> list[list[int]]:
        return [group[0].token_ids for group in generate_hf.generate(policy, about, short)]

    def whole() -> list[list[int]]:
        with patch.object(
            prefill, "beginnings", lambda policy, asked: [(len(each), [i]) for i, each in enumerate(asked)]
        ):
            return shared()

    if shared() != whole():
        raise AssertionError("questions that share their video are answered otherwise")
    fast, slow = cpu_seconds(shared), cpu_seconds(whole)
    yield Figure(
        "Generation: whole prompts / questions that share their video",
        slow / fast,
        3.0,
        "x",
        at_least=True,
        note=f"{slow:.2f} s and {fast:.2f} s of CPU, {N} questions of {len(about[0])} tokens, {ANSWER} new tokens each",
    )


def _asked(policy: Policy, place: int) -> Prompt:
    """Return a question about the video of `prompt`, which ends in words of its own."""
    video = Video(np.random.default_rng(0).integers(0, 256, FRAMES, np.uint8))
    return policy.encoder.prompt([video, Text(f"How many chairs are in room {place}? Think first, then answer.")])


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
