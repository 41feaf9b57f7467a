"""Where and how large each object is seen: in the whole video, and in each set of its frames.

One small picture of the mesh is drawn per frame. A pixel belongs to the object of the nearest face, unless the depth
sensor measured something else there. Depth that the sensor does not know hides nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rollout3d.geometry.raster import BlockedMesh
from rollout3d.geometry.visibility import Camera, Mesh

PER_SECOND, AT_LEAST = 4.0, 250
"""Frames of the whole video that are looked at: this many per second, and in short videos this many if it has them."""
BLIND_S = 1.0
"""A longer stretch of the video without a frame that can be looked at may have shown every object."""
CLEAR_SHARE = 0.002
"""An object is clearly seen in a frame from this share of its pixels: 15x15 of 320x350. [assumed]"""
FAINT_SHARE = 0.0002
"""An object is faintly seen from this share: what is clearly seen later has an earlier first sight. [assumed]"""
CELL_M = 0.5
"""Side of the cells of a room's plan."""


@dataclass(frozen=True)
class Seen:
    """How one object is seen in a sampling of the video. Seconds are None where it never is."""

    n_clear: int
    """Frames that show it clearly."""
    first_clear_s: float | None
    last_clear_s: float | None
    first_faint_s: float | None
    """When it may be seen faintly for the first time, at the earliest."""
    largest_share: float
    """Of the picture, in the frame that shows it largest."""
    mean_share: float
    """Of the picture, mean over the frames that show it at least faintly."""


@dataclass(frozen=True)
class Sampling:
    """What a sampling of the video shows: `n_frames` with a known pose, each object, the share of the room's plan."""

    n_frames: int
    objects: tuple[Seen, ...]
    room_share: float


def watched(n_frames: int, fps: float) -> list[int]:
    """Indices of the frames that stand for the whole video: all of a short one, else evenly many, first included."""
    step = max(1, min(int(fps / PER_SECOND), n_frames // AT_LEAST))
    return list(range(0, n_frames, step))


def sightings(
    samplings: Mapping[str, Collection[int]],
    whole: Collection[str],
    camera_at: Callable[[int], Camera | None],
    depth_at: Callable[[int], np.ndarray | None],
    timestamp_at: Callable[[int], float],
    size: tuple[int, int],
    mesh: Mesh,
    faces_of: Sequence[np.ndarray],
    clear_share: float,
    faint_share: float,
    tolerance: float,
) -> dict[str, Sampling]:
    """What each sampling shows of the objects whose faces are `faces_of` (indices of the mesh's faces, one per object).

    `samplings`: name -> indices of its frames; those in `whole` stand for the whole video, so that an object may have
    been seen between their frames. `camera_at` gives K of a picture of `size` (width, height) and its pose, None where
    tracking was lost; `depth_at` the sensor's depth on that picture's pixels (H,W), metres, 0 = unknown, None for none.

    An object is clearly seen in a frame in which it covers at least `clear_share` of the picture, faintly from
    `faint_share`. A pixel shows the nearest face at depth z if |d - z| <= tolerance * d, d the sensor's depth.
    """
    vertices, faces = mesh
    drawn = BlockedMesh(vertices, faces)
    group, members = _groups(len(faces), faces_of)
    cell, n_cells = _cells(np.asarray(vertices), np.asarray(faces))
    width, height = size
    found = {name: _Account(len(faces_of), n_cells, name in whole) for name in samplings}
    frames = {name: frozenset(indices) for name, indices in samplings.items()}
    for index in sorted(frozenset().union(*frames.values())):
        camera = camera_at(index)
        if camera is None:
            continue
        z, face = drawn.draw(*camera, width, height)
        shown = face >= 0
        depth = depth_at(index)
        if depth is not None:
            shown &= ~((depth > 0) & (np.abs(depth - z) > tolerance * depth))
        owners = face[shown]
        counts = members @ np.bincount(group[owners], minlength=members.shape[1])
        share = counts / (width * height)
        cells = np.zeros(n_cells, bool)
        cells[cell[owners]] = True
        for name in samplings:
            if index in frames[name]:
                found[name].add(index, timestamp_at, share, cells, clear_share, faint_share)
    return {name: account.close() for name, account in found.items()}


class _Account:
    """What the frames of one sampling have shown so far."""

    def __init__(self, n_objects: int, n_cells: int, whole: bool):
        self._whole = whole
        self._n_frames = 0
        self._next = 0
        self._n_clear, self._n_faint = np.zeros(n_objects, np.int64), np.zeros(n_objects, np.int64)
        self._clear, self._last_clear, self._faint = (np.full(n_objects, np.nan) for _ in range(3))
        self._largest, self._sum = np.zeros(n_objects), np.zeros(n_objects)
        self._cells = np.zeros(n_cells, bool)

    def add(
        self,
        index: int,
        timestamp_at: Callable[[int], float],
        share: np.ndarray,
        cells: np.ndarray,
        clear_share: float,
        faint_share: float,
    ) -> None:
        """Add a frame; frames come in order."""
        clear, faint = share >= clear_share, share >= min(faint_share, clear_share)
        now = since = float(timestamp_at(index))
        if self._whole:  # what is seen now may have been there right after the last frame that was looked at
            since = float(timestamp_at(self._next))
        unseen = np.isnan(self._faint)
        self._faint[unseen & (faint | (now - since > BLIND_S))] = since
        self._clear[clear & np.isnan(self._clear)] = now
        self._last_clear[clear] = now
        self._n_clear += clear
        self._n_faint += faint
        self._sum[faint] += share[faint]
        np.maximum(self._largest, share, out=self._largest)
        self._cells |= cells
        self._n_frames += 1
        self._next = index + 1

    def close(self) -> Sampling:
        mean = self._sum / np.maximum(self._n_faint, 1)
        rows = zip(
            self._n_clear.tolist(),
            _known(self._clear),
            _known(self._last_clear),
            _known(self._faint),
            self._largest.tolist(),
            mean.tolist(),
        )
        return Sampling(
            self._n_frames, tuple(Seen(*row) for row in rows), float(self._cells.mean()) if len(self._cells) else 0.0
        )


def _known(seconds: np.ndarray) -> list[float | None]:
    return [None if np.isnan(value) else value for value in seconds.tolist()]


def _groups(n_faces: int, faces_of: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The group (F,) of each face, and which objects (rows) have which groups (columns), 0 or 1.

    Objects overlap where their boxes do; faces with the same owners are a group.
    """
    keys = np.random.default_rng(0).integers(1, 2**63, len(faces_of))
    code = np.zeros(n_faces, np.int64)
    for key, faces in zip(keys, faces_of):
        code[faces] ^= key
    codes, group = np.unique(code, return_inverse=True)
    members = np.zeros((len(faces_of), len(codes)), np.int64)
    for row, faces in zip(members, faces_of):
        row[group[faces]] = 1
    return group, members


def _cells(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, int]:
    """The cell (F,) of the room's plan over or under which each face's centre lies, and how many cells there are."""
    plan = np.floor(vertices[faces].mean(axis=1)[:, :2] / CELL_M).astype(np.int64).reshape(-1, 2)
    cells, of_face = np.unique(plan, axis=0, return_inverse=True)
    return of_face.reshape(-1), len(cells)
