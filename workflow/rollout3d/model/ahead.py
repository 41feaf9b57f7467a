"""Prefetch inputs in a background thread, so that decoding, masks and noise cost no time of their own."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

T = TypeVar("T")


class Ahead(Generic[T]):
    """Values of `make(step)` for consecutive steps below `end`, made by one thread up to `depth` steps ahead of use.

    `make` runs in that thread only, one call at a time, so what it alone touches needs no lock. Nothing may depend on
    when it runs. An error in it is raised by the `take` of its step.
    """

    def __init__(self, make: Callable[[int], T], end: int, depth: int = 1):
        self._make, self._end, self._depth = make, end, depth
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="ahead")
        self._made: dict[int, Future[T]] = {}

    def __enter__(self) -> Ahead[T]:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def take(self, step: int) -> T:
        """Return the value of a step, once it is made; start the ones after it. Each step may be taken once."""
        self._start(step)
        value = self._made.pop(step).result()
        for following in range(step + 1, min(step + 1 + self._depth, self._end)):
            self._start(following)
        return value

    def ready(self, step: int) -> bool:
        """Return whether the value of a step is made; start it if it is not."""
        self._start(step)
        return self._made[step].done()

    def _start(self, step: int) -> None:
        if step not in self._made:
            self._made[step] = self._pool.submit(self._make, step)
