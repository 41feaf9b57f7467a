"""Rooms straight to frames: training pictures for a small model, without files in between."""

from __future__ import annotations

import numpy as np

from toyworld.mesh import coarse_mesh_of
from toyworld.path import camera_path, intrinsics
from toyworld.render import Renderer
from toyworld.world import World, build_world

SECONDS, FPS = 8.0, 10.0
ASPECT = 4 / 3
"""Width over height of the camera, whatever the shape of the frames."""
OVERSAMPLE = 2
MIN_PIXELS = 12.0


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
    """A room, filmed: (frames (n, H, W, 3) uint8, the world, ids of the things that each frame shows).

    The frames are those that `n_frames` evenly spaced indices, first and last among them, pick from an eight-second
    recording of the world, as a model would see them: a 4:3 camera's picture squeezed to `width` x `height` and
    smoothed by averaging 2 x 2 samples. A frame shows the things that cover `min_pixels` of its pixels. Worlds are
    those of `build_world(seed, n_objects, shape)`.
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
    """(H, W, 3) uint8 means of the 2 x 2 blocks of an image of twice the size, halves rounded up."""
    wide = image.astype(np.uint16)
    rows = wide[0::2] + wide[1::2]
    return ((rows[:, 0::2] + rows[:, 1::2] + 2) >> 2).astype(np.uint8)
