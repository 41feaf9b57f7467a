"""Tiny scans written byte by byte from the formats' description, for tests of the readers.

The world: a floor of 4 x 3 m and a couch, a box of 1.0 x 0.6 x 0.5 m at (2, 1, 0.25), on a 0.1 m grid.
"""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path

import av
import cv2
import numpy as np

FLOOR_Z = 0.0
COUCH_CENTER, COUCH_SIZE = np.array([2.0, 1.0, 0.25]), np.array([1.0, 0.6, 0.5])
STEP = 0.1
LOST = np.full((4, 4), -np.inf)


def sheet(origin, along, across, step=STEP):
    """Vertices and faces of a parallelogram, on a grid."""
    along, across = np.asarray(along, float), np.asarray(across, float)
    n, m = (max(1, round(np.linalg.norm(v) / step)) for v in (along, across))
    s, t = np.meshgrid(np.arange(n + 1) / n, np.arange(m + 1) / m, indexing="ij")
    vertices = np.asarray(origin, float) + s.reshape(-1, 1) * along + t.reshape(-1, 1) * across
    index = np.arange((n + 1) * (m + 1)).reshape(n + 1, m + 1)
    a, b, c, d = (i.ravel() for i in (index[:-1, :-1], index[1:, :-1], index[1:, 1:], index[:-1, 1:]))
    return vertices, np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])


def box(center, size, step=STEP):
    x, y, z = np.asarray(size, float)
    low = np.asarray(center, float) - np.asarray(size) / 2
    parts = []
    for a, b, off in (
        ((x, 0, 0), (0, y, 0), (0, 0, z)),
        ((x, 0, 0), (0, 0, z), (0, y, 0)),
        ((0, y, 0), (0, 0, z), (x, 0, 0)),
    ):
        parts += [sheet(low, a, b, step), sheet(low + off, a, b, step)]
    return join(parts)


def join(parts):
    starts = np.cumsum([0] + [len(v) for v, _ in parts])
    return np.concatenate([v for v, _ in parts]), np.concatenate([f + s for (_, f), s in zip(parts, starts)])


def world():
    """Vertices, faces, and what each vertex is: 0 floor, 1 couch."""
    floor, couch = sheet((0, 0, FLOOR_Z), (4, 0, 0), (0, 3, 0)), box(COUCH_CENTER, COUCH_SIZE)
    vertices, faces = join([floor, couch])
    return vertices, faces, np.repeat([0, 1], [len(floor[0]), len(couch[0])])


def look_at(eye, target, up=(0, 0, 1.0)):
    """Camera-to-world, OpenCV axes, of a camera at `eye` that looks at `target` upright."""
    eye, target = np.asarray(eye, float), np.asarray(target, float)
    forward = (target - eye) / np.linalg.norm(target - eye)
    right = np.cross(forward, up)
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3, :3] = np.stack([right, np.cross(forward, right), forward], axis=1)
    pose[:3, 3] = eye
    return pose


def pixel(K, pose, point):
    """Where a point lands: the formula of the description, written out."""
    x, y, z = pose[:3, :3].T @ (np.asarray(point, float) - pose[:3, 3])
    return np.array([K[0, 0] * x / z + K[0, 2], K[1, 1] * y / z + K[1, 2]]), z


def ply_bytes(vertices, faces, colors=None, alpha=True):
    header = "ply\nformat binary_little_endian 1.0\n"
    header += f"element vertex {len(vertices)}\nproperty float x\nproperty float y\nproperty float z\n"
    header += "property uchar red\nproperty uchar green\nproperty uchar blue\n" + "property uchar alpha\n" * alpha
    header += f"element face {len(faces)}\nproperty list uchar int vertex_indices\nend_header\n"
    colors = np.full((len(vertices), 3), 90) if colors is None else colors
    body = b"".join(
        struct.pack("<3f", *map(float, v)) + bytes(int(k) for k in c) + b"\xff" * alpha
        for v, c in zip(vertices, colors)
    )
    return header.encode() + body + b"".join(struct.pack("<B3i", 3, *map(int, f)) for f in faces)


def jpeg(rgb):
    return cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 98])[1].tobytes()


def sens_bytes(frames, color_K, depth_K, color_size, depth_size, version=4, name=b"StructureSensor", shift=1000.0):
    """`frames`: (pose, encoded colour, depth uint16) each."""
    four = [np.eye(4), np.eye(4), np.eye(4), np.eye(4)]
    four[0][:3, :3], four[2][:3, :3] = color_K, depth_K
    data = struct.pack("<IQ", version, len(name)) + name
    data += b"".join(np.asarray(m, "<f4").tobytes() for m in four)
    data += struct.pack("<ii4If", 2, 1, *color_size, *depth_size, shift) + struct.pack("<Q", len(frames))
    for i, (pose, color, depth) in enumerate(frames):
        packed = zlib.compress(np.asarray(depth, "<u2").tobytes())
        data += np.asarray(pose, "<f4").tobytes()
        data += struct.pack("<4Q", 1000 * i, 1000 * i + 7, len(color), len(packed)) + color + packed
    if version >= 4:
        data += struct.pack("<Q", 2) + b"\x01" * 256
    return data


def write_json(path: Path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def write_bytes(path: Path, data: bytes):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


TSV_COLUMNS = [
    "id", "raw_category", "category", "count", "nyu40id", "eigen13id", "nyuClass", "nyu40class", "eigen13class",
    "ModelNet40", "ModelNet10", "ShapeNetCore55", "synsetoffset", "wnsynsetid", "wnsynsetkey", "mpcat40",
    "mpcat40index",
]  # fmt: skip

TSV_ROWS = [  # id, raw, category, nyu40id
    (6, "couch", "couch", 6),
    (2, "chair", "chair", 5),
    (2, "stack of chairs", "chair", 5),
    (5, "office chair", "office chair", 5),
    (39, "trash can", "trash can", 39),
    (13, "pillow", "pillow", 18),
    (13, "pillows", "pillow", 18),
    (20, "desk", "desk", 14),
    (8, "mouse", "mouse", 40),
    (1, "wall", "wall", 1),
    (9, "closet wall", "closet wall", 1),
    (3, "floor", "floor", 2),
    (7, "kitchen cabinet", "kitchen cabinet", 3),
    (28, "table lamp", "lamp", 35),
    (50, 'the "big" box', "box", 29),
    (27, "mattress", "mattress", 4),
    (11, "window", "window", 9),
]


def write_tsv(path: Path):
    lines = ["\t".join(TSV_COLUMNS)]
    for identity, raw, category, nyu40 in TSV_ROWS:
        cells = dict.fromkeys(TSV_COLUMNS, "") | {"id": identity, "raw_category": raw, "category": category}
        lines.append("\t".join(str((cells | {"nyu40id": nyu40})[c]) for c in TSV_COLUMNS))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


def write_video(path: Path, frames, rate=60, codec="mpeg4", gop=12, b_frames=0):
    """Frames (n,h,w,3) u8 as a video."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.gop_size = gop
        stream.codec_context.max_b_frames = b_frames
        stream.bit_rate = 4_000_000
        for picture in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())


ANGLE = np.deg2rad(30)
ALIGN = np.array(
    [[np.cos(ANGLE), -np.sin(ANGLE), 0, 1.0], [np.sin(ANGLE), np.cos(ANGLE), 0, -2.0], [0, 0, 1, 0.3], [0, 0, 0, 1]]
)
COLOR_K = np.array([[60.0, 0, 31.5], [0, 61.0, 23.5], [0, 0, 1]])
DEPTH_K = np.array([[30.0, 0, 15.5], [0, 30.0, 11.5], [0, 0, 1]])
POSES = [look_at((0.5, 2.8, 1.5), COUCH_CENTER), look_at((3.5, 2.5, 1.4), COUCH_CENTER)]


def raw(points):
    return (np.asarray(points) - ALIGN[:3, 3]) @ ALIGN[:3, :3]


def write_scannet(folder: Path, scene_id: str, aligned=True, depth=lambda i: np.full((24, 32), 1000 + i)):
    """A scan of three frames, the second one lost: floor half annotated, couch listed twice, an unknown label."""
    vertices, faces, what = world()
    near, corner = vertices[:, 0] < 2, (vertices[:, 0] < 0.35) & (vertices[:, 1] < 0.35)
    couch_segment = np.where(vertices[:, 0] < COUCH_CENTER[0], 7, 8)
    segments = np.where(what == 1, couch_segment, np.where(corner, 102, np.where(near, 100, 101)))
    write_bytes(folder / f"{scene_id}_vh_clean_2.ply", ply_bytes(raw(vertices), faces))
    write_json(
        folder / f"{scene_id}_vh_clean_2.0.010000.segs.json",
        {"params": {}, "sceneId": f"scannet.{scene_id}", "segIndices": segments.tolist()},
    )
    groups = [(3, "couch", [8, 7]), (0, "floor", [100]), (1, "trashcan", [102]), (31, "couch", [7, 8])]
    write_json(
        folder / f"{scene_id}.aggregation.json",
        {
            "sceneId": f"scannet.{scene_id}",
            "segGroups": [{"id": i, "objectId": i, "segments": s, "label": label} for i, label, s in groups],
        },
    )
    numbers = " ".join(f"{v:.12f}" for v in ALIGN.ravel())
    lines = ["colorHeight = 48", "sceneType = Living room / Lounge", "fx_color = 60.0"]
    (folder / f"{scene_id}.txt").write_text("\n".join([f"axisAlignment = {numbers} "] * aligned + lines) + "\n")
    pictures = [np.full((48, 64, 3), 40 + 60 * i, np.uint8) for i in range(3)]
    depths = [depth(i) for i in range(3)]
    poses = [np.linalg.inv(ALIGN) @ POSES[0], LOST, np.linalg.inv(ALIGN) @ POSES[1]]
    content = [(p, jpeg(c), d) for p, c, d in zip(poses, pictures, depths)]
    write_bytes(folder / f"{scene_id}.sens", sens_bytes(content, COLOR_K, DEPTH_K, (64, 48), (32, 24)))
