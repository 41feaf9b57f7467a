"""The vision tower computed in large pieces equals the model class's own: values, gradients, and how few kernels."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from transformers import Qwen2_5_VLForConditionalGeneration

from rollout3d.model import vision
from rollout3d.model.encode import Image, Video
from toyworld.model.architecture import build_tiny, tiny_tokenizer

SIZES = {"hidden": 64, "layers": 1, "vision_depth": 3, "vision_hidden": 64, "head_dim": 16}


@pytest.fixture(scope="module")
def policy():
    made = build_tiny(tiny_tokenizer(["how many chairs?"], 400), **SIZES)
    with torch.no_grad():  # so that every input matters
        for weight in made.core.model.visual.parameters():
            if weight.ndim > 1:
                weight.mul_(4)
    return made


@pytest.fixture(scope="module")
def original(policy):
    """The same weights in an untouched model."""
    plain = Qwen2_5_VLForConditionalGeneration(policy.core.config).eval()
    plain.load_state_dict(policy.core.state_dict())
    return plain


def media(policy):
    """Merged patches 5 x 7 (windows of 4 cut off on both axes), 4 x 4 (none cut) and 1 x 2 (less than a window)."""
    rng = np.random.default_rng(0)
    video, still, small = (rng.integers(0, 256, s, np.uint8) for s in ((4, 140, 196, 3), (112, 112, 3), (28, 56, 3)))
    policy.encoder.video_config = policy.encoder.video_config.model_copy(update={"min_pixels": 784})
    return [policy.encoder.medium(part) for part in (Video(video), Image(still), Image(small))]


def theirs(original, shown):
    pixels = torch.cat([medium.patches for medium in shown])
    return original.model.get_video_features(pixels, torch.tensor([m.grid for m in shown])).pooler_output


@pytest.mark.parametrize("which", [[0], [1], [2], [0, 1, 2]], ids=["cut", "whole", "small", "all"])
def test_features_and_gradients_are_the_model_class_own(policy, original, which):
    shown = [media(policy)[i] for i in which]
    found, expected = policy.features(shown), theirs(original, shown)
    assert [len(part) for part in found] == [medium.n_tokens for medium in shown]
    found, expected = torch.cat(found), torch.cat(expected)
    assert expected.std() > 0.1
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    weight = torch.linspace(-1, 1, found.numel()).view_as(found)
    gradients = []
    for model, value in ((policy.core, found), (original, expected)):
        model.zero_grad()
        (weight * value).sum().backward()
        gradients.append(torch.cat([p.grad.flatten() for p in model.model.visual.parameters()]))
    torch.testing.assert_close(*gradients, rtol=1e-3, atol=1e-4 * float(gradients[1].abs().max()))


def test_a_layer_needs_few_kernels(policy, original, monkeypatch):
    calls = []
    attention = F.scaled_dot_product_attention
    monkeypatch.setattr(F, "scaled_dot_product_attention", lambda *a, **k: calls.append(1) or attention(*a, **k))
    (shown, *_) = media(policy)
    with torch.no_grad():
        policy.features([shown])
        ours = len(calls)
        theirs(original, [shown])
    assert ours == 2 * 4 + 1  # two layers of windows in four sizes, one of whole frames
    assert len(calls) - ours == 2 * 8 + 2  # every window of both pairs of frames, every pair


def test_other_attention_is_left_alone(policy):
    assert "forward" in vars(policy.core.model.visual.blocks[0].attn)
    config = policy.core.config.__class__.from_dict(policy.core.config.to_dict())
    eager = Qwen2_5_VLForConditionalGeneration._from_config(config, attn_implementation="eager")
    vision.install(eager)
    assert "forward" not in vars(eager.model.visual.blocks[0].attn)
