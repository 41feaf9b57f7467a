"""Write a recording as a ScanNet scan: `scans/<id>/` with its five files.

Mesh and poses are in the scan's raw frame, which is turned about the vertical and shifted against the world;
`axisAlignment @ raw` is the recording's world frame.
"""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from rollout3d.seeding import generator
from toyworld.rendering.mesh import WALL, mesh_of
from toyworld.rendering.recording import Recording
from toyworld.rooms.world import World
from toyworld.writers import annotation, scannet_labels
from toyworld.writers.annotation import STRUCTURE
from toyworld.writers.placement import millimetres, moved, yaw_matrix
from toyworld.writers.ply import write_ply
from toyworld.writers.sens import SensWriter

FIRST_OBJECT_ID = 0
"""objectId of the first annotated thing."""

_NO_TIME = 0xDEADBEEF00000000
"""An impossible time stamp."""

_UNANNOTATED_PATCH = 5
"""One in this many patches of floor, wall and ceiling belongs to no instance."""

_SCENE_TYPES = (
    ("bed", "Bedroom / Hotel"),
    ("living", "Living room / Lounge"),
    ("lounge", "Living room / Lounge"),
    ("office", "Office"),
    ("study", "Office"),
    ("kitchen", "Kitchen"),
    ("bath", "Bathroom"),
    ("laundry", "Laundry Room"),
    ("hall", "Hallway"),
    ("conference", "Conference Room"),
    ("meeting", "Conference Room"),
    ("apartment", "Apartment"),
    ("flat", "Apartment"),
)


SURFACE_NOISE_M = 0.0005
"""Standard deviation of the vertices about the true surface, metres. Reconstructions are never exact, and the convex
hull of exact surfaces has large coplanar faces, which mislead Open3D's search for the minimal box of an object.
"""


@dataclass(frozen=True)
class Quirks:
    """Oddities that real ScanNet scans have."""

    version: Literal[1, 2] = 2
    """Version of the release; 1 has no axisAlignment and no "scannet." before the names in its JSON files."""
    hidden: bool = False
    """True for a scan of the test split: in scans_test/, without annotation, axisAlignment and sceneType."""
    depth_divisor: int = 2
    """Width of the colour image divided by that of the depth image; 1 as in scans with 640x480 colour."""
    extrinsics: bool = True
    """True if the .txt has colorToDepthExtrinsics, which some lack."""
    corrupt_times: bool = False
    """True if the time stamps of the .sens frames are invalid."""
    projected: bool = False
    """True if the optional zips with the annotation of each colour pixel exist."""
    duplicated_groups: bool = False
    """True if every instance is listed twice in the aggregation, as in scene0217_00."""
    unlisted_label: bool = False
    """True if one instance has a raw label that the label table lacks."""


PLAIN = Quirks()


def axis_alignment(scene_id: str, seed: int) -> np.ndarray:
    """Return the 4x4 from the scan's raw frame to the world, with six decimals, as the .txt has it."""
    draw = generator(seed, "scannet", "axis alignment", scene_id)
    yaw = draw.choice([-1.0, 1.0]) * draw.uniform(15.0, 75.0)
    return np.round(yaw_matrix(yaw, draw.uniform([-4.0, -4.0, -0.4], [4.0, 4.0, -0.05])), 6)


def release_from_world(recording: Recording, scene_id: str, *, seed: int) -> np.ndarray:
    """Return the 4x4 from the recording's world to the frame of the written mesh and poses."""
    return np.linalg.inv(axis_alignment(scene_id, seed))


def labels(world: World, scene_id: str, *, seed: int, quirks: Quirks = PLAIN) -> dict[int, str | None]:
    """Return the raw label by thing id; None = in the mesh but in no instance."""
    if quirks.hidden:
        return {thing.thing_id: None for thing in world.things}
    return annotation.labels_of(world, "scannet", scene_id, seed)


def write_scan(
    recording: Recording,
    root: Path,
    scene_id: str,
    *,
    seed: int,
    quirks: Quirks = PLAIN,
) -> list[Path]:
    """Write one scan under `root` and return its files.

    `root/scans/<scene_id>/` gets `<id>.sens`, `.txt`, `_vh_clean_2.ply`, `_vh_clean_2.0.010000.segs.json` and
    `.aggregation.json`, and with `quirks.projected` the zips `_2d-instance-filt` and `_2d-label-filt`. A hidden scan
    has the first three only, in `root/scans_test/`. Frames in `recording.lost` have a pose of -inf.
    """
    folder = root / ("scans_test" if quirks.hidden else "scans") / scene_id
    folder.mkdir(parents=True, exist_ok=True)
    to_raw = release_from_world(recording, scene_id, seed=seed)
    sens, text, ply, segments, aggregation = (
        folder / f"{scene_id}{suffix}"
        for suffix in (
            ".sens",
            ".txt",
            "_vh_clean_2.ply",
            "_vh_clean_2.0.010000.segs.json",
            ".aggregation.json",
        )
    )
    n_inertial = _write_sens(sens, recording, to_raw, quirks)
    _write_text(text, recording, scene_id, seed, quirks, n_inertial)
    mesh = mesh_of(recording.world)
    noise = generator(seed, "scannet surface", scene_id).normal(0.0, SURFACE_NOISE_M, mesh.vertices.shape)
    write_ply(ply, moved(to_raw, mesh.vertices + noise), mesh.faces, mesh.colors, alpha=True)
    if quirks.hidden:
        return [sens, text, ply]

    prefix = "scannet." if quirks.version == 2 else ""
    numbers = annotation.segments_of(mesh)
    _write_json(
        segments,
        {
            "params": {"kThresh": "0.0100000", "segMinVerts": "20", "minPoints": "750", "maxPoints": "30000"},
            "sceneId": f"{prefix}{scene_id}",
            "segIndices": numbers.tolist(),
        },
    )
    groups = annotation.groups_of(recording.world, mesh, labels(recording.world, scene_id, seed=seed), structure=True)
    oddity = scannet_labels.UNLISTED if quirks.unlisted_label else "object"
    instances, of_thing = [], {}
    for group in annotation.with_oddities(groups, mesh, numbers, {WALL: oddity}):
        members = np.unique(numbers[group.vertices]).tolist()
        if group.thing_id < 0 and len(members) > 1:
            members = [member for place, member in enumerate(members) if place % _UNANNOTATED_PATCH != 1]
        of_thing.setdefault(group.thing_id, (len(instances) + FIRST_OBJECT_ID, group.label))
        instances.append((group.label, members))
    instances *= 2 if quirks.duplicated_groups else 1
    _write_json(
        aggregation,
        {
            "sceneId": f"{prefix}{scene_id}",
            "appId": f"Aggregator.v{quirks.version}",
            "segGroups": [
                {"id": number, "objectId": number, "segments": members, "label": label}
                for number, (label, members) in enumerate(instances, FIRST_OBJECT_ID)
            ],
            "segmentsFile": f"{prefix}{segments.name}",
        },
    )
    files = [sens, text, ply, segments, aggregation]
    return files + (_write_projections(folder, scene_id, recording, of_thing) if quirks.projected else [])


def _write_projections(
    folder: Path, scene_id: str, recording: Recording, of_thing: dict[int, tuple[int, str]]
) -> list[Path]:
    """Write zips of objectId + 1 (8 bits) and the label table's id (16 bits) per pixel, 0 = none; return their paths.

    `of_thing`: thing id -> (objectId, label).
    """
    ids, low = scannet_labels.label_ids(), min(STRUCTURE)
    lookup = np.zeros((2, max(of_thing) - low + 2), np.uint16)
    for thing_id, (object_id, label) in of_thing.items():
        lookup[:, thing_id - low] = object_id + 1, ids.get(label, 0)
    paths = [folder / f"{scene_id}_2d-{layer}-filt.zip" for layer in ("instance", "label")]
    with zipfile.ZipFile(paths[0], "w") as instances, zipfile.ZipFile(paths[1], "w") as labels:
        for index, (_, _, owner) in enumerate(recording.frames()):
            # Things without annotation have ids beyond the table's end.
            shown = lookup[:, np.minimum(owner - low, lookup.shape[1] - 1)]
            for archive, layer, image in (
                (instances, "instance", shown[0].astype(np.uint8)),
                (labels, "label", shown[1]),
            ):
                encoded, png = cv2.imencode(".png", image)
                if not encoded:
                    raise ValueError(f"{folder}: annotation of frame {index} could not be encoded as PNG")
                archive.writestr(zipfile.ZipInfo(f"{layer}-filt/{index}.png"), png.tobytes())
    return paths


def depth_intrinsics(K: np.ndarray, divisor: int) -> np.ndarray:
    """Return K (3, 3) of the picture of every `divisor`-th pixel, starting with pixel (0, 0)."""
    return np.diag([1 / divisor, 1 / divisor, 1.0]) @ K


def _write_sens(path: Path, recording: Recording, to_raw: np.ndarray, quirks: Quirks) -> int:
    step, n = quirks.depth_divisor, len(recording.poses)
    small = (-(-recording.width // step), -(-recording.height // step))
    K_depth = depth_intrinsics(recording.K, step)
    lost = set(recording.lost)
    with SensWriter(path, recording.K, (recording.width, recording.height), K_depth, small, n) as sens:
        for index, (rgb, depth, _) in enumerate(recording.frames()):
            pose = None if index in lost else to_raw @ recording.poses[index]
            time_us = _NO_TIME if quirks.corrupt_times else round(index * 1e6 / recording.fps)
            sens.add(rgb, millimetres(depth[::step, ::step]), pose, time_us)
        records = list(_inertial(recording, to_raw))
        sens.finish(records)
    return len(records)


def _inertial(recording: Recording, to_raw: np.ndarray):
    """Yield one record (values (15,), microseconds) per frame: true gravity in camera axes, zeros elsewhere."""
    for index, pose in enumerate(recording.poses):
        values = np.zeros(15)
        values[12:15] = -(to_raw @ pose)[2, :3]
        yield values, round(index * 1e6 / recording.fps) + 500


def _write_text(path: Path, recording: Recording, scene_id: str, seed: int, quirks: Quirks, n_inertial: int) -> None:
    K_color, K_depth = recording.K, depth_intrinsics(recording.K, quirks.depth_divisor)
    step, n = quirks.depth_divisor, len(recording.poses)
    values: dict[str, str] = {
        "colorHeight": str(recording.height),
        "colorWidth": str(recording.width),
        "depthHeight": str(-(-recording.height // step)),
        "depthWidth": str(-(-recording.width // step)),
        "numColorFrames": str(n),
        "numDepthFrames": str(n),
        "numIMUmeasurements": str(n_inertial),
    }
    if quirks.extrinsics:
        # Not the identity, and readers must not apply it: poses are those of the colour camera.
        values["colorToDepthExtrinsics"] = _numbers(yaw_matrix(0.4, (0.037, -0.002, 0.021)))
    if not quirks.hidden:
        values["sceneType"] = _scene_type(recording.world.scene_type)
    if quirks.version == 2 and not quirks.hidden:
        values["axisAlignment"] = _numbers(axis_alignment(scene_id, seed))
    for stream, K in (("color", K_color), ("depth", K_depth)):
        named = {"fx": K[0, 0], "fy": K[1, 1], "mx": K[0, 2], "my": K[1, 2]}
        values |= {f"{name}_{stream}": f"{value:.6f}" for name, value in named.items()}
    path.write_text("".join(f"{key} = {values[key]}\n" for key in sorted(values)))


def _scene_type(world_type: str) -> str:
    """Return ScanNet's name of a world's scene type."""
    return next((name for word, name in _SCENE_TYPES if word in world_type.lower()), "Misc.")


def _numbers(matrix: np.ndarray) -> str:
    return " ".join(f"{value:.6f}" for value in np.asarray(matrix).ravel())


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, separators=(",", ":")))
