"""Resize frames and cut them into the vision tower's patches. The rule for sizes is `rollout3d.resize`.

Own code, because the Hugging Face video processor cannot be built without torchvision. It gives the same numbers: the
resize is torch's antialiased bicubic on bytes, which is what torchvision calls, and the patch order is the one that
Qwen2.5-VL was trained with.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from rollout3d.resize import FACTOR

PATCH = 14
"""Side of a patch, pixels."""
MERGE = 2
"""Number of patches per side that the vision tower merges into one token of the language model."""
TEMPORAL_PATCH = 2
"""Number of frames per patch."""
assert FACTOR == PATCH * MERGE
MEAN = (0.48145466, 0.4578275, 0.40821073)
"""Mean of CLIP's training pixels on [0, 1], per channel."""
STD = (0.26862954, 0.26130258, 0.27577711)
"""Standard deviation of CLIP's training pixels on [0, 1], per channel."""


def resize(frames: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resize frames (n, H, W, 3) uint8 to (height, width): antialiased bicubic on bytes. Unchanged if of that size."""
    if frames.shape[1:3] == (height, width):
        return frames
    channels_first = torch.from_numpy(np.array(frames)).permute(0, 3, 1, 2)
    resized = F.interpolate(channels_first, size=(height, width), mode="bicubic", antialias=True)
    return resized.permute(0, 2, 3, 1).contiguous().numpy()


def pad_time(frames: np.ndarray) -> np.ndarray:
    """Repeat the last frame of an odd number, so that a still picture becomes two equal frames; (n, H, W, 3)."""
    missing = -len(frames) % TEMPORAL_PATCH
    return np.concatenate([frames, np.repeat(frames[-1:], missing, axis=0)]) if missing else frames


def grid_of(frames: np.ndarray) -> tuple[int, int, int]:
    """Return the patches in time, height and width of frames (n, H, W, 3). Raises ValueError if sides do not fit."""
    n, height, width = frames.shape[:3]
    if height % FACTOR or width % FACTOR:
        raise ValueError(f"frames of {width} x {height} pixels: sides must be multiples of {FACTOR}; resize them first")
    return -(-n // TEMPORAL_PATCH), height // PATCH, width // PATCH


def patchify(frames: np.ndarray) -> torch.Tensor:
    """Cut frames (n, H, W, 3) uint8 into patches (t * h * w, 3 * 2 * 14 * 14) float32, (t, h, w) = `grid_of(frames)`.

    Pixels are scaled to [0, 1] and standardised by `MEAN` and `STD`. Patches run time, then blocks of 2x2 patches in
    raster order, then raster order within a block; a patch's values run channel, frame, row, column.
    """
    t, h, w = grid_of(frames)
    pixels = torch.from_numpy(np.array(pad_time(frames)))  # a copy: frames may be read-only
    split = pixels.view(t, TEMPORAL_PATCH, h // MERGE, MERGE, PATCH, w // MERGE, MERGE, PATCH, 3)
    # Reordering bytes and scaling afterwards moves a quarter of the memory.
    patches = split.permute(0, 2, 5, 3, 6, 8, 1, 4, 7).reshape(t * h * w, 3, TEMPORAL_PATCH * PATCH * PATCH)
    mean, std = (torch.tensor(values).view(1, 3, 1) for values in (MEAN, STD))
    return patches.float().div_(255).sub_(mean).div_(std).flatten(1)
