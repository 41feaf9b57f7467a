"""Gallery of training steps: clean and perturbed frames side by side, the objects under noise, and the rollouts.

Perturbed frames are not stored. They are made again by the code that the training ran: frames are decoded and resized
by the trainer's own store, and draws depend on names only (seed, run, step, question), so the objects and the noise are
those of the training. Pictures are stored without loss: each pixel is the one that training saw.
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
from rollout3d.config.frames import train_set
from rollout3d.geometry.camera import sample_indices
from rollout3d.geometry.frames import frame_set
from rollout3d.model.media import FrameStore
from rollout3d.model.regions import Regions
from rollout3d.report.drawn_map import DrawnMap, drawn_maps
from rollout3d.tables.rows import FrameRow, QuestionRow
from rollout3d.training.rollouts import Context, eligible, make_views

Row = Mapping[str, Any]
LOG = logging.getLogger(__name__)

FRAMES_SHOWN = 4
"""Frames per example."""


class Pictures:
    """Frames, top views and cognitive maps of scans, read from the tables."""

    def __init__(
        self,
        frames: Iterable[Path | str],
        maps: Iterable[Path | str],
        video: Video,
        cognitive_maps: Iterable[Path | str] = (),
    ):
        self._store = FrameStore(frames, (), capacity=2)
        self._maps = tables.SceneReader(tables.MAPS, maps)
        self._set, self._video = train_set(video), video
        self._n = frame_set(self._set).n_shown
        self.cognitive_maps = drawn_maps(cognitive_maps)
        """Scene -> drawing of its cognitive map."""

    def __contains__(self, scene_id: str | None) -> bool:
        return scene_id is not None and scene_id in self._store

    def rows(self, scene_id: str) -> list[FrameRow]:
        """Return the frame rows that training shows, in order, repeats included. Raises MissingFrames for an unknown
        scene."""
        return self._store.rows(scene_id, self._set, self._n)

    def video(self, scene_id: str) -> np.ndarray:
        """Return the pixels that training shows, (k, H, W, 3) uint8 RGB, read-only."""
        return self._store.frames(scene_id, self._set, self._n, self._video.train_pixels)

    def bev(self, scene_id: str) -> bytes | None:
        """Return the top view as stored (PNG); None if the scan has no map."""
        rows = self._maps.rows(scene_id, ["bev"])
        return rows[0]["bev"]["bytes"] if rows else None


@dataclass(frozen=True)
class Shown:
    """One frame of an example, as stored and under noise."""

    index: int
    """Place among the frames that training shows, from 0."""
    seconds: float
    width: int
    height: int
    clean: bytes
    """WebP without loss."""
    perturbed: bytes
    outlines: tuple[tuple[int, str], ...]
    """Place in `Example.objects` of each object that the frame shows, and the border of its pixels as an SVG path."""


@dataclass(frozen=True)
class Example:
    """One question of a training step: its frames, perturbed objects and rollouts."""

    run: str
    step: int
    total: int
    question: QuestionRow
    delta: float
    sigma: float
    objects: tuple[str, ...]
    """Label of each object under noise."""
    n_objects: int
    """M of equation 5: objects that could have been chosen."""
    frames: tuple[Shown, ...]
    n_frames: int
    """Frames that training shows."""
    share: float
    """Share of the pixels of all frames that the noise covers."""
    gives_gradient: bool
    """True if the rollouts of the perturbed view enter the loss."""
    bev: bytes | None
    rollouts: tuple[Row, ...]
    cognitive_map: DrawnMap | None = None


def examples(
    run: Run,
    rollouts: Sequence[Row],
    questions: Mapping[str, QuestionRow],
    pictures: Pictures,
    objects: Sequence[Path | str],
    regions: Sequence[Path | str],
    grpo: Grpo,
    seed: int,
    n: int = 4,
) -> list[Example]:
    """Return `n` questions whose perturbed view covers at least one object, spread evenly over the training.

    A question whose recreated view does not name the objects that the training recorded is left out with a warning:
    the tables then belong to another configuration.
    """
    groups: dict[tuple[int, str], list[Row]] = {}
    for row in rollouts:
        groups.setdefault((row["step"], row["question_id"]), []).append(row)
    shown = [
        key
        for key, rows in sorted(groups.items())
        if key[1] in questions
        and questions[key[1]]["scene_id"] in pictures
        and any(row["perturbed_objects"] for row in rows)
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
        assert scene is not None  # it is in `pictures`
        clean = pictures.video(scene)
        altered = next(view for view in make_views(question, clean, context) if view.name == "perturbed")
        assert altered.frames is not None and altered.sigma is not None and context.delta is not None
        recorded = next(row["perturbed_objects"] for row in rows if row["perturbed_objects"])
        if list(altered.perturbed_objects) != list(recorded):
            LOG.warning("run %s, step %d: the view of question %s is not the recorded one", run.run, step, question_id)
            continue
        frames, share = _shown(scene, clean, altered.frames, altered.perturbed_objects, pictures, masks)
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
                frames=frames,
                n_frames=len(clean),
                share=share,
                gives_gradient=altered.contributes_gradient,
                bev=pictures.bev(scene),
                rollouts=tuple(rows),
                cognitive_map=pictures.cognitive_maps.get(scene),
            )
        )
    return found


def _shown(
    scene: str,
    clean: np.ndarray,
    perturbed: np.ndarray,
    object_ids: Sequence[int],
    pictures: Pictures,
    regions: Regions,
) -> tuple[tuple[Shown, ...], float]:
    """Return the frames to show, and the share of all pixels that the noise covers.

    Of each of `FRAMES_SHOWN` equal parts of the video it is the frame in which the noise covers most: with few objects,
    evenly spaced frames may hold none of them.
    """
    shape = clean.shape[:3]
    masks = {object_id: regions.union(scene, [object_id], shape) for object_id in object_ids}
    union = np.any([*masks.values()], axis=0)
    rows = pictures.rows(scene)
    parts = np.array_split(np.arange(len(clean)), min(FRAMES_SHOWN, len(clean)))
    chosen = [int(part[np.argmax(union[part].sum(axis=(1, 2)))]) for part in parts]
    # A scene with few frames repeats some.
    chosen = list({rows[i]["frame_index"]: i for i in reversed(chosen)}.values())[::-1]
    shown = tuple(
        Shown(
            index=i,
            seconds=rows[i]["timestamp_s"],
            width=shape[2],
            height=shape[1],
            clean=webp(clean[i]),
            perturbed=webp(perturbed[i]),
            outlines=tuple(
                (place, border(masks[object_id][i]))
                for place, object_id in enumerate(object_ids)
                if masks[object_id][i].any()
            ),
        )
        for i in chosen
    )
    return shown, float(union.mean())


def border(mask: np.ndarray) -> str:
    """Return the border of the true pixels of a mask (H, W) as an SVG path along pixel edges, one unit per pixel."""
    padded = np.pad(mask, 1)
    rows = [
        f"M{x0} {y}H{x1}" for y, x0, x1 in _runs(padded[1:, 1:-1] != padded[:-1, 1:-1])
    ]  # between a pixel and the one above it
    columns = [f"M{x} {y0}V{y1}" for x, y0, y1 in _runs((padded[1:-1, 1:] != padded[1:-1, :-1]).T)]
    return "".join([*rows, *columns])


def _runs(edges: np.ndarray) -> Iterable[tuple[int, int, int]]:
    """Yield (row, start, end) of each run of true values in the rows of an array (n, m)."""
    changes = np.diff(np.pad(edges, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    (row, start), (_, end) = np.nonzero(changes == 1), np.nonzero(changes == -1)
    return zip(row.tolist(), start.tolist(), end.tolist())


def webp(frame: np.ndarray) -> bytes:
    """Encode a frame (H, W, 3) uint8 RGB as lossless WebP."""
    # A quality above 100 is OpenCV's lossless mode.
    return cv2.imencode(".webp", frame[:, :, ::-1], [cv2.IMWRITE_WEBP_QUALITY, 101])[1].tobytes()
