"""Draw which things a world contains, so that every question type can be asked in every dataset."""

from __future__ import annotations

import numpy as np

from rollout3d.errors import InvalidInput
from toyworld.rooms.vocabulary import ARKIT, CATEGORIES

FAVOUR = 6.0
"""Weight of a category in a room of one of its themes, relative to other rooms."""


def draw_inventory(rng: np.random.Generator, n: int, themes: tuple[str, ...]) -> dict[str, int]:
    """Draw the number of things per category; the numbers add up to `n`.

    Five to eight categories occur once, since sizes, distances and directions are asked of single things only. At least
    four of them have a class in ARKitScenes, whose vocabulary is smallest. The others occur two to five times, for
    counting. A category that stands on furniture is drawn only together with one to stand on. With fewer than about ten
    things these numbers are smaller. Raises InvalidInput if the categories cannot hold `n` things.
    """
    fits = np.array([FAVOUR if set(category.themes) & set(themes) else 1.0 for category in CATEGORIES.values()])
    # Categories with large counts are rarely single, so that neither the category nor the count reveals the other.
    alone = _shuffled(rng, fits / np.array([category.most for category in CATEGORIES.values()]))
    order = _shuffled(rng, fits * np.array([category.common for category in CATEGORIES.values()]))
    counts: dict[str, int] = {}

    def allowed(name: str) -> bool:
        hosts = CATEGORIES[name].hosts
        return name not in counts and (not hosts or any(host in counts for host in hosts))

    single = min(int(rng.integers(5, 9)), n - min(n // 3, 4))
    for name in [name for name in alone if ARKIT in CATEGORIES[name].asked_as][: min(single, 4)]:
        counts[name] = 1
    # The first two repeated categories are asked about in ARKitScenes too.
    repeatable = [name for name in order if name not in counts and CATEGORIES[name].most > 1]
    first = [name for name in repeatable if ARKIT in CATEGORIES[name].asked_as]
    queue = first[:2] + [name for name in order if name not in first[:2]]
    for name in alone:
        if sum(counts.values()) >= single:
            break
        if allowed(name) and name not in first[:2]:
            counts[name] = 1
    left = n - sum(counts.values())
    # Two passes: the host of a category that stands on furniture may be drawn only in the first one.
    for name in queue * 2:
        most = CATEGORIES[name].most
        if left >= 2 and most >= 2 and allowed(name):
            counts[name] = min(int(rng.integers(2, most + 1)), left)
            left -= counts[name]
    repeated = [name for name in counts if counts[name] > 1]
    while left > 0:
        room = [name for name in repeated if counts[name] < CATEGORIES[name].most]
        fresh = [name for name in order if allowed(name)]
        if room:
            counts[room[int(rng.integers(len(room)))]] += 1
        elif fresh:
            counts[fresh[0]] = 1
        else:
            raise InvalidInput(f"a world holds at most {n - left} things of these categories, not {n}")
        left -= 1
    return counts


def _shuffled(rng: np.random.Generator, weight: np.ndarray) -> list[str]:
    """Return all categories in random order, drawn by weight without replacement (Gumbel trick)."""
    keys = np.log(weight) + rng.gumbel(size=len(weight))
    names = list(CATEGORIES)
    return [names[k] for k in np.argsort(-keys, kind="stable")]
