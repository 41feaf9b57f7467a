"""Render a room straight to a few small frames, without files in between: training data of the small model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from toyworld.rendering.camera import camera_path, intrinsics
from toyworld.rendering.mesh import coarse_mesh_of
from toyworld.rendering.renderer import Renderer
from toyworld.rooms.vocabulary import CATEGORIES
from toyworld.rooms.world import World, build_world

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int, UInt8

SECONDS, FPS = 8.0, 10.0
"""Length and rate of the recording that frames are taken from."""
ASPECT = 4 / 3
"""Width over height of the camera, whatever the shape of the frames."""
OVERSAMPLE = 2
"""Samples per pixel and axis, averaged to smooth edges."""
MIN_PIXELS = 12.0
"""A thing counts as shown in a frame, and a category in a cell, from this many pixels."""
CELL = 28
"""Side of a cell, pixels: the square that one visual token covers (`rollout3d.resize.FACTOR`)."""
NUMBER_OF = {name: number for number, name in enumerate(CATEGORIES)}
"""Category -> its place on the last axis of `Film.categories`."""


@dataclass(frozen=True, eq=False)
class Film:
    """A filmed world: N frames of H x W pixels, and what each of their h x w cells of `CELL` pixels shows."""

    frames: UInt8[np.ndarray, "n H W 3"]
    world: World
    shown: tuple[tuple[int, ...], ...]
    """Per frame, the ids of the things that cover at least `MIN_PIXELS` of its pixels."""
    categories: Bool[np.ndarray, "n h w c"]
    """True where things of a category cover at least `MIN_PIXELS` pixels of a cell."""
    depth: Float[np.ndarray, "n h w"]
    """Mean depth of a cell, metres; 0 where it shows no surface."""
    place: Float[np.ndarray, "n h w 2"]
    """Mean place of a cell's surfaces in plan: metres to the right of and ahead of the first frame's camera."""


def sample_room(
    seed: int,
    n_frames: int = 16,
    width: int = 84,
    height: int = 56,
    *,
    n_objects: tuple[int, int] = (15, 40),
    shape: str | None = None,
) -> Film:
    """Film the world `build_world(seed, n_objects, shape)`.

    The frames have `n_frames` evenly spaced indices, first and last included, in a recording of eight seconds. Each is
    the picture of a 4:3 camera squeezed to `width` x `height` pixels, as a model would be given it, and the mean of
    2 x 2 samples. Raises ValueError for sides that are no multiples of `CELL`.
    """
    if width % CELL or height % CELL:
        raise ValueError(f"frames of {width} x {height} pixels are not made of cells of {CELL} x {CELL}")
    world = build_world(seed, n_objects, shape)
    poses = camera_path(world, SECONDS, FPS)
    picked = np.round(np.linspace(0, len(poses) - 1, n_frames)).astype(int)
    w, h = width * OVERSAMPLE, height * OVERSAMPLE
    K = intrinsics(w, round(w / ASPECT))
    stretch = h / round(w / ASPECT)
    K[1] = [0.0, K[1, 1] * stretch, (h - 1) / 2]
    renderer = Renderer(coarse_mesh_of(world))
    numbers = np.array([NUMBER_OF[thing.category] for thing in world.things])
    frames = np.empty((n_frames, height, width, 3), dtype=np.uint8)
    categories = np.empty((n_frames, height // CELL, width // CELL, len(NUMBER_OF)), dtype=bool)
    depths = np.empty(categories.shape[:3], dtype=np.float32)
    places = np.empty((*categories.shape[:3], 2), dtype=np.float32)
    shown: list[tuple[int, ...]] = []
    for k, index in enumerate(picked):
        rgb, depth, thing = renderer.render(K, poses[index], w, h)
        frames[k] = _halved(rgb)
        pixels = np.bincount(thing[thing >= 0], minlength=len(world.things)) / OVERSAMPLE**2
        shown.append(tuple(int(i) for i in np.flatnonzero(pixels >= MIN_PIXELS)))
        categories[k] = _pixels_by_category(_cells(thing), numbers) >= MIN_PIXELS * OVERSAMPLE**2
        depths[k] = _cells(depth).mean(axis=2)
        places[k] = _places(depth, K, poses[index], poses[picked[0]])
    return Film(frames, world, tuple(shown), categories, depths, places)


def _places(
    depth: Float[np.ndarray, "H W"],
    K: Float[np.ndarray, "3 3"],
    pose: Float[np.ndarray, "4 4"],
    first: Float[np.ndarray, "4 4"],
) -> Float[np.ndarray, "h w 2"]:
    """Return the mean place of each cell's surfaces, metres right of and ahead of the camera whose pose is `first`.

    Poses are from camera to world, z up; the camera looks along its z axis.
    """
    v, u = np.mgrid[: depth.shape[0], : depth.shape[1]]
    rays = np.stack([(u - K[0, 2]) / K[0, 0], (v - K[1, 2]) / K[1, 1], np.ones_like(depth)], axis=-1)
    points = (rays * depth[..., None]) @ pose[:3, :3].T + pose[:3, 3] - first[:3, 3]
    ahead = first[:2, 2] / np.linalg.norm(first[:2, 2])
    right = np.array([ahead[1], -ahead[0]])
    return np.stack([_cells(points[..., :2] @ axis).mean(axis=2) for axis in (right, ahead)], axis=-1)


def _halved(image: UInt8[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "h w 3"]:
    """Return the means of the 2 x 2 blocks of an image, halves rounded up."""
    wide = image.astype(np.uint16)
    rows = wide[0::2] + wide[1::2]
    return ((rows[:, 0::2] + rows[:, 1::2] + 2) >> 2).astype(np.uint8)


def _cells(image: np.ndarray) -> np.ndarray:
    """Return the samples (h, w, s) of each cell of an oversampled picture (H, W)."""
    side = CELL * OVERSAMPLE
    h, w = image.shape[0] // side, image.shape[1] // side
    return image.reshape(h, side, w, side).swapaxes(1, 2).reshape(h, w, side * side)


def _pixels_by_category(things: Int[np.ndarray, "h w s"], numbers: Int[np.ndarray, " t"]) -> Int[np.ndarray, "h w c"]:
    """Count the samples of each category per cell; `things`: ids, negative for walls; `numbers`: their categories."""
    h, w, _ = things.shape
    out = np.zeros((h, w, len(NUMBER_OF)), dtype=np.int64)
    j, i, s = np.nonzero(things >= 0)
    np.add.at(out, (j, i, numbers[things[j, i, s]]), 1)
    return out
