"""The leak guard: a physical space that is tested on is never trained on.

Splits are per scan, leaks are per space: two scans of one room may carry different splits, and imported training data
names scans of the validation side. Spaces are compared by space_id alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rollout3d.config import Splits

Row = Mapping[str, Any]


class LeakError(ValueError):
    """Training and test questions share a physical space."""


def held_out_spaces(rows: Iterable[Row], splits: Mapping[str, Splits]) -> dict[str, str]:
    """Spaces that may not be trained on -> why, from rows with space_id, dataset and split (scenes or questions).

    A space is held out if any of its scans has a split that its dataset does not train on. Rows without a space
    (general data) and of other datasets' names hold nothing out unless their split is val or test.
    """
    held: dict[str, str] = {}
    for row in rows:
        trained = splits[row["dataset"]].train if row["dataset"] in splits else ["train"]
        if row["space_id"] is not None and row["split"] not in trained:
            held.setdefault(row["space_id"], f"space {row['space_id']} is also in split '{row['split']}'")
    return held


def guard(train: Sequence[Row], held_out: Mapping[str, str]) -> tuple[list[Row], list[Row]]:
    """Rows that may be trained on, and `questions_dropped` rows for those of held-out spaces."""
    kept, dropped = [], []
    for row in train:
        reason = held_out.get(row["space_id"])
        if reason is None:
            kept.append(row)
        else:
            dropped.append({"question_id": row["question_id"], "file": "", "reason": f"leak guard: {reason}"})
    return kept, dropped


def check_disjoint(train: Iterable[Row], test: Iterable[Row]) -> None:
    """Raise LeakError if any physical space has questions on both sides."""
    tested = {row["space_id"] for row in test} - {None}
    both = sorted({row["space_id"] for row in train} & tested)
    if both:
        raise LeakError(f"{len(both)} spaces are trained on and tested, such as {', '.join(both[:3])}")
