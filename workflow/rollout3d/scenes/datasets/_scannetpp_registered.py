"""Read ScanNet++'s cameras from structure from motion, in COLMAP's text and nerfstudio's JSON, and compare poses.

Both files have the cameras of the images that could be registered (of the phone's video about every tenth), in the
world of mesh_aligned, in two conventions. The phone's own poses are a trajectory of ARKit, moved onto that world as a
whole, so that differences of some centimetres are normal. Half a metre or a quarter turn means that one of the files
belongs to another scan or another world.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from rollout3d.fingerprint import note
from rollout3d.geometry.camera import valid_pose
from rollout3d.scenes.reading import Contradiction, ScanError, read_json, read_text, reading
from rollout3d.scenes.scan import matrix

OFF_M, OFF_DEG = 0.1, 5.0
"""Median difference above which a scan is flagged: metres, degrees. [assumed]"""
WRONG_M, WRONG_DEG = 0.5, 20.0
"""Median difference above which one of the files is wrong, and the scan is refused: metres, degrees. [assumed]"""

_FEWEST = 3
"""Least number of shared images for a comparison."""
_SWAP = np.array([[0.0, 1, 0, 0], [1, 0, 0, 0], [0, 0, -1, 0], [0, 0, 0, 1]])
"""World axes of nerfstudio's file against the mesh's; its own inverse."""
_OPENGL = np.diag([1.0, -1.0, -1.0, 1.0])
"""OpenGL's camera axes (x right, y up, z backward) against OpenCV's; its own inverse."""


def read_colmap(path: Path) -> dict[str, np.ndarray]:
    """Return camera-to-world poses (4,4) of images.txt by the image's name without folder and ending.

    Each image has two lines: `ID qw qx qy qz tx ty tz CAMERA NAME`, which is world-to-camera, then its points, which
    may be an empty line. Raises `ScanError`.
    """
    poses, expects_image = {}, True
    with reading(path):
        for line in io.StringIO(read_text(path)):
            if line.startswith("#"):
                continue
            if expects_image and line.strip():
                words = line.split(maxsplit=9)
                w, x, y, z, *t = (float(word) for word in words[1:8])
                pose = np.eye(4)
                pose[:3, :3] = Rotation.from_quat([x, y, z, w]).as_matrix().T
                pose[:3, 3] = -pose[:3, :3] @ t
                poses[Path(words[9].strip()).stem] = pose
            elif expects_image:
                continue  # an empty line between records
            expects_image = not expects_image
        if not poses:
            raise ScanError(path, "names no image")
    return poses


def read_lens(path: Path, device: str) -> tuple[str, tuple[int, int], list[float]]:
    """Return model, (width, height) and parameters of the only camera of a cameras.txt.

    `device`: name of the camera for messages. Raises `ScanError`.
    """
    with reading(path):
        lines = [line.split() for line in read_text(path).splitlines() if line.strip() and not line.startswith("#")]
        if len(lines) != 1:
            raise ScanError(path, f"states {len(lines)} cameras, expected the {device}'s one")
        _, model, width, height, *values = lines[0]
        return model, (int(width), int(height)), [float(value) for value in values]


def read_nerfstudio(path: Path) -> dict[str, np.ndarray]:
    """Return camera-to-world poses (4,4) of a transforms.json by the image's name without folder and ending.

    Images marked as bad are left out. `transform_matrix` = M pose diag(1,-1,-1,1): cameras are OpenGL's, and M swaps x
    and y of the world and inverts z. Raises `ScanError`.
    """
    content = read_json(path)
    with reading(path):
        frames = [*content["frames"], *(content.get("test_frames") or [])]
        if not frames:
            raise ScanError(path, "names no image")
        return {
            Path(frame["file_path"]).stem: _SWAP @ matrix(frame["transform_matrix"], 4, 4) @ _OPENGL
            for frame in frames
            if not frame.get("is_bad")
        }


def cross_check(path: Path, poses: Mapping[str, np.ndarray], colmap: Path, nerfstudio: Path | None = None) -> list[str]:
    """Compare a scan's poses (by image, read from `path`) with the COLMAP and nerfstudio files that are there.

    Return flags: `poses_off_colmap:0.13m_2deg` (also `_nerfstudio`) for a noticeable median difference. A comparison
    that cannot be made leaves the scan usable: `colmap_unreadable` (also `nerfstudio_`) for a file that cannot be read,
    and `colmap_shares_images:2` for one with fewer than three of the images. Raises `Contradiction` if the poses are
    those of another scan or world.
    """
    flags = []
    for name, other, read in (("colmap", colmap, read_colmap), ("nerfstudio", nerfstudio, read_nerfstudio)):
        if other is None or not note(other).is_file():
            continue
        try:
            registered = read(other)
        except ScanError:
            flags.append(f"{name}_unreadable")
            continue
        usable = {image for image, pose in registered.items() if valid_pose(pose)}
        shared = [image for image in sorted(usable) if image in poses and valid_pose(poses[image])]
        if len(shared) < _FEWEST:
            flags.append(f"{name}_shares_images:{len(shared)}")
            continue
        metres, degrees = _difference(
            np.stack([poses[image] for image in shared]), np.stack([registered[image] for image in shared])
        )
        text = f"{metres:.2f}m_{degrees:.0f}deg"
        if metres > WRONG_M or degrees > WRONG_DEG:
            raise Contradiction(
                path,
                f"poses are {text} off those of {other} (median of {len(shared)} images): one of the two files belongs "
                "to another scan; download both again",
            )
        if metres > OFF_M or degrees > OFF_DEG:
            flags.append(f"poses_off_{name}:{text}")
    return flags


def _difference(poses: np.ndarray, others: np.ndarray) -> tuple[float, float]:
    """Return the median distance of the cameras, metres, and median angle between them, degrees; poses (N,4,4)."""
    metres = np.linalg.norm(poses[:, :3, 3] - others[:, :3, 3], axis=1)
    between = np.einsum("nji,njk->nik", poses[:, :3, :3], others[:, :3, :3])
    cosine = (np.trace(between, axis1=1, axis2=2) - 1) / 2
    return float(np.median(metres)), float(np.degrees(np.median(np.arccos(np.clip(cosine, -1, 1)))))
