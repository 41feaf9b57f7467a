"""Pictures and videos that a released record names, as the `media` of a question row."""

from __future__ import annotations

import math
from collections.abc import Collection
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from rollout3d import tables
from rollout3d.config import Video as VideoConfig
from rollout3d.geometry.frames import frame_set
from rollout3d.imports.records import Unusable
from rollout3d.resize import resize_frame, smart_size
from rollout3d.scenes.formats.pictures import encode_jpeg, picture_size
from rollout3d.scenes.formats.video import Video
from rollout3d.scenes.reading import ScanError

MOST_PIXELS = 1 << 27
"""A JPEG or PNG that claims more is damaged, or made to fill the memory: it is refused before it is decoded."""

_KEPT = {b"\xff\xd8\xff": ".jpg", b"\x89PNG\r\n\x1a\n": ".png"}
"""First bytes of the formats that are stored as they are."""


def picture(path: Path, video: VideoConfig, quality: int) -> list[dict[str, Any]]:
    """Return a still picture as `media`: the file as it is, or a JPEG no larger than `video.image_max_pixels`.

    Kept are JPEG and PNG files within the limit. Raises Unusable if it cannot be decoded or shown.
    """
    data = path.read_bytes()
    if data.startswith(tuple(_KEPT)):
        try:
            width, height = picture_size(data)
        except ValueError as error:
            raise Unusable("undecodable picture", f"{path.name}: {error}") from None
        if width * height > MOST_PIXELS:
            raise Unusable("undecodable picture", f"{path.name} claims {width}x{height} pixels")
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    except cv2.error:
        pixels = None
    if pixels is None:
        raise Unusable("undecodable picture", path.name)
    height, width = pixels.shape[:2]
    size = _size(height, width, *video.image_pixels)
    suffix = next((suffix for magic, suffix in _KEPT.items() if data.startswith(magic)), None)
    if suffix is None or height * width > video.image_max_pixels:
        data, suffix = encode_jpeg(resize_frame(pixels, *size)[:, :, ::-1], quality), ".jpg"
    return [{"bytes": data, "path": f"image/0{suffix}"}]


def video_frames(path: Path, video: VideoConfig, quality: int, sets: Collection[str]) -> list[dict[str, Any]]:
    """The frames of a video that belong to any of `sets` as `media`: upright, JPEG, at most `video.eval_max_pixels`.

    Raises Unusable if one of them cannot be decoded or shown.
    """
    media = []
    try:
        source = Video(path)
        try:
            wanted = {i for name in sets for i in frame_set(name).indices(source.n_frames, source.fps)}
            for index in sorted(wanted):
                rgb = source.upright(index)
                height, width = rgb.shape[:2]
                size = _stored_size(height, width, video.eval_max_pixels)
                data = encode_jpeg(resize_frame(rgb, *size), quality)
                origin = tables.Origin(index, source.n_frames, source.fps, width, height)
                media.append({"bytes": data, "path": tables.frame_path(index / source.fps, origin)})
        finally:
            source.close()
    except ScanError as error:
        raise Unusable("undecodable video", error.reason) from None
    return media


def _stored_size(height: int, width: int, max_pixels: int) -> tuple[int, int]:
    """The size at which a frame is stored: its own, or as much smaller as the limit asks for; what is shown follows
    from its own. Raises Unusable if no model can be shown it."""
    _size(height, width, 1, None)
    scale = math.sqrt(max_pixels / (height * width))
    return (height, width) if scale >= 1 else (max(1, int(height * scale)), max(1, int(width * scale)))


def _size(height: int, width: int, min_pixels: int, max_pixels: int | None) -> tuple[int, int]:
    try:
        return smart_size(height, width, min_pixels, max_pixels)
    except ValueError as error:
        raise Unusable("cannot be shown", str(error)) from None
