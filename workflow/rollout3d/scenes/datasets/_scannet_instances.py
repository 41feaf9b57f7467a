"""Read ScanNet's optional pictures of the annotated instances: `<id>_2d-instance-filt.zip`.

Members `instance-filt/<n>.png`, n the index of the frame without leading zeros, the size of the colour picture, 8 bits:
0 = nothing, else objectId + 1. No table needs them. They are the release's own projection of its annotation, with which
`check-scan` compares ours. Tested with an archive written from this description, not with a released one.
"""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np

from rollout3d.fingerprint import note
from rollout3d.scenes.formats.archive import Archive
from rollout3d.scenes.formats.pictures import decode_picture
from rollout3d.scenes.reading import ScanError, closed_on_error

_MEMBER = re.compile(r"instance-filt/(0|[1-9][0-9]{0,8})\.png")


def optional_pictures(path: Path, size: tuple[int, int], n_frames: int) -> InstancePictures | None:
    """Open the archive at a path; return None without one. Raises `ScanError` if it is damaged or another scan's."""
    if not note(path).exists():
        return None
    try:
        return InstancePictures(path, size, n_frames)
    except ScanError as error:
        reason = f"{error.reason}; the archive is optional: remove it, or download it again"
        raise ScanError(path, reason) from error


class InstancePictures:
    """An open archive of instance pictures for a video of `n_frames` pictures of `size` (width, height).

    Opening it checks every member's name and decodes the first picture. Raises `ScanError` for an archive that is
    damaged, has no members of the expected names, belongs to a longer video, or has pictures of another size.
    """

    def __init__(self, path: Path, size: tuple[int, int], n_frames: int):
        self.path, self._size = path, size
        self._archive = Archive(path)
        with closed_on_error(self.close):
            self._members = {int(m[1]): name for name in self._archive.names if (m := _MEMBER.fullmatch(name))}
            if not self._members:
                raise ScanError(path, "holds no instance-filt/<n>.png")
            if max(self._members) >= n_frames:
                raise ScanError(path, f"has a picture of frame {max(self._members)}, the video has {n_frames} frames")
            self.frame(min(self._members))

    def frame(self, index: int) -> np.ndarray | None:
        """Return the objectId (height, width) i32 of each pixel, -1 = none; None for a frame without a picture."""
        if index not in self._members:
            return None
        # PNG enlarges data by a few bytes per row at most.
        limit = 2 * self._size[0] * self._size[1] + 65536
        data = self._archive.read(self._members[index], limit)
        try:
            picture = decode_picture(data, cv2.IMREAD_UNCHANGED, self._size)
        except ValueError as error:
            raise ScanError(self.path, f"member '{self._members[index]}': {error}") from error
        if picture.ndim != 2 or picture.dtype != np.uint8:
            raise ScanError(self.path, f"member '{self._members[index]}': one channel of 8 bits is expected")
        return picture.astype(np.int32) - 1

    def close(self) -> None:
        self._archive.close()
