"""Flags for oddities of a recording that keep the scan usable: its depth, its orientation, its times."""

from __future__ import annotations

from bisect import bisect_left

import numpy as np

from rollout3d.geometry.camera import sample_indices
from rollout3d.scenes.scan import Scan

SAMPLED = 32
"""Number of frames whose depth is read, spread over the video."""
MAX_TURNED = 0.05
"""Largest share of frames turned against the others without a flag: a camera may pass the vertical. [assumed]"""
GAP = 1.5
"""Typical steps between two frames from which frames are missing between them: a lost frame doubles the step."""
MAX_EARLY_S = 0.25
"""Seconds that the depth may end before the video without a flag. [assumed]"""

_ORIENTED = 200
"""Number of frames whose orientation is read, spread over the video."""
_LEVEL = 0.7
"""Least length of the world's up in the picture plane: a picture of a camera that looks up or down has no upright."""


def depth_shape(scan: Scan) -> tuple[int, int] | None:
    """Return height and width of the sensor's depth pictures; None for a scan without usable depth."""
    for index in sample_indices(scan.source.n_frames, SAMPLED):
        depth = scan.depth(int(index))
        if depth is not None:
            return depth.shape
    return None


def depth_flags(scan: Scan) -> list[str]:
    """Return flags on the sensor's depth, from frames spread over the video and those that were read before.

    `no_depth`: the scan has no sensor's depth.
    `depth_unusable`: none of the frames has depth that can be used.
    `depth_missing:N`: N frames have none, and the mesh's depth replaced it.
    `depth_ends_early:4.2_of_6.0s`: the depth ends at 4.2 s of a video of 6 s.
    """
    n, fps = scan.source.n_frames, scan.source.fps
    if scan.depth_K(0) is None:
        return ["no_depth"]
    sampled = [int(index) for index in sample_indices(n, SAMPLED)]
    usable = [index for index in sampled if scan.depth(index) is not None]
    flags = []
    if not usable:
        flags.append("depth_unusable")
    elif usable[-1] != sampled[-1]:
        behind = sampled[sampled.index(usable[-1]) + 1]
        # Bisection assumes a single end of the depth; damage within the recording is not searched for.
        end = usable[-1] + 1 + bisect_left(range(usable[-1] + 1, behind), True, key=lambda i: scan.depth(i) is None)
        if n - end > MAX_EARLY_S * fps:
            flags.append(f"depth_ends_early:{end / fps:.1f}_of_{n / fps:.1f}s")
    return [*flags, f"depth_missing:{len(scan.without_depth)}"] if scan.without_depth else flags


def orientation_flags(scan: Scan) -> list[str]:
    """Return `mixed_orientation:25%` for the share of frames that are turned by more than 45 degrees against gravity.

    All frames of a video are turned by one angle, the one that makes most of them upright. Frames that look far up or
    down do not count. Empty if the share is at most `MAX_TURNED`.
    """
    poses = [scan.camera(int(index))[1] for index in sample_indices(scan.source.n_frames, _ORIENTED)]
    up = np.array([pose[2, :2] for pose in poses if pose is not None]).reshape(-1, 2)  # the world's up, in the picture
    level = up[np.linalg.norm(up, axis=1) >= _LEVEL]
    if not len(level):
        return []
    turned = float(np.mean(-level[:, 1] <= np.abs(level[:, 0])))  # the picture's y points down
    return [f"mixed_orientation:{turned:.0%}"] if turned > MAX_TURNED else []


def time_flags(times: np.ndarray, what: str) -> list[str]:
    """Return `video_gaps:N`, `video_repeats:N` and `video_backwards:N` for times (N,) in the order of their frames.

    `what` is "video" or "poses". Empty for times that are all equal, as where none were recorded.
    """
    steps = np.diff(np.asarray(times, np.float64))
    forward = steps[steps > 0]
    if not len(forward):
        return []
    found = {"gaps": steps > GAP * np.median(forward), "repeats": steps == 0, "backwards": steps < 0}
    return [f"{what}_{name}:{int(which.sum())}" for name, which in found.items() if which.any()]
