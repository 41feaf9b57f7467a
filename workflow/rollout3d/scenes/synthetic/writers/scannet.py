"""A recording as a ScanNet v2 scan: `scans/<id>/` with its five files.

Everything metric is written in the scan's RAW frame, which is turned about the vertical and shifted against the world;
`axisAlignment` leads back, so that `axisAlignment @ raw` is the recording's world frame.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rollout3d.scenes.synthetic.mesh import WALL, mesh_of
from rollout3d.scenes.synthetic.recording import Recording
from rollout3d.scenes.synthetic.world import World
from rollout3d.scenes.synthetic.writers import annotation, scannet_labels
from rollout3d.scenes.synthetic.writers.placement import millimetres, moved, yaw_matrix
from rollout3d.scenes.synthetic.writers.ply import write_ply
from rollout3d.scenes.synthetic.writers.sens import SensWriter
from rollout3d.seeding import generator

FIRST_OBJECT_ID = 0

_UNANNOTATED_PATCH = 5
"""Every so-manieth patch of floor, wall and ceiling belongs to no instance."""

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
"""Standard deviation of the vertices about the true surface. A reconstruction is never exact; and where it is, the
convex hull has large coplanar faces, which mislead Open3D's search for the minimal box (the box of ScanNet's objects).
"""


@dataclass(frozen=True)
class Quirks:
    """Oddities that real ScanNet scans have."""

    aligned: bool = True
    """Whether the .txt holds axisAlignment; test scans and a few others lack it."""
    depth_divisor: int = 2
    """The depth image is this many times smaller than the colour image; 1 as in scans with 640x480 colour."""
    duplicated_groups: bool = False
    """Every instance stands twice in the aggregation, as in scene0217_00."""
    unlisted_label: bool = False
    """One instance bears a raw label that the label table lacks."""


PLAIN = Quirks()


def axis_alignment(scene_id: str, seed: int) -> np.ndarray:
    """The 4x4 that leads from the scan's raw frame to the world; six decimals, as the .txt has it."""
    draw = generator(seed, "scannet", "axis alignment", scene_id)
    yaw = draw.choice([-1.0, 1.0]) * draw.uniform(15.0, 75.0)
    return np.round(yaw_matrix(yaw, draw.uniform([-4.0, -4.0, -0.4], [4.0, 4.0, -0.05])), 6)


def release_from_world(recording: Recording, scene_id: str, *, seed: int) -> np.ndarray:
    """The 4x4 from the recording's world to the frame that mesh and poses are written in."""
    return np.linalg.inv(axis_alignment(scene_id, seed))


def labels(world: World, scene_id: str, *, seed: int, quirks: Quirks = PLAIN) -> dict[int, str | None]:
    """Raw label by thing id; None = in the mesh, but in no instance."""
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
    `.aggregation.json`. Frames named in `recording.lost` get a pose of -inf.
    """
    folder = root / "scans" / scene_id
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

    numbers = annotation.segments_of(mesh)
    _write_json(
        segments,
        {
            "params": {"kThresh": "0.0100000", "segMinVerts": "20", "minPoints": "750", "maxPoints": "30000"},
            "sceneId": f"scannet.{scene_id}",
            "segIndices": numbers.tolist(),
        },
    )
    groups = annotation.groups_of(recording.world, mesh, labels(recording.world, scene_id, seed=seed), structure=True)
    oddity = scannet_labels.UNLISTED if quirks.unlisted_label else "object"
    instances = []
    for group in annotation.with_oddities(groups, mesh, numbers, {WALL: oddity}):
        members = np.unique(numbers[group.vertices]).tolist()
        if group.thing_id < 0 and len(members) > 1:
            members = [member for place, member in enumerate(members) if place % _UNANNOTATED_PATCH != 1]
        instances.append((group.label, members))
    instances *= 2 if quirks.duplicated_groups else 1
    _write_json(
        aggregation,
        {
            "sceneId": f"scannet.{scene_id}",
            "appId": "Aggregator.v2",
            "segGroups": [
                {"id": number, "objectId": number, "segments": members, "label": label}
                for number, (label, members) in enumerate(instances, FIRST_OBJECT_ID)
            ],
            "segmentsFile": f"scannet.{segments.name}",
        },
    )
    return [sens, text, ply, segments, aggregation]


def depth_intrinsics(K: np.ndarray, divisor: int) -> np.ndarray:
    """K of the picture that keeps every `divisor`-th pixel, starting with pixel (0, 0): exact, pixel for pixel."""
    return np.diag([1 / divisor, 1 / divisor, 1.0]) @ K


def _write_sens(path: Path, recording: Recording, to_raw: np.ndarray, quirks: Quirks) -> int:
    step, n = quirks.depth_divisor, len(recording.poses)
    small = (-(-recording.width // step), -(-recording.height // step))
    K_depth = depth_intrinsics(recording.K, step)
    lost = set(recording.lost)
    with SensWriter(path, recording.K, (recording.width, recording.height), K_depth, small, n) as sens:
        for index, (rgb, depth, _) in enumerate(recording.frames()):
            pose = None if index in lost else to_raw @ recording.poses[index]
            sens.add(rgb, millimetres(depth[::step, ::step]), pose, round(index * 1e6 / recording.fps))
        records = list(_inertial(recording, to_raw))
        sens.finish(records)
    return len(records)


def _inertial(recording: Recording, to_raw: np.ndarray):
    """One record a frame. Gravity in camera axes is true; the other sensors lie still."""
    for index, pose in enumerate(recording.poses):
        values = np.zeros(15)
        values[12:15] = -(to_raw @ pose)[2, :3]
        yield values, round(index * 1e6 / recording.fps) + 500


def _write_text(path: Path, recording: Recording, scene_id: str, seed: int, quirks: Quirks, n_inertial: int) -> None:
    K_color, K_depth = recording.K, depth_intrinsics(recording.K, quirks.depth_divisor)
    step, n = quirks.depth_divisor, len(recording.poses)
    values: dict[str, str] = {
        "colorHeight": str(recording.height),
        # Not the identity, and not to be applied: the colour stream is already registered to the poses.
        "colorToDepthExtrinsics": _numbers(yaw_matrix(0.4, (0.037, -0.002, 0.021))),
        "colorWidth": str(recording.width),
        "depthHeight": str(-(-recording.height // step)),
        "depthWidth": str(-(-recording.width // step)),
        "numColorFrames": str(n),
        "numDepthFrames": str(n),
        "numIMUmeasurements": str(n_inertial),
        "sceneType": _scene_type(recording.world.scene_type),
    }
    if quirks.aligned:
        values["axisAlignment"] = _numbers(axis_alignment(scene_id, seed))
    for stream, K in (("color", K_color), ("depth", K_depth)):
        named = {"fx": K[0, 0], "fy": K[1, 1], "mx": K[0, 2], "my": K[1, 2]}
        values |= {f"{name}_{stream}": f"{value:.6f}" for name, value in named.items()}
    path.write_text("".join(f"{key} = {values[key]}\n" for key in sorted(values)))


def _scene_type(world_type: str) -> str:
    """ScanNet's name of a world's kind of room."""
    return next((name for word, name in _SCENE_TYPES if word in world_type.lower()), "Misc.")


def _numbers(matrix: np.ndarray) -> str:
    return " ".join(f"{value:.6f}" for value in np.asarray(matrix).ravel())


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, separators=(",", ":")))
