"""VSI-Bench as released (Hugging Face: nyu-visionx/VSI-Bench): its questions, and frames of its videos.

The questions must be the released ones, all of them, and every video must be there and whole: a score over fewer
questions, or with other frames, is another number. `evaluation.datasets` asks a part, and every score says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rollout3d import releases
from rollout3d.config import Config
from rollout3d.config.frames import eval_set
from rollout3d.evaluation.benchmarks import vsibench_questions, vsibench_videos
from rollout3d.evaluation.benchmarks.common import Prepared
from rollout3d.evaluation.benchmarks.vsibench_questions import question_files, read_rows
from rollout3d.evaluation.benchmarks.vsibench_videos import Source
from rollout3d.geometry.frames import FrameSet, frame_set
from rollout3d.progress import progress
from rollout3d.resize import FACTOR, resize_frame, smart_size

__all__ = ["prepare", "question_files", "read_rows", "sample_video"]


def prepare(
    config: Config,
    questions: Path | str | None = None,
    frames: Iterable[Path | str] = (),
    sets: Iterable[str] | None = None,
) -> Prepared:
    """The 5,130 questions, or those of `evaluation.datasets`, and the frames of their videos that belong to `sets`
    (default: the one that the configuration shows).

    The other arguments are unused. Raises MissingData if the release is not there, BenchmarkError if files, columns,
    questions or videos are missing or damaged (videos while the frames are iterated).
    """
    root = Path(config.site.benchmarks.get("vsibench", "data/vsibench"))
    releases.require("vsibench", root)
    rows, files = vsibench_questions.read_released(root)
    parts = config.evaluation.datasets
    rows = [row for row in rows if not parts or row["dataset"] in parts]
    how = vsibench_questions.how_to_get(root)
    videos = vsibench_videos.find(root, {row["scene_id"]: row["dataset"] for row in rows}, how)
    return Prepared(
        rows, _frames(videos, sets or {eval_set(config.evaluation, config.video)}, config, how), tuple(files)
    )


def _frames(videos: dict[str, Source], sets: Iterable[str], config: Config, how: str) -> Iterator[dict[str, Any]]:
    shown = [frame_set(name) for name in sorted(sets)]
    for scene in progress(sorted(videos), "videos"):
        for index, seconds, rgb, sets in sample_video(videos[scene], shown, how):
            height, width = smart_size(*rgb.shape[:2], FACTOR**2, config.video.stored_pixels)
            yield {
                "scene_id": scene,
                "frame_index": index,
                "timestamp_s": seconds,
                "sets": sets,
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


def sample_video(
    source: Source, shown: Sequence[FrameSet], how: str
) -> Iterator[tuple[int, float, np.ndarray, list[str]]]:
    """The frames of a video that any of `shown` chooses: index, seconds since the first frame, upright RGB
    (height, width, 3) u8, and the frame sets that hold it.

    The indices count the frames that the container shows, all of which must decode. Raises BenchmarkError if not.
    """
    from rollout3d.scenes.scan import ScanError

    video = source.open(how)
    try:
        of = {each.name: set(each.indices(video.n_frames, video.fps)) for each in shown}
        for index, seconds, rgb in video.sample(set().union(*of.values())):
            yield index, seconds, rgb, [name for name, indices in of.items() if index in indices]
    except ScanError as error:
        raise vsibench_videos.damaged(error, how) from error
    finally:
        video.close()


def _jpeg(rgb: np.ndarray, quality: int) -> bytes:
    import cv2

    return cv2.imencode(".jpg", rgb[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
