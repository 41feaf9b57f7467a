"""SPAR-Bench as released (Hugging Face: jasonzhango/SPAR-Bench): 7,207 questions of 20 tasks about one or more
pictures.

Files: `data/test-0000?-of-00004.parquet`. The pictures lie in the table, with their markers drawn, and come before the
text; options stand inside the question. SPAR-Bench-Tiny (1,000 questions, 50 per task) is read the same way from its
own folder, and its scores name the part.

Scores: overall is the mean of the 20 tasks. Low (8 tasks), middle (3) and high (9), single-view and multi-view (by the
column `img_type`) are means of tasks, too. By the official rule view_change_infer is divided by the prediction (scorer
`spar_bench`), by the scorer beside it by the truth. SpaceR's own by-view middle leaves view_change_infer out; here it
counts.

Sources: arXiv 2503.22976; fudan-zvg/spar 1679885; lmms-eval, lmms_eval/tasks/sparbench (prompt, 100 tokens). Not
checked on the released files: the questions per task, and names of scans within the paths of pictures, from which the
leak guard learns spaces of ScanNet: where a path names none, nothing is held out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rollout3d.evaluation.benchmarks import _released
from rollout3d.evaluation.benchmarks._common import BenchmarkError, Given, Prepared, Reference, require
from rollout3d.evaluation.benchmarks._released import one_split as of_split
from rollout3d.scoring.aggregate import Mean
from rollout3d.scoring.scorers.spar_bench import MOVEMENT, movement
from rollout3d.tables.rows import QuestionRow

__all__ = ["average", "cell", "missing", "of_split", "prepare", "question_files", "references"]

SIZE = 7207
SPLITS = {"full": 7207}
TINY = 1000
"""Questions of SPAR-Bench-Tiny."""
SCORERS = {"direct": "spar_bench", "think": "spar_bench"}
BESIDE = ("robust",)
GUESSES = ()
PROMPT = "direct_spar_bench"
TOKENS = 100
SCANS = False
COLUMNS = {
    "low": "SPAR-Bench low",
    "middle": "SPAR-Bench middle",
    "high": "SPAR-Bench high",
    "single-view": "SPAR-Bench single-view",
    "multi-view": "SPAR-Bench multi-view",
    "overall": "SPAR-Bench",
}
LOG_KEYS = ("sparbench_score",)
HOW = "run `hf download jasonzhango/SPAR-Bench --repo-type dataset --local-dir DIR`"

LOW = tuple(
    f"{what}_prediction_{how}{mv}" for what in ("depth", "distance") for how in ("oc", "oo") for mv in ("", "_mv")
)
"""Tasks whose answer is a number."""
MIDDLE = (MOVEMENT, "position_matching", "camera_motion_infer")
HIGH = (
    *("obj_spatial_relation_oo", "obj_spatial_relation_oc_mv", "obj_spatial_relation_oo_mv"),
    *(f"spatial_imagination_{how}{mv}" for how in ("oc", "oo") for mv in ("", "_mv")),
    *("distance_infer_center_oo", "distance_infer_center_oo_mv"),
)
TASKS = (*LOW, *MIDDLE, *HIGH)
VIEWS = {"single_view": "single-view", "multi_view": "multi-view"}
SCALE = (
    "The values represent the bounding box coordinates normalized to a 0-1000 scale, with the top-left corner as the "
    "origin of the image."
)
"""Published line between question and ending, of two tasks."""
_COLUMNS = ("id", "img_type", "task", "source", "image", "question", "answer")
_QUESTIONS = ("data/test-*.parquet", ("data/test-*.parquet", "test-*.parquet", "*.parquet"))
_SCANNET = re.compile(r"scene\d{4}(?=_\d{2})")


def prepare(given: Given) -> Prepared:
    """Read the questions with their pictures. Raises MissingData, and BenchmarkError for damaged or doubled ones."""
    require("spar_bench", given.root, HOW)
    files = question_files(given.root)
    rows = [row for file in files for row in _rows(file)]
    tiny = len(rows) == TINY
    _released.check("SPAR-Bench", rows, None if tiny else SIZE, files, HOW)
    return Prepared(rows, iter(()), tuple(files))


def cell(row: QuestionRow) -> str:
    """Return task and kind of view of a question."""
    return _released.cell(row["question_type"], str(_released.facts(row)["img_type"]))


def average(scores: Mapping[str, Sequence[float]]) -> dict[str, Mean]:
    """Return the tasks, the means of the tasks of each level and kind of view, and of all as "overall"."""
    _released.only(scores, 0, TASKS)
    tasks = {task: _released.pooled(scores, lambda parts, task=task: parts[0] == task) for task in TASKS}
    levels = {"low": LOW, "middle": MIDDLE, "high": HIGH}
    means = {level: _released.mean_of(tasks[task] for task in names) for level, names in levels.items()}
    for view, name in VIEWS.items():
        of_view = {each: own for each, own in scores.items() if _released.parts_of(each)[-1] == view}
        means[name] = _released.mean_of(
            _released.pooled(of_view, lambda parts, task=task: parts[0] == task) for task in TASKS
        )
    return tasks | means | {"overall": _released.mean_of(tasks.values())}


def missing(given: Given) -> list[str]:
    """Return a message if the release is not there."""
    return _released.missing("spar_bench", given.root, HOW, _QUESTIONS)


def question_files(root: Path) -> list[Path]:
    """Return the question files in a folder. Raises BenchmarkError if there are none."""
    return _released.question_files(root, _QUESTIONS, HOW)


def references(path: Path) -> list[Reference]:
    """Read the right answers from one released question file. Raises BenchmarkError if it is not one."""
    return [_released.reference(row) for row in _rows(path)]


def _rows(file: Path) -> list[QuestionRow]:
    return [_question(row, file) for row in _released.read_rows(file, _COLUMNS, HOW)]


def _question(row: Mapping[str, Any], file: Path) -> QuestionRow:
    task, answer, view = row["task"], str(row["answer"]).strip(), row["img_type"]
    where = f"{file}: question {row['id']}"
    if task not in TASKS or view not in VIEWS:
        raise BenchmarkError(f"{where} has the unknown task {task!r} or view {view!r}; {HOW}")
    if task in LOW:
        number = re.fullmatch(r"\d+(\.\d+)?", answer)
        kind, fault = "number", None if number else f"has the answer {answer!r}, no number"
    elif task == MOVEMENT:
        kind, fault = "text", None if movement(answer) else f"has the answer {answer!r}, no movement"
    else:
        kind, fault = "choice", _released.letter_fault(answer, None)
    pictures = row["image"] or []
    if fault or not pictures:
        raise BenchmarkError(f"{where} ({task}) {fault or 'has no pictures'}; {HOW}")
    media = [_released.picture(each["bytes"], i, where) for i, each in enumerate(pictures)]
    scans = {found[0] for each in pictures if (found := _SCANNET.search(str(each.get("path"))))}
    # The published prompt has a line between question and ending: empty for most choices.
    line = {"choice": f"\n{SCALE if task in MIDDLE else ''}"}.get(kind, "")
    return _released.question(
        "spar_bench",
        str(row["id"]),
        question_type=task,
        answer_type=kind,
        question=f"{row['question']}{line}",
        ground_truth=answer,
        dataset=str(row["source"]),
        space_id=min(scans) if len(scans) == 1 else None,
        media=media,
        img_type=view,
    )
