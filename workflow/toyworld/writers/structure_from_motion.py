"""Write registered cameras as ScanNet++ has them for phone and DSLR: COLMAP text and nerfstudio JSON."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

_SWAP = np.array([[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, -1, 0], [0, 0, 0, 1.0]])
"""4x4 from COLMAP's world axes to those of the nerfstudio file."""
_OPENGL = np.diag([1.0, -1.0, -1.0, 1.0])


def write_colmap(folder: Path, K: np.ndarray, size: tuple[int, int], poses: dict[str, np.ndarray]) -> list[Path]:
    """Write cameras.txt, images.txt and points3D.txt; `poses` are camera-to-world (4, 4) by image name.

    One OPENCV camera without distortion. cx and cy are shifted, since COLMAP puts the first pixel's centre at 0.5.
    """
    folder.mkdir(parents=True, exist_ok=True)
    cameras, images, points = (folder / name for name in ("cameras.txt", "images.txt", "points3D.txt"))
    numbers = (K[0, 0], K[1, 1], K[0, 2] + 0.5, K[1, 2] + 0.5, 0.0, 0.0, 0.0, 0.0)
    cameras.write_text(
        "# Camera list with one line of data per camera:\n#   CAMERA_ID, MODEL, WIDTH, HEIGHT, PARAMS[]\n"
        f"1 OPENCV {size[0]} {size[1]} {_join(numbers)}\n"
    )
    lines = ["# Image list with two lines of data per image:"]
    for number, (name, pose) in enumerate(sorted(poses.items()), start=1):
        world_to_camera = np.linalg.inv(pose)
        values = (*_quaternion(world_to_camera[:3, :3]), *world_to_camera[:3, 3])
        lines += [f"{number} {_join(values)} 1 {name}", ""]
    images.write_text("\n".join(lines) + "\n")
    points.write_text("# 3D point list with one line of data per point:\n")
    return [cameras, images, points]


def write_nerfstudio(
    folder: Path,
    K: np.ndarray,
    size: tuple[int, int],
    poses: dict[str, np.ndarray],
    *,
    name: str = "transforms.json",
    model: str = "OPENCV",
    test: frozenset[str] = frozenset(),
    bad: frozenset[str] = frozenset(),
) -> list[Path]:
    """Write `name`: OpenGL cameras in a world with x and y swapped and z negated.

    Images in `test` are in a list of their own; those in `bad` are marked as bad.
    """
    folder.mkdir(parents=True, exist_ok=True)
    frames: dict[bool, list[dict]] = {False: [], True: []}
    for image, pose in sorted(poses.items()):
        frames[image in test].append(
            {"file_path": image, "transform_matrix": (_SWAP @ pose @ _OPENGL).tolist(), "is_bad": image in bad}
        )
    value = {
        "fl_x": K[0, 0],
        "fl_y": K[1, 1],
        "cx": K[0, 2] + 0.5,
        "cy": K[1, 2] + 0.5,
        "w": size[0],
        "h": size[1],
        "k1": 0.0,
        "k2": 0.0,
        "p1": 0.0,
        "p2": 0.0,
        "camera_model": model,
        "frames": frames[False],
        "test_frames": frames[True],
    }
    path = folder / name
    path.write_text(json.dumps(value, indent=1))
    return [path]


def _quaternion(R: np.ndarray) -> np.ndarray:
    """Return the unit quaternion (w, x, y, z), w >= 0, of a rotation (3, 3), by Bar-Itzhack's eigenvalue method."""
    xx, yy, zz = np.diag(R)
    K = np.array(
        [
            [xx + yy + zz, R[2, 1] - R[1, 2], R[0, 2] - R[2, 0], R[1, 0] - R[0, 1]],
            [R[2, 1] - R[1, 2], xx - yy - zz, R[0, 1] + R[1, 0], R[0, 2] + R[2, 0]],
            [R[0, 2] - R[2, 0], R[0, 1] + R[1, 0], yy - xx - zz, R[1, 2] + R[2, 1]],
            [R[1, 0] - R[0, 1], R[0, 2] + R[2, 0], R[1, 2] + R[2, 1], zz - xx - yy],
        ]
    )
    quaternion = np.linalg.eigh(K)[1][:, -1]
    return quaternion if quaternion[0] >= 0 else -quaternion


def _join(values) -> str:
    return " ".join(f"{value:.12g}" for value in values)
