"""VSI-Bench's release in small: all 5,130 questions with the released counts, and tiny videos of its 288 scenes.

Written from the description of the release, without a line of the reader's: ids with gaps, answers as texts, options
"A. text" or null, `pruned`; videos as folders or as the three archives of the Hub.
"""

from __future__ import annotations

import json
import zipfile
from functools import cache

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

SCENES = {
    "arkitscenes": [str(41069025 + 7 * i) for i in range(150)],
    "scannet": [f"scene{11 + 7 * i:04d}_{i % 3:02d}" for i in range(88)],
    "scannetpp": [f"{i:02x}d2f4c9a{i % 10}" for i in range(50)],
}
NUMBERS = {
    "object_counting": (565, "4"),
    "object_size_estimation": (953, "173"),
    "room_size_estimation": (288, "30.2"),
    "object_abs_distance": (834, "2.9"),
}
CHOICES = {
    "object_rel_distance": (710, ["A. chair", "B. tv", "C. sofa", "D. stove"]),
    "object_rel_direction_easy": (217, ["A. left", "B. right"]),
    "object_rel_direction_medium": (378, ["A. back", "B. right", "C. left"]),
    "object_rel_direction_hard": (373, ["A. front-left", "B. back-left", "C. front-right", "D. back-right"]),
    "obj_appearance_order": (618, ["A. tv, sofa", "B. sofa, tv", "C. bed, tv", "D. tv, bed"]),
    "route_planning": (194, ["A. Turn Left, Turn Left", "B. Turn Right, Turn Back", "C. Turn Back, Turn Left"]),
}
DEBIASED = 2363


@cache
def _rows():
    kinds = [(kind, answer, None) for kind, (n, answer) in NUMBERS.items() for _ in range(n)]
    kinds += [(kind, "ABCD"[i % len(o)], o) for kind, (n, o) in CHOICES.items() for i in range(n)]
    scenes = [(dataset, scene) for dataset, names in SCENES.items() for scene in names]
    rows = []
    for k, (kind, answer, options) in enumerate(kinds):
        dataset, scene = scenes[k % len(scenes)]
        row = {"id": k + k // 280, "dataset": dataset, "scene_name": scene, "question_type": kind}
        row |= {"question": f"Question {k % 1000} of {kind}?", "ground_truth": answer, "options": options}
        rows.append(row | {"pruned": k >= DEBIASED})
    return rows


def rows():
    """All rows, free to be changed."""
    return [dict(row) for row in _rows()]


def write_questions(root, form="jsonl", written=None):
    """`form`: jsonl | parquet | halves."""
    written = rows() if written is None else written
    root.mkdir(parents=True, exist_ok=True)
    for old in [*root.glob("test*.parquet"), *root.glob("test.jsonl")]:
        old.unlink()
    if form == "jsonl":
        (root / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in written))
    elif form == "parquet":
        pq.write_table(pa.Table.from_pylist(written), root / "test-00000-of-00001.parquet")
    else:
        for name, pruned in (("debiased", False), ("pruned", True)):
            half = [row for row in written if row["pruned"] == pruned]
            pq.write_table(pa.Table.from_pylist(half), root / f"test_{name}.parquet")


def write_video(path, n=12, width=96, height=64, level=lambda i: 20 * i, corner=False, faststart=False):
    """MPEG-4 in MP4 at 10 frames per second; frame i is grey level(i), or black with a white top left corner."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", options={"movflags": "+faststart"} if faststart else {}) as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.bit_rate = 4_000_000
        for i in range(n):
            picture = np.full((height, width, 3), 0 if corner else level(i), np.uint8)
            if corner:
                picture[: height // 2, : width // 2] = 255
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(stream.encode())


def write_folders(root, datasets=tuple(SCENES)):
    """The archives unpacked: `<dataset>/<scene>.mp4`."""
    write_video(root / "made.mp4")
    content = (root / "made.mp4").read_bytes()
    (root / "made.mp4").unlink()
    for dataset in datasets:
        (root / dataset).mkdir()
        for scene in SCENES[dataset]:
            (root / dataset / f"{scene}.mp4").write_bytes(content)


def pack(root, dataset, videos, folder=None, compression=zipfile.ZIP_STORED):
    """`<dataset>.zip` as on the Hub: a folder of videos, with what a Mac adds to it."""
    folder = dataset if folder is None else folder
    with zipfile.ZipFile(root / f"{dataset}.zip", "w", compression) as archive:
        for name, content in videos.items():
            archive.writestr(f"{folder}/{name}.mp4", content)
            archive.writestr(f"__MACOSX/{folder}/._{name}.mp4", b"Mac OS X")
