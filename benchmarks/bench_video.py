"""Reading 32 frames of a video of VSI-Bench's size with checks, compared with decoding it once without checks."""

from __future__ import annotations

import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np

from measure import Figure, alone, median
from rollout3d.geometry.camera import sample_indices
from rollout3d.scenes.formats.video import Video

N, N_FRAMES, FPS = 32, 900, 30
WIDTH, HEIGHT = 640, 480


def figures() -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "video.mp4")
        write(path)
        ours = [alone(__name__, "ours", path) for _ in range(3)]
        bare = [alone(__name__, "bare", path) for _ in range(3)]
        twice = [alone(__name__, "twice", path) for _ in range(3)]
    if ours[0].value != twice[0].value:
        raise AssertionError("the two ways read different frames")
    once = median(run.cpu_s for run in bare)
    yield Figure(
        f"{N} frames of {N_FRAMES}, checked, against decoding once",
        median(run.cpu_s for run in ours) / once,
        1.25,
        "x",
        note=f"CPU seconds: {median(run.cpu_s for run in ours):.2f} ours, {once:.2f} bare; "
        f"{median(run.cpu_s for run in twice):.2f} counting by decoding first ({WIDTH}x{HEIGHT}, H.264)",
    )


def write(path: str) -> None:
    """Write a video of a camera that pans over a large texture, with a little noise."""
    draw = np.random.default_rng(0)
    scene = np.kron(draw.integers(0, 255, (100, 200, 3)), np.ones((8, 8, 1))).astype(np.uint8)
    noise = [draw.integers(0, 12, (HEIGHT, WIDTH, 3), dtype=np.uint8) for _ in range(8)]
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.options = {"preset": "veryfast", "crf": "23"}
        for i in range(N_FRAMES):
            x, y = i, i // 3
            picture = scene[y : y + HEIGHT, x : x + WIDTH] // 2 + noise[i % 8]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(stream.encode())


def ours(path: str) -> list[int]:
    """Return checksums of the frames, read as the benchmark's stage reads them."""
    video = Video(Path(path))
    found = [zlib.crc32(rgb.data) for _, _, rgb in video.sample(sample_indices(video.n_frames, N))]
    video.close()
    return found


def bare(path: str) -> int:
    """Decode every frame and convert none; return their number."""
    return sum(1 for _ in _decode(path))


def twice(path: str) -> list[int]:
    """Count the frames by decoding them, then decode them again to take some."""
    wanted = set(sample_indices(bare(path), N))
    return [
        zlib.crc32(np.asarray(frame.to_ndarray(format="rgb24")).data)
        for i, frame in enumerate(_decode(path))
        if i in wanted
    ]


def _decode(path: str) -> Iterator[av.VideoFrame]:
    with av.open(path) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        yield from container.decode(stream)
