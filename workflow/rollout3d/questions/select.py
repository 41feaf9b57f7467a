"""Choosing questions: caps per scene, sets of well-separated values, frequent numbers, the total.

Every choice depends on seeds and contents only, so neither the number of shards nor the order of files matters.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import floor
from typing import Any, TypeVar

import numpy as np

from rollout3d.seeding import stable_hash
from rollout3d.tables.rows import QuestionRow

T = TypeVar("T")
Row = QuestionRow


def sample(candidates: Sequence[T], cap: int | None, rng: np.random.Generator, reasons: Counter[str]) -> list[T]:
    """Return at most `cap` candidates (None = all), drawn without replacement, in their given order.

    What the cap leaves out is counted in `reasons`.
    """
    if cap is None or len(candidates) <= cap:
        return list(candidates)
    reasons[f"cap of {cap} a scene"] += len(candidates) - cap
    chosen = rng.choice(len(candidates), cap, replace=False)
    return [candidates[k] for k in sorted(chosen.tolist())]


def sample_evenly(
    candidates: Sequence[T], answers: Sequence[Any], cap: int | None, rng: np.random.Generator, reasons: Counter[str]
) -> list[T]:
    """As `sample`, but the answers (one a candidate) take turns, so that a rare one is drawn as often as it can be."""
    if cap is None or len(candidates) <= cap:
        return list(candidates)
    reasons[f"cap of {cap} a scene"] += len(candidates) - cap
    piles: dict[Any, list[int]] = {}
    for k in rng.permutation(len(candidates)).tolist():
        piles.setdefault(answers[k], []).append(k)
    turn = {k: (place, k) for pile in piles.values() for place, k in enumerate(pile)}
    # Whose turn comes first within a round is drawn, too: the last round may not reach everybody.
    first = {answer: order for order, answer in zip(rng.permutation(len(piles)).tolist(), sorted(piles))}
    ranked = sorted(turn, key=lambda k: (turn[k][0], first[answers[k]]))
    return [candidates[k] for k in sorted(ranked[:cap])]


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
        """Return the set of this rank, its names by increasing value."""
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


def limit_values(rows: Sequence[Row], max_share: float, seed: int) -> tuple[list[Row], list[Row]]:
    """Kept and left out rows: no number answers more than `max_share` of the questions of its type that are kept.

    A number is thinned at most to the occurrences of the second most frequent one: it does not dominate then, and a
    type whose other answers are rare would otherwise lose nearly all its questions. Of a frequent answer the rows of
    smallest seeded hash stay.
    """
    by_type: dict[str, dict[str, list[Row]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        if row["answer_type"] == "number":
            by_type[row["question_type"]][row["ground_truth"]].append(row)
    out: set[str] = set()
    for groups in by_type.values():
        limit = _value_limit(sorted(map(len, groups.values())), max_share)
        for group in groups.values():
            ranked = sorted(group, key=lambda row: stable_hash(seed, "values", row["question_id"]))
            out |= {row["question_id"] for row in ranked[limit:]}
    return [r for r in rows if r["question_id"] not in out], [r for r in rows if r["question_id"] in out]


def _value_limit(counts: Sequence[int], max_share: float) -> int:
    """Return the most that an answer may occur, from the occurrences of each, ascending."""
    best = low = counts[-2] if len(counts) > 1 else counts[-1]
    high = counts[-1]
    while low <= high:
        limit = (low + high) // 2
        if limit <= max_share * sum(min(n, limit) for n in counts):
            best, low = limit, limit + 1
        else:
            high = limit - 1
    return best


def limit_total(
    rows: Sequence[Row], total: int | None, seed: int, mix: Mapping[str, Any] | None = None
) -> tuple[list[Row], list[Row]]:
    """Kept and left out rows: at most `total`, with the shares of `mix`, spread evenly over the scans (`spread`).

    Question types that `mix` does not name share what is left as they occur. A type with fewer rows than its share
    gives all, and the others fill up. With `total` None as many rows stay as the shares allow; without a mix all.
    Shares are numbers or fractions ("288/5130"), rounded by largest remainder.
    """
    counts = Counter(row["question_type"] for row in rows)
    shares = shares_of(counts, mix or {})
    if total is None:
        total = min((floor(counts[kind] / share) for kind, share in shares.items()), default=0)
    kept = spread(rows, _quota(counts, shares, total), seed)
    return [r for r in rows if r["question_id"] in kept], [r for r in rows if r["question_id"] not in kept]


def spread(rows: Sequence[Row], quota: Mapping[str, int], seed: int) -> set[str]:
    """question_ids of `quota` rows per question type, drawn from the scans in turns.

    Within a type every scan gives one row before any gives a second one. In a round that cannot reach all scans, those
    with the fewest rows so far, of any type, come first, ties by seeded hash; of a scan's rows those of smallest
    seeded hash stay. Types that few scans have choose first. So one scan more takes its turns and moves little else.
    General data have no scan: each row counts as one.
    """
    piles: dict[str, dict[Any, list[str]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        scan = (row["dataset"], row["scene_id"]) if row["scene_id"] is not None else row["question_id"]
        piles[row["question_type"]][scan].append(row["question_id"])
    given: Counter[Any] = Counter()
    kept: set[str] = set()
    for kind, of_scan in sorted(piles.items(), key=lambda item: (len(item[1]), item[0])):
        left = quota[kind]
        draw = {scan: stable_hash(seed, "scans", kind, scan) for scan in of_scan}
        for pile in of_scan.values():
            pile.sort(key=lambda question_id: (stable_hash(seed, "total", question_id), question_id))
        turn = 0
        while left > 0:
            waiting = [scan for scan, pile in of_scan.items() if len(pile) > turn]
            if len(waiting) > left:
                waiting = sorted(waiting, key=lambda scan: (given[scan], draw[scan]))[:left]
            kept |= {of_scan[scan][turn] for scan in waiting}
            given.update(waiting)
            left -= len(waiting)
            turn += 1
    return kept


def shares_of(counts: Mapping[str, int], mix: Mapping[str, Any]) -> dict[str, Fraction]:
    """The share of each type that occurs; they add up to 1. Exact: rounding would decide between equal remainders."""
    named = {kind: Fraction(str(mix[kind])) for kind in counts if kind in mix}
    rest = sum(n for kind, n in counts.items() if kind not in named)
    left = max(1 - sum(named.values()), Fraction(0))
    shares = named | {kind: left * Fraction(n, rest) for kind, n in counts.items() if kind not in named}
    whole = sum(shares.values())
    return {kind: share / whole for kind, share in shares.items() if share > 0}


def _quota(counts: Mapping[str, int], shares: Mapping[str, Fraction], total: int) -> dict[str, int]:
    """Return rows of each type: `total` by shares, at most what there is."""
    quota = dict.fromkeys(counts, 0)
    open_kinds, left = set(shares), min(total, sum(counts[kind] for kind in shares))
    while open_kinds:
        whole = sum(shares[kind] for kind in open_kinds)
        wanted = {kind: left * shares[kind] / whole for kind in open_kinds}
        full = {kind for kind in open_kinds if wanted[kind] >= counts[kind]}
        if not full:
            quota |= {kind: floor(share) for kind, share in wanted.items()}
            seats = left - sum(quota[kind] for kind in open_kinds)
            for kind in sorted(wanted, key=lambda kind: (quota[kind] - wanted[kind], kind))[:seats]:
                quota[kind] += 1
            break
        for kind in full:
            quota[kind] = counts[kind]
            left -= counts[kind]
        open_kinds -= full
    return quota


def shuffled(rows: Sequence[Row], seed: int) -> list[Row]:
    """Return the rows in a seeded order that depends on their contents, not on the order given."""
    return sorted(rows, key=lambda row: (stable_hash(seed, "order", row["question_id"]), row["question_id"]))
