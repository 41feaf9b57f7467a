"""Datasets: places of the scans of each release, and their readers. One file of this folder per dataset.

A scan is read as a room (mesh and objects) and a video with poses, both in one aligned world: metres, +z up. A
dataset's file imports little, because configuration checks and the Snakefile's preflight load it: readers of meshes and
videos are imported inside its functions.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from rollout3d import doors
from rollout3d.scenes.release import Release, ScanRef

if TYPE_CHECKING:
    import numpy as np

    from rollout3d.scenes.assets import Asset
    from rollout3d.scenes.scan import FrameSource, Room, Scan

__all__ = ["Dataset", "load", "read_scan", "space_of"]


class Dataset(Protocol):
    """Interface of a file of this folder. `root`: directory of the release."""

    RELEASE: Release
    """Facts about the release: how to get it, the places of its scans and lists, the checks of its annotation."""

    def space_of(self, scene_id: str, visit: str | None = None, /) -> str:
        """Return the physical space of a scan; `visit`: its entry in a table of the release."""
        ...

    def placed(self, path: Path, /) -> tuple[Path, ScanRef] | None:
        """Return root and scan of a folder that is one of the release's places for scans; None for any other folder."""
        ...

    def list_scans(self, root: Path, splits: list[str], lists: Path | str | None = None) -> list[ScanRef]:
        """Return the scans of the splits, including those not on disk. Raises `MissingData` without the release.

        `lists`: folder of the split lists (`site.splits`), None to search the release and its surroundings.
        """
        ...

    def on_disk(self, root: Path, /) -> list[ScanRef]:
        """Return the scans that have a folder, listed or not, sorted by name."""
        ...

    def folders(self, root: Path, ref: ScanRef, /) -> list[Path]:
        """Return the folders that are searched for the files of a scan."""
        ...

    def assets(self, root: Path, ref: ScanRef, /) -> list[Asset]:
        """Return the assets of a scan, in the order in which they are read."""
        ...

    def read_room(self, root: Path, ref: ScanRef, /) -> Room:
        """Read mesh and objects of a scan. Raises `ScanError`."""
        ...

    def open_video(self, root: Path, ref: ScanRef, to_aligned: np.ndarray, /) -> tuple[FrameSource, list[str]]:
        """Open the video of a scan, with poses moved by `to_aligned` (4,4); return it with flags of the scene.

        Raises `ScanError`.
        """
        ...


def load(name: str) -> Dataset:
    """Import the file of a dataset. Raises ValueError that lists the known names."""
    return cast(Dataset, doors.DATASETS.load(name))


def read_scan(dataset: Dataset, root: Path, ref: ScanRef) -> Scan:
    """Read a scan: its room and its video, with the flags of both. Raises `ScanError`."""
    from rollout3d.scenes.scan import Scan

    room = dataset.read_room(root, ref)
    source, flags = dataset.open_video(root, ref, room.to_aligned)
    room.flags += flags
    return Scan(ref, dataset.RELEASE.name, room, source)


def space_of(dataset: str, scene_id: str, visit: str | None = None) -> str:
    """Return the physical space of a scan: the only definition, for splits, shards, leak guard, benchmarks, intervals.

    Two scans of one space show the same room, so they must not be on both sides of a split. `visit`: entry of the scan
    in a table of the release. A scan of an unknown dataset is its own space.
    """
    return load(dataset).space_of(scene_id, visit) if dataset in doors.DATASETS.names else scene_id
