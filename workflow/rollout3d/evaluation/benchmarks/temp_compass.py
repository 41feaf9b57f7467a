"""TempCompass as released (Hugging Face: lmms-lab/TempCompass, and llyx97/TempCompass): choices, yes/no and caption
matching about 410 short videos.

Files: `<task>/test-00000-of-00001.parquet` for the tasks multi-choice, yes_no and caption_matching, or the authors'
`questions/<task>.json` (video -> aspect -> questions); and `tempcompass_videos.zip`, or the folder `videos/` with it
unpacked. Captioning is not asked: only a judge can score it.

Settings, as the authors' script for Qwen2-VL: one frame per second (made even, at least 4, as Qwen's own processing
does), 128 tokens. Their 720x720 pixels per frame are not applied: `video.eval_max_pixels` is.

Scores: pooled per task, per aspect (5), and per aspect of each task; overall is pooled over the three tasks, as
VLMEvalKit has it. Answers are matched by rule alone; the authors ask gpt-3.5-turbo where no rule matches, so published
numbers are higher. SpaceR's 71.4 comes from another question file, of which it is unknown which of these it holds.

Sources: arXiv 2403.00476; llyx97/TempCompass, run_qwen2_vl.py and eval_*.py. The rows per task were counted on the
authors' files.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rollout3d.evaluation.benchmarks import _released
from rollout3d.evaluation.benchmarks._common import BenchmarkError, Given, Prepared, Reference, require
from rollout3d.evaluation.benchmarks._released import one_split as of_split
from rollout3d.fingerprint import note
from rollout3d.scoring.aggregate import Mean
from rollout3d.tables.rows import QuestionRow

__all__ = ["average", "cell", "missing", "of_split", "prepare", "question_files", "references"]

SIZE = 5536
SPLITS = {"full": 5536}
SCORERS = {"direct": "temp_compass", "think": "temp_compass"}
BESIDE = ("robust",)
GUESSES = ()
PROMPT = "direct_temp_compass"
TOKENS = 128
FRAMES = "fps1max768"
SCANS = False
COLUMNS = {
    "multi-choice": "TempCompass choice",
    "yes_no": "TempCompass yes/no",
    "caption_matching": "TempCompass matching",
    "overall": "TempCompass",
}
LOG_KEYS = ("avg_accuracy",)
HOW = "run `hf download lmms-lab/TempCompass --repo-type dataset --local-dir DIR`; the archive is read as downloaded"

TASKS = {"multi-choice": 1580, "yes_no": 2453, "caption_matching": 1503}
"""Task -> its questions in the release."""
ASPECTS = ("action", "direction", "speed", "order", "attribute_change")
_COLUMNS = ("video_id", "question", "answer", "dim")


def prepare(given: Given) -> Prepared:
    """Read the 5,536 questions, and one frame per second of their videos.

    Raises MissingData if the release is not there, BenchmarkError if questions or videos are missing or damaged.
    """
    require("temp_compass", given.root, HOW)
    files = question_files(given.root)
    rows = [row for file in files for row in _rows(file)]
    _released.check("TempCompass", rows, SIZE, files, HOW)
    names = sorted({str(row["scene_id"]) for row in rows})
    wanted = {name: (f"videos/{name}.mp4", f"{name}.mp4") for name in names}
    archives = _released.glob(given.root, ("*videos*.zip",))
    videos = _released.find("temp_compass", given.root, wanted, archives, _released.VIDEO_SUFFIXES, HOW)
    return Prepared(rows, _released.frames(videos, given, HOW), tuple(files))


def cell(row: QuestionRow) -> str:
    """Return task and aspect of a question."""
    return _released.cell(row["question_type"], str(_released.facts(row)["dim"]))


def average(scores: Mapping[str, Sequence[float]]) -> dict[str, Mean]:
    """Return the tasks, the aspects, the aspects of each task, and all questions pooled as "overall"."""
    _released.only(scores, 0, TASKS)
    found = {task: _released.pooled(scores, lambda own, task=task: own[0] == task) for task in TASKS}
    found |= {dim: _released.pooled(scores, lambda own, dim=dim: own[-1] == dim) for dim in ASPECTS}
    for task in TASKS:
        for dim in ASPECTS:
            found[f"{task}, {dim}"] = _released.pooled(scores, lambda own, both=(task, dim): tuple(own) == both)
    return found | {"overall": _released.pooled(scores)}


def missing(given: Given) -> list[str]:
    """Return a message about each part of the release that is not there."""
    tasks = [(f"questions of the task {task}", _files(task)) for task in TASKS]
    videos = "tempcompass_videos.zip and no folder videos", ("*videos*.zip", "videos/*.mp4")
    return _released.missing("temp_compass", given.root, HOW, *tasks, videos)


def question_files(root: Path) -> list[Path]:
    """Return the question files of the three tasks in a folder. Raises BenchmarkError if one task has none."""
    found = {task: _released.glob(root, _files(task)) for task in TASKS}
    absent = [task for task, files in found.items() if not files]
    if absent:
        raise BenchmarkError(f"{root}: no questions of the tasks {', '.join(absent)}; {HOW}")
    return [file for files in found.values() for file in files]


def references(path: Path) -> list[Reference]:
    """Read the right answers from one released question file. Raises BenchmarkError if it is not one."""
    return [_released.reference(row) for row in _rows(path)]


def _files(task: str) -> tuple[str, ...]:
    return f"{task}/test-*.parquet", f"questions/{task}.json", f"{task}.json"


def _rows(file: Path) -> list[QuestionRow]:
    task = next((task for task in TASKS if task in (file.stem, file.parent.name)), None)
    if task is None:
        raise BenchmarkError(f"{file}: neither file nor folder has the name of a task, {', '.join(TASKS)}; {HOW}")
    seen: dict[str, int] = {}
    rows = []
    for row in _released.read_rows(file, _COLUMNS, HOW) if file.suffix == ".parquet" else _nested(file):
        place = f"{task}/{row['video_id']}/{row['dim']}"
        seen[place] = seen.get(place, -1) + 1
        rows.append(_question(row, task, f"{place}/{seen[place]}", file))
    return rows


def _nested(file: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of the authors' form: video -> aspect -> list of question and answer."""
    try:
        videos = json.loads(note(file).read_text(encoding="utf-8"))
        for video, aspects in videos.items():
            for dim, asked in aspects.items():
                for each in asked:
                    yield {"video_id": video, "dim": dim, "question": each["question"], "answer": each["answer"]}
    except (OSError, ValueError, AttributeError, TypeError, KeyError) as error:
        raise BenchmarkError(f"{file}: not TempCompass's questions ({error!r}); {HOW}") from error


def _question(row: Mapping[str, Any], task: str, name: str, file: Path) -> QuestionRow:
    text, answer, dim = row["question"], str(row["answer"]), row["dim"]
    where = f"{file}: question {name}"
    if dim not in ASPECTS:
        raise BenchmarkError(f"{where} is about the unknown aspect {dim!r}; {HOW}")
    options: list[str] | None = None
    if task == "yes_no":
        if answer not in ("yes", "no"):
            raise BenchmarkError(f"{where} has the answer {answer!r}, neither yes nor no; {HOW}")
    else:
        text, *options = text.split("\n")
        if len(options) < 2 or answer not in options:
            raise BenchmarkError(f"{where} has the answer {answer!r}, none of its {len(options)} options; {HOW}")
    return _released.question(
        "temp_compass",
        name,
        question_type=task,
        answer_type="text" if task == "yes_no" else "choice",
        question=text,
        options=options,
        ground_truth=answer[0] if task == "multi-choice" else answer,
        dataset="tempcompass",
        scene_id=str(row["video_id"]).removesuffix(".mp4"),
        dim=dim,
    )
