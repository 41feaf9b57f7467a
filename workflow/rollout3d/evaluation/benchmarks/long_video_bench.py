"""LongVideoBench's validation set as released (Hugging Face, gated: longvideobench/LongVideoBench): 1,337 questions.

Files: `lvb_val.json`, and the folder `videos/`. Its archive comes in parts that are one tar file together, so it is
unpacked by hand (`cat videos.tar.part.* | tar x`). The field `video_path` names the video; ids that begin with "@"
differ from it. Subtitles are never shown.

Settings: the prompt without subtitles that lmms-eval has. Its authors show the frames int(int(duration * fps) / n) * i
of n = min(most, int(duration)), 16 to 256 of them, with subtitles between; the study's frames are shown here (SpaceR:
32).

Scores: pooled over all questions, by duration group (15, 60, 600, 3600 seconds) and by the 17 categories of its
questions.

Sources: arXiv 2407.15754; lmms-eval, lmms_eval/tasks/longvideobench. Not checked on the released files: the questions
per group and category.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rollout3d.evaluation.benchmarks import _released
from rollout3d.evaluation.benchmarks._common import BenchmarkError, Given, Prepared, Reference, require
from rollout3d.evaluation.benchmarks._released import one_split as of_split
from rollout3d.questions.templates import LETTERS, lettered
from rollout3d.scoring.aggregate import Mean
from rollout3d.tables.rows import QuestionRow

__all__ = ["average", "cell", "missing", "of_split", "prepare", "question_files", "references"]

SIZE = 1337
SPLITS = {"full": 1337}
SCORERS = {"direct": "long_video_bench", "think": "long_video_bench"}
BESIDE = ("robust",)
GUESSES = ("random",)
PROMPT = "direct_long_video_bench"
SCANS = False
COLUMNS = {
    "15 s": "LongVideoBench 15 s",
    "60 s": "LongVideoBench 60 s",
    "600 s": "LongVideoBench 600 s",
    "3600 s": "LongVideoBench 3600 s",
    "overall": "LongVideoBench",
}
LOG_KEYS = ("lvb_acc",)
HOW = (
    "download lvb_val.json and the parts of the archive of videos from longvideobench/LongVideoBench on Hugging Face, "
    "and unpack these together: cat videos.tar.part.* | tar x"
)

GROUPS = ("15", "60", "600", "3600")
"""Duration groups, longest video in seconds."""
_COLUMNS = ("id", "video_path", "question", "candidates", "correct_choice", "question_category", "duration_group")
_QUESTIONS = ("lvb_val.json", ("lvb_val.json",))


def prepare(given: Given) -> Prepared:
    """Read the 1,337 questions, and the study's frames of their videos.

    Raises MissingData if the release is not there, BenchmarkError if questions or videos are missing, doubled or
    damaged.
    """
    require("long_video_bench", given.root, HOW)
    files = question_files(given.root)
    rows = [row for file in files for row in _rows(file)]
    _released.check("LongVideoBench", rows, SIZE, files, HOW)
    names = sorted({str(_released.facts(row)["video"]) for row in rows})
    wanted = {_scene(name): (f"videos/{name}", name) for name in names}
    videos = _released.find("long_video_bench", given.root, wanted, (), _released.VIDEO_SUFFIXES, HOW)
    return Prepared(rows, _released.frames(videos, given, HOW), tuple(files))


def cell(row: QuestionRow) -> str:
    """Return category and duration group of a question."""
    return _released.cell(row["question_type"], str(_released.facts(row)["duration_group"]))


def average(scores: Mapping[str, Sequence[float]]) -> dict[str, Mean]:
    """Return the duration groups, the categories, and all questions pooled as "overall"."""
    _released.only(scores, 1, GROUPS)
    found = {f"{name} s": _released.pooled(scores, lambda own, name=name: own[1] == name) for name in GROUPS}
    for kind in sorted({_released.parts_of(name)[0] for name in scores}):
        found[kind] = _released.pooled(scores, lambda own, kind=kind: own[0] == kind)
    return found | {"overall": _released.pooled(scores)}


def missing(given: Given) -> list[str]:
    """Return a message about each part of the release that is not there."""
    return _released.missing("long_video_bench", given.root, HOW, _QUESTIONS, ("folder videos", ("videos",)))


def question_files(root: Path) -> list[Path]:
    """Return the question file in a folder. Raises BenchmarkError if it is not there."""
    return _released.question_files(root, _QUESTIONS, HOW)


def references(path: Path) -> list[Reference]:
    """Read the right answers from the released question file. Raises BenchmarkError if it is not one."""
    return [_released.reference(row) for row in _rows(path)]


def _rows(file: Path) -> list[QuestionRow]:
    return [_question(row, file) for row in _released.read_rows(file, _COLUMNS, HOW)]


def _question(row: Mapping[str, Any], file: Path) -> QuestionRow:
    where, texts, place, group = (
        f"{file}: question {row['id']}",
        row["candidates"],
        row["correct_choice"],
        row["duration_group"],
    )
    if str(group) not in GROUPS:
        raise BenchmarkError(f"{where} has the unknown duration group {group!r}; {HOW}")
    if not isinstance(texts, list) or not isinstance(place, int) or not 0 <= place < len(texts) <= len(LETTERS):
        raise BenchmarkError(f"{where} has the answer {place!r} to {texts!r}; {HOW}")
    return _released.question(
        "long_video_bench",
        str(row["id"]),
        question_type=str(row["question_category"]),
        answer_type="choice",
        question=row["question"],
        options=lettered(texts),
        ground_truth=LETTERS[place],
        dataset="longvideobench",
        scene_id=_scene(str(row["video_path"])),
        video=str(row["video_path"]),
        duration_group=str(group),
    )


def _scene(video: str) -> str:
    """Return the name of a video as a scene: its path without the suffix."""
    return video.rpartition(".")[0].replace("/", "_") or video
