"""ScanNet: `.sens` video, cleaned mesh, segments and aggregation, moved to the axis-aligned frame.

Root: scans/<id>/ (also scans_train/, scans_val/), scans_test/<id>/, scannetv2_{train,val,test}.txt (where
`releases.list_file` looks), scannetv2-labels.combined.tsv; a root of the first version has scannetv1_{...}.txt,
scannet-labels.combined.tsv and scans without axisAlignment. Mesh vertices and camera poses share one raw world; both
are aligned by the same matrix (scan's .txt), or neither. Objects: the minimal oriented box of the instance's aligned
vertices, as VSI-Bench has it, and their axis-aligned box. Without the `.sens` file its export serves (`exported`);
without the annotation of the cleaned mesh, that of the full-resolution mesh. Both are flags.

Checked against files written from the published description, not against a released scan, which the licence keeps
private.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from rollout3d.fingerprint import note
from rollout3d.geometry.boxes import minimal_oriented_box
from rollout3d.geometry.camera import valid_pose
from rollout3d.releases import SCANNET_LABELS, MissingData, label_table, list_files, missing, require
from rollout3d.scenes.assets import Asset, Candidate, found_in
from rollout3d.scenes.categories import scannet_labels
from rollout3d.scenes.contract import Accepted, Refused, accept, identity, read_splits
from rollout3d.scenes.datasets._scannet_exported import ExportedSource, export_folders
from rollout3d.scenes.datasets._scannet_instances import InstancePictures, optional_pictures
from rollout3d.scenes.formats.ply import read_ply
from rollout3d.scenes.formats.sens import SensFile
from rollout3d.scenes.oddities import time_flags
from rollout3d.scenes.scan import (
    Annotated,
    FrameSource,
    Room,
    Scan,
    ScanError,
    ScanRef,
    matrix,
    read_json,
    read_text,
    reading,
    segment_of_vertices,
)
from rollout3d.spaces import space_of

NAME = "scannet"
PLACES = {"train": ("scans", "scans_train", "scans_val"), "test": ("scans_test", "scans")}
"""Folders of scans below the root, by split: those of train serve val too."""
VIDEO_FPS = 24.0
"""VSI-Bench writes every frame of the 30 Hz sensor into a 24 fps video: times are seconds of that video."""


def list_scans(root: Path, splits: list[str], lists: Path | str | None = None) -> list[ScanRef]:
    """The scans of the splits, in the order of the split files, which `releases.list_file` finds. Raises
    `MissingData`."""
    require(NAME, root)
    found = []
    files = list_files(NAME, root, splits, lists, note)
    for split, scene_id in read_splits(files, splits, "it comes with the download (github.com/ScanNet/ScanNet)"):
        present = _folder(root, ScanRef(scene_id, "", split)).is_dir()
        found.append(ScanRef(scene_id, space_of(NAME, scene_id), split, present))
    return found


def on_disk(root: Path) -> list[ScanRef]:
    """The scans that have a folder, whatever the split lists say, by name."""
    found: dict[str, ScanRef] = {}
    for split, name in [*(("train", name) for name in PLACES["train"]), ("test", PLACES["test"][0])]:
        for path in sorted((root / name).glob("scene*")):
            found.setdefault(path.name, ScanRef(path.name, space_of(NAME, path.name), split))
    return sorted(found.values(), key=lambda ref: ref.scene_id)


def folders(root: Path, ref: ScanRef) -> list[Path]:
    """Where the files of a scan are looked for."""
    return [_folder(root, ref)]


def assets(root: Path, ref: ScanRef) -> list[Asset]:
    """What a scan consists of, in the order in which it is read: meta, mesh, video."""
    folder, scene_id = _folder(root, ref), ref.scene_id

    def file(suffix: str) -> Path:
        return folder / f"{scene_id}{suffix}"

    clean, full = [file("_vh_clean_2.ply")], [file("_vh_clean.ply")]
    if ref.annotated and (ref.split != "test" or note(file(".aggregation.json")).exists()):
        clean += [file(".aggregation.json"), file("_vh_clean_2.0.010000.segs.json")]
        full += [file("_vh_clean.aggregation.json"), file("_vh_clean.segs.json")]
    exports = [
        Candidate("exported", (place / "color", place / "pose"), check=partial(_open_export, ref, folder, place))
        for place in export_folders(folder)
    ]
    return [
        Asset("meta", (Candidate("txt", (file(".txt"),)),), f"download {scene_id}.txt"),
        Asset(
            "mesh",
            (Candidate("vh_clean_2", tuple(clean)), Candidate("vh_clean", tuple(full))),
            "",
        ),
        Asset(
            "video",
            (Candidate("sens", (file(".sens"),)), *exports),
            f"download {scene_id}.sens, or its export by the release's SensReader: color/, depth/, pose/, intrinsic/",
        ),
    ]


def read_room(root: Path, ref: ScanRef) -> Room:
    """Mesh and objects of a scan. Raises `ScanError`, or `MissingData` without the label table."""
    tsv = label_table(root, note)
    if tsv is None and not ref.alone:
        raise MissingData(
            missing(NAME, root)
            or f"{NAME}: no label table {root / SCANNET_LABELS[0]}; the download script has it. {found_in(root)}"
        )
    meta_asset, mesh_asset, _ = assets(root, ref)
    (meta_path, _), flags = meta_asset.file(), []
    meta = _read_meta(meta_path)
    to_aligned = np.eye(4)
    if "axisAlignment" in meta:
        with reading(meta_path):
            to_aligned = matrix(meta["axisAlignment"], 4, 4)
        if not valid_pose(to_aligned):
            raise ScanError(meta_path, "axisAlignment is no rigid transform")
    else:
        flags.append("no_axis_alignment")
    ((mesh_path, *annotation), mesh), chosen = mesh_asset.first(lambda each: (each.paths, read_ply(each.paths[0])))
    vertices = mesh.vertices @ to_aligned[:3, :3].T + to_aligned[:3, 3]
    found = _read_objects(annotation, ref, vertices, tsv, flags)
    flags += [*chosen, *([] if tsv is not None else ["no_label_table"])]
    scene_type = meta.get("sceneType")
    scene_type = scene_type if isinstance(scene_type, str) else None
    room = Room(vertices, mesh.faces, mesh.colors, [], to_aligned, scene_type, flags, mesh_path)
    return room if found is None else found.into(room)


def read_scan(root: Path, ref: ScanRef) -> Scan:
    """A scan with its video. Raises `ScanError`, or `MissingData` without the label table."""
    room = read_room(root, ref)
    source, flags = open_video(root, ref, room.to_aligned)
    room.flags += flags
    return Scan(ref, NAME, room, source)


def open_video(root: Path, ref: ScanRef, to_aligned: np.ndarray) -> tuple[FrameSource, list[str]]:
    """The video of a scan, moved by `to_aligned`, and flags of its choice and oddities. Raises `ScanError`."""
    video = assets(root, ref)[-1]

    def use(candidate: Candidate) -> FrameSource:
        if candidate.name == "sens":
            return SensSource(candidate.paths[0], to_aligned)
        return _open_export(ref, _folder(root, ref), candidate.paths[0].parent, to_aligned)

    source, flags = video.first(use)
    return source, [*flags, *getattr(source, "flags", [])]


def _open_export(ref: ScanRef, folder: Path, place: Path, to_aligned: np.ndarray | None = None) -> ExportedSource:
    """The export at a place of the scan in a folder; it reads names, headers and intrinsics. Raises `ScanError`."""
    meta, archive = folder / f"{ref.scene_id}.txt", folder / f"{ref.scene_id}_2d-instance-filt.zip"
    values = _read_meta(meta) if note(meta).is_file() else {}
    return ExportedSource(place, np.eye(4) if to_aligned is None else to_aligned, values, VIDEO_FPS, archive)


class SensSource:
    """The video of a scan: every frame of the `.sens` file at 24 fps. Depth has the pose of colour.

    The optional archive of instance pictures is opened where it lies beside the `.sens` file: one that is not this
    scan's is an error, because it says that files were mixed up.
    """

    fps = VIDEO_FPS
    rotation_deg = 0

    def __init__(self, path: Path, to_aligned: np.ndarray):
        self.poses_path, self._to_aligned = path, to_aligned
        self._pictures: InstancePictures | None = None
        self._sens = SensFile(path)
        self.n_frames = self._sens.n_frames
        self.flags = time_flags(self._sens.times, "video")
        self.width, self.height = self._sens.color_size
        if not self.n_frames:
            self.close()
            raise ScanError(path, "holds no frames")
        archive = path.with_name(f"{path.stem}_2d-instance-filt.zip")
        try:
            self._pictures = optional_pictures(archive, self._sens.color_size, self.n_frames)
        except ScanError:
            self.close()
            raise

    @cached_property
    def poses(self) -> list[np.ndarray | None]:
        """Aligned camera-to-world of each frame. Lost frames are sorted out first: -inf times 0 is NaN."""
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
        """The release's own objectId of each pixel (height, width), -1 = none; None without its optional archive."""
        return self._pictures.frame(index) if self._pictures else None

    def close(self) -> None:
        self._sens.close()
        if self._pictures:
            self._pictures.close()


def _folder(root: Path, ref: ScanRef) -> Path:
    """The folder of a scan; where it would be if it is nowhere."""
    if ref.folder is not None:
        return ref.folder
    places = [root / name / ref.scene_id for name in PLACES["test" if ref.split == "test" else "train"]]
    return next((place for place in places if note(place).is_dir()), places[0])


def _read_meta(path: Path) -> dict[str, Any]:
    """`key = value` lines; values that are numbers throughout become lists of floats."""
    meta: dict[str, Any] = {}
    with reading(path):
        for line in read_text(path).splitlines():
            key, found, value = line.partition("=")
            if not found:
                continue
            try:
                meta[key.strip()] = [float(word) for word in value.split()]
            except ValueError:
                meta[key.strip()] = value.strip()
    if not meta:
        raise ScanError(path, "holds no `key = value`: empty or damaged; download it again")
    return meta


def _read_objects(
    annotation: Sequence[Path], ref: ScanRef, vertices: np.ndarray, tsv: Path | None, flags: list[str]
) -> Accepted | None:
    if not annotation:
        flags.append("no_annotation")
        return None
    aggregation, segments_path = annotation
    groups = read_json(aggregation)
    segments = read_json(segments_path)
    with reading(segments_path):
        of_vertex = segment_of_vertices(segments, len(vertices))
    with reading(aggregation):
        stated = str(groups.get("sceneId", ref.scene_id)).removeprefix("scannet.")
        if stated != ref.scene_id:
            raise ScanError(aggregation, f"is of another scan, '{stated}'")
        found, n_empty = _group_vertices(groups["segGroups"], of_vertex, vertices, tsv, flags)
    return accept(aggregation, found, vertices, n_empty)


def _group_vertices(
    groups: list[dict[str, Any]], of_vertex: np.ndarray, vertices: np.ndarray, tsv: Path | None, flags: list[str]
) -> tuple[list[Annotated | Refused], int]:
    labels = scannet_labels(tsv)
    ids, inverse = np.unique(of_vertex, return_inverse=True)
    objects: list[Annotated | Refused] = []
    seen: set[tuple[int, ...]] = set()
    n_duplicate = n_empty = 0
    for group in groups:
        segments = tuple(sorted(set(group["segments"])))
        object_id, label = identity(group)
        if segments and segments in seen:
            n_duplicate += 1  # one released scan lists every object twice
            continue
        seen.add(segments)
        absent = np.setdiff1d(segments, ids, assume_unique=True)
        if len(absent):
            raise ValueError(
                f"object {object_id} ('{label}') names segment {absent[0]}, which no vertex of the mesh has"
            )
        index = np.flatnonzero(np.isin(ids, segments)[inverse])
        if not len(index):
            n_empty += 1
            continue
        meaning = labels(label)
        points = vertices[index]
        box = partial(minimal_oriented_box, points)
        low, high = points.min(axis=0), points.max(axis=0)
        n = len(index)
        objects.append(
            Annotated(object_id, label, meaning.category, meaning.perturbable, box, low, high, n, index, meaning.known)
        )
    flags += [f"{what}:{n}" for what, n in (("duplicate_objects", n_duplicate), ("empty_objects", n_empty)) if n]
    return objects, n_empty
