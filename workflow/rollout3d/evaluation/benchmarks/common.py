"""What every adapter returns, its errors, and how a part of a benchmark is called."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class BenchmarkError(ValueError):
    """A benchmark that cannot be prepared; the message says what is missing and how to get it."""


@dataclass(frozen=True)
class Prepared:
    """QUESTIONS rows, FRAMES rows (made while iterating, one scene after the other), and the files they came from."""

    questions: list[dict[str, Any]]
    frames: Iterator[dict[str, Any]]
    sources: tuple[Path, ...]


def part_of(questions: Sequence[Mapping[str, Any]], whole: int | None) -> str | None:
    """Name the part of a benchmark of `whole` questions that `questions` are, such as "scannet, 2071 of 5130".

    None for the whole benchmark, and where `whole` is None because its number of questions is not fixed.
    """
    if whole is None or len(questions) == whole:
        return None
    datasets = sorted({str(row["dataset"]) for row in questions})
    return f"{' and '.join(datasets) or 'nothing'}, {len(questions)} of {whole}"
