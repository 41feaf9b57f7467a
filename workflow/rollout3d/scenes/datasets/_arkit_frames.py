"""Read the video of an ARKitScenes scan, turned upright: PNG files named by time, trajectory, intrinsics per frame."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.spatial.transform import Rotation, Slerp

from rollout3d.fingerprint import note
from rollout3d.geometry.camera import resize_intrinsics, rotate_camera, rotate_image, upright_rotation, valid_pose
from rollout3d.scenes.assets import Asset, Candidate
from rollout3d.scenes.datasets import _arkit_layout as arkit_layout
from rollout3d.scenes.formats.packed import PackedPath, check_archive, unpacked
from rollout3d.scenes.formats.pictures import MAX_PIXELS, read_color, read_depth
from rollout3d.scenes.oddities import time_flags
from rollout3d.scenes.reading import ScanError, read_text, reading
from rollout3d.scenes.scan import camera_matrix

VIDEO_FPS = 30.0
"""Frame rate of VSI-Bench's videos; faster recordings are thinned out to it, slower ones are kept."""
SAME_TIME_S = 0.005
"""Seconds up to which a frame has the pose of an entry of the trajectory. [official reader]"""
MAX_GAP_S = 0.15
"""Longest gap, seconds, between entries (about 10 per second) over which poses are interpolated. [assumed]"""
DEPTH_TIME_MS = 20
"""Milliseconds up to which depth belongs to a frame. [assumed: half the period of the depth at 30 Hz]"""

SAME_NAME_MS = 2
"""Largest difference between the times in the names of a picture and its intrinsics: 1 ms, and 1 ms for rounding."""

_DEPTH_SIZE = 256, 192
"""Width and height of the release's depth pictures."""
_ASPECT = 0.02
"""Largest relative difference between the aspect ratios of intrinsics and their pictures."""
_LATEST_S = 1e12
"""Latest time in a file's name, seconds."""
_MOST_TURN, _FARTHEST_M = 100.0, 1e5
"""Largest rotation, rad, and distance, metres, far beyond any recording: larger numbers are damage."""


class _Files(NamedTuple):
    """Files of one folder, sorted by time."""

    ms: np.ndarray
    """Times (N,), whole milliseconds, growing."""
    paths: list[Path | PackedPath]

    def nearest(self, ms: int) -> int:
        """Return the position of the file nearest in time; of two the earlier, as in the official reader."""
        after = int(np.searchsorted(self.ms, ms))
        if after == len(self.ms) or (after and ms - self.ms[after - 1] <= self.ms[after] - ms):
            return after - 1
        return after

    def n_without(self, others: _Files) -> int:
        """Return the number of files without one of the same time among the others."""
        return sum(abs(int(others.ms[others.nearest(ms)]) - ms) > SAME_NAME_MS for ms in self.ms.tolist())


class ArkitSource:
    """Frames of the best asset that is whole: raw vga_wide, raw lowres_wide, lowres_wide of 3dod (`arkit_layout`).

    `folders`: the video's folders, raw first. Poses are world-to-camera in the file and are inverted; frames between
    two entries of the trajectory get an interpolated pose. All pictures, intrinsics and poses are those of the upright
    picture. The turn is a majority vote of the poses, because the release's sky_direction is unreliable. `flags` name
    an unusual choice of files, and lost files: `video_gaps:N` for N gaps in time, `frames_without_intrinsics:N` and
    `intrinsics_without_frames:N`. Raises `ScanError`.
    """

    poses_path: Path

    def __init__(self, folders: Sequence[Path | PackedPath], video: str):
        self._video = video
        layout = {asset.what: asset for asset in arkit_layout.assets(folders, video)}
        _, self.flags = layout["video"].first(self._open_frames)
        self.flags += self._signs_of_loss()
        self._find_depth(arkit_layout.places(folders, video))
        self._thin_out()
        self._read_poses(layout["trajectory"])
        first = read_color(self._frames.paths[0])
        self._stored_size = first.shape[1], first.shape[0]
        turned = self.rotation_deg % 180 == 90
        self.width, self.height = self._stored_size[::-1] if turned else self._stored_size

    def _open_frames(self, candidate: Candidate) -> None:
        """List pictures and intrinsics of an asset. Raises ScanError without either."""
        pictures, pincams = candidate.paths
        self._frames = _list(pictures, ".png")
        if not len(self._frames.ms):
            raise ScanError(pictures, "no frames: it holds no <time>.png; download it again")
        self._pincams = _list(pincams, ".pincam")
        if not len(self._pincams.ms):
            raise ScanError(pincams, "no .pincam files; download it again")

    def _signs_of_loss(self) -> list[str]:
        lost = {
            "frames_without_intrinsics": self._frames.n_without(self._pincams),
            "intrinsics_without_frames": self._pincams.n_without(self._frames),
        }
        return [*time_flags(self._frames.ms, "video"), *(f"{what}:{n}" for what, n in lost.items() if n)]

    def _find_depth(self, bases: Sequence[Path | PackedPath]) -> None:
        """Find the first folder of depth with pictures, and the intrinsics of its camera.

        A folder or archive that cannot be read is skipped with a flag, because a scan can be used without its depth.
        """
        self._depth_size: tuple[int, int] | None = None
        self._depths = _Files(np.empty(0, np.int64), [])
        for base, (name, cameras) in product(bases, arkit_layout.DEPTHS):
            try:
                depths = _list(unpacked(base / name), ".png")
                pincams = _list(unpacked(base / cameras), ".pincam") if len(depths.ms) else depths
            except ScanError as error:
                flag = f"damaged:{error.path.name}"
                self.flags += [flag] if flag not in self.flags else []
                continue
            if len(depths.ms):
                self._depths = depths
                self._depth_size = self._size_of_depth()
                self._depth_pincams = pincams if len(pincams.ms) else self._pincams
                return

    def _size_of_depth(self) -> tuple[int, int]:
        """Return width and height of the first depth picture that can be read; the release's if none can."""
        for path in self._depths.paths:
            try:
                height, width = read_depth(path).shape
            except ScanError:
                continue
            return width, height
        return _DEPTH_SIZE

    def _thin_out(self) -> None:
        """Keep every k-th frame of a recording that is faster than `VIDEO_FPS`."""
        gaps = np.diff(self._frames.ms)
        rate = float(np.rint(1000 / np.median(gaps))) if len(gaps) else VIDEO_FPS
        step = max(1, round(rate / VIDEO_FPS))
        self._frames = _Files(self._frames.ms[::step], self._frames.paths[::step])
        self.fps, self.n_frames = rate / step, len(self._frames.ms)

    def _read_poses(self, trajectory: Asset) -> None:
        def use(candidate: Candidate) -> tuple[tuple[np.ndarray, np.ndarray], list[str]]:
            self.poses_path = Path(candidate.paths[0])
            return read_trajectory(candidate.paths[0]), _order_of_entries(candidate.paths[0])

        ((times, stored), odd), flags = trajectory.first(use)
        self.flags += [*flags, *odd]
        self._poses = poses_at(self._frames.ms / 1000, times, stored)
        found = [pose for pose in self._poses if pose is not None]
        self.has_poses = bool(found)
        self.rotation_deg = upright_rotation(np.stack(found)) if found else 0

    def camera(self, index: int) -> tuple[np.ndarray, np.ndarray | None]:
        K = self._intrinsics(self._pincams, index, self._stored_size)
        pose = self._poses[index]
        K, turned = rotate_camera(K, np.eye(4) if pose is None else pose, *self._stored_size, self.rotation_deg)
        return K, None if pose is None else turned

    def frame(self, index: int) -> np.ndarray:
        path = self._frames.paths[index]
        picture = read_color(path)
        if (picture.shape[1], picture.shape[0]) != self._stored_size:
            raise ScanError(path, f"{picture.shape[1]}x{picture.shape[0]} pixels, the first frame has another size")
        return rotate_image(picture, self.rotation_deg)

    def depth_K(self, index: int) -> np.ndarray | None:
        if self._depth_size is None:
            return None
        K = self._intrinsics(self._depth_pincams, index, self._depth_size)
        return rotate_camera(K, np.eye(4), *self._depth_size, self.rotation_deg)[0]

    def depth(self, index: int) -> np.ndarray | None:
        if self._depth_size is None:
            return None
        ms = int(self._frames.ms[index])
        k = self._depths.nearest(ms)
        if abs(int(self._depths.ms[k]) - ms) > DEPTH_TIME_MS:
            return None
        picture = read_depth(self._depths.paths[k])
        if picture.shape[::-1] != self._depth_size:
            raise ScanError(self._depths.paths[k], f"depth of another size than {self._depth_size}")
        return rotate_image(picture, self.rotation_deg).astype(np.float32) / np.float32(1000)

    def _intrinsics(self, files: _Files, index: int, size: tuple[int, int]) -> np.ndarray:
        """Return K of the picture as stored, from the file nearest in time (names differ by up to a millisecond)."""
        path = files.paths[files.nearest(int(self._frames.ms[index]))]
        with reading(path):
            width, height, fx, fy, cx, cy = (float(word) for word in read_text(path).split())
            if not (1 <= width <= MAX_PIXELS and 1 <= height <= MAX_PIXELS):
                raise ValueError(f"intrinsics of a picture of {width:g}x{height:g} pixels")
            if abs(width * size[1] / (height * size[0]) - 1) > _ASPECT:
                raise ValueError(f"intrinsics of {width:g}x{height:g} pixels, for a picture of {size[0]}x{size[1]}")
            K = camera_matrix(fx, fy, cx, cy, (int(width), int(height)))
        return resize_intrinsics(K, (int(width), int(height)), size)

    def close(self) -> None:
        """Do nothing: no file is held open."""


def read_trajectory(path: Path | PackedPath) -> tuple[np.ndarray, np.ndarray]:
    """Return times (N,), seconds, growing, and camera-to-world poses (N,4,4) of a `.traj` file.

    Lines: time, axis-angle (rad) and translation of world-to-camera. Raises `ScanError` for an empty or invalid file.
    """
    with reading(path):
        text = read_text(path)
        if text.lstrip().startswith("<"):
            raise ScanError(path, "a server's error page instead of a trajectory; download it again")
        rows = np.array([line.split() for line in text.splitlines() if line.strip()], np.float64)
        if rows.ndim != 2 or rows.shape[1] != 7 or not np.isfinite(rows).all():
            raise ScanError(path, "expected lines of seven finite numbers")
        if (np.abs(rows[:, 1:4]) > _MOST_TURN).any() or (np.abs(rows[:, 4:7]) > _FARTHEST_M).any():
            raise ScanError(path, "turns of more than 100 rad, or a camera more than 100 km away")
    rows = rows[np.unique(rows[:, 0], return_index=True)[1]]
    to_camera = Rotation.from_rotvec(rows[:, 1:4]).as_matrix()
    poses = np.tile(np.eye(4), (len(rows), 1, 1))
    poses[:, :3, :3] = to_camera.transpose(0, 2, 1)
    poses[:, :3, 3] = -np.einsum("nji,nj->ni", to_camera, rows[:, 4:7])
    return rows[:, 0], poses


def _order_of_entries(path: Path | PackedPath) -> list[str]:
    """Return flags for entries out of order: `read_trajectory` sorts them and keeps the first of equal times."""
    with reading(path):
        times = [float(line.split()[0]) for line in read_text(path).splitlines() if line.strip()]
    return [flag for flag in time_flags(np.array(times), "poses") if not flag.startswith("poses_gaps")]


def poses_at(
    seconds: np.ndarray, times: np.ndarray, poses: np.ndarray, max_gap_s: float = MAX_GAP_S
) -> list[np.ndarray | None]:
    """Return poses at given times: an entry within `SAME_TIME_S`, else interpolated over `max_gap_s`, else None."""
    after = np.clip(np.searchsorted(times, seconds), 0, len(times) - 1)
    before = np.clip(after - 1, 0, None)
    nearest = np.where(np.abs(times[before] - seconds) <= np.abs(times[after] - seconds), before, after)
    between = (times[before] < seconds) & (seconds < times[after]) & (times[after] - times[before] <= max_gap_s)
    slerp = Slerp(times, Rotation.from_matrix(poses[:, :3, :3])) if len(times) > 1 else None
    found: list[np.ndarray | None] = []
    for k, t in enumerate(seconds):
        pose = None
        if abs(times[nearest[k]] - t) < SAME_TIME_S:
            pose = poses[nearest[k]]
        elif between[k] and slerp is not None:
            a, b = before[k], after[k]
            share = (t - times[a]) / (times[b] - times[a])
            pose = np.eye(4)
            pose[:3, :3] = slerp(t).as_matrix()
            pose[:3, 3] = (1 - share) * poses[a][:3, 3] + share * poses[b][:3, 3]
        found.append(pose if pose is not None and valid_pose(pose) else None)
    return found


def _list(folder: Path | PackedPath, suffix: str) -> _Files:
    """Return the files of a folder, sorted by the time in their name, <video>_<seconds>.<suffix>."""
    found = []
    check_archive(folder)
    for path in (note(folder) if isinstance(folder, Path) else folder).glob(f"*{suffix}"):
        if path.name.startswith("."):
            continue
        with reading(path):
            seconds = float(path.stem.rsplit("_", 1)[-1])
            if not 0 <= seconds < _LATEST_S:
                raise ValueError(f"a name without a time: {path.name}")
            found.append((round(seconds * 1000), path))
    found.sort()
    return _Files(np.array([ms for ms, _ in found], np.int64), [path for _, path in found])
