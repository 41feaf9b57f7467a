"""Measure how well the poses, mesh, boxes, colours and depth of one scan agree, as figures.

`ingest` stores the figures in `scenes.agreement`, `check-scan` prints them, `scenes.verdict` compares them with limits.
None of them needs ground truth: frames and depth pictures are compared with the mesh drawn from their poses, poses and
boxes with gravity, the floor and the room. Colours and depth are compared by rank: a frame must fit the drawing from
its own pose better than the drawings from the poses of other frames. Exposure, blur, noise and a poor mesh keep this
order, and every wrong pose changes it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property, partial
from typing import TypeGuard, TypeVar, cast

import numpy as np

from rollout3d.geometry import agreement
from rollout3d.geometry.camera import resize_intrinsics, sample_indices, thin_out
from rollout3d.geometry.raster import rasterise, surface_colors
from rollout3d.geometry.topdown import floor_level
from rollout3d.progress import progress
from rollout3d.scenes import datasets
from rollout3d.scenes.reading import ScanError
from rollout3d.scenes.release import Evidence
from rollout3d.scenes.scan import THUMBNAIL_PIXELS, Annotated, Room, Scan
from rollout3d.tables.rows import Agreement

FRAMES, FEWEST = 32, 6
"""Number of frames that are compared, evenly spaced over the video; ranks need at least `FEWEST` with a pose."""
NEXT_S = 0.5
"""Lags, seconds, that are tried first, to both sides."""
LAGS_S = (-2.0, -1.0, -NEXT_S, -0.25, 0.25, NEXT_S, 1.0, 2.0)
"""Lags of poses against frames that are tried, seconds."""
SURE = 0.7
"""A lag counts only if it leaves less than this share of the difference, in more than this share of the frames."""
ROOM_MARGIN_M = 1.0
"""Metres that cameras may lie outside the mesh's bounds; centres of boxes may lie half as far."""
BOX_TOLERANCE_M = 1e-3
"""Metres up to which a vertex near a box is in it: coordinates have 32 bits."""
MIN_INSIDE = 0.95
"""Least share of an object's vertices that its box holds."""
MIN_FILLED = 0.5
"""Least share of each side of a box along which the mesh in it extends."""
THIN_M = 0.1
"""Side length, metres, below which a side is not tested: pictures and windows are sheets."""
MAX_CORNER_M = 0.01
"""Largest distance, metres, between the corners of an annotated box and those of the box stated beside it."""

T = TypeVar("T")


@dataclass(frozen=True)
class Figures:
    """Figures of agreement, in the order of `scenes.agreement`; None where a scan lacks the data of a figure."""

    poses: float | None = None
    """Share of the frames that have a pose."""
    upright: float | None = None
    """Share of the poses whose picture has the world's up upward."""
    gravity: float | None = None
    """Mean cosine between the world's up and that of the pictures, after the best quarter turn."""
    path: float | None = None
    """Step between neighbouring frames over the distance of two random frames; measured from ten steps on."""
    height_m: float | None = None
    """Median height of the camera above the floor, metres."""
    floor_m: float | None = None
    """Height of the floor where the release puts it at 0, metres."""
    in_room: float | None = None
    """Share of the cameras within the mesh's bounds and 1 m."""
    in_view: float | None = None
    """Share of the picture that the mesh fills, mean over frames."""
    colour: float | None = None
    """Difference of frames from the mesh seen from their own poses, over that from other frames' poses."""
    colour_misfit: float | None = None
    """Share of other frames' poses that fit a frame's colours better than its own pose, mean over the worse half."""
    offset_s: float | None = None
    """Seconds from a frame to the pose that fits it best; 0 unless that pose fits clearly better than its own."""
    depth_m: float | None = None
    """Median absolute difference of measured depth and the mesh's, metres."""
    depth_scale: float | None = None
    """Median of measured depth over the mesh's."""
    depth_misfit: float | None = None
    """Share of other frames' poses that fit a frame's depth better than its own pose, mean over the worse half."""
    boxes_in_room: float | None = None
    """Share of the boxes whose centre is within the mesh's bounds and 0.5 m."""
    boxes_hold: float | None = None
    """Share of the boxes that hold the vertices annotated as theirs; without such vertices, any vertex."""
    boxes_filled: float | None = None
    """Share of the boxes along whose sides the mesh in them extends."""
    boxes_agree: float | None = None
    """Share of the boxes that agree with the axis-aligned box stated beside them."""

    def row(self) -> Agreement:
        """Return the value of `scenes.agreement`: four decimals, so that it is equal on every machine."""
        return cast(Agreement, {name: _stored(getattr(self, name)) for name in FIGURES})


FIGURES = tuple(each.name for each in fields(Figures))
"""Names of the figures, in the order of `scenes.agreement`."""


def is_known(value: float | None) -> TypeGuard[float]:
    """Return whether a figure was measured: it is None without its data, and NaN with too little to compare."""
    return value is not None and bool(np.isfinite(value))


def _stored(value: float | None) -> float | None:
    return round(float(value), 4) + 0.0 if is_known(value) else None


def _steps(items: Collection[T], what: str, show_progress: bool) -> Iterable[T]:
    """Return the items, with their progress on standard error if `show_progress`: for commands that read one scan."""
    return progress(items, what) if show_progress else items


def measure(scan: Scan) -> Figures:
    """Measure every figure of a scan; leave out frames and depth pictures that cannot be read."""
    found = measure_boxes(scan.room, evidence_of(scan.dataset))
    poses = Poses(scan)
    return measure_pictures(scan, poses, measure_path(scan, poses, found))


class Poses:
    """Camera-to-world poses of a scan's frames."""

    def __init__(self, scan: Scan, show_progress: bool = False):
        self.n_frames = scan.source.n_frames
        self.known: dict[int, np.ndarray] = {}
        """Pose (4,4) of each frame that has one, by index."""
        for index in _steps(range(self.n_frames), "poses", show_progress):
            pose = scan.camera(index)[1]
            if pose is not None:
                self.known[index] = pose

    @cached_property
    def positions(self) -> np.ndarray:
        """Positions (N,3) of the camera, NaN for frames without a pose."""
        found = np.full((self.n_frames, 3), np.nan)
        for index, pose in self.known.items():
            found[index] = pose[:3, 3]
        return found

    @cached_property
    def compared(self) -> list[int]:
        """Frames that are compared: evenly sampled over the video if enough of them have a pose, else over poses."""
        some = [i for i in sample_indices(self.n_frames, FRAMES) if i in self.known]
        if len(some) < FRAMES // 2 and self.known:
            valid = list(self.known)
            some = [valid[k] for k in sample_indices(len(valid), FRAMES)]
        return list(dict.fromkeys(some))


def measure_path(scan: Scan, poses: Poses, found: Figures) -> Figures:
    """Return the figures with those of the poses alone, against gravity and the room."""
    found = replace(found, poses=len(poses.known) / poses.n_frames)
    if not poses.known:
        return found
    matrices, room = np.stack(list(poses.known.values())), scan.room
    found = replace(found, upright=agreement.upright_share(matrices), gravity=agreement.gravity(matrices))
    if np.isfinite(np.diff(poses.positions, axis=0)).all(axis=1).sum() >= 10:
        found = replace(found, path=agreement.path_roughness(poses.positions))
    if not room.has_surface:
        return found
    return replace(
        found,
        height_m=float(np.median(matrices[:, 2, 3])) - floor_level(room.vertices, room.faces),
        floor_m=floor_at_zero(room, evidence_of(scan.dataset)),
        in_room=agreement.share_within(matrices[:, :3, 3], *_bounds(room), ROOM_MARGIN_M),
    )


def evidence_of(dataset: str) -> Evidence:
    """Return which checks the release of a dataset allows."""
    return datasets.load(dataset).RELEASE.evidence


def floor_at_zero(room: Room, evidence: Evidence) -> float | None:
    """Return the height of the floor, metres, if the release puts it at 0, else None."""
    if not room.has_surface or not evidence.floor_at_zero or "no_axis_alignment" in room.flags:
        return None
    return floor_level(room.vertices, room.faces)


def measure_pictures(scan: Scan, poses: Poses, found: Figures, show_progress: bool = False) -> Figures:
    """Return the figures with those of frames and depth pictures against the mesh drawn from their poses."""
    room, source = scan.room, scan.source
    if not room.has_surface:
        return found
    pictures = {i: _read(scan.thumbnail, i) for i in _steps(poses.compared, "frames against the mesh", show_progress)}
    pictures = {i: picture for i, picture in pictures.items() if picture is not None}
    shape = Counter(picture.shape for picture in pictures.values()).most_common(1)[0][0] if pictures else None
    frames = [i for i, picture in pictures.items() if picture.shape == shape]
    if not frames:
        return found
    small = [pictures[i] for i in frames]
    size = small[0].shape[1::-1]
    colors = np.full((len(room.vertices), 3), 160, np.uint8) if room.colors is None else room.colors

    def draw(index: int, at: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the mesh drawn with the camera of a frame at the pose of another one, and which pixels it fills."""
        K, pose = resize_intrinsics(scan.camera(index)[0], (source.width, source.height), size), poses.known[at]
        z, owner = rasterise(room.vertices, room.faces, K, pose, *size)
        return surface_colors(room.vertices, room.faces, colors, K, pose, z, owner), owner >= 0

    # Without colours the drawings are of one colour, which `color_differences` ignores.
    drawings, drawn = zip(*(draw(i, i) for i in frames))
    alike = agreement.look_alike(small)
    differences = agreement.color_differences(small, drawings, drawn)
    found = replace(
        found,
        in_view=float(np.mean([pixels.mean() for pixels in drawn])),
        colour=agreement.photometric_ratio(differences, alike),
        colour_misfit=worse_half(agreement.misfits(differences, alike)),
        offset_s=_offset(poses, frames, small, np.diagonal(differences), draw, source.fps),
    )
    return _measure_depth(scan, poses, frames, alike, found)


def worse_half(misfits: np.ndarray) -> float:
    """Return the larger mean of the two halves of a video's misfits (P,), so that damage to one half counts fully.

    NaN if fewer than `FEWEST` are known.
    """
    known = np.isfinite(misfits)
    if known.sum() < FEWEST:
        return float("nan")
    return max(float(half.mean()) for half in np.array_split(misfits[known], 2))


def _offset(
    poses: Poses,
    frames: Sequence[int],
    small: Sequence[np.ndarray],
    own: np.ndarray,
    draw: Callable[[int, int], tuple[np.ndarray, np.ndarray]],
    fps: float,
) -> float:
    """Return `Figures.offset_s`. Frames are drawn at poses `NEXT_S` away first, at others only if these fit well."""
    chosen = [k for k in range(0, len(frames), 2) if np.isfinite(own[k])]

    def difference(lag: float) -> tuple[float, float]:
        """Return the median difference at a lag over that without, and the share of frames in which it is smaller."""
        pairs = []
        for k in chosen:
            at = frames[k] + round(lag * fps)
            if at != frames[k] and at in poses.known:
                drawing, drawn = draw(frames[k], at)
                pairs.append((agreement.color_differences([small[k]], [drawing], [drawn])[0, 0], own[k]))
        pairs = np.array([pair for pair in pairs if np.isfinite(pair[0])]).reshape(-1, 2)
        if len(pairs) < FEWEST // 2:
            return float("nan"), 0.0
        other, mine = pairs.T
        return float(np.median(other) / max(np.median(mine), 1e-9)), float(np.mean(other < mine))

    near = {lag: difference(lag) for lag in (-NEXT_S, NEXT_S)}
    ratios = [ratio for ratio, _ in near.values() if np.isfinite(ratio)]
    if not ratios:
        return float("nan")
    if min(ratios) > 1.5:
        return 0.0
    every = {lag: near.get(lag) or difference(lag) for lag in LAGS_S}
    known = [lag for lag in LAGS_S if np.isfinite(every[lag][0])]
    best = min(known, key=lambda lag: every[lag][0])
    return best if every[best][0] < SURE and every[best][1] > SURE else 0.0


def _read(read: Callable[[int], np.ndarray | None], index: int) -> np.ndarray | None:
    """Return a frame or a depth picture, None where it is damaged: the stage that stores it raises the error."""
    try:
        return read(index)
    except ScanError:
        return None


def _measure_depth(scan: Scan, poses: Poses, frames: list[int], alike: np.ndarray, found: Figures) -> Figures:
    """Return the figures with those of depth: every second compared frame, thinned out, against the mesh."""
    chosen, measured, drawn = [], [], []
    for k in range(0, len(frames), 2):
        index = frames[k]
        depth_K = scan.depth_K(index)
        depth = _read(scan.depth, index) if depth_K is not None else None
        if depth is None or depth_K is None:
            continue
        depth, K = thin_out(depth, depth_K, max(1, int(np.sqrt(depth.size / THUMBNAIL_PIXELS))))
        if measured and depth.shape != measured[0].shape:
            continue
        z, _ = rasterise(scan.room.vertices, scan.room.faces, K, poses.known[index], *depth.shape[::-1])
        chosen.append(k)
        measured.append(depth)
        drawn.append(z)
    if not chosen:
        return found
    misfits = agreement.misfits(agreement.depth_differences(measured, drawn), alike[np.ix_(chosen, chosen)])
    return replace(
        found,
        depth_m=agreement.depth_error(measured, drawn),
        depth_scale=agreement.depth_scale(measured, drawn),
        depth_misfit=worse_half(misfits),
    )


def measure_boxes(room: Room, evidence: Evidence, show_progress: bool = False) -> Figures:
    """Measure the figures of boxes against the mesh, without walls and marks of the annotators, which have no shape."""
    boxed = [item for item in room.objects if item.perturbable]
    if not boxed or not room.has_surface:
        return Figures()
    centres = [item.box.centroid for item in _steps(boxed, "boxes", show_progress)]
    return Figures(
        boxes_in_room=agreement.share_within(centres, *_bounds(room), ROOM_MARGIN_M / 2),
        boxes_hold=_share(box_tests(room, evidence, "hold"), boxed),
        boxes_filled=_share(box_tests(room, evidence, "filled"), boxed),
        boxes_agree=_share(box_tests(room, evidence, "agree"), boxed),
    )


def box_tests(room: Room, evidence: Evidence, name: str) -> Callable[[Annotated], bool | None]:
    """Return the test of an object for `Figures.boxes_NAME`; its result is None for an object that cannot be tested."""
    if name == "agree":
        return corners_agree if evidence.states_corners else lambda item: None
    if name == "filled":
        return partial(_filled, room.vertices[np.argsort(room.vertices[:, 0], kind="stable")])
    if evidence.points_in_box:
        return lambda item: item.n_points > 0
    annotated = np.zeros(len(room.vertices), bool)
    annotated[room.faces] = True  # the others are samples of the surface

    def holds(item: Annotated) -> bool | None:
        own = item.vertex_index[annotated[item.vertex_index]]
        return bool(item.box.contains(room.vertices[own], BOX_TOLERANCE_M).mean() >= MIN_INSIDE) if len(own) else None

    return holds


def corners_agree(item: Annotated) -> bool:
    """Return whether the box's bounds are the axis-aligned box that the release states beside it."""
    stated = np.stack([item.aabb_min, item.aabb_max])
    return float(np.abs(np.stack(item.box.aabb()) - stated).max()) <= MAX_CORNER_M


def _filled(by_x: np.ndarray, item: Annotated) -> bool:
    """Return whether the mesh within a box reaches along `MIN_FILLED` of each side; vertices (V,3) sorted by x."""
    low, high = item.box.aabb()
    first, last = np.searchsorted(by_x[:, 0], [low[0] - BOX_TOLERANCE_M, high[0] + BOX_TOLERANCE_M])
    near = by_x[first:last]
    inside = near[item.box.contains(near, BOX_TOLERANCE_M)]
    if not len(inside):
        return False
    reach = np.ptp(inside @ item.box.normalized_axes.T, axis=0)
    return bool(((reach >= MIN_FILLED * item.box.axes_lengths) | (item.box.axes_lengths < THIN_M)).all())


def _share(passes: Callable[[Annotated], bool | None], boxed: Sequence[Annotated]) -> float | None:
    """Return the share of objects that pass a test, None if none can be tested."""
    results = [result for result in map(passes, boxed) if result is not None]
    return float(np.mean(results)) if results else None


def _bounds(room: Room) -> tuple[np.ndarray, np.ndarray]:
    return room.vertices.min(axis=0), room.vertices.max(axis=0)
