"""Oddities of a recording that cost trust but not the scan, as flags: its depth, its orientation, its times."""

from __future__ import annotations

from bisect import bisect_left

import numpy as np

from rollout3d.geometry.camera import sample_indices
from rollout3d.scenes.scan import Scan

SAMPLED = 32
"""Frames of which the depth is read, spread over the video."""
MAX_TURNED = 0.05
"""Share of the frames that may be turned against the others: the camera passes the vertical now and then. [assumed]"""
GAP = 1.5
"""Frames further apart than this many typical steps have a gap between them: a lost frame doubles the step."""
MAX_EARLY_S = 0.25
"""Seconds that the depth may end before the video. [assumed]"""

_ORIENTED = 200
_LEVEL = 0.7
"""Least part of the world's up that lies in the picture: a camera that looks further up or down has no upright side."""


def depth_shape(scan: Scan) -> tuple[int, int] | None:
    """Return height and width of the sensor's depth pictures; None for a scan of which none can be used."""
    for index in sample_indices(scan.source.n_frames, SAMPLED):
        depth = scan.depth(int(index))
        if depth is not None:
            return depth.shape
    return None


def depth_flags(scan: Scan) -> list[str]:
    """Return flags on the sensor's depth, from frames spread over the video and those that were read before.

    `no_depth`: the scan has no sensor's depth.
    `depth_unusable`: none of them has depth that can be used. `depth_missing:N`: N frames looked at have none, and the
    mesh's stood in for it.
    `depth_ends_early:4.2_of_6.0s`: where the last depth picture is, if the video goes on for longer.
    """
    n, fps = scan.source.n_frames, scan.source.fps
    if scan.depth_K(0) is None:
        return ["no_depth"]
    looked_at = [int(index) for index in sample_indices(n, SAMPLED)]
    usable = [index for index in looked_at if scan.depth(index) is not None]
    flags = []
    if not usable:
        flags.append("depth_unusable")
    elif usable[-1] != looked_at[-1]:
        behind = looked_at[looked_at.index(usable[-1]) + 1]
        # Damage within the recording would be found and lost again: an end is sought as if there were only one.
        end = usable[-1] + 1 + bisect_left(range(usable[-1] + 1, behind), True, key=lambda i: scan.depth(i) is None)
        if n - end > MAX_EARLY_S * fps:
            flags.append(f"depth_ends_early:{end / fps:.1f}_of_{n / fps:.1f}s")
    return [*flags, f"depth_missing:{len(scan.without_depth)}"] if scan.without_depth else flags


def orientation_flags(scan: Scan) -> list[str]:
    """Return `mixed_orientation:25%` if frames are turned by more than 45 degrees against gravity, as a share.

    One turn serves a whole video, the one that most frames need. Frames that look far up or down do not count.
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

    `what` is "video" or "poses". Times that are all the same, as where none were recorded, say nothing.
    """
    steps = np.diff(np.asarray(times, np.float64))
    forward = steps[steps > 0]
    if not len(forward):
        return []
    found = {"gaps": steps > GAP * np.median(forward), "repeats": steps == 0, "backwards": steps < 0}
    return [f"{what}_{name}:{int(which.sum())}" for name, which in found.items() if which.any()]
