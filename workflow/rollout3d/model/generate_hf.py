"""Generate answers with the transformers model class and a decoding loop of our own.

Each distinct prompt is prefilled once, its video encoded once, and the cache is repeated for its n answers; questions
about one video share the prefill of what they begin with (`model/prefill.py`). Positions and masks are explicit.
`model.generate` is not used: it would take positions from transformers' own rule, run the vision tower once per answer
(5.17), and draw from a generator whose state depends on the batch.

Tokens and log-probabilities stay on the device until all answers are complete. At each step the host reads one flag per
answer, which is True once it has ended, and on a GPU it does so after it has started the next step.

The loop works on one process, on whole weights: processes may take different numbers of steps, and weights that are
gathered step by step (ZeRO-3) would then be waited for without end.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers.cache_utils import Cache, DynamicLayer

from rollout3d.model.ahead import Ahead
from rollout3d.model.encode import Prompt
from rollout3d.model.load import Policy
from rollout3d.model.prefill import prefill
from rollout3d.model.sampling import Batch, Completion, Generate, Sampling, choose, uniforms

RESERVE = 128
"""Number of positions of the cache that are allocated ahead while decoding."""
SHRINK = 0.75
"""Finished answers leave the batch when at most this share of it is unfinished."""
LATE = {"cuda": 1}
"""Type of device -> steps after which the host reads which answers have ended; 0 on others. A GPU then always has the
next step to work on. The price is one step more after the last token."""


def generate(
    policy: Policy, prompts: Sequence[Prompt], sampling: Sampling, seed: int = 0, keys: Sequence[str] | None = None
) -> list[list[Completion]]:
    """Return `sampling.n` answers for each prompt, in order.

    `keys` name the prompts' random draws; by default a prompt's content does, so equal prompts get equal answers: pass
    keys to tell them apart. Vision tokens are never drawn. Holds all prompts and answers in memory at once. Raises
    ValueError if there are not as many keys as prompts.
    """
    if not prompts:
        return []
    keys = [prompt.key for prompt in prompts] if keys is None else list(keys)
    if len(keys) != len(prompts):
        raise ValueError(f"{len(prompts)} prompts but {len(keys)} keys")
    greedy = sampling.temperature == 0
    samples = 1 if greedy else sampling.n
    distinct = list({prompt.key: prompt for prompt in prompts}.values())
    where = {prompt.key: row for row, prompt in enumerate(distinct)}
    rows = [where[prompt.key] for prompt in prompts for _ in range(samples)]
    draws = None
    if not greedy:
        names = [(key, sample) for key in keys for sample in range(samples)]
        table = np.stack([uniforms(seed, key, sample, sampling.max_new_tokens) for key, sample in names])
        draws = torch.from_numpy(table).to(policy.device)
    with _evaluating(policy):
        answers = _decode(policy, distinct, rows, sampling, draws)
    per_prompt = [answers[i : i + samples] for i in range(0, len(answers), samples)]
    return [group * sampling.n if greedy else group for group in per_prompt]


@dataclass(frozen=True)
class Batches:
    """A `sampling.BackEnd` that answers one batch after the other while the next one is encoded."""

    generate: Generate = generate
    shares_forward: bool = True
    name: str = "hf"

    def run(
        self, policy: Policy, batches: Iterable[Batch], sampling: Sampling, seed: int = 0
    ) -> Iterator[tuple[Batch, list[list[Completion]]]]:
        """Yield the batches with their answers, in order."""
        listed = list(batches)
        with Ahead(lambda place: listed[place].encode(), len(listed)) as ahead:
            for place, batch in enumerate(listed):
                yield batch, self.generate(policy, ahead.take(place), sampling, seed, batch.keys)


@contextmanager
def _evaluating(policy: Policy) -> Iterator[None]:
    """Switch gradients off and evaluation mode on: gradient checkpointing would silently drop the cache."""
    training = policy.model.training
    policy.model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        policy.model.train(training)


def _decode(
    policy: Policy, prompts: Sequence[Prompt], rows: Sequence[int], sampling: Sampling, draws: torch.Tensor | None
) -> list[Completion]:
    """Return one answer per row; `rows` index `prompts`, `draws` is (rows, max_new_tokens)."""
    core, device = policy.core, policy.device
    hidden, layers, mask = prefill(policy, prompts)
    start = torch.tensor(rows, device=device)
    reserved = [_Reserved(keys[start], values[start]) for keys, values in layers]
    cache = Cache(layers=list(reserved))
    hidden, mask = hidden[start], None if mask is None else mask[start]
    position = torch.tensor([prompts[row].next_position for row in rows], device=device)
    suppress = torch.tensor(policy.suppress_ids, device=device)
    ends = torch.tensor(policy.eos_ids, device=device)
    batch = list(range(len(rows)))  # the answer that each row of the batch belongs to
    written: list[tuple[list[int], torch.Tensor, torch.Tensor]] = []
    ended = torch.zeros(len(rows), dtype=torch.bool, device=device)
    reports: deque[_Report] = deque()
    known: set[int] = set()  # answers that the host knows to have ended
    for step in range(sampling.max_new_tokens):
        logits = core.lm_head(hidden).float()
        # Before anything is suppressed: the log-probabilities must be those of the trainer's forward.
        scale = logits.logsumexp(-1)
        logits[:, suppress] = -torch.inf
        chosen = choose(logits, sampling, None if draws is None else draws[:, step])
        log_probs = logits.gather(1, chosen.unsqueeze(1)).squeeze(1) - scale
        written.append((batch, chosen, log_probs))
        if step + 1 == sampling.max_new_tokens:
            break
        ended = ended | torch.isin(chosen, ends)
        reports.append(_Report(batch, ended))
        if len(reports) > LATE.get(device.type, 0):
            known.update(reports.popleft().read())
        going = [row for row, answer in enumerate(batch) if answer not in known]
        if not going:
            break
        if len(going) <= SHRINK * len(batch):
            keep = torch.tensor(going, device=device)
            batch = [batch[row] for row in going]
            chosen, position, ended = chosen[keep], position[keep], ended[keep]
            mask = None if mask is None else mask[keep]
            draws = None if draws is None else draws[keep]
            for layer in reserved:
                layer.select(keep)
        if mask is not None:
            mask = torch.cat([mask, mask.new_zeros(len(batch), 1)], dim=1)
        hidden = core.model.language_model(
            inputs_embeds=policy.embed_tokens(chosen.unsqueeze(1)),
            position_ids=position.view(1, -1, 1).expand(3, -1, 1),
            attention_mask=None if mask is None else mask[:, None, None, :],
            past_key_values=cache,
            use_cache=True,
        ).last_hidden_state[:, -1]
        position = position + 1
    return _completions(policy, len(rows), written)


class _Report:
    """Flags of the answers that have ended after a step, on their way to the host."""

    def __init__(self, batch: list[int], ended: torch.Tensor):
        self._batch, self._flags, self._event = batch, ended, None
        if ended.is_cuda:
            self._flags = torch.empty(len(batch), dtype=torch.bool, pin_memory=True)
            self._flags.copy_(ended, non_blocking=True)
            self._event = torch.cuda.Event()
            self._event.record()

    def read(self) -> list[int]:
        """Return the answers that have ended; wait for the step, but not for those that were started after it."""
        if self._event is not None:
            self._event.synchronize()
        return [answer for answer, end in zip(self._batch, self._flags.tolist(), strict=True) if end]


def _completions(
    policy: Policy, n: int, written: Sequence[tuple[list[int], torch.Tensor, torch.Tensor]]
) -> list[Completion]:
    """Return `n` answers, up to their ends, from the steps: (answers, their tokens, their log-probabilities)."""
    tokens: list[list[int]] = [[] for _ in range(n)]
    logprobs: list[list[float]] = [[] for _ in range(n)]
    finished = [False] * n
    answers = [answer for batch, _, _ in written for answer in batch]
    ids, log_probs = (torch.cat(parts).tolist() for parts in list(zip(*written, strict=True))[1:])
    for answer, token, log_prob in zip(answers, ids, log_probs, strict=True):
        if not finished[answer]:
            tokens[answer].append(token)
            logprobs[answer].append(log_prob)
            finished[answer] = token in policy.eos_ids
    return [
        Completion(own, policy.decode(own), end, log_probs)
        for own, end, log_probs in zip(tokens, finished, logprobs, strict=True)
    ]


class _Reserved(DynamicLayer):
    """Keys and values (B, heads, L, head_dim) with room behind them: a step writes one column and copies nothing."""

    keys: torch.Tensor
    values: torch.Tensor

    def __init__(self, keys: torch.Tensor, values: torch.Tensor):
        super().__init__()
        self.dtype, self.device, self.is_initialized = keys.dtype, keys.device, True
        self._length = keys.shape[2]
        self._reserve(keys, values, RESERVE)

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        end = self._length + key_states.shape[2]
        if end > self._all_keys.shape[2]:
            self._reserve(self.keys, self.values, end - self._length + self._all_keys.shape[2] // 4)
        self._all_keys[:, :, self._length : end] = key_states
        self._all_values[:, :, self._length : end] = value_states
        self._length = end
        self._show()
        return self.keys, self.values

    def select(self, rows: torch.Tensor) -> None:
        """Keep only some rows of the batch."""
        self._all_keys, self._all_values = self._all_keys[rows], self._all_values[rows]
        self._show()

    def _reserve(self, keys: torch.Tensor, values: torch.Tensor, room: int) -> None:
        batch, heads, _, head_dim = keys.shape
        empty = keys.new_empty(batch, heads, room, head_dim)
        self._all_keys, self._all_values = torch.cat([keys, empty], dim=2), torch.cat([values, empty], dim=2)
        self._show()

    def _show(self) -> None:
        self.keys = self._all_keys[:, :, : self._length]
        self.values = self._all_values[:, :, : self._length]
