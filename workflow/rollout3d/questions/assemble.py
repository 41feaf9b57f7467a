"""Question tables of all shards -> the training table and the test table."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rollout3d.config import CATEGORIES, Config, Splits
from rollout3d.questions import guard, select

_log = logging.getLogger(__name__)

Row = dict[str, Any]


@dataclass(frozen=True)
class Assembled:
    """Rows of the tables ocr_rl, questions (test side) and questions_dropped."""

    train: list[Row]
    test: list[Row]
    dropped: list[Row]


def assemble(questions: Iterable[Row], scenes: Iterable[Mapping[str, Any]], config: Config) -> Assembled:
    """The training table and the test table, whatever the number and order of the tables they came from.

    `questions`: generated and imported rows; `scenes`: rows of all scans (space_id, dataset, split), those without
    questions too, for the leak guard. In order: equal rows count once; rows go to the side of their split; held-out
    spaces leave training; imported categories replace generated ones as `questions.sources` says (training only);
    training loses numbers that answer too often and is cut to `questions.total` in the mix asked for; letters are
    balanced on each side; training is shuffled. Balancing renames options, so question_id changes here; dropped rows
    carry the id of the table they came from.

    Raises guard.LeakError if a space is left on both sides.
    """
    splits = {name: dataset.splits for name, dataset in config.datasets.items()}
    dropped: list[Row] = []

    def drop(rows: Iterable[Row], reason: str) -> None:
        dropped.extend({"question_id": row["question_id"], "file": "", "reason": reason} for row in rows)

    rows = sorted({row["question_id"]: row for row in questions}.values(), key=lambda row: row["question_id"])
    sides: dict[str, list[Row]] = {"train": [], "test": [], "none": []}
    for row in rows:
        sides[_side(row, splits)].append(row)
    drop(sides["none"], "its split is neither trained on nor tested")

    held_out = guard.held_out_spaces([*scenes, *rows], splits)
    train, leaking = guard.guard(sides["train"], held_out)
    dropped += leaking
    for category, source in sorted(config.questions.sources.items()):
        train, unwanted = _by_source(train, category, source)
        drop(unwanted, f"questions.sources.{category} is {source}")

    train, frequent = select.limit_values(train, config.questions.max_value_share, config.seed)
    drop(frequent, f"a number that answers more than questions.max_value_share = {config.questions.max_value_share:g}")
    train, beyond = select.limit_total(train, config.questions.total, config.seed, config.questions.mix)
    drop(beyond, f"more than questions.total = {config.questions.total} and questions.mix allow")
    train = select.balance_letters(train, config.seed)
    test = select.balance_letters(sides["test"], config.seed)
    guard.check_disjoint(train, test)
    return Assembled(
        select.shuffled(train, config.seed),
        sorted(test, key=_reading_order),
        sorted(dropped, key=lambda row: (row["question_id"], row["reason"])),
    )


def _side(row: Row, splits: Mapping[str, Splits]) -> str:
    """train, test or none; imported rows of datasets without scans here go by the word itself."""
    known = splits.get(row["dataset"], Splits())
    if row["split"] in known.train:
        return "train"
    return "test" if row["split"] in known.test else "none"


def _by_source(rows: Sequence[Row], category: str, source: str) -> tuple[list[Row], list[Row]]:
    """Rows that stay, and rows of the category from the source that is not wanted.

    "external" without imported rows keeps the generated ones and says so.
    """
    mine = [row for row in rows if row["question_type"] == category]
    imported = any(row["source"] != "generated" for row in mine)
    if source == "external" and not imported:
        if mine:
            _log.warning(
                "%s: no external file is configured (site.external), so %d generated questions stand in for it",
                category,
                len(mine),
            )
        return list(rows), []
    if source == "both":
        return list(rows), []
    unwanted = {row["question_id"] for row in mine if (row["source"] == "generated") == (source == "external")}
    return [r for r in rows if r["question_id"] not in unwanted], [r for r in mine if r["question_id"] in unwanted]


def _reading_order(row: Row) -> tuple:
    kind = row["question_type"]
    rank = CATEGORIES.index(kind) if kind in CATEGORIES else len(CATEGORIES)
    return row["dataset"], row["scene_id"] or "", rank, kind, row["question_id"]
