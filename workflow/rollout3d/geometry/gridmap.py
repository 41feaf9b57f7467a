"""Cognitive maps: object centres on a coarse grid over the floor (SpaceR, appendix A)."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

CognitiveMap = Mapping[str, Sequence[Sequence[int]]]
"""Category -> cell [column, row] of every instance, each from 0 to the grid's size minus 1."""


def cognitive_map(
    objects: Mapping[str, Sequence[Sequence[float]]], floor_rect: Sequence[float], grid: int = 10
) -> dict[str, list[list[int]]]:
    """Return the cell [column, row] of every instance of every category, in the order given.

    `objects`: category -> centres, of which x and y (metres, aligned world) are read. `floor_rect`: x_min, y_min,
    x_max, y_max of the floor, the map's border. Columns count from x_min, rows from y_min, so the map has +x to the
    right and +y up like the BEV picture. Cells are half open. Centres on or beyond the border count to the nearest
    cell: results are 0..grid-1.

    SpaceR publishes neither its rounding nor its direction of y: the convention is ours.
    Raises ValueError where the rectangle has no area, a centre is not finite or grid < 1.
    """
    x_min, y_min, x_max, y_max = (float(value) for value in floor_rect)
    if grid < 1 or not (x_max > x_min and y_max > y_min):
        raise ValueError(
            f"a map of {grid}x{grid} cells over the floor {list(floor_rect)}: it needs at least one cell and a floor "
            "with an area"
        )

    def cell(value: float, low: float, high: float) -> int:
        return min(max(math.floor((value - low) / (high - low) * grid), 0), grid - 1)

    return {
        category: [[cell(centre[0], x_min, x_max), cell(centre[1], y_min, y_max)] for centre in centres]
        for category, centres in objects.items()
    }


def asked_for(truth: CognitiveMap, listed: Collection[str]) -> CognitiveMap:
    """Return the part of a true map that a prompt asks for, which lists categories and allows no others.

    A map that obeys the prompt is compared with this: with the whole map it could never be right. SpaceR lists the true
    map's own categories while it trains, so that the question does not arise there.
    """
    names = {category.lower() for category in listed}
    return {category: cells for category, cells in truth.items() if category.lower() in names}
