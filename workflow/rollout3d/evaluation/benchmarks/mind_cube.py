"""MindCube-Tiny as released (Hugging Face: MLL-Lab/MindCube): 1,050 questions about two to four pictures.

Files: `data.zip`, or the folder `data/` with it unpacked; in it `raw/MindCube_tinybench.jsonl`, and the pictures below
`other_all_image/`. The question file is unpacked by hand; pictures are read from the archive, too.

Settings: the prompt raw_qa, all pictures before the text in the order of the file, as the authors' own engine has it;
lmms-eval and VLMEvalKit put them between the words. Their 480x480 pixels per picture are not applied.

Scores: pooled over all questions, and by setting (among, around, rotation; read from the id). Data from before
2026-03-23 have known faults and other scores; the files do not say which they are.

Sources: arXiv 2506.21458; mll-lab-nu/MindCube 8650074. Not checked on the released files: the names of scans behind the
pictures, so the leak guard holds out none of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rollout3d.evaluation.benchmarks import _released
from rollout3d.evaluation.benchmarks._common import BenchmarkError, Given, Prepared, Reference, require
from rollout3d.evaluation.benchmarks._released import one_split as of_split
from rollout3d.evaluation.benchmarks._videos import Source
from rollout3d.scoring.aggregate import Mean
from rollout3d.tables.rows import QuestionRow

__all__ = ["average", "missing", "of_split", "prepare", "question_files", "references"]

SIZE = 1050
SPLITS = {"full": 1050}
SCORERS = {"direct": "mind_cube", "think": "mind_cube"}
BESIDE = ("robust",)
GUESSES = ()
PROMPT = "direct_mind_cube"
TOKENS = 1536
SCANS = False
HOW = "run `hf download MLL-Lab/MindCube data.zip --repo-type dataset --local-dir DIR` and unpack data/raw of it"

SETTINGS = ("around", "rotation", "translation", "among")
"""Settings, in the order in which an id is searched for them."""
_COLUMNS = ("id", "question", "images", "gt_answer")
_QUESTIONS = (
    "data/raw/MindCube_tinybench.jsonl",
    ("data/raw/MindCube_tinybench.jsonl", "raw/MindCube_tinybench.jsonl", "MindCube_tinybench.jsonl"),
)


def prepare(given: Given) -> Prepared:
    """Read the 1,050 questions with their pictures.

    Raises MissingData if the release is not there, BenchmarkError if questions or pictures are missing or damaged.
    """
    require("mind_cube", given.root, HOW)
    files = question_files(given.root)
    released = [row for file in files for row in _released.read_rows(file, _COLUMNS, HOW)]
    paths = sorted({str(path) for row in released for path in row["images"]})
    wanted = {path: (f"data/{path}", path) for path in paths}
    archives = _released.glob(given.root, ("data.zip",))
    suffixes = _released.PICTURE_SUFFIXES
    sources = _released.find("mind_cube", given.root, wanted, archives, suffixes, HOW)
    rows = [_question(row, files[0], sources) for row in released]
    _released.check("MindCube-Tiny", rows, SIZE, files, HOW)
    return Prepared(rows, iter(()), tuple(files))


def average(scores: Mapping[str, Sequence[float]]) -> dict[str, Mean]:
    """Return the settings, and all questions pooled as "overall", from which translation is left out."""
    _released.only(scores, 0, SETTINGS)
    found = {name: _released.pooled({name: scores.get(name, ())}) for name in SETTINGS}
    return found | {"overall": _released.pooled(scores, lambda parts: parts[0] != "translation")}


def missing(given: Given) -> list[str]:
    """Return a message about each part of the release that is not there."""
    return _released.missing(
        "mind_cube",
        given.root,
        HOW,
        _QUESTIONS,
        ("data.zip and no data/other_all_image", ("data.zip", "data/other_all_image", "other_all_image")),
    )


def question_files(root: Path) -> list[Path]:
    """Return the question file in a folder. Raises BenchmarkError if it is not there."""
    return _released.question_files(root, _QUESTIONS, HOW)


def references(path: Path) -> list[Reference]:
    """Read the right answers from the released question file. Raises BenchmarkError if it is not one."""
    return [_released.reference(_question(row, path, {})) for row in _released.read_rows(path, _COLUMNS, HOW)]


def _question(row: Mapping[str, Any], file: Path, sources: Mapping[str, Source]) -> QuestionRow:
    name, answer, paths = str(row["id"]), str(row["gt_answer"]).strip(), row["images"]
    where, setting = f"{file}: question {name}", next((each for each in SETTINGS if each in name.lower()), None)
    fault = _released.letter_fault(answer, None, "ABCDE") or (None if paths else "has no pictures")
    if setting is None or fault:
        raise BenchmarkError(f"{where} {fault or 'names no setting'}; {HOW}")
    pictures = [sources[str(path)].read(HOW) for path in paths] if sources else []
    return _released.question(
        "mind_cube",
        name,
        question_type=setting,
        answer_type="choice",
        question=row["question"],
        ground_truth=answer,
        dataset="mind_cube",
        media=[_released.picture(data, i, where) for i, data in enumerate(pictures)] or None,
    )
