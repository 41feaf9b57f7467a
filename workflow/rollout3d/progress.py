"""Progress of long work: one moving line on a terminal, a line every few seconds in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from typing import TypeVar

T = TypeVar("T")


def progress(
    items: Iterable[T],
    label: str,
    total: int | None = None,
    every_s: float = 15.0,
    before: int = 0,
    status: Callable[[], str] | None = None,
) -> Iterator[T]:
    """Yield `items`, reporting on stderr: `label 12/300, 0:00:40 left`.

    `total` defaults to len(items) + `before`, the number that an earlier process has done; the time left follows from
    the pace of this one. `status` gives a text to show before it, such as `3 failed`.
    """
    if total is None and isinstance(items, Sized):
        total = before + len(items)
    terminal = sys.stderr.isatty()
    started = printed = time.monotonic()
    pause = 0.2 if terminal else every_s
    for done, item in enumerate(items):
        now = time.monotonic()
        if now - printed >= pause:
            printed = now
            _print(label, before + done, total, now - started, terminal, before, status)
        yield item
    if total:
        _print(label, total, total, time.monotonic() - started, terminal, before, status, last=True)


def _print(
    label: str,
    done: int,
    total: int | None,
    spent: float,
    terminal: bool,
    before: int,
    status: Callable[[], str] | None,
    last: bool = False,
) -> None:
    of = f"{done}/{total}" if total else str(done)
    tail = f"{_clock(spent)} in all" if last else ""
    if not last and total and done > before:
        tail = f"{_clock(spent / (done - before) * (total - done))} left"
    line = ", ".join(filter(None, (f"{label} {of}", status() if status else "", tail)))
    if terminal:
        sys.stderr.write(f"\r\x1b[K{line}" + ("\n" if last else ""))
    else:
        sys.stderr.write(line + "\n")
    sys.stderr.flush()


def _clock(seconds: float) -> str:
    minutes, second = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{second:02d}"
