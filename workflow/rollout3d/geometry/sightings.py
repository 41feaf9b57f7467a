"""Sightings: when and how large each object is seen in the whole video, and in each set of its frames.

One small picture of the mesh is drawn per frame. A pixel belongs to the object of the nearest face, unless the depth
sensor measured another depth there. Unknown depth hides nothing.

Letters in shapes: f faces of the mesh, o objects, g groups of faces, c cells of the room's plan.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rollout3d.geometry.raster import BlockedMesh
from rollout3d.geometry.visibility import Camera, Mesh

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Float64, Int, Real

PER_SECOND, AT_LEAST = 4.0, 250
"""Frames that stand for the whole video: this many per second, and in short videos at least this many if there are."""
BLIND_S = 1.0
"""Seconds without a usable frame after which every object may have been seen."""
CLEAR_SHARE = 0.002
"""Share of a frame's pixels from which an object is clearly seen: 15x15 of 320x350. [assumed]"""
FAINT_SHARE = 0.0002
"""Share of a frame's pixels from which an object is faintly seen: the first sight of what is clear later. [assumed]"""
CELL_M = 0.5
"""Side of the cells of a room's plan."""


@dataclass(frozen=True)
class Seen:
    """Sightings of one object in a sampling of the video. Times are None for an object that is never seen."""

    n_clear: int
    """Frames that show it clearly."""
    first_clear_s: float | None
    """Time of the first frame that shows it clearly, seconds."""
    last_clear_s: float | None
    """Time of the last frame that shows it clearly, seconds."""
    first_faint_s: float | None
    """Earliest time at which it may be seen faintly, seconds."""
    largest_share: float
    """Its share of the picture in the frame that shows it largest."""
    mean_share: float
    """Its share of the picture, mean over the frames that show it at least faintly."""


@dataclass(frozen=True)
class Sampling:
    """Sightings in one sampling of the video."""

    n_frames: int
    """Frames with a known pose."""
    objects: tuple[Seen, ...]
    """Sightings of each object."""
    room_share: float
    """Share of the cells of the room's plan that the frames show."""


def watched(n_frames: int, fps: float) -> list[int]:
    """Return the indices of the frames that stand for the whole video: all of a short one, else evenly spaced."""
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
    faces_of: Sequence[Int[np.ndarray, " _"]],
    clear_share: float,
    faint_share: float,
    tolerance: float,
) -> dict[str, Sampling]:
    """Return the sightings of objects in each sampling of a video.

    `samplings`: name -> indices of its frames. Samplings in `whole` stand for the whole video, so that an object may
    have been seen between their frames. `camera_at` returns K of a picture of `size` (width, height) and its pose, None
    where tracking was lost. `depth_at` returns the sensor's depth on that picture's pixels (h, w), metres, 0 = unknown,
    None without a depth picture. `faces_of`: indices of the mesh's faces that are each object's.

    An object is clearly seen in a frame in which it covers at least `clear_share` of the picture, faintly from
    `faint_share`. A pixel shows the nearest face, at depth z, if |d - z| <= tolerance * d, where d is the sensor's
    depth.
    """
    vertices, faces = np.asarray(mesh[0]), np.asarray(mesh[1])
    drawn = BlockedMesh(vertices, faces)
    group, members = _groups(len(faces), faces_of)
    cell, n_cells = _cells(vertices, faces)
    width, height = size
    found = {name: _Account(len(faces_of), n_cells, name in whole) for name in samplings}
    frames = {name: frozenset(indices) for name, indices in samplings.items()}
    for index in sorted(frozenset().union(*frames.values())):
        camera = camera_at(index)
        if camera is None:
            continue
        z, face = drawn.draw(*camera, width, height)
        visible = face >= 0
        depth = depth_at(index)
        if depth is not None:
            visible &= ~((depth > 0) & (np.abs(depth - z) > tolerance * depth))
        owners = face[visible]
        counts = members @ np.bincount(group[owners], minlength=members.shape[1])
        share = counts / (width * height)
        cells = np.zeros(n_cells, bool)
        cells[cell[owners]] = True
        for name in samplings:
            if index in frames[name]:
                found[name].add(index, timestamp_at, share, cells, clear_share, faint_share)
    return {name: account.close() for name, account in found.items()}


class _Account:
    """Running sightings of one sampling, frame by frame."""

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
        share: Float64[np.ndarray, " o"],
        cells: Bool[np.ndarray, " c"],
        clear_share: float,
        faint_share: float,
    ) -> None:
        """Add a frame; frames come in growing order. `share`: of each object; `cells`: those that the frame shows."""
        clear, faint = share >= clear_share, share >= min(faint_share, clear_share)
        now = since = float(timestamp_at(index))
        if self._whole:  # an object seen now may have been visible right after the last frame that was drawn
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
        """Return the sightings of all frames."""
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


def _known(seconds: Float[np.ndarray, " o"]) -> list[float | None]:
    """Return times, None where they are NaN."""
    return [None if np.isnan(value) else value for value in seconds.tolist()]


def _groups(
    n_faces: int, faces_of: Sequence[Int[np.ndarray, " _"]]
) -> tuple[Int[np.ndarray, " {n_faces}"], Int[np.ndarray, "o g"]]:
    """Return the group of each face, and for each object 1 for the groups that are its own, else 0.

    Faces with the same owners form a group. Objects overlap where their boxes do.
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


def _cells(vertices: Real[np.ndarray, "v 3"], faces: Int[np.ndarray, "f 3"]) -> tuple[Int[np.ndarray, " f"], int]:
    """Return the cell of the room's plan that holds each face's centre seen from above, and the number of cells."""
    plan = np.floor(vertices[faces].mean(axis=1)[:, :2] / CELL_M).astype(np.int64).reshape(-1, 2)
    cells, of_face = np.unique(plan, axis=0, return_inverse=True)
    return of_face.reshape(-1), len(cells)
