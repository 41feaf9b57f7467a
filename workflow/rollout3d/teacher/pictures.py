"""What a teacher or judge is shown of a scan: the stored frames, byte by byte."""

from __future__ import annotations

from rollout3d import tables
from rollout3d.geometry.camera import sample_indices
from rollout3d.teacher.client import Image


def frame_pictures(frames: tables.SceneReader, scene_id: str, frame_set: str, n: int) -> list[Image]:
    """`n` evenly spread frames of a scan, or all where it has fewer, of those of the sampling `frame_set`.

    Raises ValueError if there are none.
    """
    rows = frames.rows(scene_id, ["frame_index", "sets", "image", "width", "height"])
    rows = sorted((row for row in rows if frame_set in row["sets"]), key=lambda row: row["frame_index"])
    if not rows:
        raise ValueError(f"scene {scene_id} has no frames: rerun ingest for its shard")
    chosen = dict.fromkeys(sample_indices(len(rows), n))  # a short video repeats frames
    return [
        Image(row["image"]["bytes"], "image/jpeg", row["width"], row["height"]) for row in (rows[i] for i in chosen)
    ]
