"""Pixel masks: splatted points, run lengths, bounding boxes, noise inside them."""

from __future__ import annotations

from functools import cache
from typing import Literal

import numba
import numpy as np
from numpy.typing import ArrayLike

from rollout3d.geometry.camera import NEAR_M


def splat_mask(
    uv: ArrayLike,
    z: ArrayLike,
    radius: ArrayLike,
    width: int,
    height: int,
    shape: Literal["disc", "square"] = "disc",
) -> np.ndarray:
    """Pixels (height, width) within `radius` pixels of any projected point; bool.

    uv (N,2) and z (N,) as `camera.project` gives them; `radius` is one number or (N,). A point's own pixel is the
    rounded one, floor(u + 0.5), and always counts if on the picture; a disc takes the pixels with du^2 + dv^2 <=
    radius^2 around it, a square those with |du|, |dv| <= radius. Points nearer than `camera.NEAR_M` or behind the
    camera are left out; points beside the picture count as far as they reach into it.
    """
    uv = np.ascontiguousarray(uv, np.float64).reshape(-1, 2)
    z = np.ascontiguousarray(z, np.float64).reshape(-1)
    radii = np.ascontiguousarray(np.broadcast_to(np.asarray(radius, np.float64), z.shape))
    mask = np.zeros((height, width), np.bool_)
    _splat(uv, z, radii, shape == "disc", NEAR_M, mask)
    return mask


def splat_radius(focal: float, spacing_m: float, z: ArrayLike, cap: float = 24.0) -> np.ndarray:
    """Radius in pixels, at most `cap`, at which discs around points `spacing_m` apart leave no pixel between them.

    Half the diagonal between the points, focal * spacing / (sqrt(2) z), plus what rounding to a pixel can take away:
    a mask grows over the object's outline by about as much. `focal` in pixels, `z` (N,) metres.
    """
    z = np.maximum(np.asarray(z, np.float64), NEAR_M)
    return np.minimum((focal * spacing_m / z + 1.0) / np.sqrt(2.0), cap)


@numba.njit(cache=True)
def _splat(uv, z, radii, disc, near, mask):
    height, width = mask.shape
    for i in range(len(z)):
        if not z[i] >= near:
            continue
        u, v, r = np.floor(uv[i, 0] + 0.5), np.floor(uv[i, 1] + 0.5), radii[i]
        reach = np.floor(r)
        # Compared as floats: a point just before the lens may lie beyond any integer.
        if not (u + reach >= 0 and u - reach < width and v + reach >= 0 and v - reach < height):
            continue
        cu, cv, k = int(u), int(v), int(reach)
        for y in range(max(cv - k, 0), min(cv + k + 1, height)):
            span = k
            if disc:
                span = int(np.sqrt(max(r * r - (y - cv) * (y - cv), 0.0)))
            for x in range(max(cu - span, 0), min(cu + span + 1, width)):
                mask[y, x] = True


def rle_encode(mask: ArrayLike) -> bytes:
    """Run lengths of a boolean picture (H,W): uint32 little-endian, row-major, starting with the run of zeros.

    The first run is 0 where the first pixel is set; runs sum to H*W.
    """
    flat = np.asarray(mask, np.bool_).ravel()
    if not flat.size:
        return b""
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    runs = np.diff(edges, prepend=0, append=flat.size)
    return np.concatenate([np.zeros(int(flat[0]), runs.dtype), runs]).astype("<u4").tobytes()


def rle_decode(data: bytes, width: int, height: int) -> np.ndarray:
    """The boolean picture (height, width) of `rle_encode`. Raises ValueError if the runs do not fill it exactly."""
    runs = _runs(data, width, height)
    values = np.zeros(len(runs), np.bool_)
    values[1::2] = True
    return np.repeat(values, runs).reshape(height, width)


def rle_paint(data: bytes, width: int, height: int, into: np.ndarray) -> None:
    """Set, in a boolean picture `into` (h, w) of any size, the pixels that lie on set ones of `rle_encode`'s picture
    (height, width): a pixel's centre picks the stored pixel that it falls on. Raises ValueError as `rle_decode`."""
    runs = _runs(data, width, height)
    h, w = into.shape
    _paint(runs, width, _places(height, h), _places(width, w), into)


def _runs(data: bytes, width: int, height: int) -> np.ndarray:
    if len(data) % 4:
        raise ValueError(f"run lengths of {len(data)} bytes: not a multiple of 4, so they were cut off")
    runs = np.frombuffer(data, "<u4")
    total = int(runs.sum(dtype=np.uint64))
    if total != width * height:
        raise ValueError(f"run lengths cover {total} pixels, the picture {width}x{height} has {width * height}")
    return runs


@cache
def _places(stored: int, shown: int) -> np.ndarray:
    """First shown pixel (stored + 1,) that falls on each stored one or on a later one."""
    falls_on = ((np.arange(shown) + 0.5) * stored / shown).astype(np.int64)
    return np.searchsorted(falls_on, np.arange(stored + 1))


@numba.njit(cache=True)
def _paint(runs, width, rows, columns, into):
    start = 0
    for i in range(len(runs)):
        end = start + int(runs[i])
        if i % 2:
            while start < end:
                y, x = start // width, start % width
                stop = min(end, (y + 1) * width)
                for v in range(rows[y], rows[y + 1]):
                    for u in range(columns[x], columns[x + stop - start]):
                        into[v, u] = True
                start = stop
        start = end


def add_noise(
    frames: np.ndarray,
    region: np.ndarray,
    sigma: float,
    rng: np.random.Generator,
    keep: float = 1.0,
    frozen: bool = False,
) -> np.ndarray:
    """A copy of frames (k, H, W, 3) uint8 that is, where `region` (k, H, W) is set, keep * pixel + N(0, sigma^2),
    rounded and clipped.

    Noise is independent for every pixel, channel and frame; `frozen` gives a pixel the same in all frames. Draws are
    made for the region only, in raster order. sigma = 0 and keep = 1 give an equal copy.
    """
    out = frames.copy()
    if frozen:
        _add_frozen(out, region, np.float32(sigma), np.float32(keep), rng.standard_normal(out.shape[1:], np.float32))
    else:
        draws = rng.standard_normal(3 * np.count_nonzero(region), np.float32)
        _add(out, region, np.float32(sigma), np.float32(keep), draws)
    return out


@numba.njit(cache=True)
def _add(frames, region, sigma, keep, draws):
    at = 0
    for i in range(region.shape[0]):
        for y in range(region.shape[1]):
            for x in range(region.shape[2]):
                if region[i, y, x]:
                    for c in range(3):
                        frames[i, y, x, c] = _noisy(frames[i, y, x, c], sigma, keep, draws[at + c])
                    at += 3


@numba.njit(cache=True)
def _add_frozen(frames, region, sigma, keep, draws):
    for i in range(region.shape[0]):
        for y in range(region.shape[1]):
            for x in range(region.shape[2]):
                if region[i, y, x]:
                    for c in range(3):
                        frames[i, y, x, c] = _noisy(frames[i, y, x, c], sigma, keep, draws[y, x, c])


@numba.njit(inline="always")
def _noisy(pixel, sigma, keep, draw):
    return np.uint8(min(max(np.rint(keep * np.float32(pixel) + sigma * draw), np.float32(0)), np.float32(255)))


def rle_area(data: bytes) -> int:
    """Set pixels of run lengths, without decoding them."""
    return int(np.frombuffer(data, "<u4")[1::2].sum(dtype=np.uint64))


def mask_box(mask: np.ndarray) -> tuple[int, int, int, int] | None:
    """x_min, y_min, x_max, y_max of the set pixels, inclusive; None if there are none."""
    columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
    if not len(columns):
        return None
    return int(columns[0]), int(rows[0]), int(columns[-1]), int(rows[-1])
