"""Choosing questions: caps a scene, sets of well-separated values, balanced letters, the total.

Every choice depends on seeds and contents only, so neither the number of shards nor the order of files matters.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from math import floor
from typing import Any, TypeVar

import numpy as np

from rollout3d.questions.templates import LETTERS, reordered
from rollout3d.seeding import generator, stable_hash

T = TypeVar("T")
Row = dict[str, Any]


def sample(candidates: Sequence[T], cap: int | None, rng: np.random.Generator, reasons: Counter[str]) -> list[T]:
    """At most `cap` candidates (None = all), drawn without replacement, in their given order.

    What the cap leaves out is counted in `reasons`.
    """
    if cap is None or len(candidates) <= cap:
        return list(candidates)
    reasons[f"cap of {cap} a scene"] += len(candidates) - cap
    chosen = rng.choice(len(candidates), cap, replace=False)
    return [candidates[k] for k in sorted(chosen.tolist())]


class SpacedSets:
    """All sets of `size` names whose values differ pairwise by more than `gap`, counted and addressed by number.

    The sets are never listed: `len` is a count by dynamic programming over the sorted values, and item r is the r-th
    set. A scene with 40 categories has millions of sets, of which a few dozen are drawn.
    """

    def __init__(self, values: Mapping[str, float], size: int, gap: float):
        ordered = sorted(values.items(), key=lambda item: (item[1], item[0]))
        self.names = [name for name, _ in ordered]
        numbers = [value for _, value in ordered]
        n = len(numbers)
        self._next = [bisect_right(numbers, value + gap) for value in numbers]
        # ways[j][i]: sets of j names, all from i on.
        self._ways = [[1] * (n + 1)]
        for _ in range(size):
            smaller, ways = self._ways[-1], [0] * (n + 1)
            for i in reversed(range(n)):
                ways[i] = ways[i + 1] + smaller[self._next[i]]
            self._ways.append(ways)
        self.size = size

    def __len__(self) -> int:
        return self._ways[self.size][0]

    def __getitem__(self, rank: int) -> list[str]:
        """The set of this rank, its names by increasing value."""
        if not 0 <= rank < len(self):
            raise IndexError(rank)
        chosen: list[str] = []
        i, left = 0, self.size
        while left:
            with_i = self._ways[left - 1][self._next[i]]
            if rank < with_i:
                chosen.append(self.names[i])
                i, left = self._next[i], left - 1
            else:
                rank -= with_i
                i += 1
        return chosen


def balance_letters(rows: Sequence[Row], seed: int) -> list[Row]:
    """The same rows in the same order, with the right options spread evenly over the letters.

    Questions are visited by content hash; each puts its answer at the letter least used so far by its question type
    and number of options, ties broken by least used over all types, then by a seeded draw; the other options are
    shuffled. Only generated questions are touched: an imported text may refer to its letters.
    """
    by_type: dict[tuple[str, int], Counter[int]] = defaultdict(Counter)
    by_number: dict[int, Counter[int]] = defaultdict(Counter)
    balanced = list(rows)
    for k in sorted(range(len(rows)), key=lambda k: rows[k]["question_id"]):
        row = rows[k]
        if row["options"] is None or row["source"] != "generated":
            continue
        n = len(row["options"])
        rng = generator(seed, "letters", row["question_id"])
        mine, all_types = by_type[row["question_type"], n], by_number[n]
        tie = rng.permutation(n)
        letter = min(range(n), key=lambda place: (mine[place], all_types[place], tie[place]))
        mine[letter] += 1
        all_types[letter] += 1
        truth = LETTERS.index(row["ground_truth"])
        order = [int(other) for other in rng.permutation(n) if other != truth]
        order.insert(letter, truth)
        balanced[k] = reordered(row, order)
    return balanced


def limit_total(rows: Sequence[Row], total: int | None, seed: int) -> tuple[list[Row], list[Row]]:
    """Kept and left out rows: at most `total` (None = all), each question type keeping its share of the mix.

    Shares are rounded by largest remainder; within a type the rows of smallest seeded hash stay.
    """
    if total is None or len(rows) <= total:
        return list(rows), []
    by_type: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_type[row["question_type"]].append(row)
    shares = {kind: total * len(group) / len(rows) for kind, group in by_type.items()}
    quota = {kind: floor(share) for kind, share in shares.items()}
    for kind in sorted(shares, key=lambda kind: (quota[kind] - shares[kind], kind))[: total - sum(quota.values())]:
        quota[kind] += 1
    kept: set[str] = set()
    for kind, group in by_type.items():
        ranked = sorted(group, key=lambda row: stable_hash(seed, "total", row["question_id"]))
        kept |= {row["question_id"] for row in ranked[: quota[kind]]}
    return [r for r in rows if r["question_id"] in kept], [r for r in rows if r["question_id"] not in kept]


def shuffled(rows: Sequence[Row], seed: int) -> list[Row]:
    """The rows in a seeded order that depends on their contents, not on the order given."""
    return sorted(rows, key=lambda row: (stable_hash(seed, "order", row["question_id"]), row["question_id"]))
