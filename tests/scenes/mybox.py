"""MyBox, a dataset made up for a test: a scan is one JSON file of boxes beside a folder of pictures.

data/<id>/scan.json: {"size": [x, y, z] of the room in metres, "fps": ..., "K": nine numbers, "poses": [[16 numbers]],
"objects": [{"label", "low": [3], "high": [3]}]}; data/<id>/frames/000000.png, ... The room's floor is at z = 0 and its
corner at the origin. train.txt and val.txt in the root name the scans.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import cv2
import numpy as np

from rollout3d.fingerprint import note
from rollout3d.geometry.boxes import OrientedBox
from rollout3d.scenes.assets import Asset, Candidate
from rollout3d.scenes.contract import accept
from rollout3d.scenes.formats.pictures import decode_picture
from rollout3d.scenes.lists import read_splits
from rollout3d.scenes.reading import read_json, reading
from rollout3d.scenes.release import Release, ScanRef, list_files, require
from rollout3d.scenes.scan import Annotated, Room

NAME = "mybox"
RELEASE = Release(
    name=NAME,
    title="MyBox",
    folders=("data",),
    scan_folder="ROOT/data/<scan>",
    how="run the test that writes it",
    terms="MyBox (no licence: it is made up)",
    n_scans=2,
    splits=("train", "val"),
    lists=({"train": "train.txt", "val": "val.txt", "test": "test.txt"},),
    telltale_files=("scan.json",),
)
CATEGORIES = frozenset({"chair", "table", "sofa", "bed", "tv", "lamp", "stove"})
CELL_M = 0.1
_FACES = ((0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3))
"""Corners of the sides of a box, which are numbered by the bits x, y, z from the highest."""


def space_of(scene_id: str, visit: str | None = None) -> str:
    """Return the physical space of a scan: the part of its name before the dash."""
    return scene_id.split("-")[0]


def placed(path: Path) -> tuple[Path, ScanRef] | None:
    """Return root and scan of a folder in data/."""
    return (path.parents[1], ScanRef(path.name, space_of(path.name), "train")) if path.parent.name == "data" else None


def list_scans(root: Path, splits: list[str], lists: Path | str | None = None) -> list[ScanRef]:
    """Return the scans that the lists name."""
    require(RELEASE, root)
    found = read_splits(list_files(RELEASE, root, splits, lists, note), splits, RELEASE.how)
    return [ScanRef(name, space_of(name), split, (root / "data" / name).is_dir()) for split, name in found]


def on_disk(root: Path) -> list[ScanRef]:
    """Return the scans that have a folder."""
    return [ScanRef(path.name, space_of(path.name), "train") for path in sorted((root / "data").iterdir())]


def folders(root: Path, ref: ScanRef) -> list[Path]:
    """Return the folder of a scan."""
    return [ref.folder or root / "data" / ref.scene_id]


def assets(root: Path, ref: ScanRef) -> list[Asset]:
    """Return what a scan consists of."""
    (folder,) = folders(root, ref)
    return [
        Asset("annotation", (Candidate("scan", (folder / "scan.json",)),), RELEASE.how),
        Asset("video", (Candidate("frames", (folder / "frames",)),), RELEASE.how),
    ]


def read_room(root: Path, ref: ScanRef) -> Room:
    """Read the boxes of a scan; the mesh is made of them, and of the floor."""
    path = folders(root, ref)[0] / "scan.json"
    content = read_json(path)
    with reading(path):
        objects, surfaces, n = [], [_patch(np.zeros(3), *np.diag(content["size"])[:2])], 0
        n = len(surfaces[0][0])
        for k, item in enumerate(content["objects"]):
            low, high = np.array(item["low"], np.float64), np.array(item["high"], np.float64)
            corners = np.array(
                [[(low, high)[k >> 2 & 1][0], (low, high)[k >> 1 & 1][1], (low, high)[k & 1][2]] for k in range(8)]
            )
            mine = [_patch(corners[a], corners[b] - corners[a], corners[d] - corners[a]) for a, b, _, d in _FACES]
            index = np.arange(n, n + sum(len(points) for points, _ in mine))
            surfaces += mine
            n = int(index[-1]) + 1
            box = partial(OrientedBox, (low + high) / 2, high - low, np.eye(3))
            label = item["label"]
            category = label if label in CATEGORIES else None
            objects.append(Annotated(k, label, category, True, box, low, high, len(index), index))
        starts = np.cumsum([0, *(len(points) for points, _ in surfaces)])
        vertices = np.concatenate([points for points, _ in surfaces])
        faces = np.concatenate([start + faces for start, (_, faces) in zip(starts, surfaces)]).astype(np.int32)
        room = Room(vertices, faces, None, [], mesh_path=path)
    return accept(path, objects, vertices).into(room)


def open_video(root: Path, ref: ScanRef, to_aligned: np.ndarray) -> tuple[Pictures, list[str]]:
    """Open the pictures of a scan."""
    return Pictures(folders(root, ref)[0]), []


class Pictures:
    """The frames of a scan, with the poses of scan.json. There is no depth."""

    rotation_deg = 0

    def __init__(self, folder: Path):
        self.poses_path = folder / "scan.json"
        content = read_json(self.poses_path)
        self._files = sorted((folder / "frames").glob("*.png"))
        with reading(self.poses_path):
            self.fps = float(content["fps"])
            self._K = np.reshape(content["K"], (3, 3)).astype(np.float64)
            self._poses = [np.reshape(pose, (4, 4)).astype(np.float64) for pose in content["poses"]]
        self.n_frames = len(self._files)
        self.height, self.width = self.frame(0).shape[:2]

    def camera(self, index: int) -> tuple[np.ndarray, np.ndarray | None]:
        return self._K, self._poses[index]

    def frame(self, index: int) -> np.ndarray:
        with reading(self._files[index]):
            picture = decode_picture(self._files[index].read_bytes(), cv2.IMREAD_COLOR)
        return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)

    def depth_K(self, index: int) -> None:
        return None

    def depth(self, index: int) -> None:
        return None

    def close(self) -> None:
        """Nothing is held open."""


def _patch(corner: np.ndarray, along: np.ndarray, across: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return vertices (V,3) and faces (F,3) of a parallelogram, in cells of `CELL_M` at most."""
    n, m = (int(np.ceil(np.linalg.norm(side) / CELL_M)) + 1 for side in (along, across))
    a, b = np.meshgrid(np.linspace(0, 1, n), np.linspace(0, 1, m), indexing="ij")
    points = corner + a.reshape(-1, 1) * along + b.reshape(-1, 1) * across
    i = np.arange(n * m).reshape(n, m)
    first, second, third, fourth = (part.ravel() for part in (i[:-1, :-1], i[1:, :-1], i[1:, 1:], i[:-1, 1:]))
    return points, np.concatenate([np.stack([first, second, third], 1), np.stack([first, third, fourth], 1)])
