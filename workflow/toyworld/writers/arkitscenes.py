"""Write a recording as an ARKitScenes video, in the layouts of the downloads `raw` and `3dod`.

ARKit's world has its origin at the first camera, z up and an arbitrary yaw. Pictures are stored as the sensor records
them, sideways if the tablet is held sideways. The recording is upright; for a sideways tablet pixels, intrinsics and
poses are turned together, so that projections stay exact.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from rollout3d.seeding import generator, stable_hash
from toyworld.rendering.mesh import mesh_of
from toyworld.rendering.recording import Recording
from toyworld.rooms.world import World
from toyworld.writers import annotation
from toyworld.writers.placement import (
    held_sideways,
    millimetres,
    moved,
    nearest,
    sideways,
    yaw_matrix,
)
from toyworld.writers.ply import write_ply

FOLDS = {"train": "Training", "val": "Validation"}
LOWRES = (256, 192)
"""Size of the raw layout's depth images, (long side, short side)."""
TRAJECTORY_HZ = 10
"""Lines per second of the trajectory."""
FIRST_OBJECT_ID = 1
"""objectId of the first annotated thing."""

_Y_UP = np.array([[1, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1.0]])
_SHIFTED_PINCAMS = {2: 0.001, 5: -0.001}
"""Frame -> seconds by which the name of its .pincam differs from that of its picture."""


@dataclass(frozen=True)
class Quirks:
    """Oddities that real ARKitScenes videos have."""

    rotation_deg: int = 0
    """Clockwise turn that makes the stored pictures upright, degrees: 0, 90, 180 or 270."""
    layouts: tuple[Literal["raw", "3dod"], ...] = ("raw", "3dod")
    """Downloads that hold the video."""
    delimiter: str = "_"
    """Separator of the words of a label: "tv_monitor", "tv/monitor", "tv-monitor" or "tv monitor"."""
    skipped: bool = False
    """True for a video that the annotators skipped: its annotation lists nothing."""


PLAIN = Quirks()


def release_from_world(recording: Recording, scene_id: str, *, seed: int) -> np.ndarray:
    """Return the 4x4 from the recording's world to ARKit's: origin at the first camera, a yaw drawn by seed."""
    turn = yaw_matrix(generator(seed, "arkitscenes", "yaw", scene_id).uniform(10.0, 350.0))
    turn[:3, 3] = -moved(turn, recording.poses[:1, :3, 3])[0]
    return turn


def labels(world: World, scene_id: str, *, seed: int, quirks: Quirks = PLAIN) -> dict[int, str | None]:
    """Return the raw label by thing id; None = in the mesh but without a box. Structure is not annotated."""
    if quirks.skipped:
        return {thing.thing_id: None for thing in world.things}
    spoken = annotation.labels_of(world, "arkitscenes", scene_id, seed)
    return {thing_id: label and label.replace("_", quirks.delimiter) for thing_id, label in spoken.items()}


def timestamps(recording: Recording, scene_id: str, *, seed: int) -> list[float]:
    """Return the capture time of each frame: seconds of uptime, eight decimals, with jitter of 200 microseconds."""
    draw = generator(seed, "arkitscenes", "clock", scene_id)
    start = draw.uniform(1000.0, 9000.0)
    return [round(start + i / recording.fps + draw.uniform(-2e-4, 2e-4), 8) for i in range(len(recording.poses))]


def write_scan(
    recording: Recording,
    root: Path,
    scene_id: str,
    *,
    seed: int,
    split: str = "train",
    quirks: Quirks = PLAIN,
) -> list[Path]:
    """Write one video under `root` and return its files; `scene_id` is the video id.

    `root/raw/<fold>/<id>/`: `vga_wide/` PNG pictures, `vga_wide_intrinsics/`, `lowres_depth/` (256x192),
    lowres_wide.traj, `<id>_3dod_annotation.json`, `<id>_3dod_mesh.ply`. `root/3dod/<fold>/<id>/`: annotation and mesh,
    and in `<id>_frames/` `lowres_wide/`, `lowres_depth/` (the pictures' size), `lowres_wide_intrinsics/`,
    lowres_wide.traj. All pictures have the recording's size and rate. The trajectory has about ten lines per
    second and none for frames in `recording.lost`. Raises ValueError for an unknown split or turn.
    """
    if split not in FOLDS:
        raise ValueError(f"ARKitScenes has the folds {sorted(FOLDS)}, not '{split}'")
    placement = release_from_world(recording, scene_id, seed=seed)
    homes = {
        layout: root / layout / FOLDS[split] / scene_id / (f"{scene_id}_frames" if layout == "3dod" else "")
        for layout in quirks.layouts
    }
    files = _write_pictures(homes, recording, scene_id, seed, quirks)
    trajectory = _trajectory(recording, placement, scene_id, seed, quirks)
    mesh = mesh_of(recording.world)
    vertices = moved(placement, mesh.vertices)
    spoken = labels(recording.world, scene_id, seed=seed, quirks=quirks)
    groups = annotation.groups_of(recording.world, mesh, spoken, structure=False)
    annotated = _annotation(groups, placement, scene_id, quirks)
    for layout in quirks.layouts:
        folder = root / layout / FOLDS[split] / scene_id
        notes, ply, traj = (
            folder / f"{scene_id}_3dod_annotation.json",
            folder / f"{scene_id}_3dod_mesh.ply",
            homes[layout] / "lowres_wide.traj",
        )
        notes.write_text(annotated)
        write_ply(ply, vertices, mesh.faces, mesh.colors)
        traj.write_text(trajectory)
        files += [notes, ply, traj]
    return files


def _write_pictures(
    homes: dict[str, Path], recording: Recording, scene_id: str, seed: int, quirks: Quirks
) -> list[Path]:
    names = {"raw": "vga_wide", "3dod": "lowres_wide"}
    for layout, home in homes.items():
        for asset in (names[layout], f"{names[layout]}_intrinsics", "lowres_depth"):
            (home / asset).mkdir(parents=True, exist_ok=True)
    turn, files = quirks.rotation_deg, []
    K, _ = sideways(recording.K, np.eye(4), recording.width, recording.height, turn)
    times = timestamps(recording, scene_id, seed=seed)
    for index, (rgb, depth, _) in enumerate(recording.frames()):
        picture, ranges = held_sideways(rgb, turn), held_sideways(millimetres(depth), turn)
        height, width = picture.shape[:2]
        encoded = _png(picture[:, :, ::-1])
        pincam = f"{width} {height} {K[0, 0]:.9g} {K[1, 1]:.9g} {K[0, 2]:.9g} {K[1, 2]:.9g}\n"
        stem = f"{scene_id}_{times[index]:.3f}"
        beside = f"{scene_id}_{times[index] + _SHIFTED_PINCAMS.get(index, 0.0):.3f}"
        for layout, home in homes.items():
            small = LOWRES if width >= height else LOWRES[::-1]
            lowres = nearest(ranges, *small) if layout == "raw" else ranges
            asset = names[layout]
            written = {
                home / asset / f"{stem}.png": encoded,
                home / "lowres_depth" / f"{stem}.png": _png(lowres),
                home / f"{asset}_intrinsics" / f"{beside}.pincam": pincam.encode(),
            }
            for path, data in written.items():
                path.write_bytes(data)
            files += written
    return files


def _trajectory(recording: Recording, placement: np.ndarray, scene_id: str, seed: int, quirks: Quirks) -> str:
    """Return lines `ts rx ry rz tx ty tz`: axis-angle and translation of world-to-camera, in full precision.

    There are about ten per second whatever the rate of the pictures, so readers must interpolate.
    """
    lines, lost = [], set(recording.lost)
    step = max(1, round(recording.fps / TRAJECTORY_HZ))
    times = timestamps(recording, scene_id, seed=seed)
    for index, upright in enumerate(recording.poses):
        if index in lost or index % step:
            continue
        _, pose = sideways(recording.K, upright, recording.width, recording.height, quirks.rotation_deg)
        world_to_camera = np.linalg.inv(placement @ pose)
        values = (*cv2.Rodrigues(world_to_camera[:3, :3])[0].ravel(), *world_to_camera[:3, 3])
        lines.append(f"{times[index]:.8f} " + " ".join(f"{value:.12f}" for value in values))
    return "\n".join(lines) + "\n"


def _annotation(groups: list[annotation.Group], placement: np.ndarray, scene_id: str, quirks: Quirks) -> str:
    data = (
        []
        if quirks.skipped
        else [_entry(scene_id, number, group, placement) for number, group in enumerate(groups, FIRST_OBJECT_ID)]
    )
    value = {"data": data, "stats": {}, "comment": "", "confirm": not quirks.skipped, "skipped": quirks.skipped}
    return json.dumps(value, separators=(",", ":"))


def _entry(scene_id: str, number: int, group: annotation.Group, placement: np.ndarray) -> dict:
    box = group.box.moved(placement)
    tilted = box.moved(_Y_UP)
    return {
        "uid": f"{stable_hash(scene_id, number):016x}",
        "label": group.label,
        "modelId": "",
        "children": [],
        "objectId": number,
        "segments": {
            # The annotation tool's own frame, y up, in centimetres; readers must not use it.
            "obb": _obb(annotation.Box(tilted.center * 100, tilted.size * 100, tilted.axes)),
            "obbAligned": _obb(box),
        },
        "hierarchy": [],
        "isInGroup": False,
        "labelType": "object",
        "attributes": {},
    }


def _obb(box: annotation.Box) -> dict:
    return {
        "centroid": box.center.tolist(),
        "axesLengths": box.size.tolist(),
        "normalizedAxes": box.axes.ravel().tolist(),
    }


def _png(image: np.ndarray) -> bytes:
    encoded, data = cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, 2])
    if not encoded:
        raise ValueError(f"an image of shape {image.shape} could not be encoded as PNG")
    return data.tobytes()
