"""Packed rows: a prompt and all of its completions in one forward, and the log-probabilities of their tokens.

A packed row is `[prompt | c1 | .. | cn]`. A tree mask lets every completion see the prompt and itself, and its
positions restart after the prompt, so the forward equals n separate ones while the prompt, its video above all, is
computed once. Rows of different lengths share a batch, padded on the right. Exact with the model class as it is, with
sdpa attention (flash attention takes no mask of four dimensions).

A row that is too long for one forward is cut into pieces that read their prompt from a cache (`prefix.py`). They need
fewer operations than the mask, under which a kernel computes every pair of tokens, but in smaller products one after
the other: a row that fits stays one row.

Letters in shapes: R rows of a batch, L tokens of its longest row, P tokens of a prompt, T scored tokens, D width of the
model.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from torch.utils.checkpoint import checkpoint

from rollout3d.model.encode import Prompt
from rollout3d.model.load import BLANK, Policy
from rollout3d.training.prefix import Prefix

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

HEAD_CHUNKS = 8
"""Number of pieces in which log-probabilities of a large vocabulary are computed. A number of pieces and not a size:
under ZeRO-3 every process must call the head equally often."""
LARGE_VOCABULARY = 32_768
"""Vocabulary from which the logits of all tokens at once take too much memory."""
PER_TOKEN = ("weight", "advantage", "sampler_logp", "kl_weight", "behaviour")
"""Fields of a packed row with one value per scored token."""


@dataclass(frozen=True, eq=False)
class PackedRow:
    """One prompt, its completions, and what the objective needs to know of their scored tokens.

    Tensors have one value per scored token, the prompt's targets first, then the completions in order.
    """

    prompt: Prompt
    completions: Sequence[Sequence[int]]
    prompt_targets: Sequence[int] = ()
    """Places in the prompt, from 1 on, whose tokens are scored too (some modes of SFT)."""
    weight: Float[Tensor, " t"] | None = None
    """Weight in the objective."""
    advantage: Float[Tensor, " t"] | None = None
    """Advantage A (GRPO)."""
    sampler_logp: Float[Tensor, " t"] | None = None
    """Log-probability as the back end reported it, if it saw this prompt."""
    kl_weight: Float[Tensor, " t"] | None = None
    """Weight of the KL; None: as `weight`."""
    behaviour: Float[Tensor, " t"] | None = None
    """Log-probability for the video that the rollout was drawn from, where that was another one; else NaN."""
    _pieces: dict[int, list[PackedRow]] = field(default_factory=dict, init=False, repr=False)

    def __len__(self) -> int:
        return len(self.prompt) + sum(map(len, self.completions))

    @property
    def n_scored(self) -> int:
        """Number of scored tokens."""
        return len(self.prompt_targets) + sum(map(len, self.completions))

    def pieces(self, max_tokens: int) -> list[PackedRow]:
        """Cut this row into rows of at most `max_tokens` tokens each, prompt included, but of one completion at least.

        Empty if the row is no longer than that, has one completion only, or scores tokens of its prompt, which belong
        to no piece. Another call with the same limit returns the same objects: statistics of a batch are kept by its
        rows.
        """
        if len(self) <= max_tokens or len(self.completions) < 2 or self.prompt_targets:
            return []
        if max_tokens not in self._pieces:
            self._pieces[max_tokens] = list(self._cut(max_tokens - len(self.prompt)))
        return self._pieces[max_tokens]

    def _cut(self, max_tokens: int) -> Iterator[PackedRow]:
        """Yield pieces of at most `max_tokens` tokens behind the prompt."""
        piece: list[Sequence[int]] = []
        start = 0
        waiting = [completion for completion in self.completions if len(completion)]
        for completion, after in zip(waiting, [*waiting[1:], None]):
            piece.append(completion)
            size = sum(map(len, piece))
            if after is None or size + len(after) > max_tokens:
                whole = {name: getattr(self, name) for name in PER_TOKEN}
                cut: dict[str, Any] = {name: x if x is None else x[start : start + size] for name, x in whole.items()}
                yield PackedRow(self.prompt, piece, **cut)
                piece, start = [], start + size


@dataclass(frozen=True, eq=False)
class Packed:
    """A batch of R rows padded to L tokens, of which T are scored.

    `behind_prompt`: the one row's prompt of P tokens is not in the batch but in a `Prefix`; L tokens come after it.
    Scored tokens run row by row; within a row the prompt's targets come first, then the completions in order.
    """

    rows: tuple[PackedRow, ...]
    position_ids: Int[Tensor, "3 r l"]
    """Positions in time, height and width (`model.rope`)."""
    attention: Bool[Tensor, "r 1 l k"] | None
    """True where the query (third axis) sees the key; None if causal attention is enough. Keys are the L tokens, behind
    a prompt those of the prompt and the L tokens."""
    predict: Int[Tensor, " t"]
    """Flat places r * L + l of the hidden states that predict the scored tokens. Behind a prompt, places in its last
    token and the L tokens."""
    targets: Int[Tensor, " t"]
    """The scored tokens."""
    behind_prompt: bool = False

    @property
    def weight(self) -> Float[Tensor, " t"]:
        """The rows' weights."""
        return torch.cat([_given(row.weight) for row in self.rows])

    @property
    def advantage(self) -> Float[Tensor, " t"]:
        """The rows' advantages."""
        return torch.cat([_given(row.advantage) for row in self.rows])

    @property
    def kl_weight(self) -> Float[Tensor, " t"]:
        """The rows' weights of the KL."""
        return torch.cat([_given(row.weight if row.kl_weight is None else row.kl_weight) for row in self.rows])

    @property
    def behaviour(self) -> Float[Tensor, " t"] | None:
        """Log-probabilities for other videos, NaN for rollouts of the scored one; None if all rows are without."""
        if all(row.behaviour is None for row in self.rows):
            return None
        unknown = [torch.full((row.n_scored,), torch.nan) for row in self.rows]
        return torch.cat([blank if row.behaviour is None else row.behaviour for row, blank in zip(self.rows, unknown)])


def _given(value: Tensor | None) -> Tensor:
    """Return what an objective needs of a row. Raises ValueError for a row that was packed without it."""
    if value is None:
        raise ValueError("a packed row lacks weights or advantages, which this objective needs")
    return value


def pack(rows: Sequence[PackedRow], behind_prompt: bool = False) -> Packed:
    """Lay out rows for one forward; with `behind_prompt` one row without its prompt.

    Raises ValueError for a row that scores nothing.
    """
    longest = max(map(len, rows))
    positions = torch.zeros(3, len(rows), longest, dtype=torch.int64)
    # Segment of each token: -1 padding, 0 prompt, 1 .. n completions. Short integers: L x L comparisons move them.
    segments = torch.full((len(rows), longest), -1, dtype=torch.int16)
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
            # Every completion begins where the prompt ends, as if it were the only one.
            positions[:, r, start:end] = row.prompt.next_position + torch.arange(len(completion))
            places = torch.arange(start - 1, end - 1)
            # The token before a later completion belongs to another one: the prompt's last token predicts all firsts.
            places[:1] = len(row.prompt) - 1
            predict.append(r * longest + places)
            targets.append(torch.tensor(completion, dtype=torch.int64))  # an empty one would be float32
    if not targets:
        raise ValueError("rows without completions cannot be packed")
    attention = None
    left = len(rows[0].prompt) if behind_prompt else 0
    if behind_prompt or any(len(row.completions) > 1 for row in rows):
        # The tree: a token sees earlier ones of its own segment, and those of the prompt. Padding sees padding, so that
        # no row of the attention is empty, which softmax would turn into NaN.
        same = segments[:, left:, None] == segments[:, None, :]
        attention = ((segments == 0)[:, None, :] | same).tril(left).unsqueeze(1)
    places = torch.cat(predict) - max(0, left - 1)
    return Packed(tuple(rows), positions[..., left:], attention, places, torch.cat(targets), behind_prompt)


def micro_batches(rows: Sequence[PackedRow], max_tokens: int, max_rows: int | None = None) -> Iterator[list[PackedRow]]:
    """Yield consecutive rows in batches of at most `max_tokens` tokens, padding included, and at most `max_rows` rows.

    A row that is longer than `max_tokens` is a batch of its own.
    """
    batch: list[PackedRow] = []
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
    """The module that is trained: log-probabilities of a packed batch under a policy, at a sampling temperature.

    One module around the whole forward, so that DeepSpeed's hooks see every parameter.
    """

    def __init__(self, policy: Policy, temperature: float = 1.0):
        super().__init__()
        self.core = policy.core
        self.policy, self.temperature = policy, temperature
        config: Any = policy.core.config.text_config
        vocabulary = config.vocab_size
        self.chunks = HEAD_CHUNKS if vocabulary >= LARGE_VOCABULARY else 1

    def forward(
        self,
        packed: Packed,
        always_look: bool = False,
        temperature: float | None = None,
        prefix: Prefix | None = None,
    ) -> Float[Tensor, " t"]:
        """Return float32 log-probabilities of the scored tokens, in nats, at the module's temperature or another.

        `prefix`: the prompt of a batch that was packed behind it. `always_look` runs the vision tower on a blank patch
        if the batch has no picture: gradient collectives need every parameter to take part on every process.
        """
        blank = None
        if always_look and (packed.behind_prompt or not any(row.prompt.media for row in packed.rows)):
            # First, so that gradients come in the same order everywhere: processes add them up by their place in it.
            blank = self.policy.blank_look()
        hidden = self._hidden(packed) if prefix is None else self._behind(prefix, packed)
        logp = [
            self._score(*piece, self.temperature if temperature is None else temperature)
            for piece in zip(self._split(hidden), self._split(packed.targets.to(hidden.device)))
        ]
        total = torch.cat(logp)
        return total if blank is None else total + blank

    def _hidden(self, packed: Packed) -> Float[Tensor, "t d"]:
        """Return the hidden states that predict the scored tokens."""
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

    def _behind(self, prefix: Prefix, packed: Packed) -> Float[Tensor, "t d"]:
        """Return the hidden states that predict the scored tokens of a batch behind its prompt."""
        (row,) = packed.rows
        hidden = prefix.read(self._words(row)[None], packed.position_ids, packed.attention)
        return hidden[packed.predict.to(hidden.device)]

    def _words(self, row: PackedRow) -> Float[Tensor, "c d"]:
        """Return the input embeddings of a row's completions, one after the other."""
        ids = [token for completion in row.completions for token in completion]
        return self.policy.embed_tokens(torch.tensor(ids, dtype=torch.int64, device=self.policy.device))

    def _split(self, tensor: torch.Tensor) -> Sequence[torch.Tensor]:
        return tensor.tensor_split(self.chunks)

    def _score(
        self, hidden: Float[Tensor, "c d"], targets: Int[Tensor, " c"], temperature: float
    ) -> Float[Tensor, " c"]:
        """Return the log-probabilities of one piece; in training its logits are computed again in the backward.

        Kept, they would be the largest tensor of the step: T x 150,000 float32.
        """
        if self.chunks > 1 and torch.is_grad_enabled():
            return checkpoint(self._head, hidden, targets, temperature, use_reentrant=False)
        return self._head(hidden, targets, temperature)

    def _head(
        self, hidden: Float[Tensor, "c d"], targets: Int[Tensor, " c"], temperature: float
    ) -> Float[Tensor, " c"]:
        logits = self.core.lm_head(hidden)
        logits = logits.float() if logits.dtype in (torch.bfloat16, torch.float16) else logits
        logp = torch.log_softmax(logits / temperature, dim=-1)
        return logp.gather(1, targets.unsqueeze(1)).squeeze(1)


def idle_row(policy: Policy) -> PackedRow:
    """Return the smallest row whose forward uses every parameter: a blank patch and one token."""
    return PackedRow(policy.encoder.prompt([BLANK]), [[policy.eos_ids[0]]])
