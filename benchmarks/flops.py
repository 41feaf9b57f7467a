"""Floating-point operations and bytes of a GRPO step of Qwen2.5-VL, counted from its shape.

Matrix products only, two operations a multiply and add, as torch's FlopCounterMode counts them; norms, activations and
positions are left out. Attention counts the pairs of tokens that see each other (the tree of a packed row), or, with
`dense`, every pair of a padded row, which is what a kernel that takes a mask computes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rollout3d.model.encode import Prompt
from rollout3d.training.packing import Packed, Row


@dataclass(frozen=True)
class Forward:
    """Operations of one forward, by part."""

    patches: float
    """Patch embedding of the vision tower."""
    vision: float
    """Its blocks."""
    merger: float
    language: float
    """Layers of the language model."""
    head: float
    """Logits of the tokens that are scored."""
    spared: float
    """Of the blocks and layers, the last product of each: its result is not needed again by the backward."""

    @property
    def total(self) -> float:
        return self.patches + self.vision + self.merger + self.language + self.head

    @property
    def trained(self) -> float:
        """Forward and backward: three forwards, but for the gradient with respect to the pixels."""
        return 3 * self.total - self.patches

    def recomputed(self, head: bool) -> float:
        """What gradient checkpointing computes once more; `head`: the logits too (`packing.LARGE_VOCABULARY`)."""
        return self.vision + self.language - self.spared + head * self.head


def packed_forward(config: Any, packed: Packed, dense: bool = False) -> Forward:
    """A forward of `LogProbs`. `config`: a Qwen2_5_VLConfig. Equal media are looked at once."""
    tokens, pairs = sum(map(len, packed.rows)), sum(map(tree_pairs, packed.rows))
    if dense:
        longest = max(map(len, packed.rows))
        tokens, pairs = len(packed.rows) * longest, len(packed.rows) * longest**2
    return _forward(config, [row.prompt for row in packed.rows], tokens, pairs, len(packed.targets))


def prefill(config: Any, prompts: Sequence[Prompt]) -> Forward:
    """What generation does before its first token, for different prompts."""
    tokens = sum(map(len, prompts))
    return _forward(config, prompts, tokens, sum(len(p) * (len(p) + 1) // 2 for p in prompts), len(prompts))


def tree_pairs(row: Row) -> int:
    """Pairs (query, key) of a packed row: a prompt is causal, a completion sees the prompt and itself causally."""
    prompt = len(row.prompt)
    completions = sum(n * prompt + n * (n + 1) // 2 for n in map(len, row.completions))
    return prompt * (prompt + 1) // 2 + completions


def decode(config: Any, prompt_tokens: Sequence[int], steps: int, itemsize: int) -> tuple[float, float]:
    """(operations, bytes) of `steps` tokens for each of several answers, written side by side behind their prompts.

    A step reads all weights of the language model and the head once, and every answer's keys and values.
    """
    text = config.text_config
    answers, weights = len(prompt_tokens), _layer(text) * text.num_hidden_layers + text.hidden_size * text.vocab_size
    seen = sum(steps * prompt + steps * (steps + 1) // 2 for prompt in prompt_tokens)
    operations = 2 * weights * answers * steps + 4 * text.hidden_size * text.num_hidden_layers * seen
    cached = 2 * text.num_hidden_layers * text.num_key_value_heads * text.hidden_size // text.num_attention_heads
    return float(operations), float(itemsize * (weights * steps + cached * seen))


def adam_bytes(parameters: int, itemsize: int) -> float:
    """The least that an update moves: gradients read for their norm and again, weights and both moments of four bytes
    read and written, and weights of another precision written."""
    return float(parameters * (2 * itemsize + 24 + (itemsize if itemsize != 4 else 0)))


def _forward(config: Any, prompts: Sequence[Prompt], tokens: int, pairs: int, scored: int) -> Forward:
    text, sight = config.text_config, config.vision_config
    grids = list({medium.key: medium.grid for prompt in prompts for medium in prompt.media}.values())
    patches = sum(t * h * w for t, h, w in grids)
    side = sight.spatial_merge_size
    d, merged = sight.hidden_size, side**2 * sight.hidden_size
    whole = sum(t * (h * w) ** 2 for t, h, w in grids)
    windows = sum(_window_pairs(grid, side, sight.window_size // (side * sight.patch_size)) for grid in grids)
    full = len(sight.fullatt_block_indexes)
    seen = full * whole + (sight.depth - full) * windows
    volume = sight.in_channels * sight.temporal_patch_size * sight.patch_size**2
    down = sight.depth * d * sight.intermediate_size * patches
    down += text.num_hidden_layers * text.hidden_size * text.intermediate_size * tokens
    return Forward(
        patches=2 * volume * d * patches,
        vision=2 * sight.depth * (4 * d * d + 3 * d * sight.intermediate_size) * patches + 4 * d * seen,
        merger=2 * merged * (merged + sight.out_hidden_size) * patches / side**2,
        language=text.num_hidden_layers * (2 * _layer(text) * tokens + 4 * text.hidden_size * pairs),
        head=2 * text.hidden_size * text.vocab_size * scored,
        spared=2 * down,
    )


def _layer(text: Any) -> int:
    """Numbers in the matrices of a layer of the language model."""
    d = text.hidden_size
    keys = d * text.num_key_value_heads // text.num_attention_heads
    return 2 * d * d + 2 * d * keys + 3 * d * text.intermediate_size


def _window_pairs(grid: Sequence[int], side: int, window: int) -> int:
    """Pairs of patches that share a window of `window` merged patches a side, cut off at the edges of a frame."""
    t, h, w = grid[0], grid[1] // side, grid[2] // side
    rows = [min(window, h - at) for at in range(0, h, window)]
    columns = [min(window, w - at) for at in range(0, w, window)]
    return t * sum((side**2 * a * b) ** 2 for a in rows for b in columns)
