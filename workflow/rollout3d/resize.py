"""The size at which a picture is stored and shown: one rule for the scene tables, the benchmarks and the model."""

from __future__ import annotations

import math

import numpy as np

FACTOR = 28
"""Pixels of one visual token's side: 14-pixel patches, merged two by two. [Qwen2.5-VL]"""

MAX_ASPECT = 200
"""Longest side over shortest beyond which Qwen2-VL's processor refuses a picture."""
JPEG_QUALITY = 90
"""Quality of stored JPEG pictures, 1 to 100. [assumed]"""


def smart_size(
    height: int, width: int, min_pixels: int, max_pixels: int | None, factor: int = FACTOR
) -> tuple[int, int]:
    """The (height, width) of a picture of `height` x `width` pixels once resized: multiples of `factor`.

    The rule of Qwen2-VL's processor: round both sides to the nearest multiple; if the area then exceeds `max_pixels`
    (None: no limit), shrink by the square root of the excess and round down; if it falls below `min_pixels`, enlarge
    and round up. Departure: a side never falls below one multiple, where the processor would round it to 0; only then
    may the area exceed `max_pixels`.

    Raises ValueError for an empty picture, or one whose sides differ by more than a factor of 200.
    """
    if min(height, width) < 1 or max(height, width) > MAX_ASPECT * min(height, width):
        raise ValueError(f"a picture of {width}x{height} pixels cannot be resized: sides differ by more than 200 times")

    def multiple(pixels: float, rounded=round) -> int:
        return max(factor, rounded(pixels / factor) * factor)

    tall, wide = multiple(height), multiple(width)
    if max_pixels is not None and tall * wide > max_pixels:
        shrink = math.sqrt(height * width / max_pixels)
        return multiple(height / shrink, math.floor), multiple(width / shrink, math.floor)
    if tall * wide < min_pixels:
        grow = math.sqrt(min_pixels / (height * width))
        return multiple(height * grow, math.ceil), multiple(width * grow, math.ceil)
    return tall, wide


def resize_frame(rgb: np.ndarray, height: int, width: int) -> np.ndarray:
    """A picture (H,W,3) u8 at (height, width), for storing: area averaging when shrinking, cubic when enlarging.

    The edges of the picture stay where they are, as `geometry.camera.resize_intrinsics` assumes.
    """
    import cv2

    old_height, old_width = rgb.shape[:2]
    if (old_height, old_width) == (height, width):
        return rgb
    shrinks = height * width <= old_height * old_width
    return cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
