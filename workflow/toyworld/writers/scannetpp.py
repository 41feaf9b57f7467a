"""Write a recording as a ScanNet++ scene: `data/<id>/` with the phone's stream and the annotated laser mesh.

The mesh lies in the positive octant and is only roughly parallel to the axes, as after the release's PCA; there is no
alignment matrix. `intrinsic` belongs to 1920x1440 pixels whatever the size of the video.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from rollout3d.errors import InvalidInput
from rollout3d.seeding import generator
from toyworld.rendering.mesh import CEILING, FLOOR, WALL, Mesh, mesh_of
from toyworld.rendering.recording import Recording
from toyworld.rooms.world import World
from toyworld.writers import annotation, structure_from_motion
from toyworld.writers.depthbin import DepthBinWriter, Packing
from toyworld.writers.placement import moved, yaw_matrix
from toyworld.writers.ply import write_ply
from toyworld.writers.video import VideoWriter

FPS = 60
"""Frames per second of the video."""
FIRST_OBJECT_ID = 1
"""objectId of the first annotated thing."""
SENSOR = (1920, 1440)
"""(width, height) that the intrinsics belong to, pixels."""

_PHONE_WORLD = np.array([[1, 0, 0, 0.31], [0, 0, 1, -1.2], [0, -1, 0, 0.57], [0, 0, 0, 1.0]])
"""4x4 from the mesh's frame to the phone's own, y up, in which only `pose` is given."""
_OPENGL = np.diag([1.0, -1.0, -1.0, 1.0])
_SHARED_VERTICES = 12
_DSLR_STEP = 5


@dataclass(frozen=True)
class Quirks:
    """Oddities that real ScanNet++ scenes have."""

    depth_packing: Packing = "stream"
    """Packing of depth.bin."""
    shared_vertices: bool = True
    """True if some vertices of a small instance also belong to a larger one."""
    odd_length: bool = False
    """True for an odd number of video frames: every second frame then includes the last one, which has no entry."""
    dslr: bool = False
    """True if the scene has DSLR pictures."""


PLAIN = Quirks()


def release_from_world(recording: Recording, scene_id: str, *, seed: int) -> np.ndarray:
    """Return the 4x4 from the recording's world to the frame of the written mesh and aligned poses."""
    return _placement(mesh_of(recording.world), scene_id, seed)


def _placement(mesh: Mesh, scene_id: str, seed: int) -> np.ndarray:
    draw = generator(seed, "scannetpp", "placement", scene_id)
    turn = yaw_matrix(draw.choice([-1.0, 1.0]) * draw.uniform(3.0, 9.0))
    margin = draw.uniform(0.02, 0.3, size=3)
    turn[:3, 3] = margin - moved(turn, mesh.vertices).min(axis=0)
    return turn


def labels(world: World, scene_id: str, *, seed: int, quirks: Quirks = PLAIN) -> dict[int, str | None]:
    """Return the raw label by thing id; None = in the mesh but in no instance."""
    return annotation.labels_of(world, "scannetpp", scene_id, seed)


def write_scan(recording: Recording, root: Path, scene_id: str, *, seed: int, quirks: Quirks = PLAIN) -> list[Path]:
    """Write one scene under `root` and return its files.

    `root/data/<scene_id>/iphone/` gets rgb.mkv, pose_intrinsic_imu.json, depth.bin, exif.json, colmap/ and nerfstudio/;
    `.../scans/` mesh_aligned_0.05.ply, segments.json and segments_anno.json; with `quirks.dslr`, `.../dslr/`
    undistorted pictures, their lists and their cameras. The video has 60 fps: every frame of the recording, with its
    pose, is repeated 60 / fps times. The pose file lacks an entry for the last frame. `recording.lost` is ignored, as
    the release has a pose in every entry. Raises InvalidInput if fps does not divide 60.
    """
    hold, rest = divmod(FPS, recording.fps)
    if rest:
        raise InvalidInput(f"ScanNet++ films at {FPS} fps, which a recording at {recording.fps} fps cannot fill evenly")
    mesh = mesh_of(recording.world)
    placement = _placement(mesh, scene_id, seed)
    spoken = labels(recording.world, scene_id, seed=seed, quirks=quirks)
    scene = root / "data" / scene_id
    files = _write_phone(scene / "iphone", recording, placement, int(hold), scene_id, seed, quirks)
    files += _write_dslr(scene / "dslr", recording, placement) if quirks.dslr else []
    return files + _write_scans(scene / "scans", recording.world, mesh, placement, spoken, scene_id, quirks)


def sensor_intrinsics(K: np.ndarray, width: int, height: int) -> np.ndarray:
    """Return K (3, 3) of a width x height picture scaled to the 1920x1440 sensor; integer pixel centres in both."""
    scale = np.array([SENSOR[0] / width, SENSOR[1] / height])
    grown = K.copy()
    grown[[0, 1], [0, 1]] *= scale
    grown[:2, 2] = (K[:2, 2] + 0.5) * scale - 0.5
    return grown


def _write_phone(
    folder: Path, recording: Recording, placement: np.ndarray, hold: int, scene_id: str, seed: int, quirks: Quirks
) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    video, cameras, depths, exif = (
        folder / name for name in ("rgb.mkv", "pose_intrinsic_imu.json", "depth.bin", "exif.json")
    )
    n = len(recording.poses) * hold
    n -= quirks.odd_length and n % 2 == 0
    with (
        VideoWriter(video, FPS, recording.width, recording.height) as pictures,
        DepthBinWriter(depths, quirks.depth_packing) as ranges,
    ):
        for index, (rgb, depth, _) in enumerate(recording.frames()):
            times = min(hold, n - index * hold)
            pictures.add(rgb, times)
            ranges.add(depth, times)
    draw = generator(seed, "scannetpp", "phone", scene_id)
    K, start = sensor_intrinsics(recording.K, recording.width, recording.height), draw.uniform(1e3, 1e5)
    aligned = placement @ recording.poses
    entries: dict[str, dict] = {}
    for number in range(n - 1):  # the last frame has no entry
        pose = aligned[number // hold]
        breathing = np.diag([1 + 4e-4 * np.sin(number / 40.0)] * 2 + [1.0])
        entries[f"frame_{number:06d}"] = {
            "timestamp": start + number / FPS,
            "pose": (_PHONE_WORLD @ pose @ _OPENGL).tolist(),
            "intrinsic": _about_centre(K, breathing).tolist(),
            "aligned_pose": pose.tolist(),
            "imu": {"gravity": (-pose[2, :3]).tolist(), "rotation_rate": [0.0, 0.0, 0.0]},
        }
    _write_json(cameras, entries)
    _write_json(exif, {"Make": "rollout3d", "Model": "synthetic", "width": recording.width, "height": recording.height})
    registered = {f"frame_{i:06d}.jpg": aligned[i // hold] for i in range(0, n, 10)}
    files = [video, cameras, depths, exif]
    files += structure_from_motion.write_colmap(folder / "colmap", K, SENSOR, registered)
    return files + structure_from_motion.write_nerfstudio(folder / "nerfstudio", K, SENSOR, registered)


def _write_dslr(folder: Path, recording: Recording, placement: np.ndarray) -> list[Path]:
    """Write undistorted pictures of every fifth frame; the fourth is for testing, the second is marked as blurred."""
    images = folder / "resized_undistorted_images"
    images.mkdir(parents=True, exist_ok=True)
    poses, files = {}, []
    shot = replace(recording, poses=recording.poses[::_DSLR_STEP])
    for number, (rgb, _, _) in enumerate(shot.frames()):
        name = f"DSC{number + 4217:05d}.JPG"
        poses[name] = placement @ shot.poses[number]
        encoded, jpeg = cv2.imencode(".jpg", rgb[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])
        if not encoded:
            raise ValueError(f"{images / name} could not be encoded as JPEG")
        (images / name).write_bytes(jpeg.tobytes())
        files.append(images / name)
    test, bad = frozenset(list(poses)[3:4]), frozenset(list(poses)[1:2])
    lists = folder / "train_test_lists.json"
    # Not in the order of their names, so readers must sort.
    train = [name for name in reversed(poses) if name not in test]
    _write_json(lists, {"train": train, "test": sorted(test), "has_masks": False})
    size = recording.width, recording.height
    files += structure_from_motion.write_colmap(folder / "colmap", recording.K, size, poses)
    undistorted = {"name": "transforms_undistorted.json", "model": "PINHOLE", "test": test, "bad": bad}
    files += structure_from_motion.write_nerfstudio(folder / "nerfstudio", recording.K, size, poses, **undistorted)
    return [*files, lists]


def _about_centre(K: np.ndarray, zoom: np.ndarray) -> np.ndarray:
    """Return K with its focal lengths scaled and its principal point unchanged."""
    zoomed = K @ zoom
    zoomed[:2, 2] = K[:2, 2]
    return zoomed


def _write_scans(
    folder: Path,
    world: World,
    mesh: Mesh,
    placement: np.ndarray,
    spoken: dict[int, str | None],
    scene_id: str,
    quirks: Quirks,
) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    ply, segments, instances = (
        folder / name for name in ("mesh_aligned_0.05.ply", "segments.json", "segments_anno.json")
    )
    write_ply(ply, moved(placement, mesh.vertices), mesh.faces, mesh.colors)
    # In the release nearly every segment is a single vertex.
    _write_json(segments, {"sceneId": scene_id, "segIndices": list(range(len(mesh.vertices)))})
    groups = annotation.groups_of(world, mesh, spoken, structure=True)
    oddities = {FLOOR: "object", WALL: "remove", CEILING: "split"}
    groups = annotation.with_oddities(groups, mesh, annotation.segments_of(mesh), oddities)
    claimed = [group.vertices for group in groups]
    if quirks.shared_vertices and len(groups) > 1:
        sizes = [len(vertices) for vertices in claimed]
        small, large = int(np.argmin(sizes)), int(np.argmax(sizes))
        claimed[large] = np.union1d(claimed[large], claimed[small][:_SHARED_VERTICES])
    entries = [
        _entry(number, group, vertices, placement)
        for number, (group, vertices) in enumerate(zip(groups, claimed), FIRST_OBJECT_ID)
    ]
    _write_json(
        instances,
        {"sceneId": scene_id, "appId": "Anno3d.v2", "annId": f"anno_{scene_id}", "segGroups": entries},
    )
    return [ply, segments, instances]


def _entry(number: int, group: annotation.Group, vertices: np.ndarray, placement: np.ndarray) -> dict:
    box = group.box.moved(placement)
    corners = box.corners()
    return {
        "id": number,
        "objectId": number,
        "partId": number,
        "index": number - 1,
        "label": group.label,
        "segments": vertices.tolist(),
        "obb": {
            "centroid": box.center.tolist(),
            "axesLengths": box.size.tolist(),
            "normalizedAxes": box.axes.ravel().tolist(),
            "min": corners.min(axis=0).tolist(),
            "max": corners.max(axis=0).tolist(),
        },
        "dominantNormal": box.axes[2].tolist(),
    }


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, separators=(",", ":")))
