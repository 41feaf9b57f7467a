"""One row for a prompt and all of its completions, and the log-probabilities of what they hold.

A row is `[prompt | c1 | .. | cn]`. A tree mask lets every completion see the prompt and itself, and its positions
restart after the prompt, so the forward equals n separate ones while the prompt, its video above all, is computed
once. Rows of different lengths share a batch, padded on the right. Exact with the model class as it is, with sdpa
attention (flash attention takes no mask of four dimensions).

A row that is too long for one forward is taken to pieces that read their prompt from a cache (`prefix.py`). They need
fewer operations than the mask, under which a kernel computes every pair of tokens, but in smaller products one after
the other: a row that fits stays one row.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence
from torch.utils.checkpoint import checkpoint

from rollout3d.model.encode import Image, Prompt
from rollout3d.model.load import Policy
from rollout3d.training.prefix import Prefix

HEAD_CHUNKS = 8
"""Pieces in which log-probabilities of a large vocabulary are taken. A number of pieces and not a size: under ZeRO-3
every process must call the head equally often."""
LARGE_VOCABULARY = 32_768
"""From here on the logits of all tokens at once are too many."""
BLANK = Image(np.zeros((28, 28, 3), np.uint8))
"""One black visual token."""


@dataclass(frozen=True, eq=False)
class Row:
    """One prompt, its completions, and what the objective wants to know of their scored tokens."""

    prompt: Prompt
    completions: Sequence[Sequence[int]]
    prompt_targets: Sequence[int] = ()
    """Places in the prompt, from 1 on, whose tokens are scored too (some modes of SFT)."""
    weight: torch.Tensor | None = None
    """Weight in the objective of each scored token."""
    advantage: torch.Tensor | None = None
    """Advantage of each scored token (GRPO)."""
    told: torch.Tensor | None = None
    """Log-probability of each scored token as the generator reported it, if it saw this prompt."""
    kl_weight: torch.Tensor | None = None
    """Weight of each scored token's KL; None: as `weight`."""
    behaviour: torch.Tensor | None = None
    """Log-probability of each scored token for what its rollout saw, where that was another video; else NaN."""
    _pieces: dict[int, list[Row]] = field(default_factory=dict, init=False, repr=False)

    def __len__(self) -> int:
        return len(self.prompt) + sum(map(len, self.completions))

    @property
    def n_scored(self) -> int:
        """Scored tokens."""
        return len(self.prompt_targets) + sum(map(len, self.completions))

    def pieces(self, max_tokens: int) -> list[Row]:
        """Return rows of at most `max_tokens` tokens, or one completion, that hold this longer row's completions.

        Empty if the row is no longer, has one completion only, or scores tokens of its prompt, which belong to no
        piece. Another call with the same limit returns the same rows.
        """
        if len(self) <= max_tokens or len(self.completions) < 2 or self.prompt_targets:
            return []
        if max_tokens not in self._pieces:
            self._pieces[max_tokens] = list(self._cut(max_tokens - len(self.prompt)))
        return self._pieces[max_tokens]

    def _cut(self, max_tokens: int) -> Iterator[Row]:
        """Pieces of at most so many tokens behind the prompt."""
        piece: list[Sequence[int]] = []
        start = 0
        waiting = [completion for completion in self.completions if len(completion)]
        for completion, after in zip(waiting, [*waiting[1:], None]):
            piece.append(completion)
            size = sum(map(len, piece))
            if after is None or size + len(after) > max_tokens:
                fields = ("weight", "advantage", "told", "kl_weight", "behaviour")
                whole = {name: getattr(self, name) for name in fields}
                cut = {name: x if x is None else x[start : start + size] for name, x in whole.items()}
                yield Row(self.prompt, piece, **cut)
                piece, start = [], start + size


@dataclass(frozen=True, eq=False)
class Packed:
    """A batch of R rows padded to L tokens, of which T are scored.

    `behind_prompt`: the one row's prompt of P tokens is not in the batch but in a `Prefix`; L tokens come after it.
    Scored tokens run row by row; within a row the prompt's targets come first, then the completions in order.
    """

    rows: tuple[Row, ...]
    position_ids: torch.Tensor
    """(3, R, L) int64."""
    attention: torch.Tensor | None
    """(R, 1, L, L) bool, True where the query (third axis) sees the key; None if causal attention is enough.
    Behind a prompt (1, 1, L, P + L)."""
    predict: torch.Tensor
    """(T,) int64: flat places r * L + l of the hidden states that predict the scored tokens. Behind a prompt, places in
    its last token and the L tokens."""
    targets: torch.Tensor
    """(T,) int64: the scored tokens."""
    behind_prompt: bool = False

    @property
    def weight(self) -> torch.Tensor:
        """(T,) float32: the rows' weights."""
        return torch.cat([row.weight for row in self.rows])

    @property
    def advantage(self) -> torch.Tensor:
        """(T,) float32: the rows' advantages."""
        return torch.cat([row.advantage for row in self.rows])

    @property
    def kl_weight(self) -> torch.Tensor:
        """(T,) float32: the rows' weights of the KL."""
        return torch.cat([row.weight if row.kl_weight is None else row.kl_weight for row in self.rows])

    @property
    def behaviour(self) -> torch.Tensor | None:
        """(T,) float32 with NaN for rollouts of the scored video; None if all rows are without."""
        if all(row.behaviour is None for row in self.rows):
            return None
        unknown = [torch.full((row.n_scored,), torch.nan) for row in self.rows]
        return torch.cat([blank if row.behaviour is None else row.behaviour for row, blank in zip(self.rows, unknown)])


def pack(rows: Sequence[Row], behind_prompt: bool = False) -> Packed:
    """Lay out rows for one forward; with `behind_prompt` one row without its prompt.

    Raises ValueError for a row that scores nothing.
    """
    longest = max(map(len, rows))
    positions = torch.zeros(3, len(rows), longest, dtype=torch.int64)
    segments = torch.full((len(rows), longest), -1, dtype=torch.int16)  # short: L * L comparisons move them
    predict: list[torch.Tensor] = []
    targets: list[torch.Tensor] = []
    for r, row in enumerate(rows):
        end = len(row.prompt)
        positions[:, r, :end], segments[r, :end] = row.prompt.position_ids, 0
        if row.prompt_targets:
            places = torch.tensor(row.prompt_targets)
            predict.append(r * longest + places - 1)
            targets.append(row.prompt.input_ids[places])
        for segment, completion in enumerate(row.completions, start=1):
            start, end = end, end + len(completion)
            segments[r, start:end] = segment
            positions[:, r, start:end] = row.prompt.next_position + torch.arange(len(completion))
            places = torch.arange(start - 1, end - 1)
            places[:1] = len(row.prompt) - 1  # the prompt's last token predicts the first of every completion
            predict.append(r * longest + places)
            targets.append(torch.tensor(completion, dtype=torch.int64))  # an empty one would be float32
    if not targets:
        raise ValueError("rows without completions cannot be packed")
    attention = None
    left = len(rows[0].prompt) if behind_prompt else 0
    if behind_prompt or any(len(row.completions) > 1 for row in rows):
        # Padding sees padding: no empty row of the attention.
        same = segments[:, left:, None] == segments[:, None, :]
        attention = ((segments == 0)[:, None, :] | same).tril(left).unsqueeze(1)
    places = torch.cat(predict) - max(0, left - 1)
    return Packed(tuple(rows), positions[..., left:], attention, places, torch.cat(targets), behind_prompt)


def micro_batches(rows: Sequence[Row], max_tokens: int, max_rows: int | None = None) -> Iterator[list[Row]]:
    """Consecutive rows in batches of at most `max_tokens` tokens, padding included, and at most `max_rows` rows."""
    batch: list[Row] = []
    longest = 0
    for row in rows:
        longest = max(longest, len(row))
        if batch and (longest * (len(batch) + 1) > max_tokens or len(batch) == max_rows):
            yield batch
            batch, longest = [], len(row)
        batch.append(row)
    if batch:
        yield batch


class LogProbs(nn.Module):
    """The module that is trained: log-probabilities of a packed batch under a policy, at a sampling temperature."""

    def __init__(self, policy: Policy, temperature: float = 1.0):
        super().__init__()
        self.core = policy.core
        self.policy, self.temperature = policy, temperature
        vocabulary = policy.core.config.text_config.vocab_size
        self.chunks = HEAD_CHUNKS if vocabulary >= LARGE_VOCABULARY else 1

    def forward(
        self,
        packed: Packed,
        always_look: bool = False,
        temperature: float | None = None,
        prefix: Prefix | None = None,
    ) -> torch.Tensor:
        """Log-probabilities (T,) float32 of the scored tokens, in nats, at the module's temperature or another.

        `prefix`: the prompt of a batch that was packed behind it. `always_look` runs the vision tower on a blank patch
        if the batch has no picture: gradient collectives need every parameter to take part on every process.
        """
        blank = None
        if always_look and (packed.behind_prompt or not any(row.prompt.media for row in packed.rows)):
            # First, so that gradients come in the same order everywhere: processes add them up by their place in it.
            blank = 0 * self.policy.features([self.policy.encoder.medium(BLANK)])[0].sum()
        hidden = self._hidden(packed) if prefix is None else self._behind(prefix, packed)
        logp = [
            self._score(*piece, self.temperature if temperature is None else temperature)
            for piece in zip(self._split(hidden), self._split(packed.targets.to(hidden.device)))
        ]
        total = torch.cat(logp)
        return total if blank is None else total + blank

    def _hidden(self, packed: Packed) -> torch.Tensor:
        """Hidden states (T, D) that predict the scored tokens."""
        device = self.policy.device
        prompts = self.policy.prompt_embeddings([row.prompt for row in packed.rows])
        sequences = []
        for row, prompt in zip(packed.rows, prompts):
            sequences.append(torch.cat([prompt, self._words(row)]))
        hidden = self.core.model.language_model(
            inputs_embeds=pad_sequence(sequences, batch_first=True),
            position_ids=packed.position_ids.to(device),
            attention_mask=None if packed.attention is None else packed.attention.to(device),
            use_cache=False,
        ).last_hidden_state
        return hidden.flatten(0, 1)[packed.predict.to(device)]

    def _behind(self, prefix: Prefix, packed: Packed) -> torch.Tensor:
        """Hidden states (T, D) that predict the scored tokens of a batch behind its prompt."""
        (row,) = packed.rows
        hidden = prefix.read(self._words(row)[None], packed.position_ids, packed.attention)
        return hidden[packed.predict.to(hidden.device)]

    def _words(self, row: Row) -> torch.Tensor:
        """Input embeddings (L, D) of a row's completions."""
        ids = [token for completion in row.completions for token in completion]
        return self.policy.embed_tokens(torch.tensor(ids, dtype=torch.int64, device=self.policy.device))

    def _split(self, tensor: torch.Tensor) -> Sequence[torch.Tensor]:
        return tensor.tensor_split(self.chunks)

    def _score(self, hidden: torch.Tensor, targets: torch.Tensor, temperature: float) -> torch.Tensor:
        if self.chunks > 1 and torch.is_grad_enabled():
            return checkpoint(self._head, hidden, targets, temperature, use_reentrant=False)
        return self._head(hidden, targets, temperature)

    def _head(self, hidden: torch.Tensor, targets: torch.Tensor, temperature: float) -> torch.Tensor:
        logits = self.core.lm_head(hidden)
        logits = logits.float() if logits.dtype in (torch.bfloat16, torch.float16) else logits
        logp = torch.log_softmax(logits / temperature, dim=-1)
        return logp.gather(1, targets.unsqueeze(1)).squeeze(1)


def idle_row(policy: Policy) -> Row:
    """The least that uses every parameter: a blank patch and one token."""
    return Row(policy.encoder.prompt([BLANK]), [[policy.eos_ids[0]]])
