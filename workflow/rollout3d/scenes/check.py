"""Run the checks of one raw scan that need no ground truth, and report the content of the scan.

A wrong pose, axis or box silently corrupts every question. The figures are those that ingest stores
(`scenes.agreement`). The limits here are stricter than those by which questions are refused (`scenes.verdict`), and
boxes that fail are listed. Missing parts of a scan are reported, and the other parts are checked. Limits were inferred
without a released scan, from the formats' precision; those marked [ours] are wide.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from rollout3d.geometry import agreement
from rollout3d.geometry.camera import resize_intrinsics
from rollout3d.geometry.raster import rasterise, surface_colors
from rollout3d.releases import MissingData
from rollout3d.scenes import datasets
from rollout3d.scenes.agreement import (
    Figures,
    Poses,
    box_tests,
    floor_at_zero,
    is_known,
    measure_boxes,
    measure_path,
    measure_pictures,
)
from rollout3d.scenes.check_report import Check, Report, Shot
from rollout3d.scenes.contract import LOST_OBJECTS, NoObjects
from rollout3d.scenes.ingest import is_there, touching
from rollout3d.scenes.locate import UnusableScan, locate
from rollout3d.scenes.oddities import depth_flags, orientation_flags
from rollout3d.scenes.reading import ScanError
from rollout3d.scenes.release import Evidence, ScanRef
from rollout3d.scenes.scan import FrameSource, InstanceSource, Room, Scan

MAX_PHOTOMETRIC = 0.6
"""Largest difference of frames from the mesh at their own poses, over that at other poses."""
MIN_UPRIGHT = 0.5
"""Least share of upright poses."""
MAX_FLOOR_M = 0.1
"""Largest distance of the floor from height 0, metres."""
MIN_LABEL_IOU, LARGE = 0.5, 0.01
"""Least median IoU of large objects; share of the picture from which an object is large. [size: ours]"""
MIN_SHARE = 0.9
"""Least share of the objects that pass a check of boxes: annotators make errors. [ours]"""
MIN_POSES = 0.5
"""Least share of frames with a pose. [ours]"""
MAX_ROUGHNESS = 0.5
"""Largest step between neighbouring frames, over the distance of two random frames. [ours]"""
HEIGHT_M = (0.3, 2.5)
"""Least and largest median height of the camera above the floor, metres. [ours]"""
MIN_IN_ROOM = 0.8
"""Least share of cameras within the mesh's bounds and a margin. [ours]"""
MIN_IN_VIEW = 0.3
"""Least share of the picture that the mesh fills. [ours]"""
MAX_MISFIT = 0.1
"""Largest share of other frames' poses that fit a frame better than its own pose. [ours]"""
MAX_OFFSET_S = 0.2
"""Largest lag between frames and the poses that fit them best, seconds. [ours]"""


def check_scan(dataset: str, path: Path) -> Report:
    """Read one scan from its folder and check it.

    `path`: folder of the scan (`Release.scan_folder`), with the release's shared files in their place under its root.
    Raises `UnusableScan` for a folder that is none of a scan, and if neither mesh nor video can be read.
    """
    root, ref = locate(dataset, Path(path))
    report = Report(dataset, ref.scene_id)
    room, problems = _open_room(dataset, root, ref)
    try:
        with touching(datasets.load(dataset), root, ref):
            source, flags = _open_source(dataset, root, ref, room)
    except ScanError as error:
        source, flags = None, []
        problems.append(error)
    if room.is_absent and source is None:
        raise UnusableScan("\n".join(str(problem) for problem in problems))
    try:
        report.room = room
        _describe(report, room, source, problems)
        _check_files(report, problems)
        _check_annotation(report, room, problems)
        evidence = datasets.load(dataset).RELEASE.evidence
        boxes = measure_boxes(room, evidence, show_progress=True)
        if source is None:
            _skip(report, (*PATH, *PICTURES), "no video")
        else:
            scan = Scan(ref, dataset, room, source)
            _check_cameras(report, scan)
            flags += _scan_flags(scan)
        _check_boxes(report, room, boxes, evidence)
        if evidence.instance_pictures:
            _check_labels(report, source, evidence.instance_pictures)
        distinct = dict.fromkeys([*room.flags, *flags])
        report.found += [("flag", flag) for flag in distinct]
    finally:
        if source is not None:
            source.close()
    return report


def _open_room(dataset: str, root: Path, ref: ScanRef) -> tuple[Room, list[Exception]]:
    """Return the room and the errors of reading it.

    It has no objects if its annotation or the label table cannot be read, and is absent if its mesh cannot.
    """
    problems: list[Exception] = []
    for annotated in (True, False):
        try:
            wanted = replace(ref, annotated=annotated, alone=ref.alone or not annotated)
            with touching(datasets.load(dataset), root, ref):
                return datasets.load(dataset).read_room(root, wanted), problems
        except (ScanError, MissingData) as error:
            if str(error) not in [str(problem) for problem in problems]:
                problems.append(error)
    return Room.absent(), problems


def _open_source(dataset: str, root: Path, ref: ScanRef, room: Room) -> tuple[FrameSource, list[str]]:
    """Return the video and its flags. Without a mesh, ScanNet's poses are not aligned."""
    return datasets.load(dataset).open_video(root, ref, room.to_aligned)


def _describe(report: Report, room: Room, source: FrameSource | None, problems: list[Exception]) -> None:
    """Add the facts about room and video, and the problems, to the report."""
    if not room.is_absent:
        size = np.ptp(room.vertices, axis=0)
        coloured = "with colours" if room.colors is not None else "without colours"
        report.found += [
            ("mesh", f"{len(room.vertices)} points, {len(room.faces)} faces, {coloured}"),
            ("extent", " x ".join(f"{side:.2f}" for side in size) + " m"),
            ("alignment", "none" if np.array_equal(room.to_aligned, np.eye(4)) else "from the scan's meta file"),
        ]
        counts = Counter(item.category for item in room.objects if item.category)
        named = ", ".join(f"{name} {n}" for name, n in sorted(counts.items()))
        report.found.append(("objects", f"{len(room.objects)}; with a category: {named or 'none'}"))
    if source is not None:
        seconds = source.n_frames / source.fps
        report.found.append(
            (
                "video",
                f"{source.n_frames} frames, {source.fps:g} per second ({seconds:.1f} s), {source.width}x{source.height}"
                f" upright{f', turned by {source.rotation_deg} degrees' if source.rotation_deg else ''}",
            )
        )
        try:
            depth = "none" if source.depth_K(0) is None else "of the sensor"
        except ScanError as error:
            depth = "its camera cannot be read"
            problems.append(error)
        report.found.append(("depth", depth))
    report.found += [("missing" if _is_missing(problem) else "damaged", str(problem)) for problem in problems]


def _is_missing(problem: Exception) -> bool:
    """Return whether a problem is a missing file rather than a damaged one."""
    return not isinstance(problem, ScanError) or problem.expected or not is_there(problem.path)


def _check_files(report: Report, problems: list[Exception]) -> None:
    """Check that every file that is there can be read; missing files do not fail."""
    damaged = [problem for problem in problems if not _is_missing(problem)]
    note = "; ".join(str(problem) for problem in damaged)
    report.checks.append(Check("files can be read", not damaged, f"{len(damaged)} bad", "none", note))


def _check_annotation(report: Report, room: Room, problems: list[Exception]) -> None:
    """Compare the number of annotated objects with the number of objects for the tables."""
    name = "annotated objects read"
    empty = [problem for problem in problems if isinstance(problem, NoObjects)]
    if empty:
        report.checks.append(Check(name, False, "none", "all", str(empty[0])))
    elif room.n_annotated is None:
        report.checks.append(Check(name, None, note="no annotation"))
    else:
        n, lost = len(room.objects), "; ".join(flag for flag in room.flags if flag.startswith(LOST_OBJECTS))
        report.checks.append(Check(name, n == room.n_annotated, f"{n} of {room.n_annotated}", "all", lost))


def _scan_flags(scan: Scan) -> list[str]:
    """Return the flags that ingest adds to those of the readers, as far as the video can be read.

    `lost_frames` counts every frame of the video, because the configuration decides which frames are stored.
    """
    flags = [] if scan.room.is_absent or scan.room.colors is not None else ["no_mesh_colors"]
    try:
        lost = sum(scan.camera(index)[1] is None for index in range(scan.source.n_frames))
        flags += [f"lost_frames:{lost}"] if lost else []
        flags += orientation_flags(scan)
        flags += depth_flags(scan)
    except ScanError:
        pass  # the checks name the file
    return flags


PATH = ("frames with a pose", "camera upright", "path of the camera", "height of the camera", "camera in the room")
"""Names of the checks of poses."""
PICTURES = (
    *("mesh in view", "colours: own pose / others'", "colours fit other poses", "frames in step with poses"),
    *("depth against the mesh", "depth fits other poses"),
)
"""Names of the checks of pictures."""


def _skip(report: Report, names: Iterable[str], note: str) -> None:
    report.checks += [Check(name, None, note=note) for name in names]


def _check_cameras(report: Report, scan: Scan) -> None:
    """Check poses and pictures, as far as every frame's camera can be read."""
    try:
        poses = Poses(scan, show_progress=True)
    except ScanError as error:
        report.checks.append(Check("cameras can be read", False, "damaged", "all", str(error)))
        return _skip(report, (*PATH, *PICTURES), "no cameras")
    _check_path(report, scan, poses)
    return _check_pictures(report, scan, poses)


def _check_path(report: Report, scan: Scan, poses: Poses) -> None:
    """Check the poses against gravity and the room."""
    found = measure_path(scan, poses, Figures())
    lost = poses.n_frames - len(poses.known)
    report.at_least(PATH[0], found.poses, MIN_POSES, note=f"{lost} lost" if lost else "")
    if not poses.known:
        return _skip(report, PATH[1:], "no pose")
    report.positions = poses.positions
    report.at_least(PATH[1], found.upright, MIN_UPRIGHT)
    if not is_known(found.path):
        _skip(report, PATH[2:3], "the camera stands still, or few neighbouring frames have poses")
    else:
        report.at_most(PATH[2], found.path, MAX_ROUGHNESS, note="step / spread")
    if found.height_m is None:
        return _skip(report, PATH[3:], "no mesh")
    low, high = HEIGHT_M
    height = f"{found.height_m:.2f} m"
    report.checks.append(Check(PATH[3], low <= found.height_m <= high, height, f"{low} to {high} m", "above the floor"))
    report.at_least(PATH[4], found.in_room, MIN_IN_ROOM)
    return None


def _check_pictures(report: Report, scan: Scan, poses: Poses) -> None:
    """Check frames and depth against the mesh drawn from their poses."""
    room = scan.room
    lacks = "no mesh" if not room.has_surface else "" if poses.compared else "no pose"
    if lacks:
        return _skip(report, PICTURES, lacks)
    try:
        report.shots = [_shot(room, scan, index, poses.known[index]) for index in poses.compared[::2]]
        found = measure_pictures(scan, poses, Figures(), show_progress=True)
    except ScanError as error:
        report.checks += [Check(name, False, "damaged", note=str(error)) for name in PICTURES]
        return None
    report.at_least(PICTURES[0], found.in_view, MIN_IN_VIEW)
    lacks = "the mesh has no colours" if room.colors is None else "fewer than two frames with poses"
    if room.colors is None or len(poses.compared) < 2:
        _skip(report, PICTURES[1:4], lacks)
    else:
        note = "frames fit any pose equally well" if is_known(found.colour) and found.colour > MAX_PHOTOMETRIC else ""
        report.at_most(PICTURES[1], found.colour, MAX_PHOTOMETRIC, note=note)
        _if_known(report, PICTURES[2], found.colour_misfit, MAX_MISFIT, "of the other poses, in the worse half")
        lag = abs(found.offset_s) if is_known(found.offset_s) else None
        _if_known(report, PICTURES[3], lag, MAX_OFFSET_S, "by which other poses fit better", " s")
    if found.depth_m is None:
        return _skip(report, PICTURES[4:], "no depth")
    note = "" if is_known(found.depth_m) else "measured depth and mesh share no pixels"
    report.at_most(PICTURES[4], found.depth_m, datasets.load(report.dataset).RELEASE.evidence.max_depth_m, " m", note)
    return _if_known(report, PICTURES[5], found.depth_misfit, MAX_MISFIT, "of the other poses, in the worse half")


def _if_known(report: Report, name: str, value: float | None, limit: float, note: str, unit: str = "") -> None:
    if is_known(value):
        report.at_most(name, value, limit, unit, note)
    else:
        _skip(report, [name], "too few frames that show enough of the mesh")


def _shot(room: Room, scan: Scan, index: int, pose: np.ndarray) -> Shot:
    """Return a frame of at most 640 pixels, with the mesh drawn from its pose."""
    K = scan.camera(index)[0]
    picture = scan.frame(index)
    height, width = picture.shape[:2]
    scale = min(1.0, 640 / max(height, width))
    size = max(1, round(scale * width)), max(1, round(scale * height))
    picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    K = resize_intrinsics(K, (width, height), size)
    z, owner = rasterise(room.vertices, room.faces, K, pose, *size)
    colors = np.full((len(room.vertices), 3), 160, np.uint8) if room.colors is None else room.colors
    drawing = surface_colors(room.vertices, room.faces, colors, K, pose, z, owner)
    depth, depth_K, mesh_depth = scan.depth(index), scan.depth_K(index), None
    if depth is not None and depth_K is not None:
        mesh_depth = rasterise(room.vertices, room.faces, depth_K, pose, depth.shape[1], depth.shape[0])[0]
    return Shot(index, K, pose, picture, drawing, owner, depth, mesh_depth)


def _check_boxes(report: Report, room: Room, found: Figures, evidence: Evidence) -> None:
    """Check boxes against the mesh, and the height of the floor where the release aligns it."""
    names = {"hold": "objects inside their box", "filled": "mesh fills the boxes", "agree": "axes and corners agree"}
    if evidence.floor_at_zero:
        level = floor_at_zero(room, evidence)
        if level is None:
            _skip(report, ["floor at z = 0"], "no mesh" if room.is_absent else "no axisAlignment")
        else:
            report.at_most("floor at z = 0", abs(level), MAX_FLOOR_M, " m")
    if evidence.points_in_box:
        names["hold"] = "boxes hold mesh"
    if found.boxes_in_room is None:
        return _skip(report, [names["hold"], "boxes in the room"], "no objects")
    report.at_least("boxes in the room", found.boxes_in_room, MIN_SHARE)
    boxed = [item for item in room.objects if item.perturbable]
    for name, title in names.items():
        share = getattr(found, f"boxes_{name}")
        if share is not None:
            passes = box_tests(room, evidence, name)
            wrong = [f"{item.object_id} {item.label}" for item in boxed if passes(item) is False]
            note = "not so: " + ", ".join(wrong[:4]) + (", ..." if len(wrong) > 4 else "") if wrong else ""
            report.at_least(title, share, MIN_SHARE, note)
    return None


def _check_labels(report: Report, source: FrameSource | None, archive: str) -> None:
    """Compare the release's own pictures of instances, an optional download, with the instances of the mesh."""
    name = "labels of the release"
    if not report.shots or not report.room.objects:
        report.checks.append(Check(name, None, note="no frame with a pose, or no objects"))
        return
    members = {item.object_id: item.vertex_index for item in report.room.objects}
    overlaps: list[float] = []
    try:
        for shot in report.shots:
            instances = source.instances(shot.index) if isinstance(source, InstanceSource) else None
            if instances is not None:
                overlaps += agreement.label_overlap(instances, shot.owner, report.room.faces, members, LARGE)
    except ScanError as error:
        report.checks.append(Check(name, False, "damaged", note=str(error)))
        return
    if not overlaps:
        report.checks.append(Check(name, None, note=f"no {archive}, or none of the frames is in it"))
        return
    note = f"median IoU of {len(overlaps)} large objects"
    report.at_least(name, float(np.median(overlaps)), MIN_LABEL_IOU, note)
