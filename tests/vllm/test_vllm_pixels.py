"""Our patches against the processors that vLLM itself runs, resize included."""

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from rollout3d.model.load import save_policy
from rollout3d.model.pixels import grid_of, patchify, resize
from rollout3d.resize import smart_size
from toyworld.model.architecture import build_tiny

SIZES = [(480, 640), (968, 1296), (720, 1280), (640, 480), (60, 90), (40, 30)]
BUDGETS = [128 * 28 * 28, 105_369, 256 * 28 * 28]


@pytest.fixture(scope="module")
def directory(tokenizer, tmp_path_factory):
    root = tmp_path_factory.mktemp("processors")
    return save_policy(build_tiny(tokenizer, hidden=64, layers=1, vision_hidden=64), root).path


def scene(frames, n, height, width):
    """Noise at a quarter of the size under finer noise: smooth and rough places, and extremes."""
    coarse = frames(n, -(-height // 4), -(-width // 4), seed=1).repeat(4, 1).repeat(4, 2)[:, :height, :width]
    return (coarse.astype(int) + frames(n, height, width) // 4).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("max_pixels", BUDGETS)
@pytest.mark.parametrize("size", SIZES)
def test_resized_videos_and_images_equal_those_of_the_processors_in_vllm(directory, frames, size, max_pixels):
    from transformers import AutoImageProcessor, AutoVideoProcessor

    bounds = {"size": {"shortest_edge": 3136, "longest_edge": max_pixels}, "return_tensors": "pt"}
    clip = scene(frames, 4, *size)
    ours = resize(clip, *smart_size(*size, 3136, max_pixels))
    assert ours.shape[1:3] != size, "nothing was resized"
    processor = AutoVideoProcessor.from_pretrained(directory)
    theirs = processor(torch.from_numpy(clip).permute(0, 3, 1, 2), do_sample_frames=False, **bounds)
    assert theirs["video_grid_thw"].tolist() == [list(grid_of(ours))]
    assert torch.allclose(patchify(ours), theirs["pixel_values_videos"], rtol=0, atol=1e-6)

    theirs = AutoImageProcessor.from_pretrained(directory)(Pillow.fromarray(clip[0]), **bounds)
    assert theirs["image_grid_thw"].tolist() == [list(grid_of(ours[:1]))]
    assert torch.allclose(patchify(ours[:1]), theirs["pixel_values"], rtol=0, atol=1e-6)
