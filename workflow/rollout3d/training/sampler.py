"""The order of questions in training: one seeded permutation per epoch, the same for any number of processes."""

from __future__ import annotations

from collections.abc import Sequence

from rollout3d.seeding import generator


class Sampler:
    """An endless order of ids, addressed by position: position i always holds the same id, so a position is all state.

    Epoch e is a permutation of the *sorted* ids drawn from (seed, e): neither the order of the table's rows nor the
    number of processes changes it.
    """

    def __init__(self, ids: Sequence[str], seed: object):
        if not ids:
            raise ValueError("no questions to train on")
        self._ids, self._seed = sorted(ids), seed
        self._epoch = -1
        self._order: list[int] = []

    def __len__(self) -> int:
        return len(self._ids)

    def take(self, cursor: int, n: int, rank: int = 0, world: int = 1) -> list[str]:
        """Return the ids at positions cursor .. cursor + n - 1; of these every `world`-th, from `rank` on."""
        return [self._at(position) for position in range(cursor + rank, cursor + n, world)]

    def _at(self, position: int) -> str:
        epoch, place = divmod(position, len(self._ids))
        if epoch != self._epoch:
            self._epoch = epoch
            self._order = generator(self._seed, "sampler", epoch).permutation(len(self._ids)).tolist()
        return self._ids[self._order[place]]
