"""ViewSpatial-Bench as released (Hugging Face: lidingm/ViewSpatial-Bench): 5,712 questions about one or more pictures.

Files: `ViewSpatial-Bench.json`, and the archives or folders `scannetv2_val` and `val2017`; a path in the file is
"ViewSpatial-Bench/scannetv2_val/<scan>/original_images/280.jpg" or "ViewSpatial-Bench/val2017/000000000785.jpg".

Settings: the form of the paper and of lmms-eval ("Question:", "Choices:", "Reply only to the corresponding option.",
"Answer:"), not that of evaluate.py, which joins question and choices without a separator; 128 tokens. Their size of
280 x 420 pixels per picture is not applied: `video.image_max_pixels` is.

Scores: pooled over all questions, and by question type (5). ScanNet's spaces join the leak guard; half of the questions
are about scans that VSI-Bench uses, too.

Sources: arXiv 2505.21500; ZJU-REAL/ViewSpatial-Bench, whose question file was counted. Not checked: the members of the
archives.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rollout3d.evaluation.benchmarks import _released
from rollout3d.evaluation.benchmarks._common import BenchmarkError, Given, Prepared, Reference, require
from rollout3d.evaluation.benchmarks._released import one_split as of_split
from rollout3d.evaluation.benchmarks._videos import Source
from rollout3d.scenes.datasets import space_of
from rollout3d.scoring.aggregate import Mean
from rollout3d.tables.rows import QuestionRow

__all__ = ["average", "missing", "of_split", "prepare", "question_files", "references"]

SIZE = 5712
SPLITS = {"full": 5712}
SCORERS = {"direct": "view_spatial", "think": "view_spatial"}
BESIDE = ("robust",)
GUESSES = ("random",)
PROMPT = "direct_view_spatial"
TOKENS = 128
SCANS = False
HOW = "run `hf download lidingm/ViewSpatial-Bench --repo-type dataset --local-dir DIR`; archives are read as downloaded"

TYPES = {
    "Camera perspective - Relative Direction": 1773,
    "Camera perspective - Object View Orientation": 996,
    "Person perspective - Object View Orientation": 996,
    "Person perspective - Relative Direction": 842,
    "Person perspective - Scene Simulation Relative Direction": 1105,
}
"""Question type -> its questions in the release."""
_COLUMNS = ("question_type", "image_path", "question", "answer", "choices")
_QUESTIONS = ("ViewSpatial-Bench.json", ("ViewSpatial-Bench.json", "eval/ViewSpatial-Bench.json"))
_PICTURES = ("archives of pictures", ("*.zip", "ViewSpatial-Bench/*/", "*/val2017", "val2017"))
_SCAN = re.compile(r"scannetv2_val/(scene\d{4}_\d{2})/")


def prepare(given: Given) -> Prepared:
    """Read the 5,712 questions with their pictures.

    Raises MissingData if the release is not there, BenchmarkError if questions or pictures are missing or damaged.
    """
    require("view_spatial", given.root, HOW)
    files = question_files(given.root)
    released = [row for file in files for row in _released.read_rows(file, _COLUMNS, HOW)]
    paths = sorted({path for row in released for path in _paths(row)})
    wanted = {path: (path, path.removeprefix("ViewSpatial-Bench/")) for path in paths}
    archives = _released.glob(given.root, ("*.zip",))
    suffixes = _released.PICTURE_SUFFIXES
    sources = _released.find("view_spatial", given.root, wanted, archives, suffixes, HOW)
    rows = [_question(row, k, files[0], sources) for k, row in enumerate(released)]
    _released.check("ViewSpatial-Bench", rows, SIZE, files, HOW)
    return Prepared(rows, iter(()), tuple(files))


def average(scores: Mapping[str, Sequence[float]]) -> dict[str, Mean]:
    """Return the question types, and all questions pooled as "overall"."""
    _released.only(scores, 0, TYPES)
    found = {name: _released.pooled({name: scores.get(name, ())}) for name in TYPES}
    return found | {"overall": _released.pooled(scores)}


def missing(given: Given) -> list[str]:
    """Return a message about each part of the release that is not there."""
    return _released.missing("view_spatial", given.root, HOW, _QUESTIONS, _PICTURES)


def question_files(root: Path) -> list[Path]:
    """Return the question file in a folder. Raises BenchmarkError if it is not there."""
    return _released.question_files(root, _QUESTIONS, HOW)


def references(path: Path) -> list[Reference]:
    """Read the right answers from the released question file. The ids are the places of the rows, from 0."""
    rows = _released.read_rows(path, _COLUMNS, HOW)
    return [_released.reference(_question(row, k, path, {})) for k, row in enumerate(rows)]


def _paths(row: Mapping[str, Any]) -> list[str]:
    return [row["image_path"]] if isinstance(row["image_path"], str) else list(row["image_path"])


def _question(row: Mapping[str, Any], place: int, file: Path, sources: Mapping[str, Source]) -> QuestionRow:
    where, options, paths = f"{file}: row {place + 1}", str(row["choices"]).split("\n"), _paths(row)
    if row["question_type"] not in TYPES or str(row["answer"]) not in options:
        raise BenchmarkError(
            f"{where} has the type {row['question_type']!r}, and the answer {row['answer']!r} to {options!r}; {HOW}"
        )
    scans = {found[1] for path in paths if (found := _SCAN.search(path))}
    media = [_released.picture(sources[each].read(HOW), i, where) for i, each in enumerate(paths)] if sources else None
    return _released.question(
        "view_spatial",
        str(place),
        question_type=row["question_type"],
        answer_type="choice",
        question=row["question"],
        options=options,
        ground_truth=str(row["answer"])[0],
        dataset="scannet" if scans else "coco",
        space_id=space_of("scannet", min(scans)) if scans else None,
        media=media,
    )
