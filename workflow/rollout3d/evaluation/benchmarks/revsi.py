"""ReVSI as released (Hugging Face: 3dlg-hcvc/ReVSI): questions whose answers hold for the frames that are shown.

Files: `<budget>_frame/test-*.parquet` for the budgets 16, 32, 64 and all, and `video.zip` with
`<budget>_frame/<scene>.mp4`, or that archive unpacked. A video holds the frames of its budget and no others, so every
frame is shown and none is chosen by time; answers differ between budgets. The budget is the study's:
`video.eval_frames` with `evaluation.frame_policy` uniform, or the policy all. A video with another number of frames is
refused.

Scores: 13 question types, numbers by mean relative accuracy; the types of a group are averaged unweighted, and overall
is the mean of the groups (7) that have questions.

Sources: arXiv 2604.24300; lmms-eval, lmms_eval/tasks/revsi (pull request 1307). Not checked on the released files: the
number of rows per budget, so none is compared; how datasets are spelled; `num_frames` of the budget all; whether a
short scan has fewer frames than its budget.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rollout3d.config import Config
from rollout3d.evaluation.benchmarks import _released
from rollout3d.evaluation.benchmarks._common import BenchmarkError, Given, Prepared, Reference, missing_root, require
from rollout3d.evaluation.benchmarks._released import one_split as of_split
from rollout3d.scenes.datasets import space_of
from rollout3d.scoring.aggregate import Mean
from rollout3d.tables.rows import QuestionRow

__all__ = ["average", "missing", "of_split", "prepare", "question_files", "references"]

KEYS = ("video.eval_frames", "evaluation.frame_policy")
SCORERS = {"direct": "revsi", "think": "revsi"}
BESIDE = ("robust",)
GUESSES = ()
PROMPT = "direct_revsi"
TOKENS = 16
COLUMNS = {
    "object_counting": "Object count",
    "object_abs_distance": "Absolute distance",
    "object_size_estimation": "Object size",
    "room_size_estimation": "Room size",
    "object_rel_distance": "Relative distance",
    "object_rel_direction": "Relative direction",
    "route_planning": "Route planning",
    "overall": "ReVSI",
}
LOG_KEYS = ("overall_acc",)
HOW = "run `hf download 3dlg-hcvc/ReVSI --repo-type dataset --local-dir DIR`; archives are read as downloaded"

GROUPS = {
    "object_counting": ("object_counting_single", "object_counting_multiple"),
    "object_abs_distance": ("object_abs_distance",),
    "object_size_estimation": ("object_size_estimation",),
    "room_size_estimation": ("room_size_estimation_single", "room_size_estimation_multiple"),
    "object_rel_distance": ("object_rel_distance_closest", "object_rel_distance_farthest"),
    "object_rel_direction": tuple(
        f"object_rel_direction_{way}_{grade}" for way in ("forward", "backward") for grade in ("easy", "hard")
    ),
    "route_planning": ("route_planning",),
}
"""Task -> its question types."""
NUMERIC = frozenset(name for group in list(GROUPS)[:4] for name in GROUPS[group])
"""Question types whose answer is a number."""
BUDGETS = (16, 32, 64)
"""Frames of the budgets that have a number."""
_COLUMNS = ("id", "dataset", "scene_id", "num_frames", "question_type", "question", "ground_truth")


def budget(config: Config) -> tuple[str, int | None]:
    """Return the folder of the study's budget and its number of frames, None for all. Raises BenchmarkError."""
    policy, n = config.evaluation.frame_policy, config.video.eval_frames
    if policy == "all":
        return "all_frame", None
    if policy != "uniform" or n not in BUDGETS:
        raise BenchmarkError(
            f"revsi: its answers hold for 16, 32, 64 or all frames, not for {n} frames {policy}: set video.eval_frames "
            "to one of these numbers and evaluation.frame_policy to uniform, or evaluation.frame_policy to all"
        )
    return f"{n}_frame", n


def prepare(given: Given) -> Prepared:
    """Read the questions of the study's budget, and every frame of their videos.

    Raises MissingData if the release is not there, BenchmarkError for another budget, for unknown question types,
    impossible answers and doubled ids, and if videos are missing, damaged or of another number of frames.
    """
    require("revsi", given.root, HOW)
    folder, n = budget(given.config)
    files = question_files(given.root / folder)
    rows = [row for file in files for row in _rows(file, n)]
    _released.check("ReVSI", rows, None, files, HOW)
    wanted = {str(row["scene_id"]): (f"{folder}/{row['scene_id']}.mp4",) for row in rows}
    archives = _released.glob(given.root, ("video.zip", "*.zip"))
    videos = _released.find("revsi", given.root, wanted, archives, (".mp4",), HOW)
    return Prepared(rows, _released.frames(videos, given, HOW, exactly=n), tuple(files))


def average(scores: Mapping[str, Sequence[float]]) -> dict[str, Mean]:
    """Return the mean of the question types of each group, and that of the groups."""
    _released.only(scores, 0, (name for group in GROUPS.values() for name in group))
    means = {
        group: _released.mean_of(_released.pooled({name: scores.get(name, ())}) for name in names)
        for group, names in GROUPS.items()
    }
    return means | {"overall": _released.mean_of(means.values())}


def missing(given: Given) -> list[str]:
    """Return a message about each part of the release that is not there, or about a budget that it does not have."""
    absent = missing_root("revsi", given.root, HOW)
    if absent:
        return [absent]
    try:
        folder, _ = budget(given.config)
    except BenchmarkError as error:
        return [str(error)]
    found = []
    if not any((given.root / folder).glob("test*.parquet")):
        found.append(f"revsi: no questions in {given.root / folder} (test-*.parquet). To get them: {HOW}")
    if not any(given.root.glob("*.zip")) and not any((given.root / folder).glob("*.mp4")):
        found.append(f"revsi: no videos in {given.root / folder}, and no video.zip. To get them: {HOW}")
    return found


def question_files(root: Path) -> list[Path]:
    """Return the question files in the folder of one budget. Raises BenchmarkError if there are none."""
    found = sorted(root.glob("test*.parquet"))
    if not found:
        raise BenchmarkError(f"{root}: no test-*.parquet of a budget of ReVSI, such as 32_frame; {HOW}")
    return found


def references(path: Path) -> list[Reference]:
    """Read the right answers from one released question file. Raises BenchmarkError if it is not one."""
    return [_released.reference(row) for row in _rows(path, None)]


def _rows(file: Path, n: int | None) -> list[QuestionRow]:
    return [_question(row, file, n) for row in _released.read_rows(file, _COLUMNS, HOW)]


def _question(row: Mapping[str, Any], file: Path, n: int | None) -> QuestionRow:
    name, kind, options, answer = row["id"], row["question_type"], row.get("options"), str(row["ground_truth"]).strip()
    where = f"{file}: question {name}"
    if not any(kind in names for names in GROUPS.values()):
        raise BenchmarkError(f"{where} has the unknown type {kind!r}; {HOW}")
    if n is not None and str(row["num_frames"]) != str(n):
        raise BenchmarkError(f"{where} is for {row['num_frames']} frames, in the file of {n}; {HOW}")
    if kind in NUMERIC:
        fault = None if _is_number(answer) else f"has the answer {answer!r}, no positive number"
    else:
        fault = _released.letter_fault(answer, options) if options else "has no options"
    if fault:
        raise BenchmarkError(f"{where} ({kind}) {fault}; {HOW}")
    dataset, scene = _dataset(str(row["dataset"])), str(row["scene_id"])
    return _released.question(
        "revsi",
        str(name),
        question_type=kind,
        answer_type="number" if kind in NUMERIC else "choice",
        question=row["question"],
        options=None if kind in NUMERIC else options,
        ground_truth=answer,
        dataset=dataset,
        scene_id=scene,
        space_id=space_of(dataset, scene),
        num_frames=str(row["num_frames"]),
    )


def _dataset(name: str) -> str:
    """Return the name that the study gives to a dataset: ScanNet++ is scannetpp."""
    return name.lower().replace("++", "pp").replace(" ", "")


def _is_number(text: str) -> bool:
    try:
        return 0 < float(text) < float("inf")
    except ValueError:
        return False
