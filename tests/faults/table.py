"""The table of faults: one line per fault, printed as soon as it is known."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

COLUMNS = (("fault", 34), ("what happened", 58), ("rows lost", 5), ("answered twice", 8), ("trained twice", 7))
"""Titles and widths."""


@dataclass(frozen=True)
class Line:
    """What one fault did. `happened` is one sentence; `problems` are expectations that were not met."""

    fault: str
    happened: str
    rows_lost: int = 0
    answered_twice: int = 0
    trained_twice: int = 0
    problems: tuple[str, ...] = ()
    left_out: bool = False
    """True if the fault cannot be produced on this machine; `happened` says why."""


def header() -> str:
    """The titles, over a rule."""
    return "\n".join([*_cells([title for title, _ in COLUMNS]), "-+-".join("-" * width for _, width in COLUMNS)])


def render(line: Line) -> str:
    """One line of the table; below it what was expected and did not happen."""
    counts = ["-"] * 3 if line.left_out else [line.rows_lost, line.answered_twice, line.trained_twice]
    happened = f"not here: {line.happened}" if line.left_out else line.happened
    failures = [f"  NOT AS EXPECTED: {problem}" for problem in line.problems]
    return "\n".join([*_cells([line.fault, happened, *map(str, counts)]), *failures])


def summary(lines: list[Line], seconds: float) -> str:
    """The last line."""
    failed, out = sum(bool(line.problems) for line in lines), sum(line.left_out for line in lines)
    return (
        f"{len(lines) - out} faults in {seconds / 60:.1f} min: {failed} not as expected, {out} not possible here; "
        f"rows lost {sum(line.rows_lost for line in lines)}, questions answered twice "
        f"{sum(line.answered_twice for line in lines)}, steps trained twice {sum(line.trained_twice for line in lines)}"
    )


def _cells(texts: list[str]) -> Iterator[str]:
    wrapped = [textwrap.wrap(text, width) or [""] for text, (_, width) in zip(texts, COLUMNS, strict=True)]
    for row in range(max(map(len, wrapped))):
        cells = [lines[row] if row < len(lines) else "" for lines in wrapped]
        padded = [f"{cell:{width}}" for cell, (_, width) in zip(cells, COLUMNS, strict=True)]
        yield " | ".join(padded).rstrip()
