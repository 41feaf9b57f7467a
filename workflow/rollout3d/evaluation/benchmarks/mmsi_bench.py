"""MMSI-Bench as released (Hugging Face: RunsenXu/MMSI-Bench): 1,000 questions about two to ten pictures.

File: `MMSI_Bench.parquet`, with the pictures; they come before the text, in the order of the file. Options stand inside
the question.

Scores: pooled over all questions, and by question type (11).

Sources: arXiv 2505.23764 and the card of the release, as others describe it. Not checked on the released file: the
spelling of the question types (with an en dash) and their numbers, so any type is taken; the scans behind the pictures
are not named, so the leak guard holds out none of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rollout3d.evaluation.benchmarks import _released
from rollout3d.evaluation.benchmarks._common import BenchmarkError, Given, Prepared, Reference, require
from rollout3d.evaluation.benchmarks._released import one_split as of_split
from rollout3d.scoring.aggregate import Mean
from rollout3d.tables.rows import QuestionRow

__all__ = ["average", "missing", "of_split", "prepare", "question_files", "references"]

SIZE = 1000
SPLITS = {"full": 1000}
SCORERS = {"direct": "mmsi_bench", "think": "mmsi_bench"}
BESIDE = ("robust",)
GUESSES = ()
PROMPT = "direct_mmsi_bench"
SCANS = False
HOW = "run `hf download RunsenXu/MMSI-Bench --repo-type dataset --local-dir DIR`"

_COLUMNS = ("id", "images", "question_type", "question", "answer")
_QUESTIONS = ("MMSI_Bench.parquet", ("MMSI_Bench.parquet",))


def prepare(given: Given) -> Prepared:
    """Read the 1,000 questions with their pictures. Raises MissingData, and BenchmarkError for damaged ones."""
    require("mmsi_bench", given.root, HOW)
    files = question_files(given.root)
    rows = [row for file in files for row in _rows(file)]
    _released.check("MMSI-Bench", rows, SIZE, files, HOW)
    return Prepared(rows, iter(()), tuple(files))


def average(scores: Mapping[str, Sequence[float]]) -> dict[str, Mean]:
    """Return the question types, by name, and all questions pooled as "overall"."""
    found = {name: _released.pooled({name: scores[name]}) for name in sorted(scores)}
    return found | {"overall": _released.pooled(scores)}


def missing(given: Given) -> list[str]:
    """Return a message if the release is not there."""
    return _released.missing("mmsi_bench", given.root, HOW, _QUESTIONS)


def question_files(root: Path) -> list[Path]:
    """Return the question file in a folder. Raises BenchmarkError if it is not there."""
    return _released.question_files(root, _QUESTIONS, HOW)


def references(path: Path) -> list[Reference]:
    """Read the right answers from the released question file. Raises BenchmarkError if it is not one."""
    return [_released.reference(row) for row in _rows(path)]


def _rows(file: Path) -> list[QuestionRow]:
    return [_question(row, file) for row in _released.read_rows(file, _COLUMNS, HOW)]


def _question(row: Mapping[str, Any], file: Path) -> QuestionRow:
    where, answer, pictures = f"{file}: question {row['id']}", str(row["answer"]).strip(), row["images"] or []
    fault = _released.letter_fault(answer, None, "ABCD") or (None if pictures else "has no pictures")
    if fault:
        raise BenchmarkError(f"{where} {fault}; {HOW}")
    data = [each["bytes"] if isinstance(each, dict) else each for each in pictures]
    return _released.question(
        "mmsi_bench",
        str(row["id"]),
        question_type=row["question_type"],
        answer_type="choice",
        question=row["question"],
        ground_truth=answer,
        dataset="mmsi_bench",
        media=[_released.picture(each, i, where) for i, each in enumerate(data)],
    )
