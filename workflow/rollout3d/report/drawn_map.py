"""Cognitive maps as pictures: what the report and the viewer draw beside the view from above."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rollout3d import tables
from rollout3d.scenes.cognitive_maps import by_category
from rollout3d.tables.rows import CognitiveMapRow

GRID = 10
"""Grid size that is drawn."""
_WIDTH = 0.58
"""Width of a digit over its height."""


@dataclass(frozen=True)
class Cell:
    """One cell with objects, in units of cells from the upper left corner, y down."""

    x: float
    """Its middle."""
    y: float
    text: str
    """Numbers of the categories in it, such as "1 3"; "2×3" for three objects of category 2."""
    size: float
    """Height of the text that fits."""


@dataclass(frozen=True)
class DrawnMap:
    """A map to draw: +x right, +y up, as the view from above."""

    grid: int
    cells: tuple[Cell, ...]
    legend: tuple[tuple[int, str, int], ...]
    """Number, name and number of instances of each category."""

    @property
    def lines(self) -> str:
        """The lines between cells as an SVG path."""
        ends = range(1, self.grid)
        return "".join(f"M{i} 0V{self.grid}M0 {i}H{self.grid}" for i in ends)


def draw(row: CognitiveMapRow) -> DrawnMap:
    """Return the drawing of a map; categories are numbered from 1 in the row's order."""
    found = by_category(row)
    grid = row["grid"]
    objects: dict[tuple[int, int], Counter[int]] = {}
    for number, cells in enumerate(found.values(), 1):
        for column, line in cells:
            objects.setdefault((column, line), Counter())[number] += 1
    drawn = []
    for (column, line), here in sorted(objects.items()):
        text = " ".join(str(number) if n == 1 else f"{number}×{n}" for number, n in sorted(here.items()))
        size = min(0.6, 0.9 / (_WIDTH * len(text)))
        drawn.append(Cell(column + 0.5, grid - line - 0.5, text, round(size, 3)))
    legend = tuple((number, name, len(cells)) for number, (name, cells) in enumerate(found.items(), 1))
    return DrawnMap(grid, tuple(drawn), legend)


def drawn_maps(paths: Iterable[Path | str]) -> Mapping[str, DrawnMap]:
    """Return scene_id -> drawing of every scan in tables of cognitive maps; nothing without tables."""
    rows: list[Any] = tables.read_many(tables.COGNITIVE_MAPS, paths)
    return {row["scene_id"]: draw(row) for row in rows if row["grid"] == GRID}
