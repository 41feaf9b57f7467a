"""What the next step needs is prepared while this one computes: decoding, masks and noise cost no time of their own."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

T = TypeVar("T")


class Ahead(Generic[T]):
    """Values of `make(step)` for consecutive steps below `end`, each made by one thread while the one before is in use.

    `make` runs in that thread only, one call at a time, so what it alone touches needs no lock. Nothing may depend on
    when it runs. An error in it is raised by the `take` of its step.
    """

    def __init__(self, make: Callable[[int], T], end: int):
        self._make, self._end = make, end
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="ahead")
        self._made: dict[int, Future[T]] = {}

    def __enter__(self) -> Ahead[T]:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def take(self, step: int) -> T:
        """The value of a step; the next one is begun."""
        made = self._made.pop(step, None) or self._pool.submit(self._make, step)
        value = made.result()
        if step + 1 < self._end and step + 1 not in self._made:
            self._made = {step + 1: self._pool.submit(self._make, step + 1)}
        return value
