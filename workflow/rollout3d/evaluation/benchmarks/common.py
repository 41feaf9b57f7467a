"""What every adapter returns, and its errors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rollout3d.errors import UserError


class BenchmarkError(UserError, ValueError):
    """A benchmark that cannot be prepared; the message says what is missing and how to get it."""


@dataclass(frozen=True)
class Prepared:
    """QUESTIONS rows, FRAMES rows (made while iterating, one scene after the other), and the files they came from."""

    questions: list[dict[str, Any]]
    frames: Iterator[dict[str, Any]]
    sources: tuple[Path, ...]
