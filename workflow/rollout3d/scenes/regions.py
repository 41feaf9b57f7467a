"""Regions: the pixels that each object covers in each training frame, which object-centric rollout fills with noise.

Paper (OCR, method): all 3D points inside the object's axis-aligned box are projected to every frame. Departures: the
faces between chosen vertices are filled, and a point without such a face covers a disc as wide as the spacing of the
points. So the region has no holes and still ends where the object does. `mode` may choose the instance's own points
instead of the box's, and may leave out points that the depth shows to be hidden (the paper states neither).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from rollout3d import tables
from rollout3d.config import Config, RegionMode
from rollout3d.config.frames import train_set
from rollout3d.geometry.camera import NEAR_M, project
from rollout3d.geometry.masks import mask_box, rle_encode, splat_mask, splat_radius
from rollout3d.geometry.raster import rasterise
from rollout3d.progress import progress
from rollout3d.scenes import datasets
from rollout3d.scenes.reading import ScanError
from rollout3d.scenes.release import ScanRef
from rollout3d.scenes.scan import ROUNDING_M, Room, Scan
from rollout3d.scenes.surface import point_spacing, vertex_areas
from rollout3d.tables.frame_sets import of_sets
from rollout3d.tables.rows import FrameRow, ObjectRow, RegionRow

DEPTH_MARGIN_M = 0.05
"""Margin of the depth test, metres: a point is visible if z <= d + max(margin, share * d). [assumed]"""
DEPTH_MARGIN_SHARE = 0.1
"""Margin of the depth test as a share of the depth. [assumed]"""
MIN_PIXELS = 4
"""Least number of pixels of a region; smaller ones are left out. [assumed]"""


def regions_shard(
    dataset: str,
    root: Path,
    shard_dir: Path,
    mode: RegionMode,
    config: Config,
    out: Path,
    lineage: tables.Lineage | Callable[[], tables.Lineage],
    sets: Collection[str] = (),
) -> int:
    """Write the regions of a shard's scenes to `out`; return their number.

    `sets`: frame sets whose frames get regions; empty = the one that training shows.

    Reads scenes, objects and frames from `shard_dir` and the scans' meshes (and depth, for the depth modes) from
    `root`. Raises `ScanError` if a scan has changed since its tables were written, `TableError` for files that are not
    these tables.
    """
    shard_dir = Path(shard_dir)
    scenes = tables.read(tables.SCENES, shard_dir / "scenes.parquet")
    objects: dict[str, list[ObjectRow]] = {}
    for row in tables.read(tables.OBJECTS, shard_dir / "objects.parquet"):
        objects.setdefault(row["scene_id"], []).append(row)
    columns = ["frame_index", "sets", "width", "height", "K", "pose"]
    frames = tables.SceneReader(tables.FRAMES, [shard_dir / "frames.parquet"])
    wanted = set(sets) or {train_set(config.video)}

    def regions() -> Iterator[RegionRow]:
        for scene in progress(scenes, f"regions {dataset} {mode}"):
            chosen, absent = of_sets(frames.rows(scene["scene_id"], columns), wanted)
            if absent:
                reason = f"{scene['scene_id']} has no frames of the set {absent[0]}: ingest the shard again"
                raise ScanError(shard_dir / "frames.parquet", reason)
            ref = ScanRef(scene["scene_id"], scene["space_id"], scene["split"])
            yield from scene_regions(dataset, Path(root), ref, objects.get(ref.scene_id, []), chosen, mode)

    return tables.write(tables.REGIONS, out, regions(), lineage)


def scene_regions(
    dataset: str, root: Path, ref: ScanRef, objects: list[ObjectRow], frames: list[FrameRow], mode: RegionMode
) -> list[RegionRow]:
    """Return the regions of one scan, sorted by frame. `objects`, `frames`: the scan's rows of these tables."""
    reader = datasets.load(dataset)
    of_instance, by_depth = mode.startswith("instance"), mode.endswith("depth")
    if not by_depth:
        return _regions(reader.read_room(root, ref), None, objects, frames, of_instance)
    with datasets.read_scan(reader, root, ref) as scan:
        return _regions(scan.room, scan, objects, frames, of_instance)


def _regions(
    room: Room, scan: Scan | None, objects: list[ObjectRow], frames: list[FrameRow], of_instance: bool
) -> list[RegionRow]:
    """Return the regions of a room's objects; `scan`: its video for the depth modes, else None."""
    chosen = _surfaces(room, objects, of_instance)
    rows: list[RegionRow] = []
    for frame in sorted(frames, key=lambda row: row["frame_index"]):
        if frame["pose"] is None or frame["K"] is None:
            continue
        K, pose = np.reshape(frame["K"], (3, 3)), np.reshape(frame["pose"], (4, 4))
        size = frame["width"], frame["height"]
        hidden = _Occlusion(scan, room, frame["frame_index"], K, pose, *size) if scan else None
        for surface in chosen:
            mask = _covered(surface, K, pose, *size, hidden)
            n_visible = 0 if mask is None else int(np.count_nonzero(mask))
            box = None if mask is None or n_visible < MIN_PIXELS else mask_box(mask)
            if mask is not None and box is not None:
                rows.append(
                    {
                        "scene_id": frame["scene_id"],
                        "frame_index": frame["frame_index"],
                        "sets": frame["sets"],
                        "object_id": surface.object_id,
                        "n_visible": n_visible,
                        "box": list(box),
                        "mask": rle_encode(mask),
                    }
                )
    return rows


class _Surface(NamedTuple):
    """Points and faces that are projected for one object."""

    object_id: int
    points: np.ndarray
    """Points (N,3), metres."""
    spacing: float
    """Typical distance of neighbouring points, metres."""
    faces: np.ndarray
    """Faces (F,3) whose corners are all among the points, as indices of `points`."""
    is_corner: np.ndarray
    """Which points (N,) are corners of these faces."""


def _surfaces(room: Room, objects: list[ObjectRow], of_instance: bool) -> list[_Surface]:
    """Return the surface of each perturbable object that has at least one point."""
    members = {item.object_id: item.vertex_index for item in room.objects}
    areas = vertex_areas(room.vertices, room.faces)
    columns = np.ascontiguousarray(room.vertices.T)
    place = np.full(len(room.vertices), -1)
    found = []
    for row in objects:
        if not row["perturbable"]:
            continue
        if row["object_id"] not in members:
            raise ScanError(row["scene_id"], f"object {row['object_id']} is no longer in the scan: ingest it again")
        index = members[row["object_id"]]
        if not of_instance:
            # One axis at a time: each leaves far fewer points for the next.
            index = np.arange(len(room.vertices))
            for values, low, high in zip(columns, row["aabb_min"], row["aabb_max"]):
                index = index[(values[index] >= low - ROUNDING_M) & (values[index] <= high + ROUNDING_M)]
        if not len(index):
            continue
        # A face whose corners are in the (convex) box is in it as a whole.
        place[index] = np.arange(len(index))
        faces = place[room.faces[place[room.faces[:, 0]] >= 0]]
        faces = faces[(faces >= 0).all(axis=1)]
        place[index] = -1
        is_corner = np.zeros(len(index), bool)
        is_corner[faces] = True
        found.append(_Surface(row["object_id"], room.vertices[index], point_spacing(areas, index), faces, is_corner))
    return found


def _covered(
    surface: _Surface, K: np.ndarray, pose: np.ndarray, width: int, height: int, hidden: _Occlusion | None
) -> np.ndarray | None:
    """Return the pixels (height, width) that a surface covers; None where it is outside the picture.

    Faces are drawn. Points without a drawn pixel around them, between pixel centres or on no face, are splatted.
    """
    uv, z = project(K, pose, surface.points)
    if not _reaches(uv, z, width, height):
        return None
    mask = np.zeros((height, width), np.bool_)
    left, top, right, bottom = 0, 0, width, height
    if (z > NEAR_M).all():  # then no face reaches beyond its corners
        left, top = np.clip(np.floor(uv.min(axis=0)).astype(int), 0, (width, height))
        right, bottom = np.clip(np.ceil(uv.max(axis=0)).astype(int) + 1, 0, (width, height))
    if len(surface.faces) and left < right and top < bottom:
        moved = K - [[0, 0, left], [0, 0, top], [0, 0, 0]]
        depth = rasterise(surface.points, surface.faces, moved, pose, right - left, bottom - top)[0]
        visible = depth > 0
        if hidden is not None:
            visible &= ~hidden.pixels(depth, left, top)
        mask[top:bottom, left:right] = visible
        drawn = cv2.dilate((depth > 0).view(np.uint8), np.ones((3, 3), np.uint8))
        col, row = _pixels(uv).T
        col, row = col - left, row - top
        inside = (col >= 0) & (col < right - left) & (row >= 0) & (row < bottom - top)
        left_out = np.ones(len(z), bool)
        left_out[inside] = drawn[row[inside], col[inside]] == 0
    else:
        left_out = np.ones(len(z), bool)
    if hidden is not None and left_out.any():
        left_out[left_out] = ~hidden.points(surface.points[left_out])
    if left_out.any():
        radius = np.where(surface.is_corner, 0.0, splat_radius(K[0, 0], surface.spacing, z))
        mask |= splat_mask(uv[left_out], z[left_out], radius[left_out], width, height)
    return mask


def _pixels(uv: np.ndarray) -> np.ndarray:
    """Return the pixels (N,2) i64 of projections (N,2); a NaN gives a pixel far outside the picture."""
    return np.floor(np.nan_to_num(uv, nan=-1e9).clip(-1e9, 1e9) + 0.5).astype(np.int64)


def _reaches(uv: np.ndarray, z: np.ndarray, width: int, height: int) -> bool:
    """Return False only if no point, with its disc, can touch the picture."""
    margin = 0.5 * max(width, height)
    with np.errstate(invalid="ignore"):
        near = (uv > -margin) & (uv < np.array([width, height]) + margin)
    return bool((near.all(axis=1) & (z > 0)).any())


class _Occlusion:
    """Depth test of one frame: by the sensor's depth, or by the mesh's where the sensor has none.

    A point is hidden if z > d + max(margin, share * d), where d is the depth at its pixel of the depth picture. Unknown
    depth (0, or outside the picture) hides nothing.
    """

    def __init__(
        self,
        scan: Scan,
        room: Room,
        index: int,
        K: np.ndarray,
        pose: np.ndarray,
        width: int,
        height: int,
    ):
        depth, depth_K = scan.depth(index), scan.depth_K(index)
        if depth is None or depth_K is None:
            depth, depth_K = rasterise(room.vertices, room.faces, K, pose, width, height)[0], K
        farthest = depth + np.maximum(DEPTH_MARGIN_M, DEPTH_MARGIN_SHARE * depth)
        self._farthest = np.where(depth > 0, farthest, np.inf)
        self._K, self._pose = depth_K, pose
        # Both pictures have one pose, so columns map to columns and rows to rows.
        to_depth = depth_K @ np.linalg.inv(K)
        col = _pixels(to_depth[0, 0] * np.arange(width) + to_depth[0, 2])
        row = _pixels(to_depth[1, 1] * np.arange(height) + to_depth[1, 2])
        self._of_frame = self._at(row[:, None], col[None, :])

    def _at(self, row: np.ndarray, col: np.ndarray) -> np.ndarray:
        """Return the largest visible depth at pixels of the depth picture."""
        height, width = self._farthest.shape
        inside = (col >= 0) & (col < width) & (row >= 0) & (row < height)
        return np.where(inside, self._farthest[row.clip(0, height - 1), col.clip(0, width - 1)], np.inf)

    def points(self, points: np.ndarray) -> np.ndarray:
        """Return which points (N,3) are hidden."""
        uv, z = project(self._K, self._pose, points)
        col, row = _pixels(uv).T
        return z > self._at(row, col)

    def pixels(self, depth: np.ndarray, left: int, top: int) -> np.ndarray:
        """Return which pixels of a part of the frame are hidden at depths (h,w); `left`, `top`: the part's corner."""
        height, width = depth.shape
        return depth > self._of_frame[top : top + height, left : left + width]
