"""The leak guard: a physical space that is tested on is never trained on.

Splits are per scan, leaks are per space: two scans of one room may carry different splits, a benchmark names single
scans, and imported training data names scans of the validation side. Spaces are compared by space_id alone
(`scenes.datasets.space_of`).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rollout3d import doors
from rollout3d.config import Splits
from rollout3d.errors import UserError
from rollout3d.scenes import datasets
from rollout3d.scenes.datasets import space_of
from rollout3d.tables.rows import DroppedQuestionRow, QuestionRow

_log = logging.getLogger(__name__)

Row = Mapping[str, Any]
"""A row of questions or of scenes; some columns are enough."""

REASON = "leak guard"
"""How the reason begins of every row that the guard refuses."""


class LeakError(UserError, ValueError):
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


def benchmark_spaces(benchmark: Iterable[Row], scenes: Iterable[Row]) -> dict[str, str]:
    """Spaces that a benchmark tests -> why, from its questions and the rows of all scans.

    A question about pictures names the space that they show, if that is known, and no scan. The space of a benchmark's
    scan is that of the scan in `scenes`; a scan that is not there is held out by its own
    name and by what its name tells of its space. For datasets whose spaces only a table of the release tells
    (ARKitScenes), other scans of the same space are then held out by their split alone; a warning says so.
    """
    known = {(row["dataset"], row["scene_id"]): row["space_id"] for row in scenes}
    held: dict[str, str] = {}
    unknown: dict[str, set[str]] = {}
    for row in benchmark:
        if row["scene_id"] is None:
            if row["space_id"] is not None:
                held.setdefault(row["space_id"], f"space {row['space_id']} is tested by {row['source']}")
            continue
        key = (row["dataset"], row["scene_id"])
        space = known.get(key, space_of(*key))
        if key not in known and _listed_spaces(row["dataset"]):
            unknown.setdefault(row["dataset"], set()).add(row["scene_id"])
        for name in (space, row["scene_id"]):
            held.setdefault(name, f"space {space} is tested by {row['source']}")
    for dataset in sorted(unknown.keys() & {dataset for dataset, _ in known}):
        _log.warning(
            "leak guard: %d %s videos of the benchmark, such as %s, are not among the ingested scans: other scans of "
            "the same spaces are held out by their split only",
            len(unknown[dataset]),
            datasets.load(dataset).RELEASE.title,
            min(unknown[dataset]),
        )
    return held


def _listed_spaces(dataset: str) -> bool:
    """Return whether only a table of the dataset's release tells the spaces of its scans."""
    return dataset in doors.DATASETS.names and datasets.load(dataset).RELEASE.listed_spaces


def guard(
    train: Sequence[QuestionRow], held_out: Mapping[str, str]
) -> tuple[list[QuestionRow], list[DroppedQuestionRow]]:
    """Return rows that may be trained on, and `questions_dropped` rows for those of held-out spaces or scans."""
    kept: list[QuestionRow] = []
    dropped: list[DroppedQuestionRow] = []
    for row in train:
        names = (name for name in (row["space_id"], row["scene_id"]) if name is not None)
        reason = next((held_out[name] for name in names if name in held_out), None)
        if reason is None:
            kept.append(row)
        else:
            dropped.append({"question_id": row["question_id"], "file": "", "reason": f"{REASON}: {reason}"})
    return kept, dropped


def check_disjoint(train: Iterable[Row], test: Iterable[Row]) -> None:
    """Raise LeakError if any physical space has questions on both sides."""
    tested = {row["space_id"] for row in test} - {None}
    both = sorted({row["space_id"] for row in train} & tested)
    if both:
        raise LeakError(f"{len(both)} spaces are trained on and tested, such as {', '.join(both[:3])}")
