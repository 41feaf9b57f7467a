"""ScanNet++: the iPhone video with ARKit poses aligned to the laser scan, and the annotated mesh.

Root: data/<id>/{iphone,scans}/, splits/, metadata/. The world is that of mesh_aligned_0.05 (metres, +z up), so nothing
is moved. Frames are every second one of the 60 fps video, as in VSI-Bench's 30 fps copies. Of rgb.mkv and rgb.mp4 the
first whole one is taken; without pose_intrinsic_imu.json COLMAP's cameras serve (`registered_video`); a scene without
either is shown by its DSLR pictures (`dslr`; undistorted here if the release's are missing, `fisheye`). Each is a flag.
Poses are compared with the release's COLMAP and nerfstudio files where these are there (`registered`). Boxes are the
release's own (`obb`, rows are the axes). A vertex in several instances belongs to the one with the fewest vertices
(official rule).

The released mesh keeps 5 % of its faces, so its vertices are far apart on flat surfaces. Points sampled on the faces
are added behind the mesh vertices, and belong to the instance of the nearest corner; `n_points` counts mesh vertices.

Checked against files written from the published description, not against a released scan, which the licence keeps
private.
"""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from rollout3d.fingerprint import note
from rollout3d.geometry.camera import resize_intrinsics, valid_pose
from rollout3d.releases import list_files, require
from rollout3d.scenes.assets import Asset, Candidate
from rollout3d.scenes.categories import scannetpp_labels
from rollout3d.scenes.contract import NoObjects, Refused, accept, identity, read_splits, read_stated
from rollout3d.scenes.datasets import _scannetpp_colmap as registered_video
from rollout3d.scenes.datasets._scannetpp_dslr import DslrSource, listed_pictures
from rollout3d.scenes.datasets._scannetpp_fisheye import FisheyeSource
from rollout3d.scenes.datasets._scannetpp_registered import cross_check
from rollout3d.scenes.formats.containers import check_container
from rollout3d.scenes.formats.depth_bin import HEIGHT, WIDTH, DepthBin
from rollout3d.scenes.formats.ply import read_ply
from rollout3d.scenes.formats.video import Video
from rollout3d.scenes.scan import (
    Annotated,
    FrameSource,
    Room,
    Scan,
    ScanError,
    ScanRef,
    intrinsics,
    matrix,
    read_json,
    reading,
    segment_of_vertices,
)
from rollout3d.scenes.surface import sample_surface
from rollout3d.seeding import generator
from rollout3d.spaces import space_of

_log = logging.getLogger(__name__)

NAME = "scannetpp"
VIDEO_FPS = 30.0
"""VSI-Bench's copies of the 60 fps videos."""
RECORDED_FPS = 60.0
"""Of the phone's video as released, whose frames poses and depth are numbered by."""
SURFACE_SPACING_M = 0.03
"""Spacing of the points added on the faces: near ScanNet's vertex spacing."""

COLMAP = ("images.txt", "cameras.txt")
DSLR = {
    "dslr": lambda folder, _: DslrSource(folder),
    "dslr_fisheye": FisheyeSource,
    "dslr_fisheye+colmap": FisheyeSource,
}
"""Candidates of the video that are pictures of the DSLR -> what reads them."""
_FULL_SIZE = (1920, 1440)
"""Pixels that the released intrinsics refer to."""
_ASPECT = 0.02
"""How far width over height of the video may be from that of the intrinsics, as a share."""


def list_scans(root: Path, splits: list[str], lists: Path | str | None = None) -> list[ScanRef]:
    """The scans of the splits, in the order of the split files, which `releases.list_file` finds. Raises
    `MissingData`."""
    require(NAME, root)
    files = list_files(NAME, root, splits, lists, note)
    return [
        ScanRef(scene_id, space_of(NAME, scene_id), split, (root / "data" / scene_id).is_dir())
        for split, scene_id in read_splits(files, splits, "the download script has it among the metadata")
    ]


def on_disk(root: Path) -> list[ScanRef]:
    """The scans that have a folder, whatever the split lists say, by name."""
    paths = sorted(path for path in (root / "data").iterdir() if path.is_dir() and not path.name.startswith("."))
    return [ScanRef(path.name, path.name, "train") for path in paths]


def folders(root: Path, ref: ScanRef) -> list[Path]:
    """Where the files of a scan are looked for."""
    return [ref.folder or root / "data" / ref.scene_id]


def assets(root: Path, ref: ScanRef) -> list[Asset]:
    """What a scan consists of, in the order in which it is read: mesh, annotation if it has one, video."""
    (folder,) = folders(root, ref)
    scans, phone, dslr = folder / "scans", folder / "iphone", folder / "dslr"
    meshes = [Candidate(name, (scans / f"{name}.ply",)) for name in ("mesh_aligned_0.05", "mesh_aligned_0.05_semantic")]
    found = [Asset("mesh", tuple(meshes), "download the scans asset")]
    annotation = scans / "segments_anno.json"
    if ref.annotated and (ref.split != "test" or note(annotation).exists()):
        files = (scans / "segments.json", annotation)
        found.append(Asset("annotation", (Candidate("segments_anno", files),), "download the scans asset"))
    own, registered = (
        (phone / "pose_intrinsic_imu.json",),
        tuple(phone / "colmap" / name for name in COLMAP),
    )
    videos = [
        Candidate(name + suffix, (phone / name, *poses))
        for suffix, poses in (("", own), ("+colmap", registered))
        for name in ("rgb.mkv", "rgb.mp4")
    ]
    lists = dslr / "train_test_lists.json"
    pictures = [
        Candidate(name, (dslr / images, lists, *cameras), check=partial(listed_pictures, dslr / images, lists))
        for name, images, cameras in (
            ("dslr", "resized_undistorted_images", [dslr / "nerfstudio" / "transforms_undistorted.json"]),
            ("dslr_fisheye", "resized_images", [dslr / "nerfstudio" / "transforms.json"]),
            ("dslr_fisheye+colmap", "resized_images", [dslr / "colmap" / name for name in COLMAP]),
        )
    ]
    remedy = (
        "download iphone/rgb.mkv and iphone/pose_intrinsic_imu.json (or iphone/colmap), or of the dslr asset "
        "resized_undistorted_images or resized_images with train_test_lists.json and nerfstudio"
    )
    return [*found, Asset("video", (*videos, *pictures), remedy)]


def read_room(root: Path, ref: ScanRef) -> Room:
    """Mesh, added surface points and objects of a scan. Raises `ScanError`."""
    folder = folders(root, ref)[0] / "scans"
    annotation = folder / "segments_anno.json"
    # Both meshes have the annotated vertices, but the semantic one may be painted by class.
    (mesh_path, mesh), chosen = assets(root, ref)[0].first(lambda each: (each.paths[0], read_ply(each.paths[0])))
    if not ref.annotated or (ref.split == "test" and not note(annotation).exists()):
        groups, owner, flags = [], np.full(len(mesh.vertices), -1), ["no_annotation"]
    else:
        of_vertex = _segments(folder / "segments.json", len(mesh.vertices))
        content = read_json(annotation)
        with reading(annotation):
            groups = content["segGroups"]
            owner, flags = _owners(groups, of_vertex), []
        if not groups:
            raise NoObjects(annotation)
        if (owner < 0).all():
            raise ScanError(annotation, "names no segment of the mesh: it is of another scan, or damaged")
    rng = generator(NAME, "surface", ref.scene_id)
    with reading(mesh_path):
        extra = sample_surface(mesh.vertices, mesh.faces, mesh.colors, SURFACE_SPACING_M, rng)
    vertices = np.concatenate([mesh.vertices, extra.points])
    colors = None if extra.colors is None else np.concatenate([mesh.colors, extra.colors])
    flags += chosen
    room = Room(vertices, mesh.faces, colors, [], flags=flags, mesh_path=mesh_path)
    if "no_annotation" in flags:
        return room
    with reading(annotation):
        objects = _objects(groups, owner, np.concatenate([owner, owner[extra.vertex]]), _labels(root), flags)
    return accept(annotation, objects, mesh.vertices).into(room)


def read_scan(root: Path, ref: ScanRef) -> Scan:
    """A scan with its video. Raises `ScanError`."""
    room = read_room(root, ref)
    source, flags = open_video(root, ref, room.to_aligned)
    room.flags += flags
    return Scan(ref, NAME, room, source)


def open_video(root: Path, ref: ScanRef, to_aligned: np.ndarray) -> tuple[FrameSource, list[str]]:
    """The video of a scan and flags of its choice and oddities; its poses are aligned already. Raises `ScanError`."""
    video = assets(root, ref)[-1]

    def use(candidate: Candidate) -> PhoneSource | DslrSource:
        if candidate.name in DSLR:
            pictures, _, *cameras = candidate.paths
            return DSLR[candidate.name](pictures.parent, cameras[0])
        file, poses = candidate.paths[:2]
        rival = any(other.paths[0] != file and other.paths[0].is_file() for other in video.candidates[:2])
        return PhoneSource(file.parent, file, poses, whole=rival)

    source, flags = video.first(use)
    return source, [*flags, *(["dslr_pictures"] if isinstance(source, DslrSource) else []), *source.flags]


class PhoneSource:
    """The iPhone video at VSI-Bench's 30 fps: index i is frame `step` * i of the file.

    Poses and intrinsics come per frame of the file; a frame without an entry is lost, and borrows the intrinsics of
    the entry nearest to it. `flags` are oddities of the poses. `video`, `poses`: files of `folder`, by default rgb.mkv
    and pose_intrinsic_imu.json; COLMAP's images.txt may stand in for the latter. `whole`: decode the whole video, to
    find damage of which its index does not tell. Raises `ScanError`.
    """

    rotation_deg = 0

    def __init__(self, folder: Path, video: Path | None = None, poses: Path | None = None, whole: bool = False):
        self.poses_path = poses or folder / "pose_intrinsic_imu.json"
        self.flags: list[str] = []
        if whole:
            check_container(video)
        self._video = Video(video or folder / "rgb.mkv")
        if whole:
            self._decode_all()
        depth_path = folder / "depth.bin"
        self._depth: DepthBin | None = None
        try:
            self.step = max(1, round(self._video.fps / VIDEO_FPS))
            self.fps = self._video.fps / self.step
            self.n_frames = -(-self._video.n_frames // self.step)
            self.width, self.height = self._video.width, self._video.height
            self.flags += self._video.flags
            if abs(self.width * _FULL_SIZE[1] / (self.height * _FULL_SIZE[0]) - 1) > _ASPECT:
                stated = f"{_FULL_SIZE[0]}x{_FULL_SIZE[1]}"
                size = f"{self.width}x{self.height}"
                raise ScanError(self._video.path, f"pictures of {size} pixels, for intrinsics of {stated}")
            self._recorded = 1  # frames of the recording per frame of the file
            self._read_cameras()
            self.flags += cross_check(
                self.poses_path,
                {f"frame_{index:06d}": pose for index, pose in zip(self._indices, self._poses)},
                folder / "colmap" / "images.txt",
                folder / "nerfstudio" / "transforms.json",
            )
            self._open_depth(depth_path)
        except ScanError:
            self.close()
            raise

    def _open_depth(self, path: Path) -> None:
        self._has_depth = note(path).exists()
        try:
            self._depth = DepthBin(path) if self._has_depth else None
        except ScanError as error:
            _log.warning("%s: the mesh's depth stands in for it", error)

    def _decode_all(self) -> None:
        """Raise ScanError if any frame cannot be decoded."""
        try:
            for _ in self._video.sample([]):
                pass
        except ScanError:
            self._video.close()
            raise

    def _read_cameras(self) -> None:
        if self.poses_path.name == "images.txt":
            self._indices, self._K, self._poses = registered_video.read_cameras(
                self.poses_path, _FULL_SIZE, self._video.n_frames, self._video.fps
            )
            self._note_early_end(int(self._indices[-1]))
            return
        entries = read_json(self.poses_path)
        with reading(self.poses_path):
            known = sorted((int(key.removeprefix("frame_")), entry) for key, entry in entries.items())
            if not known:
                raise ScanError(self.poses_path, "no frames")
            self._note_thinning(known[-1][0] + 1)
            # The video may have frames more than the poses, but not a second less.
            if known[-1][0] > self._recorded * (self._video.n_frames + self._video.fps):
                raise ScanError(
                    self._video.path,
                    f"ends after {self._video.n_frames} frames, the poses after {known[-1][0] + 1}: truncated?",
                )
            self._note_early_end(known[-1][0])
            self._indices = np.array([index for index, _ in known])
            self._K = np.stack([intrinsics(entry["intrinsic"], _FULL_SIZE) for _, entry in known])
            self._poses = np.stack([matrix(entry["aligned_pose"], 4, 4) for _, entry in known])

    def _note_early_end(self, last: int) -> None:
        """Notice a video that ends before the last frame of the recording that has a pose."""
        missing = last // self._recorded + 1 - self._video.n_frames
        self.flags += [f"video_shorter_than_poses:{missing}"] if missing > 0 else []

    def _note_thinning(self, n_poses: int) -> None:
        """Notice a copy of the video that keeps every k-th frame: entries stay those of the recording."""
        thinned = round(RECORDED_FPS / self._video.fps)
        if thinned > 1 and abs(n_poses - thinned * self._video.n_frames) <= RECORDED_FPS:
            self._recorded = thinned
            self.flags.append(f"thinned_video:{thinned}")

    def _entry(self, index: int) -> tuple[int, bool]:
        """Row of the entry nearest to a frame of the recording, and whether it is the frame's own."""
        row = int(np.abs(self._indices - index).argmin())
        return row, bool(self._indices[row] == index)

    def camera(self, index: int) -> tuple[np.ndarray, np.ndarray | None]:
        row, own = self._entry(index * self.step * self._recorded)
        K = resize_intrinsics(self._K[row], _FULL_SIZE, (self.width, self.height))
        return K, self._poses[row] if own and valid_pose(self._poses[row]) else None

    def frame(self, index: int) -> np.ndarray:
        return self._video.frame(index * self.step)

    def depth_K(self, index: int) -> np.ndarray | None:
        if not self._has_depth:
            return None
        row, _ = self._entry(index * self.step * self._recorded)
        return resize_intrinsics(self._K[row], _FULL_SIZE, (WIDTH, HEIGHT))

    def depth(self, index: int) -> np.ndarray | None:
        return self._depth.frame(index * self.step * self._recorded) if self._depth else None

    def close(self) -> None:
        self._video.close()
        if self._depth:
            self._depth.close()


def _segments(path: Path, n_vertices: int) -> np.ndarray:
    """The segment of each vertex."""
    content = read_json(path)
    with reading(path):
        return segment_of_vertices(content, n_vertices)


def _labels(root: Path):
    table = root / "metadata" / "semantic_benchmark" / "map_benchmark.csv"
    return scannetpp_labels(table if note(table).is_file() else None)


def _owners(groups: list[dict[str, Any]], of_vertex: np.ndarray) -> np.ndarray:
    """For each vertex the position of its group in `groups`, -1 for none; of several groups the smallest wins."""
    ids, inverse = np.unique(of_vertex, return_inverse=True)
    members = [np.flatnonzero(np.isin(ids, group["segments"])[inverse]) for group in groups]
    owner = np.full(len(of_vertex), -1)
    for k in sorted(range(len(groups)), key=lambda k: (-len(members[k]), k)):
        owner[members[k]] = k
    return owner


def _objects(
    groups: list[dict[str, Any]], mesh_owner: np.ndarray, owner: np.ndarray, labels, flags: list[str]
) -> list[Annotated | Refused]:
    objects: list[Annotated | Refused] = []
    n_vertices = np.bincount(mesh_owner + 1, minlength=len(groups) + 1)[1:]
    order = np.argsort(owner, kind="stable")
    bounds = np.searchsorted(owner[order], np.arange(len(groups) + 1))
    for k, group in enumerate(groups):
        object_id, label = identity(group)
        category, perturbable, known = labels(label)
        stated = read_stated(group.get("obb"), category, label, flags)
        if isinstance(stated, str):
            objects.append(Refused(object_id, label, category, stated))
            continue
        box, (low, high) = stated
        index = order[bounds[k] : bounds[k + 1]]
        n = int(n_vertices[k])
        objects.append(
            Annotated(
                object_id, label, category, perturbable, lambda box=box: box, low, high, n, index, known, stated=True
            )
        )
    return objects
