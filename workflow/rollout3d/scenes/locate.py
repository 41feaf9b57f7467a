"""From the folder of one scan to its release: light, so that a mistyped path is refused at once."""

from __future__ import annotations

import os
from pathlib import Path

from rollout3d.scenes.scan import ScanRef


class UnusableScan(ValueError):
    """Nothing can be checked: no such scan, or neither its mesh nor its video can be read."""


def locate(dataset: str, path: Path) -> tuple[Path, ScanRef]:
    """Root of the release and scan of a scan's folder. Raises `UnusableScan` for a folder that is none."""
    path = Path(os.path.abspath(path))  # links stay as they are: scans often lie on other disks
    parent, above = path.parent.name, path.parent.parent.name
    known = {
        "scannet": (parent in ("scans", "scans_test"), "ROOT/scans/<scene>"),
        "scannetpp": (parent == "data", "ROOT/data/<scene>"),
        "arkitscenes": (
            parent in ("Training", "Validation") and above in ("raw", "3dod"),
            "ROOT/raw/Training/<video> (or 3dod, Validation)",
        ),
    }
    right, expected = known[dataset]
    if not path.is_dir():
        raise UnusableScan(f"no folder {path}: name the folder of one scan, {expected}")
    if not right:
        raise UnusableScan(f"{path} is no scan of {dataset}: its folder must be {expected}")
    if dataset == "arkitscenes":
        return path.parents[2], ScanRef(path.name, "", "train" if parent == "Training" else "val")
    return path.parents[1], ScanRef(path.name, "", "test" if parent == "scans_test" else "train")
