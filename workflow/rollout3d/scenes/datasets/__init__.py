"""Datasets: where the scans of a release lie, and how one is read. One file of this folder per dataset.

A scan is read as a room (mesh and objects) and a video with poses, both in one aligned world: metres, +z up.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, cast

import numpy as np

from rollout3d import doors
from rollout3d.scenes.assets import Asset
from rollout3d.scenes.scan import FrameSource, Room, Scan, ScanRef

__all__ = ["Dataset", "load"]


class Dataset(Protocol):
    """What a file of this folder defines. `root`: directory of the release."""

    def list_scans(self, root: Path, splits: list[str], lists: Path | str | None = None) -> list[ScanRef]:
        """Return the scans of the splits, also those that the disk lacks. Raises `MissingData` without the release.

        `lists`: folder of the split lists (`site.splits`), None to search the release and its surroundings.
        """
        ...

    def on_disk(self, root: Path) -> list[ScanRef]:
        """Return the scans that have a folder, whatever the split lists say, sorted by name."""
        ...

    def folders(self, root: Path, ref: ScanRef) -> list[Path]:
        """Return the folders in which the files of a scan are looked for."""
        ...

    def assets(self, root: Path, ref: ScanRef) -> list[Asset]:
        """Return what a scan consists of, in the order in which it is read."""
        ...

    def read_room(self, root: Path, ref: ScanRef) -> Room:
        """Read mesh and objects of a scan. Raises `ScanError`."""
        ...

    def open_video(self, root: Path, ref: ScanRef, to_aligned: np.ndarray) -> tuple[FrameSource, list[str]]:
        """Open the video of a scan, with poses moved by `to_aligned` (4,4); return it with flags of the scene.

        Raises `ScanError`.
        """
        ...

    def read_scan(self, root: Path, ref: ScanRef) -> Scan:
        """Read a scan: its room and its video. Raises `ScanError`."""
        ...


def load(name: str) -> Dataset:
    """Import the file of a dataset. Raises ValueError that lists the known names."""
    return cast(Dataset, doors.DATASETS.load(name))
