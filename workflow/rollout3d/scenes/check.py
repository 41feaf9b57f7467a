"""Is one scan read rightly? What is there, and the checks that need no ground truth (dataset facts 5.3).

A wrong pose, axis or box poisons every question and says nothing. Here frames are compared with the mesh seen from
their poses, in colour and in depth, and poses and boxes with gravity, the floor and the room. What a scan lacks is
reported, and what can be checked without it still is. Thresholds are the dataset facts'; they were inferred without a
released scan, and those marked as ours are wide.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from rollout3d.flags import meaning
from rollout3d.geometry import agreement
from rollout3d.geometry.camera import resize_intrinsics, sample_indices
from rollout3d.geometry.raster import rasterise, surface_colors
from rollout3d.geometry.topdown import floor_level
from rollout3d.progress import progress
from rollout3d.releases import MissingData
from rollout3d.scenes import arkitscenes, scannet, scannetpp
from rollout3d.scenes.check_report import Check, Report, Shot
from rollout3d.scenes.contract import LOST_OBJECTS, NoObjects
from rollout3d.scenes.ingest import READERS
from rollout3d.scenes.locate import UnusableScan, locate
from rollout3d.scenes.scan import FrameSource, Room, ScanError, ScanRef

FRAMES = 16
"""Frames with a pose that are compared, spread over the video."""
WIDTH = 160
"""Pixels: colours are compared in pictures of this width, where neither blur nor a pixel of offset matters."""

MAX_PHOTOMETRIC = 0.6
MAX_DEPTH_M = {"scannet": 0.05, "scannetpp": 0.10, "arkitscenes": 0.10}
MIN_UPRIGHT = 0.5
MAX_FLOOR_M = 0.1
MIN_INSIDE = 0.95
MIN_LABEL_IOU, LARGE = 0.5, 0.01
"""Large objects take this share of the picture or more. [size: ours]"""
MIN_SHARE = 0.9
"""Of the objects that must pass a check of boxes: annotators err now and then. [ours]"""
MIN_POSES = 0.5
"""[ours]"""
MAX_ROUGHNESS = 0.5
"""Step between neighbouring frames over the distance of two frames at random. [ours]"""
HEIGHT_M = (0.3, 2.5)
"""Median height of the camera above the floor. [ours]"""
MIN_IN_ROOM, ROOM_MARGIN_M = 0.8, 1.0
"""Share of cameras, and of boxes' centres, within the mesh's bounds and this margin. [ours]"""
MIN_IN_VIEW = 0.3
"""Median share of the picture that the mesh fills. [ours]"""
BOX_TOLERANCE_M = 1e-3
"""A vertex this near to a box is in it: coordinates have 32 bits. [ours]"""
MAX_CORNER_M = 0.01
"""Between the box as annotated and the axis-aligned box annotated beside it. [ours]"""


def check_scan(dataset: str, path: Path) -> Report:
    """Read one scan from its folder and check it.

    `path`: ROOT/scans/<id> (ScanNet), ROOT/data/<id> (ScanNet++), ROOT/{raw,3dod}/{Training,Validation}/<id>
    (ARKitScenes), with the release's own files where they belong under ROOT. Raises `UnusableScan`.
    """
    root, ref = locate(dataset, Path(path))
    report = Report(dataset, ref.scene_id)
    room, problems = _open_room(dataset, root, ref)
    try:
        source = _open_source(dataset, root, ref, room)
    except ScanError as error:
        source = None
        problems.append(error)
    if room is None and source is None:
        raise UnusableScan("\n".join(str(problem) for problem in problems))
    try:
        report.room = room
        _describe(report, room, source, problems)
        _check_files(report, problems)
        _check_annotation(report, room, problems)
        poses = _check_path(report, room, source)
        _check_pictures(report, room, source, poses)
        _check_boxes(report, room)
        if dataset == "scannet":
            _check_labels(report, source)
    finally:
        if source is not None:
            source.close()
    return report


def _open_room(dataset: str, root: Path, ref: ScanRef) -> tuple[Room | None, list[Exception]]:
    """The room, without objects if its annotation cannot be read, and what stood in the way."""
    problems: list[Exception] = []
    for annotated in (True, False):
        try:
            return READERS[dataset].read_room(root, ScanRef(ref.scene_id, "", ref.split, annotated=annotated)), problems
        except (ScanError, MissingData) as error:
            if str(error) not in [str(problem) for problem in problems]:
                problems.append(error)
    return None, problems


def _open_source(dataset: str, root: Path, ref: ScanRef, room: Room | None) -> FrameSource:
    """The video alone: `read_scan` would give up with the room. Without a mesh ScanNet's poses stay unaligned."""
    if room is not None and "no_annotation" not in room.flags:
        scan = READERS[dataset].read_scan(root, ref)
        room.flags[:] = scan.room.flags
        return scan.source
    if dataset == "scannet":
        folder = root / ("scans_test" if ref.split == "test" else "scans") / ref.scene_id
        return scannet.SensSource(folder / f"{ref.scene_id}.sens", np.eye(4) if room is None else room.to_aligned)
    if dataset == "scannetpp":
        return scannetpp.PhoneSource(root / "data" / ref.scene_id / "iphone")
    fold = arkitscenes.FOLDERS[ref.split]
    return arkitscenes.ArkitSource(
        [p for asset in ("raw", "3dod") if (p := root / asset / fold / ref.scene_id).is_dir()], ref.scene_id
    )


def _describe(report: Report, room: Room | None, source: FrameSource | None, problems: list[Exception]) -> None:
    if room is not None:
        size = np.ptp(room.vertices, axis=0)
        coloured = "with colours" if room.colors is not None else "without colours"
        report.found += [
            ("mesh", f"{len(room.vertices)} points, {len(room.faces)} faces, {coloured}"),
            ("extent", " x ".join(f"{side:.2f}" for side in size) + " m"),
            ("alignment", "none" if np.array_equal(room.to_aligned, np.eye(4)) else "from the scan's meta file"),
        ]
        counts = Counter(item.category for item in room.objects if item.category)
        named = ", ".join(f"{name} {n}" for name, n in sorted(counts.items()))
        report.found.append(("objects", f"{len(room.objects)}; asked about: {named or 'none'}"))
        report.found += [("flag", f"{flag}  {meaning(flag) or ''}".rstrip()) for flag in room.flags]
    if source is not None:
        seconds = source.n_frames / source.fps
        report.found.append(
            (
                "video",
                f"{source.n_frames} frames, {source.fps:g} a second ({seconds:.1f} s), {source.width}x{source.height}"
                f" upright{f', turned by {source.rotation_deg} degrees' if source.rotation_deg else ''}",
            )
        )
        report.found.append(("depth", "none" if source.depth_K(0) is None else "of the sensor"))
    report.found += [("missing" if _is_missing(problem) else "damaged", str(problem)) for problem in problems]


def _is_missing(problem: Exception) -> bool:
    return not isinstance(problem, ScanError) or problem.expected or not problem.path.exists()


def _check_files(report: Report, problems: list[Exception]) -> None:
    """What is missing is no fault of the scan; what is there and cannot be read is."""
    damaged = [problem for problem in problems if not _is_missing(problem)]
    note = "; ".join(str(problem) for problem in damaged)
    report.checks.append(Check("files can be read", not damaged, f"{len(damaged)} bad", "none", note))


def _check_annotation(report: Report, room: Room | None, problems: list[Exception]) -> None:
    """Compare the objects of the annotation with those that reach the tables."""
    name = "annotated objects read"
    empty = [problem for problem in problems if isinstance(problem, NoObjects)]
    if empty:
        report.checks.append(Check(name, False, "none", "all", str(empty[0])))
    elif room is None or room.n_annotated is None:
        report.checks.append(Check(name, None, note="no annotation"))
    else:
        n, lost = len(room.objects), "; ".join(flag for flag in room.flags if flag.startswith(LOST_OBJECTS))
        report.checks.append(Check(name, n == room.n_annotated, f"{n} of {room.n_annotated}", "all", lost))


def _check_path(report: Report, room: Room | None, source: FrameSource | None) -> dict[int, np.ndarray]:
    """Poses alone, against gravity and the room; returns those of the frames to compare."""
    names = ("frames with a pose", "camera upright", "path of the camera", "height of the camera", "camera in the room")
    if source is None:
        report.checks += [Check(name, None, note="no video") for name in names]
        return {}
    every = [source.camera(i)[1] for i in progress(range(source.n_frames), "poses")]
    valid = [i for i, pose in enumerate(every) if pose is not None]
    lost = source.n_frames - len(valid)
    report.at_least(names[0], len(valid) / source.n_frames, MIN_POSES, note=f"{lost} lost" if lost else "")
    if not valid:
        report.checks += [Check(name, None, note="no pose") for name in names[1:]]
        return {}
    report.positions = np.array([np.full(3, np.nan) if pose is None else pose[:3, 3] for pose in every])
    poses = np.stack([every[i] for i in valid])
    report.at_least(names[1], agreement.upright_share(poses), MIN_UPRIGHT)
    roughness = agreement.path_roughness(report.positions)
    if roughness != roughness:
        report.checks.append(
            Check(names[2], None, note="the camera stands still, or no neighbouring frames have poses")
        )
    else:
        report.at_most(names[2], roughness, MAX_ROUGHNESS, note="step / spread")
    if room is None or not len(room.faces):
        report.checks += [Check(name, None, note="no mesh") for name in names[3:]]
    else:
        height = float(np.median(poses[:, 2, 3])) - floor_level(room.vertices, room.faces)
        low, high = HEIGHT_M
        report.checks.append(
            Check(names[3], low <= height <= high, f"{height:.2f} m", f"{low} to {high} m", "above the floor")
        )
        bounds = room.vertices.min(axis=0), room.vertices.max(axis=0)
        report.at_least(names[4], agreement.share_within(poses[:, :3, 3], *bounds, ROOM_MARGIN_M), MIN_IN_ROOM)
    chosen = dict.fromkeys(valid[k] for k in sample_indices(len(valid), FRAMES))
    return {i: every[i] for i in chosen}


def _check_pictures(
    report: Report, room: Room | None, source: FrameSource | None, poses: dict[int, np.ndarray]
) -> None:
    """Frames and depth against the mesh as seen from their poses."""
    names = ("mesh in view", "colours: own pose / others'", "depth against the mesh")
    lacks = "no video" if source is None else "no mesh" if room is None or not len(room.faces) else ""
    if lacks or not poses:
        report.checks += [Check(name, None, note=lacks or "no pose") for name in names]
        return
    try:
        compared = progress(poses.items(), "frames against the mesh")
        report.shots = [_shot(room, source, index, pose) for index, pose in compared]
    except ScanError as error:
        report.checks += [Check(name, False, "damaged", note=str(error)) for name in names]
        return
    small = [_small(shot) for shot in report.shots]
    drawn = [pixels for _, _, pixels in small]
    report.at_least(names[0], float(np.median([pixels.mean() for pixels in drawn])), MIN_IN_VIEW)
    if room.colors is None:
        report.checks.append(Check(names[1], None, note="the mesh has no colours"))
    elif len(poses) < 2:
        report.checks.append(Check(names[1], None, note="fewer than two frames with poses"))
    else:
        ratio = agreement.photometric_ratio([p for p, _, _ in small], [d for _, d, _ in small], drawn)
        report.at_most(names[1], ratio, MAX_PHOTOMETRIC, note="" if ratio < 1 else "frames fit any pose as well")
    pairs = [(shot.depth, shot.mesh_depth) for shot in report.shots if shot.depth is not None]
    if not pairs:
        report.checks.append(Check(names[2], None, note="no depth"))
        return
    error = agreement.depth_error(*zip(*pairs))
    note = f"median of {len(pairs)} frames" if error == error else "measured depth and mesh share no pixels"
    report.at_most(names[2], error, MAX_DEPTH_M[report.dataset], " m", note)


def _shot(room: Room, source: FrameSource, index: int, pose: np.ndarray) -> Shot:
    K = source.camera(index)[0]
    picture = source.frame(index)
    height, width = picture.shape[:2]
    scale = min(1.0, 640 / max(height, width))
    size = max(1, round(scale * width)), max(1, round(scale * height))
    picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    K = resize_intrinsics(K, (width, height), size)
    z, owner = rasterise(room.vertices, room.faces, K, pose, *size)
    colors = np.full((len(room.vertices), 3), 160, np.uint8) if room.colors is None else room.colors
    drawing = surface_colors(room.vertices, room.faces, colors, K, pose, z, owner)
    depth, mesh_depth = source.depth(index), None
    if depth is not None:
        mesh_depth = rasterise(room.vertices, room.faces, source.depth_K(index), pose, depth.shape[1], depth.shape[0])[
            0
        ]
    return Shot(index, K, pose, picture, drawing, owner, depth, mesh_depth)


def _small(shot: Shot) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Frame, drawing and drawn pixels at `WIDTH`: only pixels that the mesh covers as a whole are drawn."""
    height, width = shot.picture.shape[:2]
    size = WIDTH, max(1, round(height * WIDTH / width))
    picture, drawing = (cv2.resize(p, size, interpolation=cv2.INTER_AREA) for p in (shot.picture, shot.drawing))
    covered = cv2.resize((shot.owner >= 0).astype(np.float32), size, interpolation=cv2.INTER_AREA)
    return picture, drawing, covered > 0.999


def _check_boxes(report: Report, room: Room | None) -> None:
    """Boxes against the mesh, and the floor where the release aligns it."""
    names = ("objects inside their box", "boxes in the room", "boxes hold mesh", "axes and corners agree")
    aligned = room is not None and report.dataset == "scannet" and "no_axis_alignment" not in room.flags
    if aligned and len(room.faces):
        level = floor_level(room.vertices, room.faces)
        report.at_most("floor at z = 0", abs(level), MAX_FLOOR_M, " m")
    elif report.dataset == "scannet":
        report.checks.append(Check("floor at z = 0", None, note="no mesh" if room is None else "no axisAlignment"))
    # Walls and marks of the annotators are surfaces without a shape of their own.
    boxed = [item for item in room.objects if item.perturbable] if room is not None else []
    if not boxed:
        report.checks += [Check(name, None, note="no objects") for name in names[:2]]
        return
    if report.dataset == "arkitscenes":  # its objects are what is in their box
        _objects_that(report, names[2], boxed, lambda item: item.n_points > 0)
    else:
        annotated = np.zeros(len(room.vertices), bool)
        annotated[room.faces] = True  # the others are samples of the surface
        members = {item.object_id: item.vertex_index[annotated[item.vertex_index]] for item in boxed}
        held = {
            item.object_id: item.box.contains(room.vertices[members[item.object_id]], BOX_TOLERANCE_M).mean()
            for item in progress(boxed, "boxes")
            if len(members[item.object_id])
        }
        some = [item for item in boxed if item.object_id in held]
        _objects_that(report, names[0], some, lambda item: held[item.object_id] >= MIN_INSIDE)
    centres = np.stack([item.box.centroid for item in boxed])
    bounds = room.vertices.min(axis=0), room.vertices.max(axis=0)
    report.at_least(names[1], agreement.share_within(centres, *bounds, ROOM_MARGIN_M / 2), MIN_SHARE)
    if report.dataset == "scannetpp":  # states both boxes

        def agrees(item) -> bool:
            stated = np.stack([item.aabb_min, item.aabb_max])
            return float(np.abs(np.stack(item.box.aabb()) - stated).max()) <= MAX_CORNER_M

        _objects_that(report, names[3], boxed, agrees)


def _check_labels(report: Report, source: FrameSource | None) -> None:
    """ScanNet's own pictures of instances, which few download, against the instances of the mesh."""
    name = "labels of the release"
    if not report.shots or not report.room.objects:
        report.checks.append(Check(name, None, note="no frame with a pose, or no objects"))
        return
    members = {item.object_id: item.vertex_index for item in report.room.objects}
    overlaps: list[float] = []
    try:
        for shot in report.shots:
            instances = source.instances(shot.index)
            if instances is not None:
                overlaps += agreement.label_overlap(instances, shot.owner, report.room.faces, members, LARGE)
    except ScanError as error:
        report.checks.append(Check(name, False, "damaged", note=str(error)))
        return
    if not overlaps:
        report.checks.append(Check(name, None, note="no 2d-instance-filt.zip, or none of the frames is in it"))
        return
    note = f"median IoU of {len(overlaps)} large objects"
    report.at_least(name, float(np.median(overlaps)), MIN_LABEL_IOU, note)


def _objects_that(report: Report, name: str, objects: list, passes: Callable) -> None:
    wrong = [f"{item.object_id} {item.label}" for item in objects if not passes(item)]
    note = "not so: " + ", ".join(wrong[:4]) + (", ..." if len(wrong) > 4 else "") if wrong else ""
    report.at_least(name, 1 - len(wrong) / max(len(objects), 1), MIN_SHARE, note)
