"""What the training saw: clean and perturbed frames side by side, the objects in the noise, and what was answered.

Perturbed frames are not stored. They are made again by the code that made them: draws depend on names only (seed, run,
step, question), so the objects and the noise are those of the training.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from rollout3d import tables
from rollout3d.config import Grpo, Run, Video
from rollout3d.geometry.camera import sample_indices
from rollout3d.resize import resize_frame, smart_size
from rollout3d.training.rollouts import Context, make_views
from rollout3d.training.rollouts.object_centric import eligible
from rollout3d.training.rollouts.regions import Regions

Row = Mapping[str, Any]
LOG = logging.getLogger(__name__)

FRAMES_SHOWN = 6
"""Frames of a strip."""
STRIP_HEIGHT = 180
"""Pixels; smaller frames are enlarged without smoothing, so that the noise stays what it is."""


class Pictures:
    """Frames and top views of scenes, from the tables."""

    def __init__(self, frames: Iterable[Path | str], maps: Iterable[Path | str], video: Video):
        self._frames = tables.SceneReader(tables.FRAMES, frames)
        self._maps = tables.SceneReader(tables.MAPS, maps)
        self._video = video

    def rows(self, scene_id: str) -> list[dict[str, Any]]:
        """The frame rows that training shows, in order, repeats included (the rule of the trainer); empty if none."""
        name, n = f"train{self._video.train_frames}", self._video.train_frames
        found = sorted((r for r in self._frames.rows(scene_id) if name in r["sets"]), key=lambda r: r["frame_index"])
        return [found[i] for i in sample_indices(len(found), n)] if found else []

    def video(self, scene_id: str) -> np.ndarray:
        """(k, H, W, 3) uint8 RGB at training's resolution."""
        rows = self.rows(scene_id)
        pictures = [decode(row["image"]["bytes"]) for row in rows]
        source = rows[0]["source_height"], rows[0]["source_width"]
        size = smart_size(*source, self._video.min_pixels, self._video.train_max_pixels)
        return np.stack([resize_frame(picture, *size) for picture in pictures])

    def bev(self, scene_id: str) -> bytes | None:
        """The top view as stored (PNG), None if the scene has no map."""
        rows = self._maps.rows(scene_id, ["bev"])
        return rows[0]["bev"]["bytes"] if rows else None


@dataclass(frozen=True)
class Example:
    """One question of a training step, as it was shown and answered."""

    run: str
    step: int
    total: int
    question: Row
    delta: float
    sigma: float
    objects: tuple[str, ...]
    """Labels of the objects in the noise, one an object."""
    n_objects: int
    """M of equation 5: objects that could have been chosen."""
    clean: bytes
    """JPEG of a strip of frames."""
    perturbed: bytes
    gives_gradient: bool
    """Whether the rollouts of the perturbed view enter the loss."""
    bev: bytes | None
    rollouts: tuple[Row, ...]


def examples(
    run: Run,
    rollouts: Sequence[Row],
    questions: Mapping[str, Row],
    pictures: Pictures,
    objects: Sequence[Path | str],
    regions: Sequence[Path | str],
    grpo: Grpo,
    seed: int,
    n: int = 4,
) -> list[Example]:
    """`n` questions whose perturbed view really lost objects, spread over the training from its start.

    A question whose recreated view does not name the objects that the training recorded is left out with a warning:
    the tables then belong to another configuration.
    """
    groups: dict[tuple[int, str], list[Row]] = {}
    for row in rollouts:
        groups.setdefault((row["step"], row["question_id"]), []).append(row)
    shown = [
        key
        for key, rows in sorted(groups.items())
        if key[1] in questions and any(row["perturbed_objects"] for row in rows)
    ]
    if not shown:
        return []
    labels = {
        (row["scene_id"], row["object_id"]): row["label"]
        for row in tables.read_many(tables.OBJECTS, objects, ["scene_id", "object_id", "label"])
    }
    masks = Regions(objects, regions, pictures.rows)
    total = run.steps or 1 + max(row["step"] for row in rollouts)
    found = []
    for i in dict.fromkeys(sample_indices(len(shown), n)):
        step, question_id = shown[i]
        question = questions[question_id]
        scene, rows = question["scene_id"], groups[step, question_id]
        context = Context(grpo, run, seed, step, total, masks)
        clean = pictures.video(scene)
        altered = next(view for view in make_views(question, clean, context) if view.name == "perturbed")
        recorded = next(row["perturbed_objects"] for row in rows if row["perturbed_objects"])
        if list(altered.perturbed_objects) != list(recorded):
            LOG.warning("run %s, step %d: the view of question %s is not the recorded one", run.run, step, question_id)
            continue
        found.append(
            Example(
                run=run.run,
                step=step,
                total=total,
                question=question,
                delta=float(context.delta),
                sigma=float(altered.sigma),
                objects=tuple(labels[scene, object_id] for object_id in altered.perturbed_objects),
                n_objects=len(eligible(question, context)),
                clean=strip(clean),
                perturbed=strip(altered.frames),
                gives_gradient=altered.contributes_gradient,
                bev=pictures.bev(scene),
                rollouts=tuple(rows),
            )
        )
    return found


def strip(frames: np.ndarray, n: int = FRAMES_SHOWN) -> bytes:
    """JPEG of `n` evenly spread frames (k, H, W, 3) side by side, `STRIP_HEIGHT` pixels high."""
    chosen = [frames[i] for i in dict.fromkeys(sample_indices(len(frames), min(n, len(frames))))]
    height, width = chosen[0].shape[:2]
    size = (max(1, round(width * STRIP_HEIGHT / height)), STRIP_HEIGHT)
    how = cv2.INTER_AREA if height > STRIP_HEIGHT else cv2.INTER_NEAREST
    scaled = [cv2.resize(frame, size, interpolation=how) for frame in chosen]
    gap = np.full((STRIP_HEIGHT, 4, 3), 255, np.uint8)
    row = np.hstack([part for frame in scaled for part in (frame, gap)][:-1])
    return cv2.imencode(".jpg", row[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes()


def decode(data: bytes) -> np.ndarray:
    """An encoded picture as RGB (H, W, 3) uint8."""
    return cv2.cvtColor(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
