"""Run the checks of one raw scan that need no ground truth, and report what the scan holds.

A wrong pose, axis or box silently corrupts every question. The figures are those that ingest stores
(`scenes.agreement`); the limits here are stricter than those by which questions are refused (`scenes.verdict`), and
which boxes fail is listed. What a scan lacks is reported, and what can be checked without it still is. Limits were
inferred without a released scan, from the formats' precision; those marked [ours] are wide.
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
from rollout3d.scenes.scan import FrameSource, Room, Scan

MAX_PHOTOMETRIC = 0.6
MIN_UPRIGHT = 0.5
MAX_FLOOR_M = 0.1
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
MIN_IN_ROOM = 0.8
"""Share of cameras within the mesh's bounds and a margin. [ours]"""
MIN_IN_VIEW = 0.3
"""Share of the picture that the mesh fills. [ours]"""
MAX_MISFIT = 0.1
"""Share of other frames' poses that may fit a frame better than its own. [ours]"""
MAX_OFFSET_S = 0.2
"""[ours]"""


def check_scan(dataset: str, path: Path) -> Report:
    """Read one scan from its folder and check it.

    `path`: folder of the scan (`Release.scan_folder`), with the release's own files where they belong under its root.
    Raises `UnusableScan`.
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
    if room is None and source is None:
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
        report.found += [("flag", flag) for flag in dict.fromkeys([*(room.flags if room else []), *flags])]
    finally:
        if source is not None:
            source.close()
    return report


def _open_room(dataset: str, root: Path, ref: ScanRef) -> tuple[Room | None, list[Exception]]:
    """The room, without objects if its annotation or the label table cannot be read, and what stood in the way."""
    problems: list[Exception] = []
    for annotated in (True, False):
        try:
            wanted = replace(ref, annotated=annotated, alone=ref.alone or not annotated)
            with touching(datasets.load(dataset), root, ref):
                return datasets.load(dataset).read_room(root, wanted), problems
        except (ScanError, MissingData) as error:
            if str(error) not in [str(problem) for problem in problems]:
                problems.append(error)
    return None, problems


def _open_source(dataset: str, root: Path, ref: ScanRef, room: Room | None) -> tuple[FrameSource, list[str]]:
    """The video and its flags: `read_scan` would give up with the room. Without a mesh ScanNet's poses stay
    unaligned."""
    return datasets.load(dataset).open_video(root, ref, np.eye(4) if room is None else room.to_aligned)


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
    if source is not None:
        seconds = source.n_frames / source.fps
        report.found.append(
            (
                "video",
                f"{source.n_frames} frames, {source.fps:g} a second ({seconds:.1f} s), {source.width}x{source.height}"
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
    return not isinstance(problem, ScanError) or problem.expected or not is_there(problem.path)


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


def _scan_flags(scan: Scan) -> list[str]:
    """The flags that ingest adds to those of the readers, as far as the video can be read.

    `lost_frames` counts every frame of the video: which frames are stored is a matter of the configuration.
    """
    flags = [] if scan.room is None or scan.room.colors is not None else ["no_mesh_colors"]
    try:
        lost = sum(scan.camera(index)[1] is None for index in range(scan.source.n_frames))
        flags += [f"lost_frames:{lost}"] if lost else []
        flags += orientation_flags(scan)
        flags += depth_flags(scan)
    except ScanError:
        pass  # the checks name the file
    return flags


PATH = ("frames with a pose", "camera upright", "path of the camera", "height of the camera", "camera in the room")
PICTURES = ("mesh in view", "colours: own pose / others'", "colours fit other poses", "frames in step with poses")
PICTURES += ("depth against the mesh", "depth fits other poses")


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
    """Poses alone, against gravity and the room."""
    found, room = measure_path(scan, poses, Figures()), scan.room
    lost = len(poses.every) - len(poses.valid)
    report.at_least(PATH[0], found.poses, MIN_POSES, note=f"{lost} lost" if lost else "")
    if not poses.valid:
        return _skip(report, PATH[1:], "no pose")
    report.positions = poses.positions
    report.at_least(PATH[1], found.upright, MIN_UPRIGHT)
    if not is_known(found.path):
        _skip(report, PATH[2:3], "the camera stands still, or few neighbouring frames have poses")
    else:
        report.at_most(PATH[2], found.path, MAX_ROUGHNESS, note="step / spread")
    if room is None or not len(room.faces):
        return _skip(report, PATH[3:], "no mesh")
    low, high = HEIGHT_M
    shown = f"{found.height_m:.2f} m"
    report.checks.append(Check(PATH[3], low <= found.height_m <= high, shown, f"{low} to {high} m", "above the floor"))
    report.at_least(PATH[4], found.in_room, MIN_IN_ROOM)
    return None


def _check_pictures(report: Report, scan: Scan, poses: Poses) -> None:
    """Frames and depth against the mesh as seen from their poses."""
    room = scan.room
    lacks = "no mesh" if room is None or not len(room.faces) else "" if poses.compared else "no pose"
    if lacks:
        return _skip(report, PICTURES, lacks)
    try:
        report.shots = [_shot(room, scan, index, poses.every[index]) for index in poses.compared[::2]]
        found = measure_pictures(scan, poses, Figures(), show_progress=True)
    except ScanError as error:
        report.checks += [Check(name, False, "damaged", note=str(error)) for name in PICTURES]
        return None
    report.at_least(PICTURES[0], found.in_view, MIN_IN_VIEW)
    lacks = "the mesh has no colours" if room.colors is None else "fewer than two frames with poses"
    if room.colors is None or len(poses.compared) < 2:
        _skip(report, PICTURES[1:4], lacks)
    else:
        note = "" if not found.colour > MAX_PHOTOMETRIC else "frames fit any pose as well"
        report.at_most(PICTURES[1], found.colour, MAX_PHOTOMETRIC, note=note)
        _if_known(report, PICTURES[2], found.colour_misfit, MAX_MISFIT, "of the other poses, in the worse half")
        late = (is_known(found.offset_s) and abs(found.offset_s)) or found.offset_s
        _if_known(report, PICTURES[3], late, MAX_OFFSET_S, "by which other poses fit better", " s")
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
    depth, mesh_depth = scan.depth(index), None
    if depth is not None:
        mesh_depth = rasterise(room.vertices, room.faces, scan.depth_K(index), pose, depth.shape[1], depth.shape[0])[0]
    return Shot(index, K, pose, picture, drawing, owner, depth, mesh_depth)


def _check_boxes(report: Report, room: Room | None, found: Figures, evidence: Evidence) -> None:
    """Boxes against the mesh, and the floor where the release aligns it."""
    names = {"hold": "objects inside their box", "filled": "mesh fills the boxes", "agree": "axes and corners agree"}
    if evidence.floor_at_zero:
        level = floor_at_zero(room, evidence)
        if level is None:
            _skip(report, ["floor at z = 0"], "no mesh" if room is None else "no axisAlignment")
        else:
            report.at_most("floor at z = 0", abs(level), MAX_FLOOR_M, " m")
    if evidence.points_in_box:
        names["hold"] = "boxes hold mesh"
    if found.boxes_in_room is None:
        return _skip(report, [names["hold"], "boxes in the room"], "no objects")
    report.at_least("boxes in the room", found.boxes_in_room, MIN_SHARE)
    boxed = [item for item in room.objects if item.perturbable]
    for name, shown in names.items():
        share = getattr(found, f"boxes_{name}")
        if share is not None:
            passes = box_tests(room, evidence, name)
            wrong = [f"{item.object_id} {item.label}" for item in boxed if passes(item) is False]
            note = "not so: " + ", ".join(wrong[:4]) + (", ..." if len(wrong) > 4 else "") if wrong else ""
            report.at_least(shown, share, MIN_SHARE, note)
    return None


def _check_labels(report: Report, source: FrameSource | None, archive: str) -> None:
    """Compare the release's own pictures of instances, which few download, with the instances of the mesh."""
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
        report.checks.append(Check(name, None, note=f"no {archive}, or none of the frames is in it"))
        return
    note = f"median IoU of {len(overlaps)} large objects"
    report.at_least(name, float(np.median(overlaps)), MIN_LABEL_IOU, note)
