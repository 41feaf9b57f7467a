"""A scan as the readers of all datasets return it: mesh, objects and lazily decoded frames."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from rollout3d.geometry.boxes import OrientedBox
from rollout3d.scenes.reading import ScanError
from rollout3d.scenes.release import ScanRef

if TYPE_CHECKING:
    from rollout3d.scenes.formats.packed import PackedPath

_log = logging.getLogger(__name__)

_SHORTEST, _LONGEST = 0.1, 10.0
"""Focal length over the longer side of the picture: from an opening of 157 degrees to one of 6. [assumed]"""
_SQUARE, _SKEWED = 1.5, 0.01
"""Largest ratio of a pixel's sides, and largest skew as a share of the focal length. [assumed]"""


def matrix(values: Any, rows: int, cols: int) -> np.ndarray:
    """Return nested or flat numbers as a float64 matrix. Raises ValueError if there are not rows x cols of them."""
    found = np.asarray(values, np.float64)
    if found.size != rows * cols:
        raise ValueError(f"a {rows}x{cols} matrix with {found.size} numbers")
    return found.reshape(rows, cols)


def intrinsics(values: Any, size: tuple[int, int] | None = None) -> np.ndarray:
    """Return nested or flat numbers as K (3,3) f64.

    `size`: width and height of the camera's pictures. Raises ValueError for numbers that are the K of no camera, or of
    no camera with such pictures.
    """
    K = matrix(values, 3, 3)
    if not (np.isfinite(K).all() and K[0, 0] > 0 and K[1, 1] > 0):
        raise ValueError(f"intrinsics that are no camera's: {K.tolist()}")
    if size is not None:
        focal, center, skew = np.array([K[0, 0], K[1, 1]]), K[:2, 2], np.abs([K[0, 1], K[1, 0]])
        if not (
            (focal > _SHORTEST * max(size)).all()
            and (focal < _LONGEST * max(size)).all()
            and focal.max() < _SQUARE * focal.min()
            and (center > 0).all()
            and (center < size).all()
            and skew.max() < _SKEWED * focal.min()
            and (K[2] == (0, 0, 1)).all()
        ):
            raise ValueError(f"intrinsics of no camera with pictures of {size[0]}x{size[1]}: {K.tolist()}")
    return K


def camera_matrix(
    fx: float, fy: float, cx: float, cy: float, size: tuple[int, int] | None = None, first_pixel: float = 0.0
) -> np.ndarray:
    """Return K (3,3) f64 of focal lengths and principal point, pixels. Raises ValueError as `intrinsics`.

    `size`: width and height of the camera's pictures. `first_pixel`: coordinate of the first pixel's centre in the
    file, 0.5 in COLMAP and nerfstudio; it is 0 in K.
    """
    return intrinsics([fx, 0.0, cx - first_pixel, 0.0, fy, cy - first_pixel, 0.0, 0.0, 1.0], size)


def segment_of_vertices(content: Mapping[str, Any], n_vertices: int) -> np.ndarray:
    """Return the segment (V,) i64 of each vertex from a file of segments. Raises ValueError if it is another mesh's."""
    found = np.asarray(content["segIndices"])
    if found.shape != (n_vertices,) or found.dtype.kind not in "iu":
        raise ValueError(f"{found.size} segment indices ({found.dtype}) for {n_vertices} vertices of the mesh")
    return found.astype(np.int64)


def released_box(obb: Mapping[str, Any]) -> OrientedBox:
    """Return the oriented box of an annotation of ScanNet++ or ARKitScenes, which states the axes as rows."""
    axes = matrix(obb["normalizedAxes"], 3, 3)
    return OrientedBox(matrix(obb["centroid"], 1, 3)[0], matrix(obb["axesLengths"], 1, 3)[0], axes)


@dataclass
class Annotated:
    """One annotated object, in the aligned world. `vertex_index` are rows of `Room.vertices`.

    `known` is false for a raw label that no list of the release explains: the object is perturbed like any other, and
    no question is about it. `stated` is true for a box that the annotation states: the axis-aligned box beside it need
    not enclose it.
    """

    object_id: int
    label: str
    category: str | None
    perturbable: bool
    make_box: Callable[[], OrientedBox]
    aabb_min: np.ndarray
    aabb_max: np.ndarray
    n_points: int
    vertex_index: np.ndarray
    known: bool = True
    stated: bool = False

    @cached_property
    def box(self) -> OrientedBox:
        """The oriented box, computed on first use: regions never need it, and minimal boxes cost time."""
        return self.make_box()


UNKNOWN_LABEL = "unknown_label:"
"""Beginning of the flag of a scene that names a raw label which no list of the release explains."""


def unknown_labels(objects: Iterable[Annotated]) -> list[str]:
    """Return a flag for each label that the release's lists do not explain, sorted by label."""
    return sorted({UNKNOWN_LABEL + item.label for item in objects if not item.known})


class FrameSource(Protocol):
    """The video of a scan, upright. Frames are numbered as in VSI-Bench's copy of the video."""

    fps: float
    n_frames: int
    width: int
    height: int
    rotation_deg: int
    """Clockwise turn that made the pictures upright, degrees."""
    poses_path: Path
    """The file that holds the poses."""

    def camera(self, index: int) -> tuple[np.ndarray, np.ndarray | None]:
        """Return K (3,3) of a frame and its camera-to-world pose (4,4), None if lost. Raises `ScanError`."""
        ...

    def frame(self, index: int) -> np.ndarray:
        """Return a frame (height, width, 3) u8, RGB. Raises `ScanError`."""
        ...

    def depth_K(self, index: int) -> np.ndarray | None:
        """Return K (3,3) of the depth picture of a frame; None if the scan has no depth. Raises `ScanError`."""
        ...

    def depth(self, index: int) -> np.ndarray | None:
        """Return the depth picture (h,w) f32 of a frame, metres, 0 = unknown, None without one. Raises `ScanError`."""
        ...

    def close(self) -> None:
        """Close the files that the video holds open."""
        ...


@runtime_checkable
class InstanceSource(Protocol):
    """A video with the release's own pictures of its annotated instances (`Evidence.instance_pictures`)."""

    def instances(self, index: int) -> np.ndarray | None:
        """Return the objectId (height, width) of each pixel, -1 = none; None without a picture. Raises `ScanError`."""
        ...


@dataclass(frozen=True)
class FirstFrames:
    """First frames by the release's own pictures of labels."""

    index: Mapping[str, int]
    """Raw label -> index of the first frame of the video that shows it; labels that no picture shows are left out."""
    n_lacking: int
    """Number of frames of the video without a picture."""


@runtime_checkable
class LabelSource(Protocol):
    """A video that may have the release's own pictures of labels."""

    def first_frames(self, labels: Collection[str]) -> FirstFrames | None:
        """Return the first frame of each raw label; None where there are no such pictures. Raises `ScanError`."""
        ...


@dataclass
class Room:
    """Mesh and objects of a scan, aligned: metres, +z up.

    Vertices that no face uses are samples of the surface (ScanNet++'s decimated mesh).
    """

    vertices: np.ndarray
    """Points (V,3) f64."""
    faces: np.ndarray
    """Triangles (F,3) i32."""
    colors: np.ndarray | None
    """Colours (V,3) u8 of the vertices, None without."""
    objects: list[Annotated]
    to_aligned: np.ndarray = field(default_factory=lambda: np.eye(4))
    """Matrix (4,4) from the raw world to the aligned world."""
    scene_type: str | None = None
    flags: list[str] = field(default_factory=list)
    """Oddities of the files."""
    mesh_path: Path | PackedPath = field(default_factory=Path)
    """File of the mesh."""
    unboxed: list[str] = field(default_factory=list)
    """Category of each annotated object whose box cannot be used: it counts, and is in no table."""
    n_annotated: int | None = None
    """Number of different objects in the annotation, None without an annotation."""

    @classmethod
    def absent(cls) -> Room:
        """Return a room without mesh and objects, for a scan whose mesh cannot be read."""
        return cls(np.empty((0, 3)), np.empty((0, 3), np.int32), None, [])

    @property
    def is_absent(self) -> bool:
        """True for a room without mesh."""
        return not len(self.vertices)

    @property
    def has_surface(self) -> bool:
        """True if the mesh has faces."""
        return len(self.faces) > 0


ROUNDING_M = 1e-4
"""Distance, metres, up to which a point near the surface of a box is in it: coordinates of meshes have 32 bits."""
THUMBNAIL_PIXELS = 96 * 72
"""Pixels of a frame's small copy, which comparisons use: frames are expensive to decode."""


@dataclass
class Scan:
    """A room and the video that was taken of it. Use as a context manager: the video holds files open."""

    ref: ScanRef
    dataset: str
    room: Room
    source: FrameSource
    without_depth: set[int] = field(default_factory=set)
    """Frames whose depth was requested and cannot be used, in a video that has depth."""
    _small: dict[int, np.ndarray] = field(default_factory=dict, repr=False)

    def camera(self, index: int) -> tuple[np.ndarray, np.ndarray | None]:
        """Return K (3,3) of the upright full-size frame and its camera-to-world pose (4,4), None if lost."""
        return self.source.camera(index)

    def frame(self, index: int) -> np.ndarray:
        """Return the upright frame (height, width, 3) u8, RGB. Raises `ScanError`."""
        import cv2  # imported late: commands that only locate a scan start without it

        picture = self.source.frame(index)
        if index not in self._small:
            scale = min(1.0, (THUMBNAIL_PIXELS / (picture.shape[0] * picture.shape[1])) ** 0.5)
            size = max(1, round(scale * picture.shape[1])), max(1, round(scale * picture.shape[0]))
            self._small[index] = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        return picture

    def thumbnail(self, index: int) -> np.ndarray:
        """Return the frame at `THUMBNAIL_PIXELS` or less; it is decoded only if `frame` was not called for it."""
        if index not in self._small:
            self.frame(index)
        return self._small[index]

    def depth_K(self, index: int) -> np.ndarray | None:
        """Return K (3,3) of a frame's depth picture, which has the frame's pose; None if the scan has no depth."""
        return self.source.depth_K(index)

    def depth(self, index: int) -> np.ndarray | None:
        """Return the upright depth (h,w) f32, metres along the viewing axis, 0 = unknown; None where there is none.

        A picture that is damaged or all unknown cannot be used; its frame is added to `without_depth`.
        """
        if self.source.depth_K(index) is None:
            return None
        try:
            depth = self.source.depth(index)
        except ScanError as error:
            _log.debug("frame %d: %s", index, error)
            depth = None
        if depth is None or not depth.any():
            self.without_depth.add(index)
            return None
        return depth

    def __enter__(self) -> Scan:
        return self

    def __exit__(self, error_type: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.source.close()
