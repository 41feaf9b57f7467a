"""A recording as a ScanNet++ scene: `data/<id>/` with the phone's stream and the annotated laser mesh.

The mesh lies in the positive octant and is only roughly parallel to the axes, as the release's PCA leaves it; there is
no alignment matrix. `intrinsic` speaks of 1920x1440 pixels whatever the size of the video.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from rollout3d.errors import InvalidInput
from rollout3d.seeding import generator
from toyworld.mesh import CEILING, FLOOR, WALL, Mesh, mesh_of
from toyworld.recording import Recording
from toyworld.world import World
from toyworld.writers import annotation, structure_from_motion
from toyworld.writers.depthbin import DepthBinWriter, Packing
from toyworld.writers.placement import moved, yaw_matrix
from toyworld.writers.ply import write_ply
from toyworld.writers.video import VideoWriter

FPS = 60
FIRST_OBJECT_ID = 1
SENSOR = (1920, 1440)
"""Size that the intrinsics speak of."""

_PHONE_WORLD = np.array([[1, 0, 0, 0.31], [0, 0, 1, -1.2], [0, -1, 0, 0.57], [0, 0, 0, 1.0]])
"""From the mesh's frame to the phone's own, y up, of which only `pose` speaks."""
_OPENGL = np.diag([1.0, -1.0, -1.0, 1.0])
_SHARED_VERTICES = 12
_DSLR_STEP = 5


@dataclass(frozen=True)
class Quirks:
    """Oddities that real ScanNet++ scenes have."""

    depth_packing: Packing = "stream"
    """How depth.bin is packed."""
    shared_vertices: bool = True
    """Some vertices of a small instance are claimed by a larger one too."""
    odd_length: bool = False
    """The video has an odd number of frames: the last one, which has no entry, is then among every second frame."""
    dslr: bool = False
    """The scene was photographed with a DSLR as well."""


PLAIN = Quirks()


def release_from_world(recording: Recording, scene_id: str, *, seed: int) -> np.ndarray:
    """The 4x4 from the recording's world to the frame that mesh and aligned poses are written in."""
    return _placement(mesh_of(recording.world), scene_id, seed)


def _placement(mesh: Mesh, scene_id: str, seed: int) -> np.ndarray:
    draw = generator(seed, "scannetpp", "placement", scene_id)
    turn = yaw_matrix(draw.choice([-1.0, 1.0]) * draw.uniform(3.0, 9.0))
    margin = draw.uniform(0.02, 0.3, size=3)
    turn[:3, 3] = margin - moved(turn, mesh.vertices).min(axis=0)
    return turn


def labels(world: World, scene_id: str, *, seed: int, quirks: Quirks = PLAIN) -> dict[int, str | None]:
    """Raw label by thing id; None = in the mesh, but in no instance."""
    return annotation.labels_of(world, "scannetpp", scene_id, seed)


def write_scan(recording: Recording, root: Path, scene_id: str, *, seed: int, quirks: Quirks = PLAIN) -> list[Path]:
    """Write one scene under `root` and return its files.

    `root/data/<scene_id>/iphone/` gets rgb.mkv, pose_intrinsic_imu.json, depth.bin, exif.json, colmap/ and nerfstudio/;
    `.../scans/` mesh_aligned_0.05.ply, segments.json and segments_anno.json; with the quirk, `.../dslr/` undistorted
    pictures, their lists and their cameras. The video runs at 60 fps: every frame of
    the recording is held, with its pose, for 60 / fps frames. The pose file is one entry short; `recording.lost` has
    no meaning here, as the release has a pose wherever it has an entry. Raises ValueError if fps does not divide 60.
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
    """K of a width x height picture as K of the 1920x1440 sensor; integer pixel centres on both sides."""
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
    """Undistorted pictures of every fifth frame, the fourth of them for testing, the second one marked as blurred."""
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
    # Not in the order of their names: readers sort.
    train = [name for name in reversed(poses) if name not in test]
    _write_json(lists, {"train": train, "test": sorted(test), "has_masks": False})
    size = recording.width, recording.height
    files += structure_from_motion.write_colmap(folder / "colmap", recording.K, size, poses)
    undistorted = {"name": "transforms_undistorted.json", "model": "PINHOLE", "test": test, "bad": bad}
    files += structure_from_motion.write_nerfstudio(folder / "nerfstudio", recording.K, size, poses, **undistorted)
    return [*files, lists]


def _about_centre(K: np.ndarray, zoom: np.ndarray) -> np.ndarray:
    """K with its focal lengths scaled and the principal point left alone."""
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
