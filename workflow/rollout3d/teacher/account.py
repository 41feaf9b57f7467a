"""Account of a spending limit: cost of the replies in a cache, and most that requests in flight may still cost."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Account:
    """Spending limit `max_usd`, with `spent_usd` dollars for `n_replies` replies so far. Safe to share.

    Several threads and several clients may share one account.
    """

    def __init__(self, max_usd: float, spent_usd: float, n_replies: int):
        self.max_usd, self.spent_usd, self.n_replies = max_usd, spent_usd, n_replies
        self._changed = threading.Condition()
        self._held, self._n_held = 0.0, 0

    @contextmanager
    def reserved(self, worst: float, refuse: Callable[[float], Exception]) -> Iterator[None]:
        """Reserve money for a request in flight; wait for others where only their worst case exceeds the limit.

        Raises `refuse(worst)` where the limit allows no further request.
        """
        with self._changed:
            while self.spent_usd + self._held + worst > self.max_usd:
                if not self._n_held:
                    raise refuse(worst)
                self._changed.wait()
            self._held, self._n_held = self._held + worst, self._n_held + 1
        try:
            yield
        finally:
            with self._changed:
                self._n_held -= 1
                self._held = self._held - worst if self._n_held else 0.0
                self._changed.notify_all()

    def count(self, usd: float) -> None:
        """Add dollars that were spent."""
        with self._changed:
            self.spent_usd += usd

    def kept(self) -> None:
        """Count one more reply in the cache."""
        with self._changed:
            self.n_replies += 1
