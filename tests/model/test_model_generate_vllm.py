"""The conversion of prompts; the engine itself is tested in `tests/vllm`."""

import numpy as np
import pytest

from rollout3d.model.encode import Image, Text, Video
from rollout3d.model.generate_vllm import Engine, request
from rollout3d.model.load import ModelError


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
    with pytest.raises(ModelError, match=r"envs/vllm\.yaml.*backend: hf"):
        Engine("anywhere")
