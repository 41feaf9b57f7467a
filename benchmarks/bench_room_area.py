"""Room size of 10,000 drawn vertices, compared with the `alphashape` package on the same draw."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from measure import Figure, seconds
from rollout3d.geometry.room import ALPHA, POINTS, room_area
from rollout3d.scenes.datasets import scannet
from rollout3d.scenes.release import ScanRef
from scans import SCENE_ID, scannet_root


def figures() -> Iterator[Figure]:
    try:
        from alphashape import alphashape  # pyright: ignore[reportMissingImports]  (extra `bench`)
    except ImportError:
        raise SystemExit("bench_room_area needs the package alphashape: pip install -e '.[bench]'") from None
    room = scannet.read_room(scannet_root(), ScanRef(SCENE_ID, SCENE_ID.split("_")[0], "train"))
    points, n, alpha = room.vertices[:, :2], POINTS, ALPHA
    drawn = points[np.random.default_rng(0).integers(0, len(points), n)]

    def ours() -> float:
        return room_area(points, n, alpha, np.random.default_rng(0))

    def theirs() -> float:
        return alphashape(drawn, alpha).area

    fast, slow = seconds(ours), seconds(theirs, repeats=3)
    yield Figure(
        "Room area, against the alphashape package",
        slow / fast,
        8,
        "x",
        at_least=True,
        note=f"{1000 * fast:.0f} ms and {1000 * slow:.0f} ms of CPU (medians of 5 and 3)",
    )
    yield Figure("... difference of the two areas", abs(ours() - theirs()), 1e-9, "m2", note=f"{ours():.6f} m2")
