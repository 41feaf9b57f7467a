"""Read ScanNet's video as exported by the release's SensReader: color/N.jpg, depth/N.png, pose/N.txt, intrinsic/.

N is the number of the frame in the `.sens` file. An export may have every k-th frame only, and pictures of another size
than recorded, with the intrinsics of the recorded size; the scan's .txt states the recorded sizes. Time stamps and IMU
are lost, and numbers have six decimals. Tested with files written from this description.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from itertools import pairwise
from math import gcd
from pathlib import Path

import numpy as np

from rollout3d.fingerprint import note
from rollout3d.geometry.camera import resize_intrinsics, valid_pose
from rollout3d.scenes.datasets._scannet_projected import first_frames, optional_pictures
from rollout3d.scenes.formats.pictures import picture_size, read_color, read_depth
from rollout3d.scenes.reading import ScanError, read_text, reading
from rollout3d.scenes.scan import FirstFrames, camera_matrix, intrinsics, matrix

_PICTURES, _DEPTHS, _POSES = (".jpg", ".jpeg", ".png"), (".png",), (".txt",)
"""Endings of the files of each folder."""
_HEADER_BYTES = 1 << 16
_log = logging.getLogger(__name__)


class ExportedSource:
    """The video of an exported scan, equal to that of its `.sens` file. Depth has the pose of colour.

    `folder` has color/, depth/, pose/ and intrinsic/. `meta`: content of the scan's .txt. `fps`: rate of all frames.
    `archives`: the release's optional pictures of instances and of labels, which are not used if pictures were resized.
    `labels`: the release's label table. `flags` are oddities: every k-th frame only, an early end, resized pictures,
    frames without depth, depth that cannot be read. Raises `ScanError`.
    """

    rotation_deg = 0

    def __init__(
        self,
        folder: Path,
        to_aligned: np.ndarray,
        meta: Mapping[str, list[float] | str],
        fps: float,
        archives: tuple[Path, Path] | None = None,
        labels: Path | None = None,
    ):
        self.folder, self._to_aligned, self._meta = folder, to_aligned, meta
        self.poses_path = folder / "pose"
        self.flags: list[str] = []
        self._color = numbered(folder / "color", _PICTURES)
        if not self._color:
            raise ScanError(folder / "color", "holds no pictures N.jpg; export the .sens file again")
        self._depth: dict[int, Path] = {}
        self._depth_size: tuple[int, int] | None = None
        try:
            self._depth = numbered(folder / "depth", _DEPTHS)
        except ScanError as error:
            self._leave_out_depth(error)
        self._pose_files = numbered(self.poses_path, _POSES)
        if not self._pose_files:
            raise ScanError(self.poses_path, "holds no poses N.txt; export the .sens file again, with its poses")
        self.numbers = self._frames()
        self.step = _step(self.numbers)
        self.fps, self.n_frames = fps / self.step, len(self.numbers)
        self.width, self.height = self._size(self._color[self.numbers[0]])
        self._color_K = self._intrinsics("color", (self.width, self.height))
        self._open_depth()
        resized = any(flag.startswith("color_resized") for flag in self.flags)
        self._pictures, self._labels = None, labels
        self._label_archive: Path | None = None
        self._n_recorded = max(self._stated("numColorFrames") or 0, self.numbers[-1] + self.step)
        if archives is not None and not resized:
            instances, self._label_archive = archives
            self._pictures = optional_pictures(instances, (self.width, self.height), self._n_recorded)

    def _open_depth(self) -> None:
        """Find size and intrinsics of the depth pictures; without one of them the scan has no depth."""
        lacking = [number for number in self.numbers if number not in self._depth]
        if len(lacking) == self.n_frames:
            self.flags.append("no_depth")
            return
        try:
            size = self._size_of_depth()
            self._depth_K = self._intrinsics("depth", size)
        except ScanError as error:
            self._leave_out_depth(error)
            return
        self._depth_size = size
        self.flags += [f"frames_without_depth:{len(lacking)}"] if lacking else []

    def _size_of_depth(self) -> tuple[int, int]:
        """Return width and height of the first depth picture that can be read. Raises `ScanError` if none can."""
        fault: ScanError | None = None
        for number in self.numbers:
            if number in self._depth:
                try:
                    return self._size(self._depth[number])
                except ScanError as error:
                    fault = fault or error
        raise fault or ScanError(self.folder / "depth", "holds no pictures N.png")

    def _leave_out_depth(self, error: ScanError) -> None:
        """Flag and log that depth cannot be read."""
        self.flags.append("damaged:depth")
        _log.warning("%s; the mesh's depth is used instead", error)

    def _frames(self) -> list[int]:
        """Return the numbers of the frames in growing order, evenly spaced. Raises `ScanError` for a missing one."""
        # Poses and depth give the step even if pictures are lost.
        exported = sorted({*self._color, *self._depth, *self._pose_files})
        step = _step(exported)
        lacking = [n for n in range(exported[0], max(self._color) + 1, step) if n not in self._color]
        if lacking and lacking[0]:
            more = f", and {len(lacking) - 1} more" if len(lacking) > 1 else ""
            raise ScanError(self.folder / "color", f"frame {lacking[0]} is missing{more}: export the .sens file again")
        numbers = sorted(self._color)
        if numbers[0]:
            raise ScanError(self.folder / "color", f"starts with frame {numbers[0]}, not 0: export it again")
        if step > 1:
            self.flags.append(f"every_nth_frame:{step}")
        stated = self._stated("numColorFrames")
        if stated is not None and numbers[-1] + step < stated:
            self.flags.append(f"video_ends_early:{numbers[-1] + 1}_of_{stated}")
        return numbers

    def _stated(self, key: str) -> int | None:
        """Return a count that the scan's .txt states, None without it."""
        value = self._number(key)
        return int(value) if value is not None and 0 < value < 1e9 else None

    def _number(self, key: str) -> float | None:
        """Return a number that the scan's .txt states, None without it."""
        value = self._meta.get(key)
        return value[0] if isinstance(value, list) and len(value) == 1 else None

    @staticmethod
    def _size(path: Path) -> tuple[int, int]:
        """Return width and height of a picture by its header. Raises `ScanError`."""
        with reading(path), open(path, "rb") as file:
            return picture_size(file.read(_HEADER_BYTES))

    def _intrinsics(self, stream: str, size: tuple[int, int]) -> np.ndarray:
        """Return K of the stored pictures of a stream, color or depth.

        The exported file has K of the recorded size; without it, the scan's .txt is used. If pictures were resized by
        the export, K is resized as well where its principal point fits the recorded size better than the new one.
        """
        path = _first_file(self.folder, (f"intrinsic/intrinsic_{stream}.txt", f"intrinsics_{stream}.txt"))
        if path is not None:
            source = path
            with reading(path):
                K = intrinsics(matrix([float(word) for word in read_text(path).split()], 4, 4)[:3, :3])
        else:
            stated = [self._number(f"{name}_{stream}") for name in ("fx", "fy", "mx", "my")]
            values = [value for value in stated if value is not None]
            if len(values) < 4:
                raise ScanError(
                    self.folder / "intrinsic" / f"intrinsic_{stream}.txt",
                    f"no such file, and the scan's .txt states no fx_{stream}: export the .sens file again",
                )
            source = self.folder
            with reading(source):
                fx, fy, cx, cy = values
                K = camera_matrix(fx, fy, cx, cy)
            self.flags.append(f"intrinsics_of_meta:{stream}")
        width, height = self._stated(f"{stream}Width"), self._stated(f"{stream}Height")
        if width is not None and height is not None and (width, height) != size:
            self.flags.append(f"{stream}_resized:{size[0]}x{size[1]}")
            recorded, stored = (abs(K[0, 2] - (columns - 1) / 2) for columns in (width, size[0]))
            K = resize_intrinsics(K, (width, height), size) if recorded < stored else K
        with reading(source):
            return intrinsics(K, size)

    @cached_property
    def poses(self) -> list[np.ndarray | None]:
        """Aligned camera-to-world pose of each frame; None where tracking was lost or no pose was exported."""
        found: list[np.ndarray | None] = []
        for number in self.numbers:
            path, pose = self._pose_files.get(number), None
            if path is not None:
                with reading(path):
                    pose = matrix([float(word) for word in read_text(path).split()], 4, 4)
            found.append(self._to_aligned @ pose if pose is not None and valid_pose(pose) else None)
        return found

    def camera(self, index: int) -> tuple[np.ndarray, np.ndarray | None]:
        return self._color_K, self.poses[index]

    def frame(self, index: int) -> np.ndarray:
        return read_color(self._color[self.numbers[index]], (self.width, self.height))

    def depth_K(self, index: int) -> np.ndarray | None:
        return None if self._depth_size is None else self._depth_K

    def depth(self, index: int) -> np.ndarray | None:
        """Return the depth picture (h,w) f32 of a frame, metres, 0 = unknown, None without one. Raises `ScanError`."""
        path = self._depth.get(self.numbers[index])
        return None if path is None else read_depth(path, self._depth_size).astype(np.float32) * np.float32(1.0 / 1000)

    def instances(self, index: int) -> np.ndarray | None:
        """Return the release's objectId (height, width) of each pixel, -1 = none; None without its optional archive."""
        return self._pictures.frame(self.numbers[index]) if self._pictures else None

    def first_frames(self, labels: Collection[str]) -> FirstFrames | None:
        """Return the first frame of each raw label; None without the optional archive of labels."""
        if self._label_archive is None:
            return None
        size = self.width, self.height
        return first_frames(self._label_archive, size, self._n_recorded, self.numbers, self._labels, labels)

    def close(self) -> None:
        if self._pictures:
            self._pictures.close()


def numbered(folder: Path, suffixes: Sequence[str]) -> dict[int, Path]:
    """Return the files of a folder by the number that is their name; empty without the folder.

    Raises `ScanError` for a name that is no number, and for a number that occurs twice.
    """
    found: dict[int, Path] = {}
    if not note(folder).is_dir():
        return found
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.suffix.lower() not in suffixes:
            continue
        if not (path.stem.isascii() and path.stem.isdecimal() and len(path.stem) < 10):
            raise ScanError(folder, f"holds {path.name}, whose name is not the number of a frame; export it again")
        if int(path.stem) in found:
            raise ScanError(folder, f"frame {int(path.stem)} is there twice: {found[int(path.stem)].name}, {path.name}")
        found[int(path.stem)] = path
    return found


def _step(numbers: Sequence[int]) -> int:
    """Return the greatest common divisor of the distances of neighbouring frames, 1 for a single frame."""
    return gcd(*(after - before for before, after in pairwise(numbers))) or 1


def _first_file(folder: Path, names: Sequence[str]) -> Path | None:
    return next((folder / name for name in names if note(folder / name).is_file()), None)
