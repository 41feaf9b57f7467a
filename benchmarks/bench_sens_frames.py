"""Reading 32 frames of a `.sens` of 1500 by seeking, compared with exporting every frame as the released reader
does."""

from __future__ import annotations

import struct
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from measure import Figure, alone, median
from rollout3d.geometry.camera import sample_indices
from rollout3d.scenes.formats.sens import SensFile
from scans import SCENE_ID, scannet_root

N = 32


def figures() -> Iterator[Figure]:
    path = str(scannet_root() / "scans" / SCENE_ID / f"{SCENE_ID}.sens")
    picked = [alone(__name__, "pick", path) for _ in range(5)]
    with tempfile.TemporaryDirectory(dir=scannet_root().parent) as out:
        exported = alone(__name__, "export", path, out)
    if picked[0].value != exported.value:
        raise AssertionError("the two ways read different frames")
    ours, theirs = median(run.cpu_s for run in picked), exported.cpu_s
    yield Figure(
        "32 of 1500 .sens frames, against exporting them all",
        theirs / ours,
        20,
        "x",
        at_least=True,
        note=f"CPU seconds: {ours:.2f} ours (median of 5), {theirs:.1f} exporting (once); "
        f"wall {median(run.wall_s for run in picked):.2f} and {exported.wall_s:.1f}",
    )
    peak = max(run.peak_mib for run in picked)
    yield Figure("... resident memory", peak, 300, "MiB", note=f"imports included; exporting: {exported.peak_mib:.0f}")


def pick(path: str) -> list[int]:
    """Read colour, depth and pose of 32 frames; return the sum of each frame's depth, mm, as proof of reading."""
    sens = SensFile(Path(path))
    sums = []
    for index in sample_indices(sens.n_frames, N):
        depth, color = sens.depth(index), sens.color(index)
        assert color.shape == (968, 1296, 3) and sens.poses[index].shape == (4, 4)
        sums.append(int(np.rint(1000 * depth).sum(dtype=np.int64)))
    sens.close()
    return sums


def export(path: str, out: str) -> list[int]:
    """Export all frames to JPEG, 16-bit PNG and text, as the released reader does; return sums of depth like `pick`.

    The file is loaded, then every picture is decoded and written. OpenCV does the pictures here, which is faster than
    the library of the original.
    """
    with open(path, "rb") as file:

        def read(code: str) -> tuple:
            return struct.unpack(code, file.read(struct.calcsize(code)))

        read("<I")
        file.read(read("<Q")[0])
        read("<64f")
        read("<2i")
        _, _, width, height, _, n_frames = read("<4IfQ")
        frames = []
        for _ in range(n_frames):
            *numbers, n_color, n_depth = read("<16f4Q")
            frames.append((numbers[:16], file.read(n_color), file.read(n_depth)))
    wanted, sums = sample_indices(n_frames, N), []
    for index, (pose, color, depth) in enumerate(frames):
        image = cv2.imdecode(np.frombuffer(color, np.uint8), cv2.IMREAD_COLOR)
        assert image is not None
        cv2.imwrite(f"{out}/{index}.jpg", image)
        values = np.frombuffer(zlib.decompress(depth), "<u2").reshape(height, width)
        cv2.imwrite(f"{out}/{index}.png", values)
        np.savetxt(f"{out}/{index}.txt", np.reshape(pose, (4, 4)))
        if index in wanted:
            sums.append(int(values.sum(dtype=np.int64)))
    return sums
