"""Predictions of others against the right answers: scores by several scorers side by side, with intervals. Pure.

What is missing counts as wrong, what belongs to no question is counted and left out, and both are said.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rollout3d.evaluation.answers import SIZES, Answers, Asked
from rollout3d.evaluation.foreign import ForeignError, Predictions
from rollout3d.evaluation.intervals import CONFIDENCE, DRAWS, bootstrap
from rollout3d.evaluation.settings import UNKNOWN
from rollout3d.questions import types
from rollout3d.scoring import aggregate, scorers
from rollout3d.scoring.parse import first_word

RAW = ("vsibench", "lmms")
"""Scorers that do not look into the `<answer>` tag."""


@dataclass(frozen=True)
class Cell:
    """Score of one task by one scorer, 0 to 100, and its interval; None where one scene was asked about."""

    score: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Assessment:
    """`cells`: scorer -> task -> its score; `n`, `missing`: task -> questions, and those without a prediction.

    `unread`: scorer -> predictions in which it found no answer. `unknown`: ids of no question; `outside`: ids of
    questions outside the split. `part`: what the questions are of their benchmark, None for all of it. `notes`: what a
    reader of the numbers must know.
    """

    benchmark: str
    split: str
    part: str | None
    cells: dict[str, dict[str, Cell]]
    n: dict[str, int]
    missing: dict[str, int]
    unread: dict[str, int]
    unknown: list[str]
    outside: int
    scenes: int
    settings: str
    notes: list[str]


def assess(
    predictions: Predictions, answers: Answers, asked: Sequence[Asked], split: str, names: Sequence[str]
) -> Assessment:
    """Score `predictions` by the scorers `names` on the questions `asked`, which are the split `split` of `answers`.

    Raises ForeignError if no prediction belongs to any of them, or if the predictions name other questions than their
    ids do.
    """
    texts, known = _by_question(predictions, answers)
    wanted = {question.id for question in asked}
    unknown = [name for name in texts if name not in known]
    missing = [question.id not in texts for question in asked]
    if all(missing):
        files = ", ".join(str(file) for file in answers.files)
        raise ForeignError(
            f"none of the {len(texts)} ids in '{predictions.id_column}', such as {shown(list(texts))}, is one of "
            f"{len(asked)} questions of {files} (split {split}), such as {shown([q.id for q in asked])}: "
            "name the right column with --id-column, or give the file of these questions"
        )
    values = np.zeros((len(asked), len(names)))
    unread: Counter[str] = Counter()
    for i, question in enumerate(asked):
        if missing[i]:
            continue
        row = {"answer_type": question.answer_type, "ground_truth": question.ground_truth}
        for j, name in enumerate(names):
            found = scorers.score(texts[question.id], row, name)
            values[i, j] = found.score
            unread[name] += found.answer is None
    kinds = [question.question_type for question in asked]
    scenes = [question.scene for question in asked]
    bounds = bootstrap(values, kinds, scenes)
    cells: dict[str, dict[str, Cell]] = {}
    for j, name in enumerate(names):
        means = _average(kinds, values[:, j])
        cells[name] = {
            task: Cell(100 * mean.score, *(_percent(bounds[task][j]) if bounds[task] else (None, None)))
            for task, mean in means.items()
            if mean.score is not None
        }
    counts = {task: mean.n for task, mean in _average(kinds, values[:, 0]).items() if mean.n}
    lost = [kind for kind, gone in zip(kinds, missing, strict=True) if gone]
    lacking = {task: mean.n for task, mean in _average(lost, np.zeros(len(lost))).items() if task in counts}
    part = None if split == "full" and len(asked) == SIZES["full"] else f"{split}, {len(asked)} of {SIZES['full']}"
    of_vsibench = answers.released or bool(answers.other_ids)
    return Assessment(
        "vsibench" if of_vsibench else "questions",
        split,
        part if of_vsibench else None,
        cells,
        counts,
        lacking,
        dict(unread),
        unknown,
        sum(name in known and name not in wanted for name in texts),
        len(set(scenes)),
        predictions.settings or UNKNOWN,
        _notes(texts, answers, split, counts, names),
    )


def _by_question(predictions: Predictions, answers: Answers) -> tuple[dict[str, str], set[str]]:
    """Texts by the ids of the answers, and all of these ids. VSI-Bench's ids stand for ours where none of ours fits."""
    known = {question.id: question for question in answers.questions}
    renamed = answers.other_ids if not predictions.texts.keys() & known.keys() else {}
    for name, told in predictions.told.items():
        question = known.get(renamed.get(name, name))
        for field, value in told.items() if question else ():
            if not _same(value, getattr(question, field)):
                raise ForeignError(
                    f"the prediction with the id {name} is for a question whose {field} is '{value}', but in "
                    f"{', '.join(map(str, answers.files))} it is '{getattr(question, field)}': is "
                    f"'{predictions.id_column}' a row number, or do the files belong to different releases?"
                )
    return {renamed.get(name, name): text for name, text in predictions.texts.items()}, set(known)


def _same(told: str, known: str) -> bool:
    """True if a file's own note agrees: 4.0 for 4, "A. left" for A, object_rel_direction for one of its three types."""
    try:
        return float(told) == float(known)
    except ValueError:
        of_type = types.known(known)
        names = (known, of_type.scored_as.name) if of_type else (known,)
        return told.strip() in names or first_word(told) == known


def _average(kinds: Sequence[str], values: np.ndarray) -> dict[str, aggregate.Mean]:
    grouped: dict[str, list[float]] = {}
    for kind, value in zip(kinds, values.tolist(), strict=True):
        grouped.setdefault(kind, []).append(value)
    return aggregate.vsibench(grouped)


def _percent(bounds: tuple[float, float]) -> tuple[float, float]:
    return 100 * bounds[0], 100 * bounds[1]


def _notes(
    texts: dict[str, str], answers: Answers, split: str, counts: dict[str, int], names: Sequence[str]
) -> list[str]:
    notes = []
    whole = SIZES.get(split)
    if answers.released and whole and counts["overall"] != whole:
        notes.append(f"{counts['overall']:,} questions are not the {whole:,} of VSI-Bench's split {split}")
    lacking = [task for task in (each.name for each in aggregate.tasks()) if task not in counts]
    if lacking:
        notes.append(f"overall is without {', '.join(lacking)}: compare it with no other overall")
    tags = sum("</answer>" in text for text in texts.values())
    if tags and set(names) <= set(RAW):
        notes.append(f"{tags:,} texts hold an <answer> tag, into which no scorer asked for looks: try tagged")
    return notes


def report(found: Assessment) -> str:
    """The table: a line per task with questions, missing predictions and each scorer's score with its interval."""
    names = list(found.cells)
    lines = ["  ".join([f"{'task':<24}{'n':>7}{'missing':>9}", *(f"{name:>21}" for name in names)])]
    for task in found.n:
        shown = [f"{_shown(found.cells[name][task]):>21}" for name in names]
        lines.append("  ".join([f"{task:<24}{found.n[task]:>7,}{found.missing[task]:>9,}", *shown]))
    unread = [f"{found.unread.get(name, 0):>21,}" for name in names]
    lines.append("  ".join([f"{'(no answer in the text)':<24}{'':>7}{'':>9}", *unread]))
    lines.append(
        f"scores 0 to 100; {CONFIDENCE:.0%} intervals by bootstrap over {found.scenes:,} scenes (scans of one space "
        f"count once), {DRAWS:,} draws"
        if found.scenes > 1
        else "scores 0 to 100; no intervals: all questions are about one scene"
    )
    return "\n".join(lines)


def _shown(cell: Cell) -> str:
    return f"{cell.score:.1f}" + ("" if cell.low is None else f" ({cell.low:.1f} to {cell.high:.1f})")


def shown(ids: Sequence[str]) -> str:
    """The first three ids, for a message: quoted and cut, since they may hold anything."""
    return ", ".join(ascii(name[:40]) for name in ids[:3])


def score_rows(found: Assessment, run: str, columns: Sequence[str]) -> list[dict[str, Any]]:
    """SCORES rows (`columns` of that table) of an assessment; `run` names the predictions."""
    rows = []
    for name, cells in found.cells.items():
        for task, cell in cells.items():
            row = {"run": run, "benchmark": found.benchmark, "task": task, "view": "video", "n": found.n[task]}
            row |= {"score": cell.score, "low": cell.low, "high": cell.high, "scorer": name, "rests_on": []}
            row |= {"settings": found.settings, "part": found.part}
            rows.append({column: row.get(column) for column in columns})
    return rows
