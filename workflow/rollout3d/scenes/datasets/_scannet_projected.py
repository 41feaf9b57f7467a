"""Read ScanNet's optional archives of pictures onto which the release has projected its annotation.

Members `<folder>/<n>.png`, n the index of the frame without leading zeros, the size of the colour picture:
`<id>_2d-instance-filt.zip`: `instance-filt/`, 8 bits, 0 = nothing, else objectId + 1; `check-scan` compares ours.
`<id>_2d-label-filt.zip`: `label-filt/`, 16 bits, 0 = nothing, else the column `id` of the release's label table; these
tell the first frame of each label. Tested with archives written from this description, not with released ones.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from rollout3d.fingerprint import note
from rollout3d.scenes.categories import plain
from rollout3d.scenes.datasets._scannet_labels import label_ids
from rollout3d.scenes.formats.archive import Archive
from rollout3d.scenes.formats.pictures import decode_picture
from rollout3d.scenes.reading import ScanError, closed_on_error
from rollout3d.scenes.scan import FirstFrames

LABELS = 1 << 16
"""Number of values that a label picture can have."""


def optional_pictures(path: Path, size: tuple[int, int], n_frames: int) -> InstancePictures | None:
    """Open the archive at a path; return None without one. Raises `ScanError` if it is damaged or another scan's."""
    if not note(path).exists():
        return None
    with _optional(path):
        return InstancePictures(path, size, n_frames)


@contextmanager
def _optional(path: Path) -> Iterator[None]:
    """Add the remedy to an error of the archive at a path."""
    try:
        yield
    except ScanError as error:
        reason = f"{error.reason}; the archive is optional: remove it, or download it again"
        raise ScanError(path, reason) from error


class ProjectedPictures:
    """An open archive of projected pictures for a video of `n_frames` pictures of `size` (width, height).

    Opening it checks every member's name and decodes the first picture. Raises `ScanError` for an archive that is
    damaged, has no members of the expected names, belongs to a longer video, or has pictures of another size.
    """

    folder: str
    """Folder of the members."""
    dtype: Any
    """Type of a pixel."""

    def __init__(self, path: Path, size: tuple[int, int], n_frames: int):
        self.path, self._size = path, size
        self._archive = Archive(path)
        form = re.compile(self.folder + r"/(0|[1-9][0-9]{0,8})\.png")
        with closed_on_error(self.close):
            self.members = {int(m[1]): name for name in self._archive.names if (m := form.fullmatch(name))}
            """Number of a frame -> its member."""
            if not self.members:
                raise ScanError(path, f"holds no {self.folder}/<n>.png")
            if max(self.members) >= n_frames:
                raise ScanError(path, f"has a picture of frame {max(self.members)}, the video has {n_frames} frames")
            self.picture(min(self.members))

    def picture(self, index: int) -> np.ndarray | None:
        """Return the stored values (height, width); None for a frame without a picture. Raises `ScanError`."""
        if index not in self.members:
            return None
        member, dtype = self.members[index], np.dtype(self.dtype)
        # PNG enlarges data by a few bytes per row at most.
        limit = 2 * dtype.itemsize * self._size[0] * self._size[1] + 65536
        data = self._archive.read(member, limit)
        try:
            picture = decode_picture(data, cv2.IMREAD_UNCHANGED, self._size)
        except ValueError as error:
            raise ScanError(self.path, f"member '{member}': {error}") from error
        if picture.ndim != 2 or picture.dtype != dtype:
            raise ScanError(self.path, f"member '{member}': one channel of {8 * dtype.itemsize} bits is expected")
        return picture

    def close(self) -> None:
        self._archive.close()


class InstancePictures(ProjectedPictures):
    """The archive of instances."""

    folder, dtype = "instance-filt", np.uint8

    def frame(self, index: int) -> np.ndarray | None:
        """Return the objectId (height, width) i32 of each pixel, -1 = none; None for a frame without a picture."""
        picture = self.picture(index)
        return None if picture is None else picture.astype(np.int32) - 1


class LabelPictures(ProjectedPictures):
    """The archive of labels."""

    folder, dtype = "label-filt", np.uint16


def first_frames(
    path: Path,
    size: tuple[int, int],
    n_frames: int,
    numbers: Sequence[int],
    table: Path | None,
    labels: Collection[str],
) -> FirstFrames | None:
    """Return the first frame of each raw label by the archive of labels at a path; None without it or a label table.

    `size`, `n_frames`: of the pictures, and of the recording; `numbers`: the recorded frame behind each frame of the
    video, in its order. Pictures are read one after the other, until every label has been found. Labels of one id are
    not told apart. Raises `ScanError` for an archive that is damaged or another scan's, and `MissingData` for a damaged
    label table.
    """
    ids = label_ids(table) if table is not None else None
    if not note(path).exists() or ids is None:
        return None
    with _optional(path), closing(LabelPictures(path, size, n_frames)) as pictures:
        of_label = {label: ids[plain(label)] for label in labels if plain(label) in ids}
        found = _first_of(pictures, numbers, set(of_label.values()))
        lacking = sum(number not in pictures.members for number in numbers)
    return FirstFrames({label: found[each] for label, each in of_label.items() if each in found}, lacking)


def _first_of(pictures: LabelPictures, numbers: Sequence[int], wanted: set[int]) -> Mapping[int, int]:
    """Return id -> place, among `numbers`, of the first picture that has a pixel of it."""
    found: dict[int, int] = {}
    for place, number in enumerate(numbers):
        if len(found) == len(wanted):
            break
        picture = pictures.picture(number)
        if picture is not None:
            there = np.zeros(LABELS, bool)
            there[picture] = True
            found |= {each: place for each in wanted if there[each] and each not in found}
    return found
