"""STI-Bench as released (Hugging Face: MINT-SJTU/STI-Bench): 2,064 questions of 8 tasks about indoor, desktop and road
videos.

Files: `qa.parquet`, and `video.zip` or the folder `video/` or `videos/`. The whole video is shown; the interval that a
question is about stands in its text.

Settings: the authors' form for open models (opensource_test.py), not the one of openai_test.py that VLMEvalKit has:
"From a s to b s. " before the question, "(A) text" per option, "Please output only the option letter!". At most 30
frames, evenly spaced over the video (their rate 30 / duration); a shorter video repeats some here. Their bound of
360x420 pixels per frame is not applied: `video.eval_max_pixels` is.

Scores: overall is pooled over all questions, as the authors compute it. Beside it stand the tasks, the scenes, and the
two readings of SpaceR's numbers: the mean of the tasks, and the six tasks of SR_sub (1,387 questions) pooled and as a
mean. SpaceR's paper does not say which it has (37.0 fits pooled, 38.7 neither); its own evaluator averages eight tasks
and sr_sub as nine terms.

Sources: arXiv 2503.23765; MINT-SJTU/STI-Bench 43ddebe. Not checked on the released files: the number of videos, and
whether there is a column of scenes; scenes follow from file names by the authors' rule.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from rollout3d.evaluation.benchmarks import _released
from rollout3d.evaluation.benchmarks._common import BenchmarkError, Given, Prepared, Reference, require
from rollout3d.evaluation.benchmarks._released import one_split as of_split
from rollout3d.scenes.datasets import space_of
from rollout3d.scoring.aggregate import Mean
from rollout3d.tables.rows import QuestionRow

__all__ = ["average", "cell", "missing", "of_split", "prepare", "question_files", "references"]

SIZE = 2064
SPLITS = {"full": 2064}
SCORERS = {"direct": "sti_bench", "think": "sti_bench"}
BESIDE = ("robust",)
GUESSES = ("random",)
PROMPT = "direct_sti_bench"
TOKENS = 512
FRAMES = "uniform30"
SCANS = False
COLUMNS = {"overall": "STI-Bench", "SR_sub": "STI-Bench SR_sub"}
HOW = "run `hf download MINT-SJTU/STI-Bench --repo-type dataset --local-dir DIR`; video.zip is read as downloaded"

TASKS = {
    "3D Video Grounding": 317,
    "Dimensional Measurement": 289,
    "Displacement & Path Length": 358,
    "Ego-Centric Orientation": 185,
    "Pose Estimation": 360,
    "Spatial Relation": 146,
    "Speed & Acceleration": 331,
    "Trajectory Description": 78,
}
"""Task -> its questions in the release."""
SR_SUB = tuple(task for task in TASKS if task not in ("3D Video Grounding", "Pose Estimation"))
"""Tasks of SpaceR's subset for spatial reasoning."""
SCENES = ("indoor", "desktop", "outdoor", "unknown")
_COLUMNS = ("Video", "ID", "Task", "Question", "time_start", "time_end", "Candidates", "Answer")
_QUESTIONS = ("qa.parquet", ("qa.parquet",))


def prepare(given: Given) -> Prepared:
    """Read the 2,064 questions, and 30 frames of each video.

    Raises MissingData if the release is not there, BenchmarkError if questions or videos are missing, doubled or
    damaged.
    """
    require("sti_bench", given.root, HOW)
    files = question_files(given.root)
    rows = [row for file in files for row in _rows(file)]
    _released.check("STI-Bench", rows, SIZE, files, HOW)
    names = {str(row["scene_id"]): str(_released.facts(row)["video"]) for row in rows}
    wanted = {scene: (f"video/{name}", f"videos/{name}", name) for scene, name in names.items()}
    archives = _released.glob(given.root, ("video*.zip",))
    videos = _released.find("sti_bench", given.root, wanted, archives, _released.VIDEO_SUFFIXES, HOW)
    return Prepared(rows, _released.frames(videos, given, HOW), tuple(files))


def cell(row: QuestionRow) -> str:
    """Return task and scene of a question."""
    return _released.cell(row["question_type"], str(_released.facts(row)["scene"]))


def average(scores: Mapping[str, Sequence[float]]) -> dict[str, Mean]:
    """Return the tasks, the scenes, SR_sub and the means of tasks, and all questions pooled as "overall"."""
    _released.only(scores, 0, TASKS)
    tasks = {task: _released.pooled(scores, lambda parts, task=task: parts[0] == task) for task in TASKS}
    scenes = {scene: _released.pooled(scores, lambda parts, scene=scene: parts[-1] == scene) for scene in SCENES}
    return {
        **tasks,
        **scenes,
        "SR_sub": _released.pooled(scores, lambda parts: parts[0] in SR_SUB),
        "SR_sub, mean of tasks": _released.mean_of(tasks[task] for task in SR_SUB),
        "mean of tasks": _released.mean_of(tasks.values()),
        "overall": _released.pooled(scores),
    }


def missing(given: Given) -> list[str]:
    """Return a message about each part of the release that is not there."""
    return _released.missing(
        "sti_bench",
        given.root,
        HOW,
        _QUESTIONS,
        ("video.zip and no folder video", ("video*.zip", "video/*", "videos/*")),
    )


def question_files(root: Path) -> list[Path]:
    """Return the question file in a folder. Raises BenchmarkError if it is not there."""
    return _released.question_files(root, _QUESTIONS, HOW)


def references(path: Path) -> list[Reference]:
    """Read the right answers from the released question file. Raises BenchmarkError if it is not one."""
    return [_released.reference(row) for row in _rows(path)]


def _rows(file: Path) -> list[QuestionRow]:
    return [_question(row, file) for row in _released.read_rows(file, _COLUMNS, HOW)]


def _question(row: Mapping[str, Any], file: Path) -> QuestionRow:
    video, task, answer = str(row["Video"]), row["Task"], str(row["Answer"]).strip()
    # One ID is no key: the authors tell questions apart by source, video, ID and interval.
    name = "/".join(str(row.get(key)) for key in ("Source", "Video", "ID", "time_start", "time_end"))
    where = f"{file}: question {name}"
    texts = row["Candidates"]
    if isinstance(texts, str):
        try:
            texts = json.loads(texts)
        except ValueError:
            texts = None
    if task not in TASKS:
        raise BenchmarkError(f"{where} has the unknown task {task!r}; {HOW}")
    if not isinstance(texts, dict) or not all(letter in "ABCDE" for letter in texts):
        raise BenchmarkError(f"{where} has candidates that are no letters A to E; {HOW}")
    options = [f"({letter}) {text}" for letter, text in texts.items() if text is not None]
    if answer not in {option[1] for option in options}:
        raise BenchmarkError(f"{where} has the answer {answer!r}, none of its candidates; {HOW}")
    stem = PurePosixPath(video).stem
    dataset = "scannet" if stem.startswith("scene") else "waymo" if "camera" in video else "omni6dpose"
    return _released.question(
        "sti_bench",
        name,
        question_type=task,
        answer_type="choice",
        question=f"From {row['time_start']} s to {row['time_end']} s. {row['Question']}",
        options=options,
        ground_truth=answer,
        dataset=dataset,
        scene_id=stem,
        space_id=space_of(dataset, stem) if dataset == "scannet" else None,
        video=video,
        scene=_scene(video),
    )


def _scene(video: str) -> str:
    """Return the kind of scene that the authors' script reads from the name of a video."""
    first = video.split(".")[0]
    if "camera" in video:
        return "outdoor"
    if video.startswith("scene"):
        return "indoor"
    return "desktop" if len(first) == 6 and first.isdigit() else "unknown"
