"""Render a room straight to a few small frames, without files in between: training data of the small model."""

from __future__ import annotations

import numpy as np

from toyworld.rendering.camera import camera_path, intrinsics
from toyworld.rendering.mesh import coarse_mesh_of
from toyworld.rendering.renderer import Renderer
from toyworld.rooms.world import World, build_world

SECONDS, FPS = 8.0, 10.0
"""Length and rate of the recording that frames are taken from."""
ASPECT = 4 / 3
"""Width over height of the camera, whatever the shape of the frames."""
OVERSAMPLE = 2
"""Samples per pixel and axis, averaged to smooth edges."""
MIN_PIXELS = 12.0
"""A thing counts as shown in a frame from this many of its pixels."""


def sample_room(
    seed: int,
    n_frames: int = 16,
    width: int = 84,
    height: int = 56,
    *,
    n_objects: tuple[int, int] = (15, 40),
    shape: str | None = None,
    min_pixels: float = MIN_PIXELS,
) -> tuple[np.ndarray, World, list[tuple[int, ...]]]:
    """Film the world `build_world(seed, n_objects, shape)`; return frames (n, H, W, 3) uint8, world and shown things.

    The frames have `n_frames` evenly spaced indices, first and last included, in a recording of eight seconds. Each is
    the picture of a 4:3 camera squeezed to `width` x `height` pixels, as a model would be given it, and the mean of
    2 x 2 samples. The last result lists, per frame, the ids of the things that cover at least `min_pixels` of its
    pixels.
    """
    world = build_world(seed, n_objects, shape)
    poses = camera_path(world, SECONDS, FPS)
    picked = np.round(np.linspace(0, len(poses) - 1, n_frames)).astype(int)
    w, h = width * OVERSAMPLE, height * OVERSAMPLE
    K = intrinsics(w, round(w / ASPECT))
    stretch = h / round(w / ASPECT)
    K[1] = [0.0, K[1, 1] * stretch, (h - 1) / 2]
    renderer = Renderer(coarse_mesh_of(world))
    frames = np.empty((n_frames, height, width, 3), dtype=np.uint8)
    shown: list[tuple[int, ...]] = []
    for k, index in enumerate(picked):
        rgb, _, thing = renderer.render(K, poses[index], w, h)
        frames[k] = _halved(rgb)
        pixels = np.bincount(thing[thing >= 0], minlength=len(world.things)) / OVERSAMPLE**2
        shown.append(tuple(int(i) for i in np.flatnonzero(pixels >= min_pixels)))
    return frames, world, shown


def _halved(image: np.ndarray) -> np.ndarray:
    """Return the means of the 2 x 2 blocks of an image (2H, 2W, 3) uint8, halves rounded up: (H, W, 3) uint8."""
    wide = image.astype(np.uint16)
    rows = wide[0::2] + wide[1::2]
    return ((rows[:, 0::2] + rows[:, 1::2] + 2) >> 2).astype(np.uint8)
