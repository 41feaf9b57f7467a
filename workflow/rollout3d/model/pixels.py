"""Frames to the vision tower's input: the resize and the cutting into patches. The size rule is `rollout3d.resize`.

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
"""Patches a side that the vision tower merges into one token of the language model."""
TEMPORAL_PATCH = 2
"""Frames of a patch."""
assert FACTOR == PATCH * MERGE
MEAN = (0.48145466, 0.4578275, 0.40821073)
"""Mean of CLIP's training pixels on [0, 1], per channel."""
STD = (0.26862954, 0.26130258, 0.27577711)
"""Their standard deviation."""


def resize(frames: np.ndarray, height: int, width: int) -> np.ndarray:
    """Frames (n, H, W, 3) uint8 at (height, width): antialiased bicubic on bytes. Unchanged if already that size."""
    if frames.shape[1:3] == (height, width):
        return frames
    channels_first = torch.from_numpy(np.array(frames)).permute(0, 3, 1, 2)
    resized = F.interpolate(channels_first, size=(height, width), mode="bicubic", antialias=True)
    return resized.permute(0, 2, 3, 1).contiguous().numpy()


def pad_time(frames: np.ndarray) -> np.ndarray:
    """An even number of frames: the last one is repeated, so a still picture becomes two equal frames."""
    missing = -len(frames) % TEMPORAL_PATCH
    return np.concatenate([frames, np.repeat(frames[-1:], missing, axis=0)]) if missing else frames


def grid_of(frames: np.ndarray) -> tuple[int, int, int]:
    """Patches in time, height and width of frames (n, H, W, 3); raises ValueError if the sides do not fit."""
    n, height, width = frames.shape[:3]
    if height % FACTOR or width % FACTOR:
        raise ValueError(f"frames of {width} x {height} pixels: sides must be multiples of {FACTOR}; resize them first")
    return -(-n // TEMPORAL_PATCH), height // PATCH, width // PATCH


def patchify(frames: np.ndarray) -> torch.Tensor:
    """Patches (t * h * w, 3 * 2 * 14 * 14) float32 of frames (n, H, W, 3) uint8, with (t, h, w) = `grid_of(frames)`.

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
