"""From the folder of one scan to its release: light, so that a mistyped path is refused at once."""

from __future__ import annotations

import os
from pathlib import Path

from rollout3d.errors import UserError
from rollout3d.scenes.scan import ScanRef
from rollout3d.spaces import space_of


class UnusableScan(UserError, ValueError):
    """Nothing can be checked: no such scan, or neither its mesh nor its video can be read."""


_EXPECTED = {
    "scannet": "ROOT/scans/<scene>",
    "scannetpp": "ROOT/data/<scene>",
    "arkitscenes": "ROOT/raw/Training/<video> (or 3dod, Validation)",
}
_TELLTALES = {
    "scannet": ("_vh_clean_2.ply", "_vh_clean.ply", ".sens", ".aggregation.json"),
    "scannetpp": ("scans/mesh_aligned_0.05.ply", "scans/mesh_aligned_0.05_semantic.ply", "scans/segments_anno.json"),
    "arkitscenes": ("_3dod_mesh.ply", "_3dod_annotation.json"),
}
"""Endings of files whose names begin with the scan's id (ScanNet++: files), by which a folder is known for a scan's."""


def locate(dataset: str, path: Path) -> tuple[Path, ScanRef]:
    """Root of the release and scan of a scan's folder, which may also lie by itself, outside a release.

    `path` may also name a file of the scan, or ARKitScenes' archive of it. A scan by itself is `alone`, and its root is
    the folder in or above which tables of the release may lie. Raises `UnusableScan` for a folder that is none of a
    scan.
    """
    path = Path(os.path.abspath(path))  # links stay as they are: scans often lie on other disks
    packed = dataset == "arkitscenes" and path.suffix == ".zip" and path.is_file()
    path = path.with_suffix("") if packed else path.parent if path.is_file() else path
    packed |= dataset == "arkitscenes" and path.with_name(f"{path.name}.zip").is_file()
    parent, above = path.parent.name, path.parent.parent.name
    if not path.is_dir() and not packed:
        raise UnusableScan(f"no folder {path}: name the folder of one scan, {_EXPECTED[dataset]}")
    if dataset == "scannet" and parent in ("scans", "scans_test", "scans_train", "scans_val"):
        split = {"scans_test": "test", "scans_val": "val"}.get(parent, "train")
        return path.parents[1], ScanRef(path.name, space_of(dataset, path.name), split)
    if dataset == "scannetpp" and parent == "data":
        return path.parents[1], ScanRef(path.name, path.name, "train")
    if dataset == "arkitscenes" and parent in ("Training", "Validation") and above in ("raw", "3dod"):
        return path.parents[2], ScanRef(path.name, path.name, "train" if parent == "Training" else "val")
    scene_id = _scene_id(dataset, path) if path.is_dir() else path.name
    space = space_of(dataset, scene_id)
    root = path.parent if dataset == "scannetpp" else path
    return root, ScanRef(scene_id, space, "train", folder=path, alone=True)


def _scene_id(dataset: str, path: Path) -> str:
    """The id of a scan that lies by itself, from its files. Raises `UnusableScan`."""
    endings = _TELLTALES[dataset]
    if dataset == "scannetpp":
        if any((path / name).is_file() for name in endings):
            return path.name
    else:
        names = [entry.name for entry in path.iterdir()]
        ids = {name.removesuffix(end) for end in endings for name in names if name.endswith(end)}
        ids = {name.removesuffix("_vh_clean") for name in ids} - {""}
        if path.name in ids or len(ids) == 1:
            return path.name if path.name in ids else ids.pop()
        if ids:
            raise UnusableScan(f"{path} holds files of several scans ({', '.join(sorted(ids)[:4])}): name one's folder")
    shown = " or ".join(end if dataset == "scannetpp" else f"<scene>{end}" for end in endings)
    where = f"its folder must be {_EXPECTED[dataset]}, or hold the files of one scan ({shown})"
    raise UnusableScan(f"{path} is no scan of {dataset}: {where}")
