"""The pixels that each object covers in each training frame: what object-centric rollout drowns in noise.

Paper (OCR, method): all 3D points inside the object's axis-aligned box are projected to every frame. Departures: a
projected point covers a disc as wide as the points are apart, so that the region has no holes; and `mode` may take the
instance's own points instead of the box's, or leave out points that the depth says are hidden (the paper states
neither).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from rollout3d import tables
from rollout3d.config import Config, RegionMode, Regions
from rollout3d.geometry.camera import project
from rollout3d.geometry.masks import mask_box, rle_encode, splat_mask, splat_radius
from rollout3d.geometry.raster import rasterise
from rollout3d.progress import progress
from rollout3d.scenes.ingest import READERS
from rollout3d.scenes.rows import set_names
from rollout3d.scenes.scan import Room, Scan, ScanError, ScanRef
from rollout3d.scenes.surface import point_spacing, vertex_areas

Row = dict[str, Any]


def regions_shard(
    dataset: str, root: Path, shard_dir: Path, mode: RegionMode, config: Config, out: Path, lineage: tables.Lineage
) -> int:
    """Write the regions of a shard's scenes to `out`; return how many.

    Reads scenes, objects and frames from `shard_dir` and the scans' meshes (and depth, for the depth modes) from
    `root`. Raises `ScanError` if a scan is no longer what the tables say, `TableError` for tables of another kind.
    """
    shard_dir = Path(shard_dir)
    scenes = tables.read(tables.SCENES, shard_dir / "scenes.parquet")
    objects: dict[str, list[Row]] = {}
    for row in tables.read(tables.OBJECTS, shard_dir / "objects.parquet"):
        objects.setdefault(row["scene_id"], []).append(row)
    columns = ["frame_index", "sets", "width", "height", "K", "pose"]
    frames = tables.SceneReader(tables.FRAMES, [shard_dir / "frames.parquet"])
    wanted = set_names(config.video)[0][0]

    def found() -> Iterator[Row]:
        for scene in progress(scenes, f"regions {dataset} {mode}"):
            shown = [row for row in frames.rows(scene["scene_id"], columns) if wanted in row["sets"]]
            if not shown:
                raise ScanError(
                    shard_dir / "frames.parquet", f"{scene['scene_id']} has no frames of {wanted}: reingest"
                )
            ref = ScanRef(scene["scene_id"], scene["space_id"], scene["split"])
            yield from scene_regions(
                dataset, Path(root), ref, objects.get(ref.scene_id, []), shown, mode, config.regions
            )

    return tables.write(tables.REGIONS, out, found(), lineage)


def scene_regions(
    dataset: str, root: Path, ref: ScanRef, objects: list[Row], frames: list[Row], mode: RegionMode, config: Regions
) -> list[Row]:
    """The regions of one scan, by frame and object. `objects`, `frames`: its rows of these tables."""
    reader = READERS[dataset]
    of_instance, by_depth = mode.startswith("instance"), mode.endswith("depth")
    if not by_depth:
        return _regions(reader.read_room(root, ref), None, objects, frames, of_instance, config)
    with reader.read_scan(root, ref) as scan:
        return _regions(scan.room, scan, objects, frames, of_instance, config)


def _regions(
    room: Room, scan: Scan | None, objects: list[Row], frames: list[Row], of_instance: bool, config: Regions
) -> list[Row]:
    chosen = _object_points(room, objects, of_instance)
    rows = []
    for frame in sorted(frames, key=lambda row: row["frame_index"]):
        if frame["pose"] is None:
            continue
        K, pose = np.reshape(frame["K"], (3, 3)), np.reshape(frame["pose"], (4, 4))
        width, height = frame["width"], frame["height"]
        hidden = _Occlusion(scan, room, frame["frame_index"], K, pose, width, height, config) if scan else None
        for object_id, points, spacing in chosen:
            uv, z = project(K, pose, points)
            if not _reaches(uv, z, width, height):
                continue
            if hidden is not None:
                kept = ~hidden(points)
                uv, z = uv[kept], z[kept]
            mask = splat_mask(uv, z, splat_radius(K[0, 0], spacing, z), width, height)
            n_visible = int(mask.sum())
            if n_visible >= config.min_pixels:
                rows.append(
                    {
                        "scene_id": frame["scene_id"],
                        "frame_index": frame["frame_index"],
                        "object_id": object_id,
                        "n_visible": n_visible,
                        "box": list(mask_box(mask)),
                        "mask": rle_encode(mask),
                    }
                )
    return rows


def _object_points(room: Room, objects: list[Row], of_instance: bool) -> list[tuple[int, np.ndarray, float]]:
    """Id, points (N,3) and their spacing of each perturbable object that has any."""
    members = {item.object_id: item.vertex_index for item in room.objects}
    areas = vertex_areas(room.vertices, room.faces)
    columns = np.ascontiguousarray(room.vertices.T)
    found = []
    for row in objects:
        if not row["perturbable"]:
            continue
        if row["object_id"] not in members:
            raise ScanError(row["scene_id"], f"object {row['object_id']} is not in the scan any more: ingest it again")
        index = members[row["object_id"]]
        if not of_instance:
            # Slabs of one axis at a time: far fewer points are left for the next.
            index = np.arange(len(room.vertices))
            for values, low, high in zip(columns, row["aabb_min"], row["aabb_max"]):
                index = index[(values[index] >= low) & (values[index] <= high)]
        if len(index):
            found.append((row["object_id"], room.vertices[index], point_spacing(areas, index)))
    return found


def _reaches(uv: np.ndarray, z: np.ndarray, width: int, height: int) -> bool:
    """False only if no point, with its disc, can touch the picture."""
    margin = 0.5 * max(width, height)
    with np.errstate(invalid="ignore"):
        near = (uv > -margin) & (uv < np.array([width, height]) + margin)
    return bool((near.all(axis=1) & (z > 0)).any())


class _Occlusion:
    """Which points a frame hides: by the sensor's depth, or by the mesh's where the sensor has none.

    A point is hidden if z > d + max(margin, share * d), with d the depth at its pixel of the depth picture. Unknown
    depth (0, or beside the picture) hides nothing.
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
        config: Regions,
    ):
        depth, depth_K = scan.depth(index), scan.depth_K(index)
        if depth is None:
            depth, depth_K = rasterise(room.vertices, room.faces, K, pose, width, height)[0], K
        self._depth, self._K, self._pose, self._config = depth, depth_K, pose, config

    def __call__(self, points: np.ndarray) -> np.ndarray:
        uv, z = project(self._K, self._pose, points)
        height, width = self._depth.shape
        col, row = np.floor(np.nan_to_num(uv, nan=-1e9).clip(-1e9, 1e9) + 0.5).astype(np.int64).T
        inside = (col >= 0) & (col < width) & (row >= 0) & (row < height)
        d = np.zeros(len(points))
        d[inside] = self._depth[row[inside], col[inside]]
        limit = d + np.maximum(self._config.depth_margin_m, self._config.depth_margin_share * d)
        return (d > 0) & (z > limit)
