"""Test of the share of damaged scans in a dataset: the only reading of `site.max_drop_share`."""

from __future__ import annotations

from scipy.special import bdtrc

_SIGNIFICANCE = 0.01


def more_than_chance(n_damaged: int, n_scans: int, share: float) -> bool:
    """Return whether a job has too many damaged scans for a dataset of which at most `share` is damaged.

    A job sees a part of a dataset: shards are separate jobs, and a user may have some of the published metadata files.
    Scans are assigned to shards by a hash, so a shard is a random sample; metadata files are treated as one. If `share`
    of the dataset's scans were damaged, their number among `n_scans` would be binomial. True if `n_damaged` or more
    would then occur in less than one sample of a hundred. So an unlucky shard does not stop a dataset within the share,
    and a small sample may have a single damaged scan, unless `share` is 0.
    """
    return bool(n_damaged and bdtrc(n_damaged - 1, n_scans, share) < _SIGNIFICANCE)
