"""Sizes of the trainer's batches, from which `rollout3d.planning` counts operations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rollout3d.model.encode import Prompt
from rollout3d.planning.flops import RowSize
from rollout3d.planning.shape import Shape
from rollout3d.training.packing import PackedRow


def shape_of(config: Any) -> Shape:
    """Return the sizes in a Qwen2_5_VLConfig."""
    return Shape.of(config.to_dict())


def row_sizes(rows: Sequence[PackedRow]) -> list[RowSize]:
    """Return the sizes of rows that share a forward."""
    sizes = prompt_sizes([row.prompt for row in rows])
    return [
        RowSize(size.prompt, tuple(map(len, row.completions)), size.grids, len(row.prompt_targets))
        for size, row in zip(sizes, rows, strict=True)
    ]


def prompt_sizes(prompts: Sequence[Prompt]) -> list[RowSize]:
    """Return the sizes of prompts that are prefilled together; a medium that several of them share counts once."""
    seen: set[str] = set()
    sizes = []
    for prompt in prompts:
        new = {medium.key: medium.grid for medium in prompt.media if medium.key not in seen}
        seen |= new.keys()
        sizes.append(RowSize(len(prompt), grids=tuple(new.values())))
    return sizes
