"""Attention of the vision tower in a few large batches, where the model class starts a kernel for every window.

Qwen2.5-VL's tower attends within windows of 8x8 patches (those at the edges of a frame are smaller) and, in four of its
layers, within whole frames. Without flash attention transformers 5.17 computes one window after another: 96 calls per
layer for 16 frames of 280x364, which keep a GPU waiting for Python. Here windows of equal size form one batch, at most
four per picture size. The patch embedding is a convolution whose stride is its kernel; some releases of cuDNN are very
slow at it in bfloat16 (pytorch issue 166643), and it is the same as a matrix product. Both are exact.
"""

from __future__ import annotations

import types
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import apply_rotary_pos_emb_vision

if TYPE_CHECKING:
    from jaxtyping import Float, Int

_BOUNDS = WeakTensorKeyDictionary()
"""Bounds of windows as numbers. All layers get the same tensors: read once, they cost one wait for the GPU and not one
per layer."""


def install(model: Any) -> None:
    """Make a Qwen2_5_VLForConditionalGeneration use the functions below, if its tower uses sdpa attention.

    Modules and parameters stay as they are, so hooks of ZeRO and names of weights do too.
    """
    tower = model.model.visual
    if tower.config._attn_implementation == "sdpa":
        tower.patch_embed.proj.forward = types.MethodType(_embed, tower.patch_embed.proj)
        for block in tower.blocks:
            block.attn.forward = types.MethodType(_attend, block.attn)


def _embed(self: Any, patches: Float[Tensor, "n 3 2 14 14"]) -> Float[Tensor, "n d"]:
    """Embed n patches: a convolution whose stride is its kernel is a matrix product."""
    return F.linear(patches.flatten(1), self.weight.flatten(1), self.bias)


def _attend(
    self: Any,
    hidden_states: Float[Tensor, "n d"],
    cu_seqlens: Int[Tensor, " b"],
    position_embeddings: tuple[torch.Tensor, torch.Tensor],
    **_: Any,
) -> Float[Tensor, "n d"]:
    """Compute attention of n patches within the windows that `cu_seqlens` bounds."""
    patches = len(hidden_states)
    query, key, value = self.qkv(hidden_states).view(patches, 3, self.num_heads, self.head_dim).unbind(1)
    query, key = apply_rotary_pos_emb_vision(query, key, *position_embeddings)
    if cu_seqlens not in _BOUNDS:
        _BOUNDS[cu_seqlens] = tuple(cu_seqlens.tolist())
    order, back, batches = _by_length(_BOUNDS[cu_seqlens], hidden_states.device)
    parts = [part if order is None else part.index_select(0, order) for part in (query, key, value)]
    done: list[torch.Tensor] = []
    start = 0
    for count, length in batches:
        shape = (count, length, self.num_heads, self.head_dim)
        q, k, v = (part[start : start + count * length].view(shape).transpose(1, 2) for part in parts)
        attended = F.scaled_dot_product_attention(q, k, v, scale=self.scaling)
        done.append(attended.transpose(1, 2).reshape(count * length, -1))
        start += count * length
    joined = torch.cat(done)
    return self.proj(joined if back is None else joined.index_select(0, back))


@lru_cache(maxsize=64)
def _by_length(
    bounds: tuple[int, ...], device: torch.device
) -> tuple[torch.Tensor | None, torch.Tensor | None, tuple[tuple[int, int], ...]]:
    """Return the order of patches in which windows of equal length are neighbours, the inverse order, and (windows,
    length) for each length; orders are None if all windows are equally long."""
    starts, lengths = torch.tensor(bounds[:-1]), torch.tensor(bounds).diff()
    sizes, counts = lengths.unique(return_counts=True)
    batches = tuple(zip(counts.tolist(), sizes.tolist()))
    if len(batches) == 1:
        return None, None, batches
    order = torch.cat([(starts[lengths == size, None] + torch.arange(int(size))).flatten() for size in sizes])
    return order.to(device), order.argsort().to(device), batches
