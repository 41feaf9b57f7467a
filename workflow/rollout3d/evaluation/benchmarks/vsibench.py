"""VSI-Bench as released (Hugging Face: nyu-visionx/VSI-Bench): its questions, and frames of its videos.

The questions must be the released ones, all of them, and every video must be there and whole: a score over fewer
questions, or with other frames, is another number. `evaluation.datasets` asks a part, and every score says so.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from rollout3d.config import Config
from rollout3d.evaluation.benchmarks import _vsibench_questions, _vsibench_videos
from rollout3d.evaluation.benchmarks._common import Given, Prepared, Reference, frame_row, missing_root, require
from rollout3d.evaluation.benchmarks._videos import Source, sample_video
from rollout3d.evaluation.benchmarks._vsibench_questions import question_files, read_rows
from rollout3d.evaluation.benchmarks._vsibench_splits import of_split
from rollout3d.geometry.frames import frame_set
from rollout3d.progress import progress
from rollout3d.scenes.datasets import space_of
from rollout3d.scoring import aggregate
from rollout3d.scoring.aggregate import Mean
from rollout3d.tables.rows import FrameRow, QuestionRow

__all__ = [
    "average",
    "cell",
    "missing",
    "of_split",
    "prepare",
    "question_files",
    "read_rows",
    "references",
]

HUB = "nyu-visionx/VSI-Bench"
"""Repository of the release on the Hugging Face Hub, for the cards of models."""
SIZE = 5130
"""Released questions. The card says 5,131."""
SPLITS = {"full": 5130, "debiased": 2363, "pruned": None, "tiny": 400}
"""Card and paper differ on the size of `pruned` by one, so that one is not compared."""
LOG_KEYS = ("vsibench_overall", "vsibench_score")
"""Keys of lmms-eval's logs, newer releases first."""
LMMS_TASKS = ("vsibench", "vsibench_debiased")
"""Not vsibench_pruned: its file loads the whole benchmark (lmms-eval 0.7.3)."""
KEYS = ("evaluation.datasets",)
HOW = (
    "download nyu-visionx/VSI-Bench from Hugging Face: the question file, and scannet.zip, scannetpp.zip and "
    "arkitscenes.zip as they are (unpacked folders <dataset>/<scene>.mp4 do, too)"
)
"""How a user gets the release."""

_SPLITS = ("debiased", "pruned")


def cell(row: QuestionRow) -> str:
    """Return the question type, and the split of a question of a release that has the column `pruned`."""
    pruned = json.loads(row["evidence"]).get("pruned")
    return row["question_type"] if pruned is None else f"{row['question_type']} | {_SPLITS[bool(pruned)]}"


def average(scores: Mapping[str, Sequence[float]]) -> dict[str, Mean]:
    """Return the eight tasks, the overall scores of the splits debiased and pruned if known, and "overall"."""
    of_split: dict[str, dict[str, list[float]]] = {"": {}, **{split: {} for split in _SPLITS}}
    for name, values in scores.items():
        question_type, _, split = name.partition(" | ")
        for each in dict.fromkeys(("", split)):
            of_split[each].setdefault(question_type, []).extend(values)
    found = aggregate.vsibench(of_split.pop(""))
    overall = found.pop("overall")
    parts = {split: aggregate.vsibench(own)["overall"] for split, own in of_split.items() if own}
    return found | parts | {"overall": overall}


def prepare(given: Given) -> Prepared:
    """Read the 5,130 questions, or those of `evaluation.datasets`, and the frames of their videos in `given.sets`.

    Raises MissingData if the release is not there, BenchmarkError if files, columns, questions or videos are missing or
    damaged (videos while the frames are iterated).
    """
    root = given.root
    require("vsibench", root, HOW)
    rows, files = _vsibench_questions.read_released(root)
    parts = given.config.evaluation.datasets
    rows = [row for row in rows if not parts or row["dataset"] in parts]
    how = _vsibench_questions.how_to_get(root)
    datasets = {str(row["scene_id"]): row["dataset"] for row in rows}
    videos = _vsibench_videos.find(root, datasets, how)
    return Prepared(rows, _frames(videos, given.sets, given.config, how), tuple(files))


def missing(given: Given) -> list[str]:
    """Return a message about each part of the release that is not there: question files, videos of each dataset."""
    root = given.root
    absent = missing_root("vsibench", root, HOW)
    if absent:
        return [absent]
    found = []
    if not (root / "test.jsonl").is_file() and not any(root.glob("test*.parquet")):
        found.append(f"vsibench: no questions (test.jsonl or test*.parquet) in {root}. To get them: {HOW}")
    for dataset in given.config.evaluation.datasets or _vsibench_questions.DATASETS:
        if not (root / f"{dataset}.zip").is_file() and not any((root / dataset).glob("*.mp4")):
            found.append(f"vsibench: no videos in {root / dataset}, and no {dataset}.zip. To get them: {HOW}")
    return found


def references(path: Path) -> list[Reference]:
    """Read the right answers from one released question file. Raises BenchmarkError if it is not one."""
    return [
        Reference(
            str(row["id"]),
            str(row["question_type"]),
            "choice" if row.get("options") else "number",
            str(row["ground_truth"]),
            space_of(str(row["dataset"]), str(row["scene_name"])),
            {name: row[name] for name in ("pruned", "tiny") if row.get(name) is not None},
        )
        for row in read_rows(path)
    ]


def _frames(videos: dict[str, Source], sets: Iterable[str], config: Config, how: str) -> Iterator[FrameRow]:
    wanted = [frame_set(name) for name in sorted(sets)]
    for scene in progress(sorted(videos), "videos"):
        for index, seconds, rgb, names in sample_video(videos[scene], wanted, how):
            yield frame_row(scene, index, seconds, rgb, names, config)
