"""The model and the prompt of the training benchmarks: random weights, one scene's video, and words around it."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch

from rollout3d.model.encode import Prompt, Text, Video
from rollout3d.model.load import Policy
from toyworld.model.architecture import build_tiny, tiny_tokenizer

FRAMES = (16, 280, 364, 3)
"""1,040 visual tokens."""
PROMPT_TOKENS = 1260
WORDS = ["How many chairs are in this room? Think first, then answer."] * 4
SIZES = {"tiny": (128, 3), "small": (256, 6)}
"""Name of a model -> hidden size and number of layers."""


def model(size: str) -> Policy:
    """Return one of `SIZES`, in evaluation mode; its vision tower has 4 layers of 128."""
    torch.set_num_threads(1)
    hidden, layers = SIZES[size]
    words = tiny_tokenizer(WORDS, 2000)
    return build_tiny(words, seed=0, vision_depth=4, vision_hidden=128, hidden=hidden, layers=layers)


def prompt(policy: Policy, seed: int = 0) -> Prompt:
    """Return a prompt of `PROMPT_TOKENS` tokens around a video of noise, which depends on the seed."""
    video = Video(np.random.default_rng(seed).integers(0, 256, FRAMES, np.uint8))
    empty = len(policy.encoder.prompt([video, Text("")]))
    words = ""
    while len(made := policy.encoder.prompt([video, Text(words)])) < PROMPT_TOKENS:
        words += " ?" * max(1, (PROMPT_TOKENS - len(made)) // 2)
    if empty > PROMPT_TOKENS or len(made) > PROMPT_TOKENS + 2:
        raise AssertionError(f"a prompt of {len(made)} tokens instead of {PROMPT_TOKENS}")
    return made


def completions(policy: Policy, n: int, length: int) -> list[list[int]]:
    """Return `n` lists of `length` random ordinary tokens."""
    return np.random.default_rng(n).integers(0, 256, (n, length)).tolist()


def cpu_seconds(work: Callable[[], object], repeats: int = 3) -> float:
    """Return the least CPU seconds of a call on one thread: other processes can only add to them."""
    spent = []
    for _ in range(repeats):
        started = time.process_time()
        work()
        spent.append(time.process_time() - started)
    return min(spent)
