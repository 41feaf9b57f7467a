"""How much of a dataset may be damaged: the one reading of `site.max_drop_share`."""

from __future__ import annotations

from scipy.special import bdtrc

_CHANCE = 0.01


def more_than_chance(n_damaged: int, n_scans: int, share: float) -> bool:
    """Return whether so many of a job's scans are damaged that their dataset must have more than `share` of them.

    No job need see a whole dataset: shards are separate jobs, and a user may hold some of the published metadata
    files. Scans are dealt to shards by a hash, so a shard is a random sample; metadata files are taken for one. If
    `share` of the dataset's scans were damaged, their number among `n_scans` would be binomial. True if `n_damaged` or
    more would then come up in less than one sample of a hundred. So a dataset within the share is not stopped by an
    unlucky shard, and a small sample survives a single damaged scan, unless `share` is 0.
    """
    return bool(n_damaged and bdtrc(n_damaged - 1, n_scans, share) < _CHANCE)
