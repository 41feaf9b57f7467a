"""Floating-point operations and bytes of a training step of Qwen2.5-VL, counted from its shape.

Matrix products only, two operations per multiply and add, as torch's FlopCounterMode counts them; norms, activations
and positions are left out. Attention counts the pairs of tokens of which one attends to the other (the tree of a packed
row), or, with `dense`, every pair of a padded row, which is what a kernel that takes a mask computes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rollout3d.config.training import Optimiser, Training
from rollout3d.planning.shape import Shape

Trained = Literal["everything", "language", "adapters"]
"""Name of the parameters that receive a gradient: all, all but the vision tower's, or the language model's adapters."""
Grid = tuple[int, int, int]
"""Patches of a video in time, height and width."""


@dataclass(frozen=True)
class RowSize:
    """Sizes of one packed row: a prompt with its media, and its completions."""

    prompt: int
    """Tokens of the prompt, visual ones included."""
    completions: tuple[int, ...] = ()
    """Tokens of each completion."""
    grids: tuple[Grid, ...] = ()
    """Grid of each medium that no earlier row of the batch has: equal media are encoded once."""
    prompt_targets: int = 0
    """Tokens of the prompt that are scored too."""

    def __len__(self) -> int:
        return self.prompt + sum(self.completions)

    @property
    def scored(self) -> int:
        """Tokens whose log-probabilities are computed."""
        return self.prompt_targets + sum(self.completions)

    @property
    def patches(self) -> int:
        """Patches of its media."""
        return sum(t * h * w for t, h, w in self.grids)

    @property
    def pairs(self) -> int:
        """Pairs (query, key): a prompt is causal, a completion attends to the prompt, and to itself causally."""
        own = sum(n * self.prompt + n * (n + 1) // 2 for n in self.completions)
        return self.prompt * (self.prompt + 1) // 2 + own


@dataclass(frozen=True)
class Forward:
    """Operations of one forward, by part."""

    patches: float
    """Patch embedding of the vision tower."""
    vision: float
    """Blocks of the vision tower."""
    merger: float
    language: float
    """Layers of the language model, adapters excluded."""
    head: float
    """Logits of the tokens that are scored."""
    attention: float
    """Of `language`, the products of queries, keys and values."""
    vision_attention: float
    """Of `vision`, the products of queries, keys and values."""
    vision_spared: float
    """Of `vision`, the last product of each block: the backward does not need its result again."""
    spared: float
    """Of `language`, the last product of each layer: the backward does not need its result again."""
    first_projections: float
    """Of `language`, the products that make queries, keys and values in the first layer."""
    adapters: float = 0.0
    """LoRA adapters of the layers."""
    first_adapters: float = 0.0
    """Of `adapters`, the first products of those that make queries, keys and values in the first layer."""
    adapters_spared: float = 0.0
    """Of `adapters`, the last product of each layer."""

    @property
    def total(self) -> float:
        return self.patches + self.vision + self.merger + self.language + self.head + self.adapters

    def backward(self, trained: Trained = "everything", checkpointing: bool = False) -> float:
        """Operations of the backward, recomputation excluded.

        Two forwards, but for the gradient with respect to the pixels; frozen matrices need one product, not two. What
        comes before the first trained parameter needs none, unless there is gradient checkpointing: transformers then
        computes the gradients of the embeddings, those of the vision tower included.
        """
        if trained == "everything":
            return 2 * self.total - self.patches
        seen = self.vision + self.vision_attention + self.merger if checkpointing else 0.0
        if trained == "language":
            return 2 * (self.language + self.head) + seen
        frozen = self.language - self.attention
        unneeded = 0.0 if checkpointing else self.first_projections + self.first_adapters
        return 2 * self.attention + frozen + self.head + 2 * self.adapters - unneeded + seen

    def trained(self, trained: Trained = "everything", checkpointing: bool = False) -> float:
        """Operations of forward and backward together, recomputation excluded."""
        return self.total + self.backward(trained, checkpointing)

    def recomputed(self, head: bool, trained: Trained = "everything") -> float:
        """Return the operations that gradient checkpointing repeats; `head`: the logits too
        (`packing.LARGE_VOCABULARY`)."""
        language = self.language - self.spared
        if trained == "adapters":
            language = self.language + self.adapters - self.adapters_spared
        return self.vision - self.vision_spared + language + head * self.head


def trained_of(settings: Optimiser, training: Training) -> Trained:
    """Return the name of the parameters that a run trains."""
    if settings.lora_rank:
        return "adapters"
    return "language" if training.freeze_vision else "everything"


def packed_forward(shape: Shape, rows: Sequence[RowSize], dense: bool = False, lora_rank: int = 0) -> Forward:
    """Operations of a forward of `packing.LogProbs` on a batch of rows."""
    tokens, pairs = sum(map(len, rows)), sum(row.pairs for row in rows)
    if dense:
        longest = max(map(len, rows))
        tokens, pairs = len(rows) * longest, len(rows) * longest**2
    return _forward(shape, rows, tokens, pairs, sum(row.scored for row in rows), lora_rank)


def prefill(shape: Shape, prompts: Sequence[RowSize]) -> Forward:
    """Operations of generation before its first token, for different prompts."""
    tokens = sum(row.prompt for row in prompts)
    return _forward(shape, prompts, tokens, sum(row.prompt * (row.prompt + 1) // 2 for row in prompts), len(prompts), 0)


def decode(shape: Shape, prompt_tokens: Sequence[int], steps: int, itemsize: int) -> tuple[float, float]:
    """Operations and bytes of `steps` tokens for each of several answers, decoded side by side after their prompts.

    A step reads all weights of the language model and the head once, and every answer's keys and values.
    """
    answers, weights = len(prompt_tokens), shape.layer_matrices * shape.layers + shape.embedding_parameters
    seen = sum(steps * prompt + steps * (steps + 1) // 2 for prompt in prompt_tokens)
    operations = 2 * weights * answers * steps + 4 * shape.width * shape.layers * seen
    return float(operations), float(itemsize * weights * steps + shape.cache_bytes(itemsize) * seen)


def adam_bytes(parameters: int, itemsize: int) -> float:
    """Least number of bytes that an update moves: gradients read for their norm and again, weights and both moments of
    four bytes read and written, and weights of another precision written."""
    return float(parameters * (2 * itemsize + 24 + (itemsize if itemsize != 4 else 0)))


def _forward(shape: Shape, rows: Sequence[RowSize], tokens: int, pairs: int, scored: int, lora_rank: int) -> Forward:
    grids = [grid for row in rows for grid in row.grids]
    patches = sum(row.patches for row in rows)
    d, merged = shape.vision_width, shape.merge**2 * shape.vision_width
    whole = sum(t * (h * w) ** 2 for t, h, w in grids)
    windows = sum(_window_pairs(grid, shape.merge, shape.window) for grid in grids)
    seen = shape.full_blocks * whole + (shape.depth - shape.full_blocks) * windows
    attention = 4 * shape.width * pairs * shape.layers
    width, per_rank = shape.width, 2 * lora_rank * tokens
    return Forward(
        patches=2 * shape.patch_volume * d * patches,
        vision=2 * shape.depth * (4 * d * d + 3 * d * shape.vision_inner) * patches + 4 * d * seen,
        merger=2 * merged * (merged + shape.vision_out) * patches / shape.merge**2,
        language=2 * shape.layers * shape.layer_matrices * tokens + attention,
        head=2 * width * shape.vocabulary * scored,
        attention=attention,
        vision_attention=4 * d * seen,
        vision_spared=2 * shape.depth * d * shape.vision_inner * patches,
        spared=2 * shape.layers * width * shape.inner * tokens,
        first_projections=2 * width * (width + 2 * shape.shared) * tokens,
        adapters=2 * shape.adapter_parameters(lora_rank) * tokens if lora_rank else 0.0,
        first_adapters=per_rank * 3 * width,
        adapters_spared=per_rank * width * shape.layers,
    )


def _window_pairs(grid: Grid, side: int, window: int) -> int:
    """Pairs of patches that share a window of `window` merged patches per side, cut off at the edges of a frame."""
    t, h, w = grid[0], grid[1] // side, grid[2] // side
    rows = [min(window, h - at) for at in range(0, h, window)]
    columns = [min(window, w - at) for at in range(0, w, window)]
    return t * sum((side**2 * a * b) ** 2 for a in rows for b in columns)
