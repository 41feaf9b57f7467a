"""Bytes that a forward and backward keep for a while: activations, the tree mask, logits.

Counted from what the model class saves for its backward (transformers 5.17, sdpa attention): a norm keeps its input in
float32, attention its queries, keys, values and result, a feed-forward layer four tensors of its inner width. Tests
compare the counts with the storages that torch allocates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rollout3d.planning.flops import RowSize, Trained
from rollout3d.planning.shape import Shape

FLOAT32 = 4
LOGIT_BYTES = 12
"""Bytes per logit at the peak of a log-softmax: logits, scaled logits and their log-softmax, all in float32."""


@dataclass(frozen=True)
class Activations:
    """Bytes of one micro-batch, by content."""

    saved: float
    """Tensors that are kept from the forward until the backward: inputs of layers, or all that layers save."""
    working: float
    """Largest working set of a layer or block while it is computed."""
    logits: float
    """Logits of the piece of the vocabulary that is computed at one time."""
    mask: float
    """Tree mask, and the copies that attention makes of it in the model's precision."""
    vision: float
    """Everything held while the vision tower runs forward, pixels included."""

    @property
    def peak(self) -> float:
        """Most bytes at one time, the mask's included: tower, logits and layers are computed one after the other."""
        return max(self.vision, self.saved + self.mask + max(self.working, self.logits))


def training(
    shape: Shape,
    rows: Sequence[RowSize],
    itemsize: int,
    *,
    trained: Trained,
    checkpointing: bool,
    chunks: int,
    lora_rank: int = 0,
) -> Activations:
    """Activations of a forward with gradient and its backward. `itemsize`: bytes of the model's numbers. `chunks`:
    pieces in which logits are computed (`packing.HEAD_CHUNKS`)."""
    tokens, patches = _padded(rows), sum(row.patches for row in rows)
    scored = sum(row.scored for row in rows)
    mask, copies = _mask(rows, itemsize)
    layer, block = _layer(shape, rows, itemsize, lora_rank), _block(shape, itemsize) * patches
    # The backward of a feed-forward layer holds, in addition to what the layer saved, two gradients of its inner width.
    inner = 2 * shape.inner * itemsize * tokens
    eyes = 2 * shape.vision_inner * itemsize * patches
    # With checkpointing transformers computes gradients of a frozen tower's input: it saves what a trained one does.
    tower_saves = trained == "everything" or checkpointing
    pixels = patches * shape.patch_volume * itemsize if trained == "everything" else 0.0
    if checkpointing:
        language = shape.layers * shape.width * itemsize * tokens
        tower = pixels + shape.depth * shape.vision_width * itemsize * patches
        working = max(layer + inner, block + eyes)
    else:
        language = shape.layers * layer
        tower = pixels + shape.depth * block if tower_saves else 0.0
        working = max(inner, eyes if tower_saves else 0.0)
        copies *= shape.layers
    ends = _norm(shape.width, itemsize) * tokens + shape.width * itemsize * scored
    # Each piece gives the output layer a gradient of its own, which is then added to the others'.
    piece = shape.embedding_parameters * itemsize if trained != "adapters" else 0
    return Activations(
        saved=language + tower + ends,
        working=working,
        logits=LOGIT_BYTES * scored / chunks * shape.vocabulary + piece,
        mask=mask + copies,
        vision=mask + tower + _encoding(shape, patches, itemsize),
    )


def scoring(shape: Shape, rows: Sequence[RowSize], itemsize: int, chunks: int) -> Activations:
    """Activations of a forward without gradient: one layer at a time."""
    tokens, patches = _padded(rows), sum(row.patches for row in rows)
    scored = sum(row.scored for row in rows)
    mask, copies = _mask(rows, itemsize)
    # Feed-forward: input, two sums and three tensors of the inner width, and the embeddings, which stay with two
    # copies. Attention: eight of the model's width.
    feed_forward = (6 * shape.width + 3 * shape.inner) * itemsize * tokens
    attention = 8 * shape.width * itemsize * tokens + copies
    return Activations(
        saved=0.0,
        working=max(feed_forward, attention),
        logits=LOGIT_BYTES * scored / chunks * shape.vocabulary + shape.width * itemsize * scored,
        mask=mask,
        vision=mask + _encoding(shape, patches, itemsize),
    )


def _padded(rows: Sequence[RowSize]) -> int:
    return len(rows) * max(map(len, rows))


def _norm(width: int, itemsize: int) -> int:
    """Bytes per token that a norm and the layers that read its result save."""
    own = FLOAT32 + itemsize if itemsize != FLOAT32 else FLOAT32
    return (own + itemsize) * width + FLOAT32


def _layer(shape: Shape, rows: Sequence[RowSize], itemsize: int, lora_rank: int) -> float:
    """Bytes that a layer of the language model saves, but for the mask."""
    # Under a mask, keys and values are repeated for every head; without one they are shared.
    keys = shape.width if _has_tree(rows) else shape.shared
    attention = (2 * shape.width + 2 * keys) * itemsize
    # In float32 a norm keeps its input itself, which is the layer's input and the sum after attention.
    inputs = 2 * shape.width * itemsize if itemsize == FLOAT32 else 0
    adapters = 7 * lora_rank * itemsize
    if lora_rank:  # a frozen norm does not keep what it scales
        adapters -= 2 * shape.width * itemsize
    each = 2 * _norm(shape.width, itemsize) + attention + inputs + 4 * shape.inner * itemsize + adapters
    return each * _padded(rows)


def _block(shape: Shape, itemsize: int) -> float:
    """Bytes per patch that a block of the vision tower saves. Values are a view of queries, keys and values together,
    and windows are joined by a copy."""
    inputs = 2 * shape.vision_width * itemsize if itemsize == FLOAT32 else 0
    attention = 7 * shape.vision_width * itemsize
    return 2 * _norm(shape.vision_width, itemsize) + attention + inputs + 4 * shape.vision_inner * itemsize


def _encoding(shape: Shape, patches: int, itemsize: int) -> float:
    """Bytes of a forward of the vision tower that saves nothing: pixels in float32 and in its own precision, and one
    block at a time."""
    pixels = shape.patch_volume * (FLOAT32 + (itemsize if itemsize != FLOAT32 else 0))
    block = (2 * shape.vision_width + 3 * shape.vision_inner) * itemsize + 2 * FLOAT32 * shape.vision_width
    return patches * (pixels + block)


def _has_tree(rows: Sequence[RowSize]) -> bool:
    return any(len(row.completions) > 1 for row in rows)


def _mask(rows: Sequence[RowSize], itemsize: int) -> tuple[float, float]:
    """Bytes of the mask (R, 1, L, L) of a packed batch, and of the copy that attention makes of it in each layer."""
    if not _has_tree(rows):
        return 0.0, 0.0
    entries = len(rows) * max(map(len, rows)) ** 2
    return float(entries), float(entries * itemsize)
