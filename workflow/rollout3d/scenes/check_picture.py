"""Draw a checked scan in one picture, in which wrong poses, axes and boxes are visible.

Columns are frames: the frame, the mesh drawn from the frame's pose, and the difference of depth between sensor and
mesh. An object has the same colour everywhere. Below: the room from above with boxes, camera path and views, and the
checks.
"""

from __future__ import annotations

import os
from errno import EISDIR
from pathlib import Path

import cv2
import numpy as np

from rollout3d.geometry.camera import project, project_lines, sample_indices
from rollout3d.geometry.topdown import Bev, bev
from rollout3d.scenes.check_report import Report, Shot
from rollout3d.scenes.formats.pictures import encode_png
from rollout3d.scenes.scan import Annotated, Room

COLUMNS, COLUMN = 5, 320
"""Number of frames drawn, and their width in pixels."""
TOP = 600
"""Side of the view from above, pixels."""
MOST_BOXES, FEWEST_SHARE = 7, 0.004
"""Largest number of boxes drawn into a frame, of the largest objects; least share of the picture of each object."""
DEPTH_SCALE_M = 0.3
"""Difference of depth that is drawn in full colour, metres."""

_GAP, _MARGIN, _TEXT, _HEAD = 8, 20, 15, 92
_PAPER, _INK, _MUTED, _GOOD, _BAD = (255, 255, 255), (31, 41, 51), (123, 135, 148), (44, 122, 62), (190, 40, 40)
_PALETTE = [
    (230, 60, 60), (40, 130, 240), (40, 180, 90), (250, 170, 30), (170, 70, 220), (0, 190, 200), (240, 100, 180),
    (150, 200, 30), (255, 110, 50), (110, 120, 255), (0, 150, 130), (200, 140, 90),
]  # fmt: skip
_PATH = (255, 220, 0)


def write_picture(report: Report, out: Path, bev_size: int = 432) -> None:
    """Draw a report into a PNG file, which is replaced atomically. Raises OSError."""
    write_png(draw(report, bev_size), out)


def write_png(picture: np.ndarray, out: Path) -> None:
    """Write a picture (H,W,3) u8, RGB, to a PNG file, which is replaced atomically. Raises OSError."""
    out = Path(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    if out.is_dir():
        raise IsADirectoryError(EISDIR, "is a folder")
    data = encode_png(picture)
    aside = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    aside.write_bytes(data)
    os.replace(aside, out)


def draw(report: Report, bev_size: int = 432) -> np.ndarray:
    """Return the picture (H,W,3) u8 of a report; parts without data are left out."""
    width = 2 * _MARGIN + COLUMNS * COLUMN + (COLUMNS - 1) * _GAP
    parts = [_head(report, width)]
    if report.shots:
        parts.append(_frames(report, width))
    parts.append(_below(report, width, bev_size))
    return np.concatenate(parts)


def _head(report: Report, width: int) -> np.ndarray:
    head = np.full((_HEAD, width, 3), _PAPER, np.uint8)
    color = _GOOD if report.passed else _BAD
    head[:8] = color
    write(head, (_MARGIN, 46), f"{report.dataset}  {report.scene_id}", 24, bold=True)
    write(head, (_MARGIN, 76), report.verdict(), 18, color, bold=True)
    return head


def _frames(report: Report, width: int) -> np.ndarray:
    shots = _chosen(report)
    rows = [
        ("frame, with the boxes of the objects that the mesh shows in view", _boxed_frame),
        ("mesh from the frame's pose: must look like the frame", _boxed_mesh),
    ]
    if any(shot.depth is not None for shot in shots):
        text = f"depth of the sensor minus the mesh's: white = same, blue = {DEPTH_SCALE_M} m nearer, red = farther"
        rows.append((text, _depth_difference))
    bands = []
    for text, paint in rows:
        bands.append(_line(width, text))
        tiles = [fit(paint(report.room, shot)) for shot in shots]
        band = np.full((max(t.shape[0] for t in tiles) + _GAP, width, 3), _PAPER, np.uint8)
        for k, (tile, shot) in enumerate(zip(tiles, shots)):
            left = _MARGIN + k * (COLUMN + _GAP)
            band[: tile.shape[0], left : left + COLUMN] = tile
            if paint is _boxed_frame:
                label(band, (left + 5, 18), f"{shot.index}", _INK)
        bands.append(band)
    return np.concatenate(bands)


def _chosen(report: Report) -> list[Shot]:
    """Return the frames of the columns."""
    return [report.shots[k] for k in dict.fromkeys(sample_indices(len(report.shots), COLUMNS))]


def fit(picture: np.ndarray) -> np.ndarray:
    """Return a picture at most `COLUMN` wide and high, centred on the width of a column."""
    height, width = picture.shape[:2]
    scale = min(COLUMN / width, COLUMN / height)
    size = round(scale * width), round(scale * height)
    picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    tile = np.full((size[1], COLUMN, 3), _PAPER, np.uint8)
    left = (COLUMN - size[0]) // 2
    tile[:, left : left + size[0]] = picture
    cv2.rectangle(tile, (left, 0), (left + size[0] - 1, size[1] - 1), _MUTED, 1)
    return tile


def _boxed_frame(room: Room, shot: Shot) -> np.ndarray:
    return with_boxes(room, shot, shot.picture)


def _boxed_mesh(room: Room, shot: Shot) -> np.ndarray:
    return with_boxes(room, shot, shot.drawing)


def with_boxes(room: Room, shot: Shot, picture: np.ndarray) -> np.ndarray:
    """Return a picture enlarged to the width of its tile, with the oriented boxes of the largest objects in view."""
    height, width = picture.shape[:2]
    scale = max(1.0, COLUMN / max(height, width)) * 2  # twice as large, so that lines are smooth when it is reduced
    size = round(scale * width), round(scale * height)
    painted = cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR)
    thick = max(2, round(max(size) / COLUMN * 1.3))
    in_view = _in_view(room, shot)
    for item in in_view:
        lines = np.nan_to_num((project_lines(shot.K, shot.pose, item.box.edges()) + 0.5) * scale)
        for a, b in np.clip(np.rint(lines), -20000, 20000).astype(int):
            cv2.line(painted, tuple(map(int, a)), tuple(map(int, b)), color_of(item), thick, cv2.LINE_AA)
    for item in in_view:
        (middle,), (z,) = project(shot.K, shot.pose, item.box.centroid)
        if z > 0 and 0 <= middle[0] < width and 0 <= middle[1] < height:
            spot = round(middle[0] * scale), round(middle[1] * scale)
            label(painted, spot, item.label, color_of(item), round(max(size) / COLUMN * 12), centred=True)
    return painted


def _in_view(room: Room, shot: Shot) -> list[Annotated]:
    """Return the largest perturbable objects, sorted by the pixels of their faces, largest last."""
    faces = shot.owner[shot.owner >= 0]
    corner = np.zeros(len(room.vertices), np.int64)
    np.add.at(corner, room.faces[faces, 0], 1)
    areas = [(int(corner[item.vertex_index].sum()), item) for item in room.objects if item.perturbable]
    areas = [(n, item) for n, item in areas if n >= FEWEST_SHARE * shot.owner.size]
    return [item for _, item in sorted(areas, key=lambda entry: entry[0])[-MOST_BOXES:]]


def _depth_difference(room: Room, shot: Shot) -> np.ndarray:
    """Draw the sensor's depth minus the mesh's: blue = negative, white = 0, red = positive, grey = unknown."""
    if shot.depth is None or shot.mesh_depth is None:
        return np.full_like(shot.picture, 225)
    share = np.clip((shot.depth - shot.mesh_depth) / DEPTH_SCALE_M, -1, 1)[..., None]
    nearer, farther = np.array([33, 102, 172]), np.array([178, 24, 43])
    color = 255 + np.where(share < 0, -share * (nearer - 255.0), share * (farther - 255.0))
    color[(shot.depth <= 0) | (shot.mesh_depth <= 0)] = 200
    return cv2.resize(color.astype(np.uint8), shot.picture.shape[1::-1], interpolation=cv2.INTER_NEAREST)


def _below(report: Report, width: int, bev_size: int) -> np.ndarray:
    """Return the lower part: the room from above on the left, facts and checks on the right."""
    top = _from_above(report, bev_size)
    line = _TEXT + 8
    text_left = _MARGIN + (0 if top is None else top.shape[1] + 24)
    n_lines = len(report.found) + len(report.checks) + 2
    below = np.full((max(0 if top is None else top.shape[0] + 30, n_lines * line + 20) + 10, width, 3), 255, np.uint8)
    if top is not None:
        below[30 : 30 + top.shape[0], _MARGIN : _MARGIN + top.shape[1]] = top
        words = "from above: boxes, camera path from green to red, views of the frames"
        write(below, (_MARGIN, 22), words, _TEXT, _MUTED)
    y = 22
    for what, value in report.found:
        write(below, (text_left, y), what, _TEXT, _MUTED)
        write(below, (text_left + 90, y), _short(value, 110), _TEXT)
        y += line
    y += line // 2
    for check in report.checks:
        color = {True: _GOOD, False: _BAD, None: _MUTED}[check.passed]
        word = {True: "pass", False: "FAIL", None: "–"}[check.passed]
        write(below, (text_left, y), word, _TEXT, color, bold=check.passed is False)
        write(below, (text_left + 52, y), check.name, _TEXT, _MUTED if check.passed is None else _INK)
        write(below, (text_left + 262, y), check.value or "not made", _TEXT, color, bold=check.passed is False)
        write(below, (text_left + 352, y), check.limit, _TEXT, _MUTED)
        write(below, (text_left + 490, y), _short(check.note, 62), _TEXT, _MUTED)
        y += line
    return below


def _from_above(report: Report, size: int) -> np.ndarray | None:
    """Return the BEV picture, enlarged, with boxes and the camera's path and directions; None without a mesh."""
    room = report.room
    if not room.has_surface:
        return None
    top = bev(room.vertices, room.faces, room.colors, size)
    painted, scale = enlarged(top, TOP)
    for item in room.objects:
        if item.perturbable:
            draw_box(painted, top, item, scale, 1)
    path = report.positions
    for k in range(len(path) - 1):
        if np.isfinite(path[k : k + 2]).all():
            a, b = above(top, path[k : k + 2], scale)
            share = k / max(len(path) - 2, 1)
            cv2.line(painted, a, b, (round(255 * share), round(255 * (1 - share)), 60), 2, cv2.LINE_AA)
    for shot in report.shots:
        chosen = shot in _chosen(report)
        eye, forward = shot.pose[:3, 3], shot.pose[:3, 2]
        a, b = above(top, np.stack([eye, eye + (0.7 if chosen else 0.25) * forward]), scale)
        cv2.arrowedLine(painted, a, b, _PATH, 2 if chosen else 1, cv2.LINE_AA, tipLength=0.25)
        if chosen:
            cv2.circle(painted, a, 5, _PATH, -1, cv2.LINE_AA)
            label(painted, (b[0] + 4, b[1]), f"{shot.index}", _INK)
    draw_metre(painted, top, scale, (12, TOP - 14))
    return painted


def enlarged(top: Bev, side: int) -> tuple[np.ndarray, float]:
    """Return the BEV picture with a side of `side` pixels, darkened so that lines stand out, and its scale."""
    painted = cv2.resize(top.rgb, (side, side), interpolation=cv2.INTER_LINEAR)
    return (painted * 0.75).astype(np.uint8), side / top.rgb.shape[0]


def draw_box(painted: np.ndarray, top: Bev, item: Annotated, scale: float, thickness: int) -> None:
    """Draw the edges of an object's box into the enlarged BEV picture."""
    for edge in item.box.edges():
        a, b = above(top, edge, scale)
        cv2.line(painted, a, b, color_of(item), thickness, cv2.LINE_AA)


def draw_metre(painted: np.ndarray, top: Bev, scale: float, where: tuple[int, int]) -> None:
    """Draw a bar of one metre into the enlarged BEV picture, its left end at column and row `where`."""
    column, row = where
    cv2.line(painted, where, (column + round(scale / top.m_per_px), row), (255, 255, 255), 3)
    write(painted, (column, row - 8), "1 m", _TEXT, (255, 255, 255))


def above(top: Bev, points: np.ndarray, scale: float) -> list[tuple[int, int]]:
    """Return the pixels of world points (N,3) on the enlarged BEV picture."""
    column, row = (points[:, 0] - top.x0) / top.m_per_px, (top.y0 - points[:, 1]) / top.m_per_px
    spots = np.clip(np.rint((np.stack([column, row], axis=1) + 0.5) * scale), -20000, 20000)
    return [(int(x), int(y)) for x, y in spots]


def color_of(item: Annotated) -> tuple[int, int, int]:
    """Return the colour of an object, RGB, by its id."""
    return _PALETTE[item.object_id % len(_PALETTE)]


def _line(width: int, text: str) -> np.ndarray:
    band = np.full((_TEXT + 13, width, 3), _PAPER, np.uint8)
    write(band, (_MARGIN, _TEXT + 4), text, _TEXT, _MUTED)
    return band


def label(
    image: np.ndarray, where: tuple[int, int], text: str, color: tuple, size: int = 13, centred: bool = False
) -> None:
    """Write a text on a white plate, which is readable on any picture."""
    _, _, width, height = cv2.getTextSize((1, 1), text, (0, 0), _FONT, size, 500)
    x, y = where
    if centred:
        x, y = x - width // 2, y + height // 2
    x, y = min(max(x, 3), max(image.shape[1] - width - 4, 3)), min(max(y, height + 3), image.shape[0] - 4)
    cv2.rectangle(image, (x - 3, y - height - 2), (x + width + 3, y + 4), _PAPER, -1)
    write(image, (x, y), text, size, tuple(int(0.75 * c) for c in color), bold=True)


def write(image: np.ndarray, where: tuple[int, int], text: str, size: int, color=_INK, bold: bool = False) -> None:
    """Write a text into a picture, its lower left corner at column and row `where`."""
    cv2.putText(image, text, where, color, _FONT, size, 600 if bold else 400)


def _short(text: str, n: int) -> str:
    return text if len(text) <= n else text[: n - 3] + "..."


_FONT = cv2.FontFace("sans")
