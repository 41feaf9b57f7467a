"""Which things a world holds, so that every question type has something to ask in every dataset."""

from __future__ import annotations

import numpy as np

from toyworld.vocabulary import ARKIT, KINDS

FAVOUR = 6.0
"""How much likelier a kind is in a scene of its themes."""


def draw_inventory(rng: np.random.Generator, n: int, themes: tuple[str, ...]) -> dict[str, int]:
    """How many of each kind: `n` things in all.

    Five to eight kinds occur once (sizes, distances and directions are asked of those only), at least four of them
    with a class in ARKitScenes, whose vocabulary is smallest; the others occur twice to five times (counting).
    Kinds that stand on furniture come only with a kind to stand on. Fewer than about ten things lower these numbers.
    """
    fits = np.array([FAVOUR if set(kind.themes) & set(themes) else 1.0 for kind in KINDS.values()])
    # Kinds that come in numbers are rarely single, so that a kind alone does not tell its count, nor the reverse.
    alone = _shuffled(rng, fits / np.array([kind.most for kind in KINDS.values()]))
    order = _shuffled(rng, fits * np.array([kind.common for kind in KINDS.values()]))
    counts: dict[str, int] = {}

    def allowed(name: str) -> bool:
        hosts = KINDS[name].hosts
        return name not in counts and (not hosts or any(host in counts for host in hosts))

    single = min(int(rng.integers(5, 9)), n - min(n // 3, 4))
    for name in [name for name in alone if ARKIT in KINDS[name].categories][: min(single, 4)]:
        counts[name] = 1
    # The first two repeated kinds are asked about in ARKitScenes, too.
    first = [name for name in order if ARKIT in KINDS[name].categories and name not in counts and KINDS[name].most > 1]
    queue = first[:2] + [name for name in order if name not in first[:2]]
    for name in alone:
        if sum(counts.values()) >= single:
            break
        if allowed(name) and name not in first[:2]:
            counts[name] = 1
    left = n - sum(counts.values())
    # Twice through: a kind that stands on furniture may only find its host on the first pass.
    for name in queue * 2:
        most = KINDS[name].most
        if left >= 2 and most >= 2 and allowed(name):
            counts[name] = min(int(rng.integers(2, most + 1)), left)
            left -= counts[name]
    repeated = [name for name in counts if counts[name] > 1]
    while left > 0:
        room = [name for name in repeated if counts[name] < KINDS[name].most]
        fresh = [name for name in order if allowed(name)]
        if room:
            counts[room[int(rng.integers(len(room)))]] += 1
        elif fresh:
            counts[fresh[0]] = 1
        else:
            raise ValueError(f"a world holds at most {n - left} things of these kinds, not {n}")
        left -= 1
    return counts


def _shuffled(rng: np.random.Generator, weight: np.ndarray) -> list[str]:
    """All kinds, heavier ones rather earlier: draws without replacement (Gumbel trick)."""
    keys = np.log(weight) + rng.gumbel(size=len(weight))
    names = list(KINDS)
    return [names[k] for k in np.argsort(-keys, kind="stable")]
