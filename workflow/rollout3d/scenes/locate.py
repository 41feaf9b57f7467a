"""Locate the release of a scan's folder. Imports little, so that a mistyped path is refused at once."""

from __future__ import annotations

import os
from pathlib import Path

from rollout3d.errors import UserError
from rollout3d.scenes.datasets import load
from rollout3d.scenes.release import Release, ScanRef


class UnusableScan(UserError, ValueError):
    """A scan that cannot be checked: it is not there, or neither its mesh nor its video can be read."""


def locate(dataset: str, path: Path) -> tuple[Path, ScanRef]:
    """Return the root of the release and the scan of a folder, which may be inside a release or by itself.

    `path` may also name a file of the scan, or the archive in place of its folder. A scan by itself has `alone` set,
    and its root is the folder in or above which tables of the release may be. Raises `UnusableScan` for a folder that
    is none of a scan.
    """
    reader = load(dataset)
    release = reader.RELEASE
    path = Path(os.path.abspath(path))  # links stay as they are: scans often lie on other disks
    packed = release.archives and path.suffix == ".zip" and path.is_file()
    path = path.with_suffix("") if packed else path.parent if path.is_file() else path
    packed |= release.archives and path.with_name(f"{path.name}.zip").is_file()
    if not path.is_dir() and not packed:
        raise UnusableScan(f"no folder {path}: name the folder of one scan, {release.scan_folder}")
    placed = reader.placed(path)
    if placed is not None:
        return placed
    scene_id = _scene_id(release, path) if path.is_dir() else path.name
    root = path.parent if release.telltale_files else path
    return root, ScanRef(scene_id, reader.space_of(scene_id), "train", folder=path, alone=True)


def _scene_id(release: Release, path: Path) -> str:
    """Return the id of a scan outside a release, from its files. Raises `UnusableScan`."""
    if any((path / name).is_file() for name in release.telltale_files):
        return path.name
    names = [entry.name for entry in path.iterdir()]
    ids = {name.removesuffix(end) for end in release.telltales for name in names if name.endswith(end)}
    ids = {name.removesuffix("_vh_clean") for name in ids} - {""}
    if path.name in ids or len(ids) == 1:
        return path.name if path.name in ids else ids.pop()
    if ids:
        some = ", ".join(sorted(ids)[:4])
        raise UnusableScan(f"{path} holds files of several scans ({some}): name the folder of one scan")
    expected = " or ".join([*(f"<scene>{end}" for end in release.telltales), *release.telltale_files])
    where = f"its folder must be {release.scan_folder}, or hold the files of one scan ({expected})"
    raise UnusableScan(f"{path} is no scan of {release.name}: {where}")
