"""First appearances of categories and sightings of objects in a scan's video: `maps.appearances` and `visibility`."""

from __future__ import annotations

from collections.abc import Iterable

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
from rollout3d.tables.rows import VisibilityRow

_WIDTH = 160
"""Width, pixels, of the small pictures of the mesh."""


class Watch:
    """Sightings of a scan's objects in its video. `sets`: frame sets that are measured besides the whole video.

    Call `appearances` before `rows`, which then reuses the depth pictures that `appearances` decoded.
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
        """Return the time, seconds, of each category's first appearance, sorted by name; unseen categories are absent.

        Depth is the sensor's; a frame or a scan without any uses the depth of the mesh. Surface that the mesh itself
        hides is not visible. A face is a category's if most of its corners are.
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

    def rows(self) -> list[VisibilityRow]:
        """Return the rows of `visibility`: by object in the order of the room's, and by sampling."""
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
                "n_clear": seen.n_clear,
                "first_clear_s": seen.first_clear_s,
                "last_clear_s": seen.last_clear_s,
                "first_faint_s": seen.first_faint_s,
                "largest_share": seen.largest_share,
                "mean_share": seen.mean_share,
                "room_share": sampling.room_share,
            }
            for k, item in enumerate(room.objects)
            for name, sampling in sorted(found.items())
            for seen in [sampling.objects[k]]
        ]

    def _seconds(self, index: int) -> float:
        return index / self._scan.source.fps

    def _camera(self, index: int) -> Camera | None:
        """Return K of the small picture and the frame's pose; None without a pose."""
        source = self._scan.source
        K, pose = self._scan.camera(index)
        return None if pose is None else (resize_intrinsics(K, (source.width, source.height), self._size), pose)

    def _depth_camera(self, index: int) -> Camera | None:
        """Return K of the depth picture and the frame's pose; None without a pose."""
        pose = self._scan.camera(index)[1]
        K = None if pose is None else self._scan.depth_K(index)
        return None if pose is None or K is None else (K, pose)

    def _drawn(self, camera: Camera | None, width: int, height: int) -> np.ndarray | None:
        """Return the depth of the mesh for a camera."""
        room = self._scan.room
        return None if camera is None else rasterise(room.vertices, room.faces, *camera, width, height)[0]

    def _rendered(self, index: int) -> np.ndarray | None:
        return self._drawn(self._camera(index), *self._size)

    def _usable_depth(self, index: int) -> np.ndarray | None:
        """Return the sensor's depth; None where it cannot be used, which the scan then records."""
        depth = self._scan.depth(index)
        if depth is not None and depth.shape != self._shape:
            self._scan.without_depth.add(index)
            return None
        return depth

    def _depth(self, index: int) -> np.ndarray | None:
        """Return the sensor's depth where it can be used, else the mesh's in the same size."""
        depth = self._usable_depth(index)
        if index in self._chosen:
            self._kept[index] = self._laid(index, depth)
        if depth is not None or self._shape is None:
            return depth
        height, width = self._shape
        return self._drawn(self._depth_camera(index), width, height)

    def _small_depth(self, index: int) -> np.ndarray | None:
        """Return the sensor's depth on the pixels of the small picture; None if the frame has none."""
        found = self._kept.pop(index) if index in self._kept else self._laid(index, self._usable_depth(index))
        return None if found is None else found.astype(np.float32)

    def _laid(self, index: int, depth: np.ndarray | None) -> np.ndarray | None:
        """Return depth at the centres of the small picture's pixels, 0 outside the depth picture.

        16-bit floats hold it with an error of 0.05 %.
        """
        depth_K = None if depth is None else self._scan.depth_K(index)
        camera = None if depth is None else self._camera(index)
        if depth is None or depth_K is None or camera is None:
            return None
        # Both pictures have one pose, so columns map to columns and rows to rows.
        move = depth_K @ np.linalg.inv(camera[0])
        (col, known_col), (row, known_row) = (
            _nearest(move[axis, axis] * np.arange(n) + move[axis, 2], limit)
            for axis, n, limit in ((0, self._size[0], depth.shape[1]), (1, self._size[1], depth.shape[0]))
        )
        with np.errstate(over="ignore"):
            return np.where(known_row[:, None] & known_col, depth[row[:, None], col], 0).astype(np.float16)


def _nearest(place: np.ndarray, limit: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the pixel (N,) i64 nearest to each place along an axis, and which of the pixels lie on the picture."""
    pixel = np.floor(place + 0.5).astype(np.int64)
    return pixel.clip(0, limit - 1), (pixel >= 0) & (pixel < limit)


def _corners_of(room: Room, index: np.ndarray) -> np.ndarray:
    """Return the number (F,) of corners of each face that are among the vertices `index`."""
    mine = np.zeros(len(room.vertices), np.int8)
    mine[index] = 1
    a, b, c = room.faces.T
    return mine[a] + mine[b] + mine[c]


def _faces_of(room: Room, index: np.ndarray) -> np.ndarray:
    """Return the faces with at least two corners among the vertices `index`; without such faces, those with one."""
    corners = _corners_of(room, index)
    most = np.flatnonzero(corners >= 2)
    return most if len(most) else np.flatnonzero(corners)
