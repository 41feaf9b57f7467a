"""Random numbers that depend on names, not on order: the same question draws the same noise on any machine."""

from __future__ import annotations

import hashlib

import numpy as np


def stable_hash(*parts: object) -> int:
    """A 64-bit integer from the text of `parts`: equal on every machine and Python, unlike `hash`."""
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")


def generator(*parts: object) -> np.random.Generator:
    """A NumPy generator seeded by `parts`, such as (seed, "questions", scene_id)."""
    return np.random.default_rng(stable_hash(*parts))


def shard_of(space_id: str, n_shards: int) -> int:
    """Return the shard (0 to n_shards - 1) of a physical space. A new scan moves no other one."""
    return int.from_bytes(hashlib.sha256(space_id.encode()).digest(), "big") % n_shards
