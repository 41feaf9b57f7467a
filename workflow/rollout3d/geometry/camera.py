"""Pinhole cameras: sampling frames, projecting, resizing and turning pictures.

Letters in shapes: n points or poses, h and w height and width of a picture.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

if TYPE_CHECKING:
    from jaxtyping import Float64, Real, Shaped

NEAR_M = 0.05
"""Least depth, metres, at which a projection is used; closer points would project anywhere on the picture."""

_POSE_TOLERANCE = 1e-2
_UP_IN_CAMERA = {0: (0.0, -1.0, 0.0), 90: (-1.0, 0.0, 0.0), 180: (0.0, 1.0, 0.0), 270: (1.0, 0.0, 0.0)}
"""Clockwise turn that makes a picture upright -> where the world's up points in the camera as stored."""


def sample_indices(n_frames: int, n: int) -> list[int]:
    """Return the indices of `n` frames spread evenly over a video of `n_frames`, first and last included.

    round(linspace(0, n_frames - 1, n)), halves to even: the only rule of the pipeline. One frame is the first, two are
    first and last, and indices repeat where n > n_frames. Raises ValueError if either number is below 1.
    """
    if n_frames < 1 or n < 1:
        raise ValueError(f"cannot sample {n} frames of a video of {n_frames}: both must be at least 1")
    return [int(i) for i in np.rint(np.linspace(0, n_frames - 1, n))]


def project(
    K: Real[ArrayLike, "3 3"], pose: Real[ArrayLike, "4 4"], points: Real[ArrayLike, "n 3"]
) -> tuple[Float64[np.ndarray, "n 2"], Float64[np.ndarray, " n"]]:
    """Project world points, metres, to pixels uv and depth z, metres along the viewing axis.

    Where z <= 0 the point is not on the picture, and uv is NaN, so that every comparison with it is false.
    """
    K = np.asarray(K, np.float64)
    inverse = np.linalg.inv(np.asarray(pose, np.float64))
    camera = np.asarray(points, np.float64).reshape(-1, 3) @ inverse[:3, :3].T + inverse[:3, 3]
    z = camera[:, 2]
    with np.errstate(divide="ignore", invalid="ignore"):
        ahead = np.where(z > 0, z, np.nan)
        uv = camera[:, :2] @ K[:2, :2].T / ahead[:, None] + K[:2, 2]
    return uv, z


def unproject(
    K: Real[ArrayLike, "3 3"],
    pose: Real[ArrayLike, "4 4"],
    uv: Real[ArrayLike, "n 2"],
    z: Real[ArrayLike, " n"],
) -> Float64[np.ndarray, "n 3"]:
    """Return the world points of pixels uv with depth z, metres along the viewing axis. Inverse of `project`."""
    K, pose = np.asarray(K, np.float64), np.asarray(pose, np.float64)
    uv, z = np.asarray(uv, np.float64).reshape(-1, 2), np.asarray(z, np.float64).reshape(-1, 1)
    camera = np.hstack([(uv - K[:2, 2]) @ np.linalg.inv(K[:2, :2]).T * z, z])
    return camera @ pose[:3, :3].T + pose[:3, 3]


def project_lines(
    K: Real[ArrayLike, "3 3"], pose: Real[ArrayLike, "4 4"], lines: Real[ArrayLike, "n 2 3"]
) -> Float64[np.ndarray, "m 2 2"]:
    """Project straight lines of the world to lines of pixels, cut at depth `NEAR_M`; m <= n of them are in front."""
    K, inverse = np.asarray(K, np.float64), np.linalg.inv(np.asarray(pose, np.float64))
    ends = np.asarray(lines, np.float64) @ inverse[:3, :3].T + inverse[:3, 3]
    ends = ends[(ends[..., 2] > NEAR_M).any(axis=1)]
    a, b = ends[:, 0], ends[:, 1]
    span = b[:, 2] - a[:, 2]
    share = np.divide(NEAR_M - a[:, 2], span, out=np.zeros(len(a)), where=span != 0)[:, None]
    border = a + share * (b - a)
    cut = np.stack([np.where(e[:, 2:] < NEAR_M, border, e) for e in (a, b)], axis=1)
    return cut[..., :2] @ K[:2, :2].T / cut[..., 2:] + K[:2, 2]


def resize_intrinsics(
    K: Real[ArrayLike, "3 3"], size: tuple[int, int], new_size: tuple[int, int]
) -> Float64[np.ndarray, "3 3"]:
    """Return K of a picture resized from `size` to `new_size`, both (width, height).

    Width and height scale separately. With integer pixel centres the picture's left edge is at -0.5, hence
    cx' = (cx + 0.5) s - 0.5. This is how cv2.resize moves the pixels.
    """
    sx, sy = new_size[0] / size[0], new_size[1] / size[1]
    scale = np.array([[sx, 0.0, 0.5 * sx - 0.5], [0.0, sy, 0.5 * sy - 0.5], [0.0, 0.0, 1.0]])
    return scale @ np.asarray(K, np.float64)


def thin_out(
    picture: Shaped[np.ndarray, "h w"], K: Real[ArrayLike, "3 3"], step: int
) -> tuple[Shaped[np.ndarray, "_ _"], Float64[np.ndarray, "3 3"]]:
    """Return every `step`-th pixel of a picture in both directions, none mixed with its neighbours, and its K."""
    first = step // 2
    shift = np.array([[1 / step, 0.0, -first / step], [0.0, 1 / step, -first / step], [0.0, 0.0, 1.0]])
    return picture[first::step, first::step], shift @ np.asarray(K, np.float64)


def rotate_camera(
    K: Real[ArrayLike, "3 3"], pose: Real[ArrayLike, "4 4"], width: int, height: int, degrees: int
) -> tuple[Float64[np.ndarray, "3 3"], Float64[np.ndarray, "4 4"]]:
    """Return K and pose of the camera of a picture that is turned clockwise by `rotate_image`.

    `width` and `height` are the picture's before turning. A projection (u, v) moves with its pixel:
    90 -> (h-1-v, u), 180 -> (w-1-u, h-1-v), 270 -> (v, w-1-u). Raises ValueError for other than quarter turns.
    """
    c, s, shift = {
        0: (1.0, 0.0, (0, 0)),
        90: (0.0, 1.0, (height - 1, 0)),
        180: (-1.0, 0.0, (width - 1, height - 1)),
        270: (0.0, -1.0, (0, width - 1)),
    }[_quarter_turn(degrees)]
    turn = np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
    pixels = turn.copy()
    pixels[:2, 2] = shift
    turned_pose = np.array(pose, np.float64)
    turned_pose[:3, :3] = turned_pose[:3, :3] @ turn.T
    return pixels @ np.asarray(K, np.float64) @ turn.T, turned_pose


def rotate_image(image: Shaped[np.ndarray, "_ _ *c"], degrees: int) -> Shaped[np.ndarray, "_ _ *c"]:
    """Return a picture turned clockwise by 0, 90, 180 or 270 degrees, contiguous, with or without channels c."""
    return np.ascontiguousarray(np.rot90(image, -(_quarter_turn(degrees) // 90)))


def upright_rotation(poses: Real[ArrayLike, "n 4 4"]) -> int:
    """Return the clockwise turn, 0, 90, 180 or 270 degrees, that makes most frames of a video upright.

    `poses` are those of the pictures as stored. Each valid pose votes for the picture axis nearest to the world's up; a
    tie goes to the smaller turn. Frames that look straight down count too, because they are rarely the majority.
    Raises ValueError where no pose is valid.
    """
    up = [pose[2, :3] for pose in np.asarray(poses, np.float64).reshape(-1, 4, 4) if valid_pose(pose)]
    if not up:
        raise ValueError("no valid pose among the frames: the upright direction is unknown")
    turns = np.array(list(_UP_IN_CAMERA))
    votes = np.argmax(np.stack(up) @ np.array([_UP_IN_CAMERA[t] for t in turns]).T, axis=1)
    return int(turns[np.argmax(np.bincount(votes, minlength=len(turns)))])


def valid_pose(pose: ArrayLike) -> bool:
    """Return whether a matrix is a rigid camera-to-world pose (4,4); poses of lost frames are -inf or zeros."""
    matrix = np.asarray(pose, np.float64)
    if matrix.shape != (4, 4) or not np.isfinite(matrix).all():
        return False
    rotation = matrix[:3, :3]
    return bool(
        np.allclose(rotation.T @ rotation, np.eye(3), atol=_POSE_TOLERANCE)
        and np.linalg.det(rotation) > 0
        and np.allclose(matrix[3], (0, 0, 0, 1), atol=1e-6)
    )


def _quarter_turn(degrees: int) -> int:
    """Return a turn as 0, 90, 180 or 270 degrees. Raises ValueError for other than quarter turns."""
    if degrees % 90:
        raise ValueError(f"a picture can be turned by quarters only (multiples of 90 degrees), not by {degrees}")
    return int(degrees % 360)
