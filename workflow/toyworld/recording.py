"""Filming a world."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from rollout3d.seeding import generator
from toyworld.mesh import coarse_mesh_of
from toyworld.path import camera_path, intrinsics
from toyworld.render import Renderer
from toyworld.world import World

LOST_SHARE = 0.03
"""Share of the frames whose pose the tracker loses."""


@dataclass(frozen=True)
class Recording:
    """A film of a world: everything but the pixels, which `frames` renders on demand."""

    world: World
    fps: float
    width: int
    height: int
    K: np.ndarray
    """(3, 3) intrinsics, integer pixel centres."""
    poses: np.ndarray
    """(N, 4, 4) float64 camera-to-world, world frame, OpenCV camera; frame i is taken at i / fps seconds."""
    lost: tuple[int, ...] = ()
    """Frames whose pose the tracker lost: writers give them no pose (ScanNet: -inf)."""

    def frames(self) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Yields (rgb (H, W, 3) uint8, depth (H, W) float32 metres with 0 = none, thing_id (H, W) int32)."""
        renderer = Renderer(coarse_mesh_of(self.world))
        for pose in self.poses:
            yield renderer.render(self.K, pose, self.width, self.height)


def record(world: World, seconds: float, fps: float, width: int, height: int) -> Recording:
    """Walk through `world` with a camera for `seconds` at `fps` frames a second of `width` x `height` pixels.

    From ten frames on, one short run of frames loses its pose, never the first or the last frame. Raises ValueError
    for a film without frames.
    """
    poses = camera_path(world, seconds, fps)
    lost: tuple[int, ...] = ()
    if len(poses) >= 10:
        run = max(1, round(LOST_SHARE * len(poses)))
        first = int(generator(world.seed, "lost").integers(1, len(poses) - run))
        lost = tuple(range(first, first + run))
    return Recording(world, fps, width, height, intrinsics(width, height), poses, lost)
