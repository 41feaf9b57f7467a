"""The step-wise annealed object selector: delta_t over training (OCR, equation 5 and Table 5)."""

from __future__ import annotations

import math
from collections.abc import Callable

SHAPES: dict[str, Callable[[float], float]] = {
    "linear": lambda s: 1 - s,
    "cos": lambda s: 0.5 * (1 + math.cos(math.pi * s)),
    "exp": lambda s: (math.exp(-5 * s) - math.exp(-5)) / (1 - math.exp(-5)),
    "fix": lambda s: 0.5,
}
"""Share of the first value at progress s in [0, 1]. The paper gives the ends of linear, exp and cos, and `fix` as a
constant quarter of the objects; the rate 5 of exp is assumed."""


def delta(shape: str, step: int, total: int, start: float = 0.5) -> float:
    """Return delta_t of step 0 .. total - 1: from `start` to 0, both reached exactly; progress s = step / (total - 1).

    Raises ValueError for an unknown shape.
    """
    if shape not in SHAPES:
        raise ValueError(f"unknown schedule '{shape}': one of {sorted(SHAPES)}")
    return start * SHAPES[shape](step / max(1, total - 1))
