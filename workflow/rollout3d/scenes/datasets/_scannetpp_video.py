"""Read ScanNet++'s videos: the phone's with its own or COLMAP's poses, or pictures of the DSLR."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from rollout3d.fingerprint import note
from rollout3d.geometry.camera import resize_intrinsics, valid_pose
from rollout3d.scenes.assets import Candidate
from rollout3d.scenes.datasets import _scannetpp_colmap
from rollout3d.scenes.datasets._scannetpp_dslr import DslrSource
from rollout3d.scenes.datasets._scannetpp_fisheye import FisheyeSource
from rollout3d.scenes.datasets._scannetpp_registered import cross_check
from rollout3d.scenes.datasets.scannetpp import assets
from rollout3d.scenes.formats.containers import check_container
from rollout3d.scenes.formats.depth_bin import HEIGHT, WIDTH, DepthBin
from rollout3d.scenes.formats.video import Video
from rollout3d.scenes.reading import ScanError, closed_on_error, read_json, reading
from rollout3d.scenes.release import ScanRef
from rollout3d.scenes.scan import FrameSource, intrinsics, matrix

_log = logging.getLogger(__name__)

VIDEO_FPS = 30.0
"""Frame rate of VSI-Bench's copies of the 60 fps videos."""
RECORDED_FPS = 60.0
"""Frame rate of the phone's video as released, whose frames number poses and depth."""
DSLR = {
    "dslr": lambda folder, _: DslrSource(folder),
    "dslr_fisheye": FisheyeSource,
    "dslr_fisheye+colmap": FisheyeSource,
}
"""Candidates of the video that are pictures of the DSLR -> their reader."""
_FULL_SIZE = (1920, 1440)
"""Width and height of the pictures of the released intrinsics."""
_ASPECT = 0.02
"""Largest relative difference between the aspect ratios of the video and of the intrinsics."""


def open_video(root: Path, ref: ScanRef) -> tuple[FrameSource, list[str]]:
    """Return the video of a scan, and flags of the choice of files and of oddities. Raises `ScanError`."""
    video = assets(root, ref)[-1]

    def use(candidate: Candidate) -> PhoneSource | DslrSource:
        if candidate.name in DSLR:
            pictures, _, *cameras = map(Path, candidate.paths)
            return DSLR[candidate.name](pictures.parent, cameras[0])
        file, poses = map(Path, candidate.paths[:2])
        rival = any(other.paths[0] != file and other.paths[0].is_file() for other in video.candidates[:2])
        return PhoneSource(file.parent, file, poses, whole=rival)

    source, flags = video.first(use)
    return source, [*flags, *(["dslr_pictures"] if isinstance(source, DslrSource) else []), *source.flags]


class PhoneSource:
    """The iPhone video at VSI-Bench's 30 fps: index i is frame `step` * i of the file.

    Poses and intrinsics are stored per frame of the file. A frame without an entry has no pose, and the intrinsics of
    the nearest entry. `flags` are oddities of the poses. `video`, `poses`: files of `folder`, by default rgb.mkv and
    pose_intrinsic_imu.json; `poses` may be COLMAP's images.txt. `whole`: decode the whole video, to detect damage that
    its index does not show. Raises `ScanError`.
    """

    rotation_deg = 0

    def __init__(self, folder: Path, video: Path | None = None, poses: Path | None = None, whole: bool = False):
        self.poses_path = poses or folder / "pose_intrinsic_imu.json"
        self.flags: list[str] = []
        video = video or folder / "rgb.mkv"
        if whole:
            check_container(video)
        self._video = Video(video)
        self._depth: DepthBin | None = None
        with closed_on_error(self.close):
            if whole:
                for _ in self._video.sample([]):
                    pass
            self.step = max(1, round(self._video.fps / VIDEO_FPS))
            self.fps = self._video.fps / self.step
            self.n_frames = -(-self._video.n_frames // self.step)
            self.width, self.height = self._video.width, self._video.height
            self.flags += self._video.flags
            if abs(self.width * _FULL_SIZE[1] / (self.height * _FULL_SIZE[0]) - 1) > _ASPECT:
                stated = f"{_FULL_SIZE[0]}x{_FULL_SIZE[1]}"
                size = f"{self.width}x{self.height}"
                raise ScanError(self._video.path, f"pictures of {size} pixels, for intrinsics of {stated}")
            self._recorded = 1  # frames of the recording per frame of the file
            self._read_cameras()
            self.flags += cross_check(
                self.poses_path,
                {f"frame_{index:06d}": pose for index, pose in zip(self._indices, self._poses)},
                folder / "colmap" / "images.txt",
                folder / "nerfstudio" / "transforms.json",
            )
            self._open_depth(folder / "depth.bin")

    def _open_depth(self, path: Path) -> None:
        """Open the depth; log one that cannot be read, because the scan can be used without it."""
        self._has_depth = note(path).exists()
        try:
            self._depth = DepthBin(path) if self._has_depth else None
        except ScanError as error:
            _log.warning("%s: the mesh's depth is used instead", error)

    def _read_cameras(self) -> None:
        """Read numbers, intrinsics and poses of the frames of the recording that have them. Raises `ScanError`."""
        if self.poses_path.name == "images.txt":
            self._indices, self._K, self._poses = _scannetpp_colmap.read_cameras(
                self.poses_path, _FULL_SIZE, self._video.n_frames, self._video.fps
            )
            self._note_early_end(int(self._indices[-1]))
            return
        entries = read_json(self.poses_path)
        with reading(self.poses_path):
            known = sorted((int(key.removeprefix("frame_")), entry) for key, entry in entries.items())
            if not known:
                raise ScanError(self.poses_path, "no frames")
            self._note_thinning(known[-1][0] + 1)
            # The video may be longer than the poses, but not more than a second shorter.
            if known[-1][0] > self._recorded * (self._video.n_frames + self._video.fps):
                raise ScanError(
                    self._video.path,
                    f"ends after {self._video.n_frames} frames, the poses after {known[-1][0] + 1}: truncated?",
                )
            self._note_early_end(known[-1][0])
            self._indices = np.array([index for index, _ in known])
            self._K = np.stack([intrinsics(entry["intrinsic"], _FULL_SIZE) for _, entry in known])
            self._poses = np.stack([matrix(entry["aligned_pose"], 4, 4) for _, entry in known])

    def _note_early_end(self, last: int) -> None:
        """Flag a video that ends before the last frame of the recording that has a pose."""
        missing = last // self._recorded + 1 - self._video.n_frames
        self.flags += [f"video_shorter_than_poses:{missing}"] if missing > 0 else []

    def _note_thinning(self, n_poses: int) -> None:
        """Flag a copy of the video with every k-th frame, whose entries are those of the recording."""
        thinned = round(RECORDED_FPS / self._video.fps)
        if thinned > 1 and abs(n_poses - thinned * self._video.n_frames) <= RECORDED_FPS:
            self._recorded = thinned
            self.flags.append(f"thinned_video:{thinned}")

    def _entry(self, index: int) -> tuple[int, bool]:
        """Return the row of the entry nearest to a frame of the recording, and whether it is the frame's own."""
        row = int(np.abs(self._indices - index).argmin())
        return row, bool(self._indices[row] == index)

    def camera(self, index: int) -> tuple[np.ndarray, np.ndarray | None]:
        row, own = self._entry(index * self.step * self._recorded)
        K = resize_intrinsics(self._K[row], _FULL_SIZE, (self.width, self.height))
        return K, self._poses[row] if own and valid_pose(self._poses[row]) else None

    def frame(self, index: int) -> np.ndarray:
        return self._video.frame(index * self.step)

    def depth_K(self, index: int) -> np.ndarray | None:
        if not self._has_depth:
            return None
        row, _ = self._entry(index * self.step * self._recorded)
        return resize_intrinsics(self._K[row], _FULL_SIZE, (WIDTH, HEIGHT))

    def depth(self, index: int) -> np.ndarray | None:
        return self._depth.frame(index * self.step * self._recorded) if self._depth else None

    def close(self) -> None:
        self._video.close()
        if self._depth:
            self._depth.close()
