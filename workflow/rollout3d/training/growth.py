"""Compare a part of the reward in the last third of a training with the first third, question by question."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import fmean

from rollout3d.errors import InvalidInput
from rollout3d.tables.rows import RolloutRow
from rollout3d.training.rollouts import CLEAN

PARTS = 3
"""Parts of a training: the first and the last are compared."""


@dataclass(frozen=True)
class Growth:
    """Means of a part of the reward over the questions of the first and the last third of a training's steps."""

    first: float
    last: float
    low: float
    """Lower end of the 95 % interval of `last` - `first`."""
    high: float
    n_first: int
    """Number of questions of the first third."""
    n_last: int


def growth(rows: Iterable[RolloutRow], part: str) -> Growth:
    """Return how a part of the reward (`rollouts.rewards`) differs between the last and the first third of the steps.

    Clean rollouts alone count. A question counts once a third, with the mean of its rollouts, which are not
    independent. The interval is Welch's, over questions. Raises InvalidInput where no rollout has the part, or a third
    has fewer than two questions.
    """
    clean = [row for row in rows if row["view"] == CLEAN]
    steps = 1 + max((row["step"] for row in clean), default=-1)
    thirds: tuple[dict[str, list[float]], dict[str, list[float]]] = ({}, {})
    known: set[str] = set()
    for row in clean:
        values = {each["name"]: each["value"] for each in row["rewards"]}
        known |= values.keys()
        where = 0 if PARTS * row["step"] < steps else 1 if PARTS * (row["step"] + 1) > (PARTS - 1) * steps else None
        if where is not None and part in values:
            thirds[where].setdefault(row["question_id"], []).append(values[part])
    if part not in known:
        raise InvalidInput(f"no rollout has a reward part {part}; there are {', '.join(sorted(known)) or 'none'}")
    first, last = ([fmean(each) for each in third.values()] for third in thirds)
    if min(len(first), len(last)) < 2:
        raise InvalidInput(
            f"{len(first)} and {len(last)} questions in the first and the last third of {steps} steps: an interval "
            "needs two of each"
        )
    if len(set(first)) == len(set(last)) == 1:  # no spread at all, for which Welch's interval is undefined
        low = high = last[0] - first[0]
    else:
        from scipy.stats import ttest_ind  # SciPy is slow to import

        low, high = ttest_ind(last, first, equal_var=False).confidence_interval(0.95)
    return Growth(fmean(first), fmean(last), float(low), float(high), len(first), len(last))
