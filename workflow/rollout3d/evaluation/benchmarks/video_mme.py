"""Video-MME without subtitles, as released (Hugging Face: lmms-lab/Video-MME): 2,700 questions about 900 videos.

Files: `videomme/test-00000-of-00001.parquet`, and `videos_chunked_01.zip` to `videos_chunked_20.zip` as downloaded, or
the folder `data/` with them unpacked; some videos end in .MP4 or .mkv. Early revisions hold fewer questions and are
refused. Subtitles are never shown.

Settings: the authors' prompt ("... based on the video. ..."), not lmms-eval's, which names subtitles that are not
shown. The authors leave the number of frames free: the study's frames are shown (SpaceR: 32).

Scores: pooled over all questions, and by duration, domain (6), sub-category (30) and task type (12).

Sources: arXiv 2405.21075, README of the release; lmms-eval, lmms_eval/tasks/videomme. Not checked on the released
files: the names of members within the archives.
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

__all__ = ["average", "cell", "missing", "of_split", "prepare", "question_files", "references"]

SIZE = 2700
SPLITS = {"full": 2700}
SCORERS = {"direct": "video_mme", "think": "video_mme"}
BESIDE = ("robust",)
GUESSES = ("random",)
PROMPT = "direct_video_mme"
SCANS = False
COLUMNS = {"short": "Video-MME short", "medium": "Video-MME medium", "long": "Video-MME long", "overall": "Video-MME"}
LOG_KEYS = ("videomme_perception_score", "videomme_percetion_score")
HOW = "run `hf download lmms-lab/Video-MME --repo-type dataset --local-dir DIR`; archives are read as downloaded"

DURATIONS = ("short", "medium", "long")
_COLUMNS = (
    "question_id",
    "videoID",
    "duration",
    "domain",
    "sub_category",
    "task_type",
    "question",
    "options",
    "answer",
)
_QUESTIONS = ("videomme/test-*.parquet", ("videomme/test-*.parquet", "test-*.parquet"))
_VIDEOS = ("videos_chunked_*.zip and no folder data", ("videos_chunked_*.zip", "*/videos_chunked_*.zip", "data/*"))
_SUFFIXES = ("mp4", "MP4", "mkv")


def prepare(given: Given) -> Prepared:
    """Read the 2,700 questions, and the study's frames of the 900 videos.

    Raises MissingData if the release is not there, BenchmarkError if questions or videos are missing, doubled or
    damaged.
    """
    require("video_mme", given.root, HOW)
    files = question_files(given.root)
    rows = [row for file in files for row in _rows(file)]
    _released.check("Video-MME", rows, SIZE, files, HOW)
    names = {str(row["scene_id"]) for row in rows}
    wanted = {name: tuple(f"{at}{name}.{end}" for at in ("data/", "") for end in _SUFFIXES) for name in sorted(names)}
    archives = _released.glob(given.root, ("videos_chunked_*.zip", "*/videos_chunked_*.zip"))
    videos = _released.find("video_mme", given.root, wanted, archives, _released.VIDEO_SUFFIXES, HOW)
    return Prepared(rows, _released.frames(videos, given, HOW), tuple(files))


def cell(row: QuestionRow) -> str:
    """Return task type, duration, domain and sub-category of a question."""
    about = _released.facts(row)
    return _released.cell(row["question_type"], about["duration"], about["domain"], about["sub_category"])


def average(scores: Mapping[str, Sequence[float]]) -> dict[str, Mean]:
    """Return the durations, domains, sub-categories and task types, and all questions pooled as "overall".

    A sub-category with the name of a domain ("Multilingual") has it behind its own.
    """
    _released.only(scores, 1, DURATIONS)
    parts = [_released.parts_of(name) for name in scores]
    found = {name: _released.pooled(scores, lambda own, name=name: own[1] == name) for name in DURATIONS}
    for place, suffix in ((2, ""), (3, " (sub-category)"), (0, "")):
        for name in sorted({own[place] for own in parts}):
            task = f"{name}{suffix}" if suffix and name in found else name
            found[task] = _released.pooled(scores, lambda own, name=name, place=place: own[place] == name)
    return found | {"overall": _released.pooled(scores)}


def missing(given: Given) -> list[str]:
    """Return a message about each part of the release that is not there."""
    return _released.missing("video_mme", given.root, HOW, _QUESTIONS, _VIDEOS)


def question_files(root: Path) -> list[Path]:
    """Return the question file in a folder. Raises BenchmarkError if there is none."""
    return _released.question_files(root, _QUESTIONS, HOW)


def references(path: Path) -> list[Reference]:
    """Read the right answers from the released question file. Raises BenchmarkError if it is not one."""
    return [_released.reference(row) for row in _rows(path)]


def _rows(file: Path) -> list[QuestionRow]:
    return [_question(row, file) for row in _released.read_rows(file, _COLUMNS, HOW)]


def _question(row: Mapping[str, Any], file: Path) -> QuestionRow:
    where, options = f"{file}: question {row['question_id']}", row["options"]
    if row["duration"] not in DURATIONS or not isinstance(options, list) or not options:
        raise BenchmarkError(f"{where} has the duration {row['duration']!r} or no options; {HOW}")
    fault = _released.letter_fault(str(row["answer"]), options)
    if fault:
        raise BenchmarkError(f"{where} {fault}; {HOW}")
    return _released.question(
        "video_mme",
        str(row["question_id"]),
        question_type=row["task_type"],
        answer_type="choice",
        question=row["question"],
        options=options,
        ground_truth=row["answer"],
        dataset="youtube",
        scene_id=str(row["videoID"]),
        duration=str(row["duration"]),
        domain=str(row["domain"]),
        sub_category=str(row["sub_category"]),
    )
