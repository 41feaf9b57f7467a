"""The gate: which samplings of a scan's video can answer a question, and what each of them would answer.

A sampling is the whole video (`full`), or a set of its frames. A question can be answered where every instance that it,
its options or its answer names is clearly seen (0.2 % of the picture) in some frame. Some types ask for
something else: counts, the room's size and orders of appearance have a rule of their own (`QuestionType.sight`).

Neither `question_id` nor the ground truth depend on it: the gate marks finished questions, and removes some if it is
asked to.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from rollout3d import tables
from rollout3d.config import Config, Splits
from rollout3d.config.frames import WHOLE_VIDEO, evaluated_sets, stored_sets, train_set
from rollout3d.questions import types
from rollout3d.tables.rows import DroppedQuestionRow, QuestionRow

Row = QuestionRow

UNSEEN = "never clearly seen in"
FEWER = "not every instance clearly seen in"
UNCERTAIN = "order of appearance not certain in"
LITTLE = "too little of the room seen in"
REASONS = (UNSEEN, FEWER, UNCERTAIN, LITTLE)
"""How the reasons begin for which questions are refused; the sampling and, after a colon, the details follow."""


@dataclass(frozen=True)
class Gate:
    """What is asked of questions. `samplings`: those that are marked; `train_sets`, `test_sets`: which of them must
    answer a question of a split that is trained on, or tested, where `remove` is set."""

    samplings: tuple[str, ...]
    train_sets: tuple[str, ...]
    test_sets: tuple[str, ...]
    splits: Mapping[str, Splits]
    remove: bool
    budget_answers: bool
    gap_s: float

    @classmethod
    def of(cls, config: Config) -> Gate | None:
        """Return the gate of a configuration; None where questions are not judged."""
        questions = config.questions
        if not questions.gated:
            return None
        return cls(
            samplings=marked_sets(config),
            train_sets=(train_set(config.video),),
            test_sets=tuple(sorted(evaluated_sets(config))) or (WHOLE_VIDEO,),
            splits={name: dataset.splits for name, dataset in config.datasets.items()},
            remove=questions.strict == "remove",
            budget_answers=questions.budget_answers,
            gap_s=questions.appearance_gap_s,
        )

    def shown(self, row: Row) -> tuple[str, ...]:
        """Return the samplings that training or evaluation shows of the question's scan."""
        mine = self.splits.get(row["dataset"])
        return self.train_sets if mine is None or row["split"] in mine.train else self.test_sets


def marked_sets(config: Config) -> tuple[str, ...]:
    """The samplings that questions are marked for: the whole video, and what stages of this configuration show."""
    return (WHOLE_VIDEO, *sorted(stored_sets(config)))


@dataclass(frozen=True)
class Sights:
    """What a scan's video shows: sampling -> object id -> its row of `visibility`."""

    scene_id: str
    of: Mapping[str, Mapping[int, Mapping[str, Any]]] = field(repr=False)

    @classmethod
    def from_rows(cls, rows: Iterable[Mapping[str, Any]]) -> Sights | None:
        """Return the sights of the rows of one scan; None if there are none, so that nothing is known."""
        of: dict[str, dict[int, Mapping[str, Any]]] = {}
        scene_id = None
        for row in rows:
            scene_id = row["scene_id"]
            of.setdefault(row["sampling"], {})[row["object_id"]] = row
        return None if scene_id is None else cls(scene_id, of)

    def seen(self, sampling: str, object_ids: Iterable[int]) -> list[Mapping[str, Any]]:
        """Return the rows of these objects. Raises TableError for an object without one."""
        mine = self.of[sampling]
        object_ids = list(object_ids)
        for object_id in object_ids:
            if object_id not in mine:
                raise tables.TableError(
                    f"scene {self.scene_id}: its table visibility does not hold object {object_id}, which its table "
                    "objects holds: they are of two ingests; run the stage ingest again"
                )
        return [mine[object_id] for object_id in object_ids]


def only(row: Row, sets: Iterable[str]) -> Row:
    """Return a question row with the marks of the whole video and of these sets alone: what its readers depend on."""
    names = {WHOLE_VIDEO, *sets}
    answerable, instead = row.get("answerable"), row.get("budget_answers")
    kept = {
        "answerable": None if answerable is None else [name for name in answerable if name in names],
        "budget_answers": [each for each in instead or () if each["set"] in names] or None,
    }
    return cast(Row, row | kept)


@dataclass(frozen=True)
class Verdict:
    """Verdict on one sampling: the reason why it does not answer, and what it would answer instead, if anything."""

    reason: str | None = None
    instead: str | None = None


def gated(rows: Sequence[Row], sights: Sights | None, gate: Gate) -> tuple[list[Row], list[DroppedQuestionRow]]:
    """Return question rows of one scan with their marks, and `questions_dropped` rows of those that the gate removes.

    Marks are the columns `answerable`, `refused` and `budget_answers`; null where the scan's sights are not known.
    Removed rows go by "scene_id/question_type/question_id".
    """
    kept: list[Row] = []
    dropped: list[DroppedQuestionRow] = []
    for row in rows:
        marked = cast(Row, row | (marks(row, sights, gate) if sights else dict.fromkeys(tables.MARKS)))
        if gate.remove and marked["refused"] is not None:
            key = f"{row['scene_id']}/{row['question_type']}/{row['question_id']}"
            dropped.append({"question_id": key, "file": "", "reason": marked["refused"]})
        else:
            kept.append(marked)
    return kept, dropped


def marks(row: Row, sights: Sights, gate: Gate) -> dict[str, Any]:
    """Return the columns `tables.MARKS` of one question.

    `answerable`: the samplings that lead to its answer; `refused`: why one that is shown does not; `budget_answers`:
    what samplings lead to that do not lead to its answer, null where that is not asked for. Samplings that the table
    visibility lacks are left out; raises TableError if one of them is shown.
    """
    lacking = [name for name in gate.shown(row) if name not in sights.of]
    if lacking:
        raise tables.TableError(
            f"scene {sights.scene_id}: its table visibility lacks {', '.join(lacking)}, which is shown: run the stage "
            "ingest again"
        )
    verdicts = {name: judge(row, sights, name, gate) for name in gate.samplings if name in sights.of}
    whole = verdicts.get(WHOLE_VIDEO)
    of_type = types.known(row["question_type"])
    if of_type is not None and of_type.whole_video_decides and whole and whole.reason:
        verdicts = {name: whole for name in verdicts}
    answerable = [name for name, verdict in verdicts.items() if verdict.reason is None]
    refused = next(
        (verdicts[name].reason for name in gate.shown(row) if name in verdicts if verdicts[name].reason), None
    )
    instead = [{"set": name, "answer": v.instead} for name, v in verdicts.items() if v.instead is not None]
    return {
        "answerable": answerable,
        "refused": refused,
        "budget_answers": instead if gate.budget_answers and instead else None,
    }


def judge(row: Row, sights: Sights, sampling: str, gate: Gate) -> Verdict:
    """Judge whether one sampling answers the question. Raises TableError for tables that do not belong together."""
    of_type = types.known(row["question_type"])
    rule = all_seen if of_type is None or of_type.sight is None else of_type.sight
    return rule(row, sights, sampling, gate)


def all_seen(row: Row, sights: Sights, sampling: str, gate: Gate) -> Verdict:
    """A question can be answered where every object that it names is clearly seen."""
    unseen = [
        each["category"]
        for each in row["objects"]
        if not all(one["n_clear"] for one in sights.seen(sampling, each["object_ids"]))
    ]
    return Verdict(f"{UNSEEN} {sampling}: {', '.join(sorted(set(unseen)))}") if unseen else Verdict()


def is_refusal(reason: str) -> bool:
    """Return whether a reason of `questions_dropped`, or of the column `refused`, is one of the gate's."""
    return reason.startswith(REASONS)


def removed(rows: Iterable[Mapping[str, Any]], question_type: str) -> int:
    """Number of rows of `questions_dropped` that are the gate's and of that type."""
    return sum(is_refusal(row["reason"]) and f"/{question_type}/" in row["question_id"] for row in rows)


def reason_counts(reasons: Iterable[str]) -> list[tuple[str, int]]:
    """Return reasons without their details, with how often each occurs, most frequent first."""
    counts = Counter(reason.split(": ")[0] for reason in reasons)
    return sorted(counts.items(), key=lambda each: (-each[1], each[0]))
