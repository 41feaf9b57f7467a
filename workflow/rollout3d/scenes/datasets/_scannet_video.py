"""Read ScanNet's videos: the `.sens` file of a scan, or its export."""

from __future__ import annotations

from collections.abc import Collection
from functools import cached_property
from pathlib import Path

import numpy as np

from rollout3d.fingerprint import note
from rollout3d.geometry.camera import valid_pose
from rollout3d.scenes.assets import Candidate
from rollout3d.scenes.datasets._scannet_exported import ExportedSource
from rollout3d.scenes.datasets._scannet_projected import InstancePictures, first_frames, optional_pictures
from rollout3d.scenes.datasets._scannet_room import read_meta_file
from rollout3d.scenes.datasets.scannet import RELEASE, assets, folders
from rollout3d.scenes.formats.sens import SensFile
from rollout3d.scenes.oddities import time_flags
from rollout3d.scenes.reading import ScanError, closed_on_error
from rollout3d.scenes.release import ScanRef, label_table
from rollout3d.scenes.scan import FirstFrames, FrameSource

VIDEO_FPS = 24.0
"""Frame rate of VSI-Bench's videos, which have every frame of the 30 Hz sensor: times are seconds of these videos."""


def open_video(root: Path, ref: ScanRef, to_aligned: np.ndarray) -> tuple[FrameSource, list[str]]:
    """Return the video of a scan, moved by `to_aligned` (4,4), and flags of the choice of files and of oddities.

    Raises `ScanError`.
    """
    video, labels = assets(root, ref)[-1], label_table(RELEASE, root, note)

    def use(candidate: Candidate) -> FrameSource:
        if candidate.name == "sens":
            return SensSource(Path(candidate.paths[0]), to_aligned, labels)
        return open_export(ref, folders(root, ref)[0], Path(candidate.paths[0]).parent, to_aligned, labels)

    source, flags = video.first(use)
    return source, [*flags, *getattr(source, "flags", [])]


def open_export(
    ref: ScanRef, folder: Path, place: Path, to_aligned: np.ndarray | None = None, labels: Path | None = None
) -> ExportedSource:
    """Open the export in the folder `place` of a scan in `folder`: read names, headers and intrinsics.

    `labels`: the release's label table. Raises `ScanError`.
    """
    meta = folder / f"{ref.scene_id}.txt"
    values = read_meta_file(meta) if note(meta).is_file() else {}
    moved = np.eye(4) if to_aligned is None else to_aligned
    return ExportedSource(place, moved, values, VIDEO_FPS, _archives(folder, ref.scene_id), labels)


def _archives(folder: Path, scene_id: str) -> tuple[Path, Path]:
    """Return the places of a scan's archives of instance pictures and of label pictures."""
    return folder / f"{scene_id}_2d-instance-filt.zip", folder / f"{scene_id}_2d-label-filt.zip"


class SensSource:
    """The video of a scan: every frame of the `.sens` file at 24 fps. Depth has the pose of colour.

    An optional archive of instance pictures beside the `.sens` file is opened as well, and one of label pictures when
    first frames are asked for. An archive of another scan is an error, because files were mixed up. `labels`: the
    release's label table. Raises `ScanError`.
    """

    fps = VIDEO_FPS
    rotation_deg = 0

    def __init__(self, path: Path, to_aligned: np.ndarray, labels: Path | None = None):
        self.poses_path, self._to_aligned, self._labels = path, to_aligned, labels
        self._pictures: InstancePictures | None = None
        self._sens = SensFile(path)
        self.n_frames = self._sens.n_frames
        self.flags = time_flags(self._sens.times, "video")
        self.width, self.height = self._sens.color_size
        instances, self._label_archive = _archives(path.parent, path.stem)
        with closed_on_error(self.close):
            if not self.n_frames:
                raise ScanError(path, "holds no frames")
            self._pictures = optional_pictures(instances, self._sens.color_size, self.n_frames)

    @cached_property
    def poses(self) -> list[np.ndarray | None]:
        """Aligned camera-to-world pose of each frame, None where tracking was lost."""
        # Lost poses are left out before the product, in which -inf times 0 is NaN.
        return [self._to_aligned @ pose if valid_pose(pose) else None for pose in self._sens.poses]

    def camera(self, index: int) -> tuple[np.ndarray, np.ndarray | None]:
        return self._sens.color_K, self.poses[index]

    def frame(self, index: int) -> np.ndarray:
        return self._sens.color(index)

    def depth_K(self, index: int) -> np.ndarray:
        return self._sens.depth_K

    def depth(self, index: int) -> np.ndarray:
        return self._sens.depth(index)

    def instances(self, index: int) -> np.ndarray | None:
        """Return the release's objectId (height, width) of each pixel, -1 = none; None without its optional archive."""
        return self._pictures.frame(index) if self._pictures else None

    def first_frames(self, labels: Collection[str]) -> FirstFrames | None:
        """Return the first frame of each raw label; None without the optional archive of labels."""
        n = self.n_frames
        return first_frames(self._label_archive, self._sens.color_size, n, range(n), self._labels, labels)

    def close(self) -> None:
        self._sens.close()
        if self._pictures:
            self._pictures.close()
