"""Rows of the scene tables from a scan: scenes, objects, frames, maps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TypedDict

import numpy as np

from rollout3d.config import Config
from rollout3d.geometry.camera import resize_intrinsics
from rollout3d.geometry.distance import cloud_distances
from rollout3d.geometry.frames import frame_set
from rollout3d.geometry.room import ALPHA, FLOOR_M, POINTS, floor_area, room_area, room_center
from rollout3d.geometry.topdown import WALKABLE_CELL_M, bev, floor_level, floor_rect, pack_grid, walkable_grid
from rollout3d.resize import FACTOR, JPEG_QUALITY, resize_frame, smart_size
from rollout3d.scenes.agreement import measure
from rollout3d.scenes.formats.pictures import encode_jpeg, encode_png
from rollout3d.scenes.scan import Annotated, LabelSource, Room, Scan
from rollout3d.seeding import generator
from rollout3d.tables.rows import CloudDistance, FrameRow, MapRow, ObjectRow, Point, SceneRow, VisibilityRow

VIEW_POINTS = 20_000
"""Largest number of points of a scan that are kept for viewing. [assumed]"""

_GREY = 160


class SceneTables(TypedDict):
    """The rows of one scan by table."""

    scenes: list[SceneRow]
    objects: list[ObjectRow]
    frames: list[FrameRow]
    maps: list[MapRow]
    visibility: list[VisibilityRow]


def scene_row(scan: Scan, config: Config) -> SceneRow:
    """Return the row of `scenes`: room size and centre by VSI-Bench's generator, counts, and figures of agreement.

    The floor's area (Spatial-R1, section 2.2) is measured where the study's `questions.rules` ask for it.
    """
    ref, room, source = scan.ref, scan.room, scan.source
    rng = generator(config.seed, "room", scan.dataset, ref.scene_id)
    counts = Counter([o.category for o in room.objects if o.category] + room.unboxed)
    return {
        "scene_id": ref.scene_id,
        "space_id": ref.space_id,
        "dataset": scan.dataset,
        "split": ref.split,
        "scene_type": room.scene_type,
        "fps": source.fps,
        "n_frames": source.n_frames,
        "width": source.width,
        "height": source.height,
        "rotation_deg": source.rotation_deg,
        "to_aligned": room.to_aligned.ravel().tolist(),
        "room_size_m2": room_area(room.vertices[:, :2], POINTS, ALPHA, rng),
        "room_center": room_center(room.vertices).tolist(),
        "object_counts": [{"category": name, "n": n} for name, n in sorted(counts.items())],
        "flags": list(room.flags),
        "agreement": measure(scan).row(),
        "floor_area_m2": _floor(scan, config) if measures_clouds(config) else None,
    }


def measures_clouds(config: Config) -> bool:
    """Return whether the questions of a study need floors and point clouds: Spatial-R1's rules alone do."""
    return config.questions.rules == "spatial_r1"


def reads_labels(config: Config) -> bool:
    """Return whether the questions of a study need first frames: the rules of SpaceR and Spatial-R1 do."""
    return config.questions.rules != "ocr"


def _first_labelled(scan: Scan, config: Config) -> Mapping[str, int]:
    """Return raw label -> first frame by the release's label pictures; empty where none are needed or there are none.

    Frames without a picture become a flag of the room.
    """
    if not (reads_labels(config) and isinstance(scan.source, LabelSource)):
        return {}
    found = scan.source.first_frames({item.label for item in scan.room.objects if item.perturbable})
    if found is None:
        return {}
    if found.n_lacking:
        scan.room.flags.append(f"frames_without_labels:{found.n_lacking}")
    return found.index


def _floor(scan: Scan, config: Config) -> float | None:
    """Return the area of the floor, m2; None where its points are too far apart for any triangle."""
    rng = generator(config.seed, "floor", scan.dataset, scan.ref.scene_id)
    return floor_area(scan.room.vertices, FLOOR_M, POINTS, ALPHA, rng) or None


def object_rows(scan: Scan, config: Config) -> list[ObjectRow]:
    """Return the rows of `objects`, sorted by object id.

    Distances of point clouds are measured where the study's `questions.rules` ask for them, among objects with vertices
    that are not wall, floor or ceiling; so are first frames, where the release has label pictures.
    """
    room, clouds = scan.room, {}
    if measures_clouds(config):
        things = [item for item in room.objects if item.perturbable and len(item.vertex_index)]
        clouds = {item.object_id: room.vertices[item.vertex_index] for item in things}
    found: dict[int, list[CloudDistance]] = {object_id: [] for object_id in clouds}
    for (one, other), metres in cloud_distances(clouds).items():
        found[one].append({"object_id": other, "metres": metres})
    first = _first_labelled(scan, config)
    return [
        _object_row(scan.ref.scene_id, item, found.get(item.object_id), first.get(item.label)) for item in room.objects
    ]


def _object_row(
    scene_id: str, item: Annotated, point_distances: list[CloudDistance] | None, first_labelled_frame: int | None
) -> ObjectRow:
    return {
        "scene_id": scene_id,
        "object_id": item.object_id,
        "label": item.label,
        "category": item.category,
        "perturbable": item.perturbable,
        **item.box.to_row(),
        "aabb_min": item.aabb_min.tolist(),
        "aabb_max": item.aabb_max.tolist(),
        "n_points": item.n_points,
        "point_distances": point_distances,
        "first_labelled_frame": first_labelled_frame,
    }


def frame_rows(scan: Scan, config: Config, sets: Iterable[str]) -> list[FrameRow]:
    """Return the rows of `frames`: every frame of the named sets once, upright, at the stored size, sorted by index.

    K belongs to the stored pixels. A frame whose tracking was lost has a row without a pose.
    """
    source, video = scan.source, config.video
    members: dict[int, list[str]] = {}
    for name in sorted(set(sets)):
        for index in frame_set(name).indices(source.n_frames, source.fps):
            members.setdefault(index, []).append(name)
    height, width = smart_size(source.height, source.width, FACTOR**2, video.eval_max_pixels)
    rows: list[FrameRow] = []
    for index in sorted(members):
        K, pose = scan.camera(index)
        K = resize_intrinsics(K, (source.width, source.height), (width, height))
        picture = resize_frame(scan.frame(index), height, width)
        rows.append(
            {
                "scene_id": scan.ref.scene_id,
                "frame_index": index,
                "timestamp_s": index / source.fps,
                "sets": members[index],
                "image": {
                    "bytes": encode_jpeg(picture, JPEG_QUALITY),
                    "path": f"{scan.ref.scene_id}_{index:06d}.jpg",
                },
                "width": width,
                "height": height,
                "source_width": source.width,
                "source_height": source.height,
                "K": K.ravel().tolist(),
                "pose": None if pose is None else pose.ravel().tolist(),
            }
        )
    return rows


def map_row(scan: Scan, config: Config, appearances: Mapping[str, float]) -> MapRow:
    """Return the row of `maps`: BEV picture, floor, walkable grid, points for viewing, first appearances (`Watch`)."""
    room, scene_id = scan.room, scan.ref.scene_id
    top = bev(room.vertices, room.faces, room.colors)
    level = floor_level(room.vertices, room.faces)
    walkable = walkable_grid(room.vertices, room.faces, WALKABLE_CELL_M, level)
    rows, cols = walkable.grid.shape
    return {
        "scene_id": scene_id,
        "bev": {"bytes": encode_png(top.rgb), "path": f"{scene_id}_bev.png"},
        "m_per_px": top.m_per_px,
        "x0": top.x0,
        "y0": top.y0,
        "floor_rect": list(floor_rect(room.vertices, room.faces, level)),
        "walkable": pack_grid(walkable.grid),
        "cell_m": walkable.cell_m,
        "grid_origin": walkable.origin.tolist(),
        "grid_size": [cols, rows],
        "points": _view_points(room, VIEW_POINTS, generator(config.seed, "view", scan.dataset, scene_id)),
        "appearances": [{"category": c, "first_seen_s": t} for c, t in appearances.items()],
    }


def _view_points(room: Room, limit: int, rng: np.random.Generator) -> list[Point]:
    """Return at most `limit` vertices with their colours, drawn at random."""
    chosen = np.arange(len(room.vertices))
    if len(chosen) > limit:
        chosen = np.sort(rng.choice(len(chosen), limit, replace=False))
    grey = np.full((len(chosen), 3), _GREY, np.uint8)
    colors = grey if room.colors is None else room.colors[chosen]
    xyz = room.vertices[chosen].astype(np.float32)
    return [
        {"x": x, "y": y, "z": z, "red": red, "green": green, "blue": blue}
        for (x, y, z), (red, green, blue) in zip(xyz.tolist(), colors.tolist())
    ]
