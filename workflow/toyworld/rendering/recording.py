"""Recordings of worlds: a camera's walk, and the frames that it films."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from rollout3d.seeding import generator
from toyworld.rendering.camera import camera_path, intrinsics
from toyworld.rendering.mesh import coarse_mesh_of
from toyworld.rendering.renderer import Renderer
from toyworld.rooms.world import World

LOST_SHARE = 0.03
"""Share of the frames without a pose, as when a tracker loses the camera."""


@dataclass(frozen=True)
class Recording:
    """A recording of a world; its pixels are rendered on demand by `frames`."""

    world: World
    fps: float
    width: int
    height: int
    K: np.ndarray
    """(3, 3) intrinsics, integer pixel centres."""
    poses: np.ndarray
    """(N, 4, 4) float64 camera-to-world, world frame, OpenCV camera; frame i is taken at i / fps seconds."""
    lost: tuple[int, ...] = ()
    """Indices of frames without a pose (in ScanNet's format: -inf)."""

    def frames(self) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Yield (rgb (H, W, 3) uint8, depth (H, W) float32 metres with 0 = none, thing_id (H, W) int32) per frame."""
        renderer = Renderer(coarse_mesh_of(self.world))
        for pose in self.poses:
            yield renderer.render(self.K, pose, self.width, self.height)


def record(world: World, seconds: float, fps: float, width: int, height: int) -> Recording:
    """Film a walk through `world` of `seconds` at `fps` frames per second, each of `width` x `height` pixels.

    A recording of ten frames or more has one short run of frames without a pose, never the first or the last frame.
    Raises InvalidInput for a recording without frames.
    """
    poses = camera_path(world, seconds, fps)
    lost: tuple[int, ...] = ()
    if len(poses) >= 10:
        run = max(1, round(LOST_SHARE * len(poses)))
        first = int(generator(world.seed, "lost").integers(1, len(poses) - run))
        lost = tuple(range(first, first + run))
    return Recording(world, fps, width, height, intrinsics(width, height), poses, lost)
