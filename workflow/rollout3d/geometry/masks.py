"""Pixel masks: splatted points, run lengths, bounding boxes, noise inside them.

Letters in shapes: n points, k frames, h and w height and width of a picture.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Literal

import numba
import numpy as np
from numpy.typing import ArrayLike

from rollout3d.geometry.camera import NEAR_M

if TYPE_CHECKING:
    from jaxtyping import Bool, Float64, Int, Real, Shaped, UInt8, UInt32


def splat_mask(
    uv: Real[ArrayLike, " ..."],
    z: Real[ArrayLike, " n"],
    radius: Real[ArrayLike, " ..."],
    width: int,
    height: int,
    shape: Literal["disc", "square"] = "disc",
) -> Bool[np.ndarray, "{height} {width}"]:
    """Return the pixels within `radius` pixels of any projected point.

    `uv`, `z`: results of `camera.project`. `radius`: one number, or one per point. A point's own pixel is the rounded
    one, floor(u + 0.5), and always counts if it is on the picture. A disc takes the pixels with du^2 + dv^2 <= radius^2
    around it, a square those with |du|, |dv| <= radius. Points nearer than `camera.NEAR_M` or behind the camera are
    left out. Points outside the picture count as far as their discs extend into it.
    """
    uv = np.ascontiguousarray(uv, np.float64).reshape(-1, 2)
    z = np.ascontiguousarray(z, np.float64).reshape(-1)
    radii = np.ascontiguousarray(np.broadcast_to(np.asarray(radius, np.float64), z.shape))
    mask = np.zeros((height, width), np.bool_)
    _splat(uv, z, radii, shape == "disc", NEAR_M, mask)
    return mask


def splat_radius(
    focal: float, spacing_m: float, z: Real[ArrayLike, " n"], cap: float = 24.0
) -> Float64[np.ndarray, " n"]:
    """Return the radius, pixels, at most `cap`, at which discs around points `spacing_m` apart leave no gap.

    It is half the diagonal between the points, focal * spacing / (sqrt(2) z), plus the error of rounding to a pixel. A
    mask extends beyond the object's outline by about as much. `focal` in pixels, `z` in metres.
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
        # Compare as floats: the pixel of a point just before the lens may exceed any integer.
        if not (u + reach >= 0 and u - reach < width and v + reach >= 0 and v - reach < height):
            continue
        cu, cv, k = int(u), int(v), int(reach)
        for y in range(max(cv - k, 0), min(cv + k + 1, height)):
            span = k
            if disc:
                span = int(np.sqrt(max(r * r - (y - cv) * (y - cv), 0.0)))
            for x in range(max(cu - span, 0), min(cu + span + 1, width)):
                mask[y, x] = True


def rle_encode(mask: Shaped[ArrayLike, "h w"]) -> bytes:
    """Encode a boolean picture as run lengths: uint32 little-endian, row-major, starting with the run of zeros.

    The first run is 0 where the first pixel is set; runs sum to H*W.
    """
    flat = np.asarray(mask, np.bool_).ravel()
    if not flat.size:
        return b""
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    runs = np.diff(edges, prepend=0, append=flat.size)
    return np.concatenate([np.zeros(int(flat[0]), runs.dtype), runs]).astype("<u4").tobytes()


def rle_decode(data: bytes, width: int, height: int) -> Bool[np.ndarray, "{height} {width}"]:
    """Return the boolean picture of `rle_encode`. Raises ValueError if the runs do not fill it exactly."""
    runs = _runs(data, width, height)
    values = np.zeros(len(runs), np.bool_)
    values[1::2] = True
    return np.repeat(values, runs).reshape(height, width)


def rle_paint(data: bytes, width: int, height: int, into: Bool[np.ndarray, "h w"]) -> None:
    """Set the pixels of a boolean picture of any size whose centres fall on set pixels of run lengths.

    `data`: result of `rle_encode` for a picture of `width` and `height`. `into`: changed in place. Raises ValueError if
    the runs do not fill the stored picture exactly.
    """
    runs = _runs(data, width, height)
    h, w = into.shape
    _paint(runs, width, _places(height, h), _places(width, w), into)


def _runs(data: bytes, width: int, height: int) -> UInt32[np.ndarray, " r"]:
    """Return the run lengths. Raises ValueError if they are cut off or do not fill the picture exactly."""
    if len(data) % 4:
        raise ValueError(f"run lengths of {len(data)} bytes: not a multiple of 4, so they were cut off")
    runs = np.frombuffer(data, "<u4")
    total = int(runs.sum(dtype=np.uint64))
    if total != width * height:
        raise ValueError(f"run lengths cover {total} pixels, the picture {width}x{height} has {width * height}")
    return runs


@cache
def _places(stored: int, painted: int) -> Int[np.ndarray, " {stored+1}"]:
    """Return the first painted pixel that falls on each stored one or on a later one."""
    falls_on = ((np.arange(painted) + 0.5) * stored / painted).astype(np.int64)
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
    frames: UInt8[np.ndarray, "k h w 3"],
    region: Bool[np.ndarray, "k h w"],
    sigma: float,
    rng: np.random.Generator,
    keep: float = 1.0,
    frozen: bool = False,
) -> UInt8[np.ndarray, "k h w 3"]:
    """Return a copy of frames with keep * pixel + N(0, sigma^2), rounded and clipped, where `region` is set.

    Noise is independent for every pixel, channel and frame; with `frozen` a pixel has the same noise in all frames.
    Numbers are drawn for the region only, in raster order. sigma = 0 and keep = 1 give an equal copy.
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
    """Return the number of set pixels of run lengths, without decoding them."""
    return int(np.frombuffer(data, "<u4")[1::2].sum(dtype=np.uint64))


def mask_box(mask: Bool[np.ndarray, "h w"]) -> tuple[int, int, int, int] | None:
    """Return x_min, y_min, x_max, y_max of the set pixels, inclusive; None if there are none."""
    columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
    if not len(columns):
        return None
    return int(columns[0]), int(rows[0]), int(columns[-1]), int(rows[-1])
