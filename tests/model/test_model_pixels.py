import numpy as np
import pytest
import torch
from PIL import Image as Pillow
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil, smart_resize

from rollout3d.model.pixels import MEAN, STD, grid_of, pad_time, patchify, resize
from rollout3d.resize import smart_size


@pytest.mark.parametrize("max_pixels", [3136, 128 * 28 * 28, 105_369, 256 * 28 * 28])
@pytest.mark.parametrize("size", [(480, 640), (968, 1296), (720, 1280), (640, 480), (1440, 1920), (84, 112), (40, 30)])
def test_size_follows_the_processor_of_qwen(size, max_pixels):
    assert smart_size(*size, 3136, max_pixels) == smart_resize(*size, 28, 3136, max_pixels)


def test_video_r1_shows_four_by_three_frames_as_130_tokens_a_pair():
    # Video-R1's cap is 1.05 times 128 * 28 * 28 pixels per frame.
    height, width = smart_size(480, 640, 3136, 105_369)
    assert (height, width) == (280, 364)
    assert height * width // 28**2 == 130


def test_size_without_upper_bound_only_rounds():
    assert smart_size(4000, 3000, 3136, None) == (3996 // 28 * 28 + 28, 2996)


def test_thin_pictures_keep_one_multiple_and_extreme_ones_are_refused():
    assert smart_size(10, 1000, 3136, None) == (28, 1008)
    with pytest.raises(ValueError, match="200 times"):
        smart_size(1, 201, 3136, None)


def test_resize_is_the_antialiased_bicubic_of_pillow(frames):
    picture = frames(1, 90, 130)
    ours = resize(picture, 56, 84)[0]
    theirs = np.asarray(Pillow.fromarray(picture[0]).resize((84, 56), Pillow.Resampling.BICUBIC))
    assert np.abs(ours.astype(int) - theirs).max() <= 1
    assert resize(picture, 90, 130) is picture


def test_patches_of_an_image_equal_the_hugging_face_processor(frames):
    picture = frames(1, 84, 112)
    processor = Qwen2VLImageProcessorPil(do_resize=False)
    theirs = processor(Pillow.fromarray(picture[0]), return_tensors="pt")
    assert theirs["image_grid_thw"].tolist() == [list(grid_of(picture))]
    assert torch.allclose(patchify(picture), theirs["pixel_values"], rtol=0, atol=1e-6)


def test_every_value_of_a_videos_patches_is_where_the_released_model_expects_it():
    """Against loops over the order of Qwen's video processor, and against numbers typed in."""
    ramp = np.arange(56 * 84 * 3).reshape(56, 84, 3) % 251
    clip = np.stack([ramp, ramp + 1, ramp + 2, ramp + 3]).astype(np.uint8)
    expected = [
        (clip[2 * t + f, 28 * by + 14 * py + y, 28 * bx + 14 * px + x, c] / 255 - MEAN[c]) / STD[c]
        for t in range(2)
        for by in range(2)
        for bx in range(3)
        for py in range(2)
        for px in range(2)
        for c in range(3)
        for f in range(2)
        for y in range(14)
        for x in range(14)
    ]
    patches = patchify(clip)
    assert patches.shape == (2 * 4 * 6, 1176)
    assert np.abs(patches.flatten().numpy() - expected).max() < 1e-6
    # Bytes 0, 1 and 2 of the first pixel, in red, green and blue; then the first pixel of the second frame, in red.
    corners = [patches[0, place].item() for place in (0, 2 * 196, 4 * 196, 196)]
    assert corners == pytest.approx([-1.7922625, -1.7370890, -1.4517796, -1.7776641], abs=1e-6)


def test_patches_of_a_video_stand_in_the_documented_order(frames):
    clip = frames(6, 56, 84)
    t, h, w = grid_of(clip)
    assert (t, h, w) == (3, 4, 6)
    patches = patchify(clip).view(t, h // 2, w // 2, 2, 2, 3, 2, 14, 14)
    # Temporal patch 1, block (1, 2), patch (0, 1) of it, green, second frame, row 5, column 9.
    value = clip[2 * 1 + 1, 28 * 1 + 14 * 0 + 5, 28 * 2 + 14 * 1 + 9, 1]
    assert patches[1, 1, 2, 0, 1, 1, 1, 5, 9].item() == pytest.approx((value / 255 - MEAN[1]) / STD[1], abs=1e-6)


def test_an_odd_number_of_frames_repeats_the_last(frames):
    clip = frames(3)
    assert np.array_equal(pad_time(clip)[3], clip[2])
    assert grid_of(clip)[0] == 2
    assert torch.equal(patchify(clip), patchify(pad_time(clip)))


def test_sides_that_are_no_multiples_are_refused(frames):
    with pytest.raises(ValueError, match="multiples of 28"):
        patchify(frames(2, 57, 84))


def test_read_only_frames_are_patchified_without_a_warning(frames, recwarn):
    clip = frames()
    clip.setflags(write=False)
    patchify(clip)
    resize(clip, 28, 28)
    assert not recwarn.list
