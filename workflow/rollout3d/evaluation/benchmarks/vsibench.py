"""VSI-Bench as released (Hugging Face: nyu-visionx/VSI-Bench, archives unpacked).

Questions: `test.jsonl`, or the Parquet files; videos: `<dataset>/<scene_name>.mp4`. Everything is evaluated: a missing
video is an error, because leaving its questions out would change the score.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from rollout3d import releases, tables
from rollout3d.config import CATEGORIES, DATASETS, Config
from rollout3d.evaluation.benchmarks.common import BenchmarkError, Prepared, frame_set
from rollout3d.fingerprint import note
from rollout3d.geometry.camera import sample_indices
from rollout3d.progress import progress
from rollout3d.resize import resize_frame, smart_size

COLUMNS = ("id", "dataset", "scene_name", "question_type", "question", "ground_truth")
"""Columns that every row must have; `options` is null for numbers, `pruned` came in November 2025."""

_NUMBER = re.compile(r"\d+(\.\d+)?")

_HOW_TO_GET = (
    "run `hf download nyu-visionx/VSI-Bench --repo-type dataset --local-dir {root}` and unpack scannet.zip, "
    "scannetpp.zip and arkitscenes.zip there"
)


def prepare(config: Config, questions: Path | str | None = None, frames: Iterable[Path | str] = ()) -> Prepared:
    """All 5,130 questions and `video.eval_frames` frames of each of their videos; the other arguments are unused.

    Raises MissingData if the release is not there, BenchmarkError if files, columns or videos are missing.
    """
    root = Path(config.site.benchmarks.get("vsibench", "data/vsibench"))
    releases.require("vsibench", root)
    how = _HOW_TO_GET.format(root=root)
    files = question_files(root)
    rows = [_question(row, file) for file in files for row in read_rows(file)]
    rows.sort(key=lambda row: (json.loads(row["evidence"])["id"], row["question_id"]))
    videos = sorted({(row["dataset"], row["scene_id"]) for row in rows})
    paths = {scene: root / dataset / f"{scene}.mp4" for dataset, scene in videos}
    if len(paths) != len(videos):
        raise BenchmarkError(f"{root}: a scene name occurs in two datasets")
    missing = [path for path in paths.values() if not path.exists()]
    if missing:
        names = ", ".join(str(path) for path in missing[:3])
        raise BenchmarkError(f"{len(missing)} of {len(paths)} videos are missing, such as {names}; {how}")
    return Prepared(rows, _frames(paths, config), tuple(files))


def question_files(root: Path) -> list[Path]:
    """`test.jsonl`, else `test.parquet` or `test-*.parquet`, else both halves (debiased and pruned).

    The folder of the release may hold the whole and its halves: reading all of it would count questions twice.
    Raises BenchmarkError if there is none of them, or one half only.
    """
    how = _HOW_TO_GET.format(root=root)
    if (root / "test.jsonl").exists():
        return [root / "test.jsonl"]
    whole = sorted([*root.glob("test.parquet"), *root.glob("test-*.parquet")])
    halves = [root / "test_debiased.parquet", root / "test_pruned.parquet"]
    found = whole or [path for path in halves if path.exists()]
    if not found:
        raise BenchmarkError(f"{root}: no VSI-Bench questions (test.jsonl or test*.parquet); {how}")
    if not whole and len(found) == 1:
        raise BenchmarkError(f"{root}: holds only half of VSI-Bench, {found[0].name}; {how}")
    return found


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of one released question file, JSON lines or Parquet. Raises BenchmarkError if it is not one."""
    try:
        if path.suffix == ".jsonl":
            rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        else:
            rows = tables.read_foreign(note(path))
    except tables.TableError as error:
        raise BenchmarkError(str(error)) from error
    except OSError as error:
        raise BenchmarkError(f"{path}: cannot be read ({error.strerror or error}); is the path right?") from error
    except ValueError as error:
        raise BenchmarkError(f"{path}: not readable ({error}); download it again") from error
    for k, row in enumerate(rows):
        lacking = [column for column in COLUMNS if not isinstance(row, dict) or column not in row]
        if lacking:
            raise BenchmarkError(f"{path}: row {k + 1} is without the columns {', '.join(lacking)}: is it VSI-Bench's?")
        if not re.fullmatch(r"\d+", str(row["id"])):
            raise BenchmarkError(f"{path}: row {k + 1} has the id {row['id']!r}, not a number: is it VSI-Bench's?")
        if not isinstance(row.get("options"), list | None):
            raise BenchmarkError(f"{path}: row {k + 1} has options that are no list: is it VSI-Bench's?")
    if not rows:
        raise BenchmarkError(f"{path}: empty, or without the columns {', '.join(COLUMNS)}: is it VSI-Bench's?")
    return rows


def _question(row: dict[str, Any], file: Path) -> dict[str, Any]:
    dataset, scene, kind = row["dataset"], str(row["scene_name"]), row["question_type"]
    if dataset not in DATASETS or kind not in CATEGORIES:
        raise BenchmarkError(f"{file}: row {row['id']} has the unknown dataset '{dataset}' or question type '{kind}'")
    options = row.get("options")
    if not options and not _NUMBER.fullmatch(str(row["ground_truth"]).strip()):
        raise BenchmarkError(
            f"{file}: row {row['id']} has no options, and its answer {row['ground_truth']!r} is no number: download it "
            "again"
        )
    ours = {
        "scene_id": scene,
        "space_id": scene.split("_")[0] if dataset == "scannet" else scene,
        "split": "val",
        "dataset": dataset,
        "question_type": kind,
        "answer_type": "choice" if options else "number",
        "question": row["question"],
        "options": list(options) if options else None,
        "ground_truth": str(row["ground_truth"]),
        "objects": [],
        "media": None,
        "source": "vsibench",
        "evidence": tables.canonical_json({"id": int(row["id"]), "pruned": row.get("pruned")}),
    }
    # The released id belongs to the identity: equal questions would otherwise be scored once.
    return {"question_id": tables.digest([tables.question_id(ours), int(row["id"])])[:16], **ours}


def _frames(paths: dict[str, Path], config: Config) -> Iterator[dict[str, Any]]:
    for scene in progress(sorted(paths), "videos"):
        for index, seconds, rgb in sample_video(paths[scene], config.video.eval_frames):
            height, width = smart_size(*rgb.shape[:2], config.video.min_pixels, config.video.eval_max_pixels)
            yield {
                "scene_id": scene,
                "frame_index": index,
                "timestamp_s": seconds,
                "sets": [frame_set(config.video)],
                "image": {
                    "bytes": _jpeg(resize_frame(rgb, height, width), config.scenes.jpeg_quality),
                    "path": f"{scene}_{index:06d}.jpg",
                },
                "width": width,
                "height": height,
                "source_width": rgb.shape[1],
                "source_height": rgb.shape[0],
                "K": None,
                "pose": None,
            }


def _jpeg(rgb: np.ndarray, quality: int) -> bytes:
    import cv2

    return cv2.imencode(".jpg", rgb[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def sample_video(path: Path, n: int) -> Iterator[tuple[int, float, np.ndarray]]:
    """`n` evenly spread frames of a video: index, seconds since the first frame, upright RGB (height, width, 3) u8.

    The indices are `sample_indices` of the frames that really decode, which are counted first: the number that a
    container states can be wrong. A video of fewer than `n` frames gives each of them once. Departure from the
    official evaluation, which truncates the positions instead of rounding them (design, section 3).
    """
    n_frames = sum(1 for _ in _decode(path))
    if n_frames == 0:
        raise BenchmarkError(f"{path}: no frame can be decoded; download it again")
    wanted = set(sample_indices(n_frames, n))
    start: float | None = None
    for index, frame in enumerate(_decode(path)):
        start = frame.time if start is None else start
        if index in wanted:
            turns = round(frame.rotation / 90)  # counter-clockwise, as np.rot90 turns
            yield (
                index,
                float(frame.time - start),
                np.ascontiguousarray(np.rot90(frame.to_ndarray(format="rgb24"), turns)),
            )
        if index == max(wanted):
            return


def _decode(path: Path) -> Iterator[Any]:
    import av

    try:
        with av.open(str(note(path))) as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            yield from container.decode(stream)
    except (av.error.FFmpegError, IndexError) as error:
        raise BenchmarkError(f"{path}: not a readable video ({error}); download it again") from error
