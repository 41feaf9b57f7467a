"""Draw a scan's tables in one picture: the room from above with the names of its objects, and frames with boxes.

The picture shows the values that questions are made from: the BEV picture, boxes, poses and intrinsics of the tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import cv2
import numpy as np

from rollout3d.geometry.camera import sample_indices
from rollout3d.geometry.raster import rasterise
from rollout3d.geometry.topdown import Bev
from rollout3d.scenes.check_picture import above, color_of, draw_box, draw_metre, enlarged, label, with_boxes, write
from rollout3d.scenes.check_report import Shot
from rollout3d.scenes.formats.pictures import decode_picture
from rollout3d.scenes.scan import Room
from rollout3d.tables.rows import FrameRow, Image, MapRow

TOP = 900
"""Side of the view from above, pixels."""
FRAMES, COLUMNS = 6, 2
"""Number of frames drawn, and of their columns."""
_GAP, _HEAD, _PAPER = 12, 56, (255, 255, 255)


def overview(room: Room, frames: Sequence[FrameRow], place: MapRow, title: str) -> np.ndarray:
    """Return the picture (H,W,3) u8. `frames`, `place`: rows of frames and maps; `room`: mesh and objects."""
    top = _from_above(room, frames, place)
    seen = [row for row in frames if row["pose"] is not None]
    seen = [seen[k] for k in dict.fromkeys(sample_indices(len(seen), min(FRAMES, len(seen))))] if seen else []
    tiles = [_frame(room, row) for row in seen]
    rows = -(-FRAMES // COLUMNS)
    height = (TOP - (rows - 1) * _GAP) // rows
    sizes = [(round(tile.shape[1] * height / tile.shape[0]), height) for tile in tiles]
    tiles = [cv2.resize(tile, size, interpolation=cv2.INTER_AREA) for tile, size in zip(tiles, sizes)]
    wide = max((tile.shape[1] for tile in tiles), default=0)
    canvas = np.full((_HEAD + TOP + _GAP, _GAP + TOP + COLUMNS * (_GAP + wide) + _GAP, 3), _PAPER, np.uint8)
    write(canvas, (_GAP, 36), title, 22, bold=True)
    canvas[_HEAD : _HEAD + TOP, _GAP : _GAP + TOP] = top
    for k, (tile, row) in enumerate(zip(tiles, seen)):
        y, x = _HEAD + (k // COLUMNS) * (height + _GAP), _GAP + TOP + _GAP + (k % COLUMNS) * (wide + _GAP)
        canvas[y : y + height, x : x + tile.shape[1]] = tile
        label(canvas, (x + 6, y + 20), f"{row['timestamp_s']:.1f} s", (31, 41, 51))
    return canvas


def _from_above(room: Room, frames: Sequence[FrameRow], place: MapRow) -> np.ndarray:
    """Return the BEV picture with the camera's path and boxes: thick with a name for objects with a category."""
    stored = _decode(place["bev"])
    top = Bev(stored, place["m_per_px"], place["x0"], place["y0"])
    painted, scale = enlarged(top, TOP)
    boxed = sorted((item for item in room.objects if item.perturbable), key=lambda item: item.category is not None)
    for item in boxed:
        draw_box(painted, top, item, scale, 2 if item.category else 1)
    path = [np.reshape(row["pose"], (4, 4))[:3, 3] for row in frames if row["pose"] is not None]
    for a, b in pairwise(path):
        one, two = above(top, np.stack([a, b]), scale)
        cv2.line(painted, one, two, (255, 220, 0), 2, cv2.LINE_AA)
    for item in boxed:
        if item.category:
            (spot,) = above(top, item.box.centroid[None], scale)
            label(painted, spot, item.category, color_of(item), 13, centred=True)
    draw_metre(painted, top, scale, (16, TOP - 16))
    return painted


def _frame(room: Room, row: FrameRow) -> np.ndarray:
    """Return a stored frame with the boxes of the largest objects in view, by its stored pose and intrinsics."""
    picture = _decode(row["image"])
    K, pose = np.array(row["K"]).reshape(3, 3), np.array(row["pose"]).reshape(4, 4)
    z, owner = rasterise(room.vertices, room.faces, K, pose, row["width"], row["height"])
    return with_boxes(room, Shot(row["frame_index"], K, pose, picture, picture, owner, None, z), picture)


def _decode(image: Image) -> np.ndarray:
    return cv2.cvtColor(decode_picture(image["bytes"] or b"", cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
