"""Score predictions of others against the right answers, by several scorers side by side, with intervals. Pure.

Missing predictions count as wrong. Predictions that belong to no question are counted and left out. The report states
both numbers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rollout3d import doors
from rollout3d.evaluation import benchmarks
from rollout3d.evaluation.answer_key import BENCHMARK, AnswerKey, splits, title
from rollout3d.evaluation.benchmarks import Reference
from rollout3d.evaluation.foreign import ForeignError, Predictions
from rollout3d.evaluation.intervals import CONFIDENCE, DRAWS, Bounds, bootstrap, bootstrap_of
from rollout3d.evaluation.seeing import Average
from rollout3d.evaluation.settings import UNKNOWN
from rollout3d.questions import types
from rollout3d.scoring import aggregate, scorers
from rollout3d.scoring.parse import first_word


@dataclass(frozen=True)
class Cell:
    """Score of one task by one scorer, 0 to 100, and its interval; None where all questions are about one scene."""

    score: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Assessment:
    """Scores of one predictions file.

    `cells`: scorer -> task -> its score; `n`, `missing`: task -> questions, and those without a prediction. `unread`:
    scorer -> predictions in which it found no answer. `unknown`: ids of no question; `outside`: number of ids of
    questions outside the split. `part`: which part of the benchmark the questions are, None for all of it. `notes`:
    what a reader of the numbers must know.
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
    predictions: Predictions, answers: AnswerKey, wanted: Sequence[Reference], split: str, names: Sequence[str]
) -> Assessment:
    """Score `predictions` by the scorers `names` on the questions `wanted`, which are the split `split` of `answers`.

    Raises ForeignError if no prediction belongs to any of them, or if the predictions state another question type or
    answer than the question of their id has.
    """
    texts, known = _by_question(predictions, answers)
    ids = {question.id for question in wanted}
    unknown = [name for name in texts if name not in known]
    missing = [question.id not in texts for question in wanted]
    if all(missing):
        files = ", ".join(str(file) for file in answers.files)
        raise ForeignError(
            f"none of the {len(texts)} ids in '{predictions.id_column}', such as {shown(list(texts))}, is one of "
            f"{len(wanted)} questions of {files} (split {split}), such as {shown([q.id for q in wanted])}: "
            "name the right column with --id-column, or give the file of these questions"
        )
    values = np.zeros((len(wanted), len(names)))
    unread: Counter[str] = Counter()
    for i, question in enumerate(wanted):
        if missing[i]:
            continue
        row = {"answer_type": question.answer_type, "ground_truth": question.ground_truth}
        row |= {"question_type": question.question_type, "question": question.question, "options": question.options}
        for j, name in enumerate(names):
            found = scorers.score(texts[question.id], row, name)
            values[i, j] = found.score
            unread[name] += found.answer is None
    scenes = [question.scene for question in wanted]
    if answers.benchmark == BENCHMARK:  # its split is chosen already
        by_question, average = [question.question_type for question in wanted], aggregate.vsibench
        bounds = bootstrap(values, by_question, scenes)
    else:
        by_question = [benchmarks.cell_of(answers.benchmark, question) for question in wanted]
        average = benchmarks.get(answers.benchmark).average
        bounds = bootstrap_of(average, values, by_question, scenes)
    cells: dict[str, dict[str, Cell]] = {}
    for j, name in enumerate(names):
        means = _average(by_question, values[:, j], average)
        cells[name] = {
            task: Cell(100 * mean.score, *_percent(bounds[task], j))
            for task, mean in means.items()
            if mean.score is not None
        }
    counts = {task: mean.n for task, mean in _average(by_question, values[:, 0], average).items() if mean.n}
    lost = [name for name, gone in zip(by_question, missing, strict=True) if gone]
    lacking = {task: mean.n for task, mean in _average(lost, np.zeros(len(lost)), average).items() if task in counts}
    whole = splits(answers.benchmark)["full"]
    part = None if split == "full" and whole in (None, len(wanted)) else f"{split}, {len(wanted)} of {whole}"
    of_benchmark = answers.released or bool(answers.other_ids)
    return Assessment(
        answers.benchmark if of_benchmark else "questions",
        split,
        part if of_benchmark else None,
        cells,
        counts,
        lacking,
        dict(unread),
        unknown,
        sum(name in known and name not in ids for name in texts),
        len(set(scenes)),
        predictions.settings or UNKNOWN,
        _notes(texts, answers, split, counts, names),
    )


_SHUFFLED = "was LMMS_EVAL_SHUFFLE_DOCS set, does the task load another file, "


def _by_question(predictions: Predictions, answers: AnswerKey) -> tuple[dict[str, str], set[str]]:
    """Return texts by the ids of the answers, and all of these ids.

    The benchmark's own ids stand for ours where none of ours fits, and places among the released rows for ids.
    """
    known = {question.id: question for question in answers.references}
    renamed = answers.other_ids if not predictions.texts.keys() & known.keys() else {}
    if predictions.by_place:
        renamed = _by_place(predictions, answers)
    for name, stated in predictions.stated.items():
        question = known.get(renamed.get(name, name))
        for field, value in stated.items() if question else ():
            if not _same(value, getattr(question, field)):
                raise ForeignError(
                    f"the prediction with the id {name} is for a question whose {field} is '{value}', but in "
                    f"{', '.join(map(str, answers.files))} it is '{getattr(question, field)}': "
                    + (_SHUFFLED if predictions.by_place else f"is '{predictions.id_column}' a row number, ")
                    + "or do the files belong to different releases?"
                )
    return {renamed.get(name, name): text for name, text in predictions.texts.items()}, set(known)


def _by_place(predictions: Predictions, answers: AnswerKey) -> dict[str, str]:
    """Return the id of the question at each place among the released rows.

    Raises ForeignError for our own tables, whose order is another one, and for a place behind the last row.
    """
    files = ", ".join(map(str, answers.files))
    if not answers.released:
        raise ForeignError(
            f"{files}: the log names questions by their place in the released file: give that to --answers"
        )
    found = {str(place): question.id for place, question in enumerate(answers.references)}
    beyond = [name for name in predictions.texts if name not in found]
    if beyond:
        raise ForeignError(
            f"{files}: has {len(found)} rows, and the log names row {beyond[0]}: give the file that the task of "
            "lmms-eval loads"
        )
    return found


def _same(stated: str, known: str) -> bool:
    """Return whether a file's own note agrees with the question.

    4.0 agrees with 4, "A. left" with A, object_rel_direction with each of its three types.
    """
    try:
        return float(stated) == float(known)
    except ValueError:
        of_type = types.known(known)
        names = (known, of_type.scored_as.name) if of_type else (known,)
        return stated.strip() in names or first_word(stated) == known


def _average(cells: Sequence[str], values: np.ndarray, average: Average) -> dict[str, aggregate.Mean]:
    grouped: dict[str, list[float]] = {}
    for name, value in zip(cells, values.tolist(), strict=True):
        grouped.setdefault(name, []).append(value)
    return average(grouped)


def _percent(bounds: Sequence[Bounds] | None, scorer: int) -> tuple[float | None, float | None]:
    """Return the interval of a scorer in percent; None twice where there is none."""
    if bounds is None:
        return None, None
    low, high = bounds[scorer]
    return 100 * low, 100 * high


def _notes(
    texts: dict[str, str], answers: AnswerKey, split: str, counts: dict[str, int], names: Sequence[str]
) -> list[str]:
    notes = []
    whole = splits(answers.benchmark).get(split)
    if answers.released and whole and counts["overall"] != whole:
        notes.append(
            f"{counts['overall']:,} questions are not the {whole:,} of {title(answers.benchmark)}'s split {split}"
        )
    of_vsibench = (each.name for each in aggregate.tasks()) if answers.benchmark == BENCHMARK else ()
    lacking = [task for task in of_vsibench if task not in counts]
    if lacking:
        notes.append(f"overall is without {', '.join(lacking)}: compare it with no other overall")
    tags = sum("</answer>" in text for text in texts.values())
    if tags and not any(doors.SCORERS.constant(name, "READS_TAG", False) for name in names):
        notes.append(f"{tags:,} texts hold an <answer> tag, into which no scorer asked for looks: try tagged")
    return notes


def report(found: Assessment) -> str:
    """Return the table: a line per task with questions, missing predictions and each scorer's score and interval."""
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
    """Return the first three ids, for a message: quoted and cut, since they may hold anything."""
    return ", ".join(ascii(name[:40]) for name in ids[:3])


def score_rows(found: Assessment, run: str, columns: Sequence[str]) -> list[dict[str, Any]]:
    """Return rows of the table scores (`columns`) for an assessment; `run` names the predictions."""
    rows = []
    for name, cells in found.cells.items():
        for task, cell in cells.items():
            row = {"run": run, "benchmark": found.benchmark, "task": task, "view": "video", "n": found.n[task]}
            row |= {"score": cell.score, "low": cell.low, "high": cell.high, "scorer": name, "rests_on": []}
            row |= {"settings": found.settings, "part": found.part}
            rows.append({column: row.get(column) for column in columns})
    return rows
