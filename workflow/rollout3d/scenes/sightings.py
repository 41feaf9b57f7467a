"""When each category, and where each object, is seen in a scan's video: the column `appearances` and `visibility`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from rollout3d.config import Config
from rollout3d.config.frames import WHOLE_VIDEO
from rollout3d.geometry.camera import resize_intrinsics
from rollout3d.geometry.frames import frame_set
from rollout3d.geometry.raster import rasterise
from rollout3d.geometry.sightings import CLEAR_SHARE, FAINT_SHARE, sightings, watched
from rollout3d.geometry.visibility import DEPTH_TOLERANCE, MIN_POINTS, MIN_SHARE, Camera, first_appearances
from rollout3d.scenes.oddities import depth_shape
from rollout3d.scenes.scan import Room, Scan
from rollout3d.scenes.surface import point_spacing, vertex_areas

Row = dict[str, Any]

_WIDTH = 160
"""Columns of the pictures that are drawn of the mesh."""


class Watch:
    """What a scan's video shows of its objects. `sets`: frame sets that are counted besides the whole video.

    `appearances` comes first: of the depth pictures that it decodes, `rows` keeps what it needs.
    """

    def __init__(self, scan: Scan, config: Config, sets: Iterable[str]):
        self._scan, self._config = scan, config
        source = scan.source
        self._samplings = {name: frame_set(name).indices(source.n_frames, source.fps) for name in sorted(set(sets))}
        self._samplings[WHOLE_VIDEO] = watched(source.n_frames, source.fps)
        self._chosen = frozenset(index for indices in self._samplings.values() for index in indices)
        self._shape = depth_shape(scan)
        self._size = _WIDTH, max(1, round(source.height * _WIDTH / source.width))
        self._kept: dict[int, np.ndarray | None] = {}

    def appearances(self) -> dict[str, float]:
        """Category -> seconds of its first appearance in the video, by name; categories never seen are absent.

        Depth is the sensor's; a frame or a scan without any uses the depth of the mesh. What the mesh itself hides is
        not visible: a face is a category's if most of its corners are.
        """
        room = self._scan.room
        indices: dict[str, list[np.ndarray]] = {}
        for item in room.objects:
            if item.category:
                indices.setdefault(item.category, []).append(item.vertex_index)
        labelled = {name: np.concatenate(parts) for name, parts in sorted(indices.items())}
        if not labelled:
            return {}
        every = np.unique(np.concatenate(list(labelled.values())))
        return first_appearances(
            self._scan.source.n_frames,
            self._depth_camera if self._shape else self._camera,
            self._depth if self._shape else self._rendered,
            self._seconds,
            {name: room.vertices[index] for name, index in labelled.items()},
            MIN_POINTS,
            MIN_SHARE,
            DEPTH_TOLERANCE,
            point_spacing(vertex_areas(room.vertices, room.faces), every),
            (room.vertices, room.faces),
            {name: _corners_of(room, index) >= 2 for name, index in labelled.items()},
        )

    def rows(self) -> list[Row]:
        """The rows of `visibility`: by object in the order of the room's, and by sampling."""
        room = self._scan.room
        found = sightings(
            self._samplings,
            {WHOLE_VIDEO},
            self._camera,
            self._small_depth if self._shape else lambda index: None,
            self._seconds,
            self._size,
            (room.vertices, room.faces),
            [_faces_of(room, item.vertex_index) for item in room.objects],
            CLEAR_SHARE,
            FAINT_SHARE,
            DEPTH_TOLERANCE,
        )
        return [
            {
                "scene_id": self._scan.ref.scene_id,
                "object_id": item.object_id,
                "sampling": name,
                "n_frames": sampling.n_frames,
                **vars(sampling.objects[k]),
                "room_share": sampling.room_share,
            }
            for k, item in enumerate(room.objects)
            for name, sampling in sorted(found.items())
        ]

    def _seconds(self, index: int) -> float:
        return index / self._scan.source.fps

    def _camera(self, index: int) -> Camera | None:
        """K of the small picture, and the frame's pose."""
        source = self._scan.source
        K, pose = self._scan.camera(index)
        return None if pose is None else (resize_intrinsics(K, (source.width, source.height), self._size), pose)

    def _depth_camera(self, index: int) -> Camera | None:
        pose = self._scan.camera(index)[1]
        return None if pose is None else (self._scan.depth_K(index), pose)

    def _rendered(self, index: int) -> np.ndarray:
        return rasterise(self._scan.room.vertices, self._scan.room.faces, *self._camera(index), *self._size)[0]

    def _usable_depth(self, index: int) -> np.ndarray | None:
        """The sensor's depth; None where it cannot be used, of which the scan keeps account."""
        depth = self._scan.depth(index)
        if depth is not None and depth.shape != self._shape:
            self._scan.without_depth.add(index)
            return None
        return depth

    def _depth(self, index: int) -> np.ndarray:
        """The sensor's depth where it can be used, else the mesh's in the same size."""
        depth = self._usable_depth(index)
        if index in self._chosen:
            self._kept[index] = self._laid(index, depth)
        if depth is not None:
            return depth
        room, (height, width) = self._scan.room, self._shape
        return rasterise(room.vertices, room.faces, *self._depth_camera(index), width, height)[0]

    def _small_depth(self, index: int) -> np.ndarray | None:
        """The sensor's depth on the pixels of the small picture; None if the frame has none."""
        found = self._kept.pop(index) if index in self._kept else self._laid(index, self._usable_depth(index))
        return None if found is None else found.astype(np.float32)

    def _laid(self, index: int, depth: np.ndarray | None) -> np.ndarray | None:
        """Depth at the centres of the small picture's pixels, 0 beside the depth picture; f16 is exact to 0.05 %."""
        if depth is None:
            return None
        # Both pictures have one pose, so columns and rows map to each other.
        move = self._scan.depth_K(index) @ np.linalg.inv(self._camera(index)[0])
        (col, known_col), (row, known_row) = (
            _nearest(move[axis, axis] * np.arange(n) + move[axis, 2], limit)
            for axis, n, limit in ((0, self._size[0], depth.shape[1]), (1, self._size[1], depth.shape[0]))
        )
        with np.errstate(over="ignore"):
            return np.where(known_row[:, None] & known_col, depth[row[:, None], col], 0).astype(np.float16)


def _nearest(place: np.ndarray, limit: int) -> tuple[np.ndarray, np.ndarray]:
    """The pixel (N,) i64 nearest to each place along an axis, and which of them lie on the picture."""
    pixel = np.floor(place + 0.5).astype(np.int64)
    return pixel.clip(0, limit - 1), (pixel >= 0) & (pixel < limit)


def _corners_of(room: Room, index: np.ndarray) -> np.ndarray:
    """How many corners (F,) of each face are among the vertices `index`."""
    mine = np.zeros(len(room.vertices), np.int8)
    mine[index] = 1
    a, b, c = room.faces.T
    return mine[a] + mine[b] + mine[c]


def _faces_of(room: Room, index: np.ndarray) -> np.ndarray:
    """The faces that have most of their corners among the vertices `index`; any of them where that is none."""
    corners = _corners_of(room, index)
    most = np.flatnonzero(corners >= 2)
    return most if len(most) else np.flatnonzero(corners)
