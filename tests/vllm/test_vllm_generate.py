"""Answers of the real engine against those of transformers, before and after an update of the weights."""

import pytest
import torch
from unpacked import keep_weights_plain

from rollout3d.config import Video as VideoConfig
from rollout3d.model.encode import Image, Text, Video
from rollout3d.model.generate_hf import generate
from rollout3d.model.generate_vllm import Engine
from rollout3d.model.load import load_policy, save_policy
from rollout3d.model.sampling import Sampling
from toyworld.model.architecture import build_tiny

SHORT = Sampling(max_new_tokens=16)


@pytest.fixture(scope="module")
def served(tokenizer, tmp_path_factory):
    """A policy and an engine with the same weights; vLLM needs heads of 64."""
    keep_weights_plain()
    built = build_tiny(tokenizer, seed=1, hidden=128, head_dim=64, layers=2)
    with torch.no_grad():
        for weight in built.model.parameters():
            weight.mul_(3 if weight.ndim > 1 else 1)
    directory = tmp_path_factory.mktemp("served")
    handle = save_policy(built, directory)
    engine = Engine(handle.path, dtype="float32", max_model_len=2048, gpu_memory_utilization=0.3, enforce_eager=True)
    return load_policy(directory / "model.json"), engine


def ask(policy, frames):
    # The first is longer than the 128 tokens of a block: only whole blocks of keys are kept for other prompts.
    return [
        policy.encoder.prompt([Video(frames(16, 112, 168)), Text("How many chairs?")]),
        policy.encoder.prompt([Image(frames(1, 100, 100)[0]), Video(frames(5)), Text("Left?")]),
        policy.encoder.prompt([Text("No picture")]),
    ]


def assert_same(theirs, ours):
    for one, other in zip(theirs, ours, strict=True):
        assert [c.token_ids for c in one] == [c.token_ids for c in other]
        assert one[0].logprobs == pytest.approx(other[0].logprobs, abs=1e-3)
        assert one[0].text == other[0].text and one[0].finished == other[0].finished


def furthest(one, other):
    """Largest difference of the log-probabilities that two lists of answers begin with, where pictures were shown."""
    return max(abs(a[0].logprobs[0] - b[0].logprobs[0]) for a, b in zip(one[:2], other[:2], strict=True))


def test_vllm_writes_the_same_greedy_answers_with_the_same_log_probabilities(served, frames):
    policy, engine = served
    prompts = ask(policy, frames)
    twice = Sampling(n=2, max_new_tokens=16)
    assert_same(engine.generate(policy, prompts, twice), generate(policy, prompts, twice))


def test_vllm_counts_time_as_the_trainer_does(served, frames):
    """Whatever the rate: the answers follow the seconds, and both back ends follow them alike."""
    policy, engine = served
    timed = type(policy)(policy.model, policy.tokenizer, video=VideoConfig(time_mode="true"), name="timed")
    rates = (0.25, 0.35, 3.75)
    prompts = [timed.encoder.prompt([Video(frames(16), rate), Text("How many chairs?")]) for rate in rates]
    theirs = engine.generate(timed, prompts, SHORT)
    assert_same(theirs, generate(timed, prompts, SHORT))
    assert len({round(group[0].logprobs[0], 2) for group in theirs}) == len(rates)


def test_vllm_samples_by_name_and_never_writes_vision_tokens(served, frames):
    policy, engine = served
    prompts = ask(policy, frames)
    sampling = Sampling(n=3, temperature=1.0, top_p=0.9, max_new_tokens=16)
    first = engine.generate(policy, prompts, sampling, seed=1, keys=["a", "b", "c"])
    again = engine.generate(policy, prompts[1:], sampling, seed=1, keys=["b", "c"])
    assert [[c.token_ids for c in group] for group in first[1:]] == [[c.token_ids for c in group] for group in again]
    assert len({tuple(c.token_ids) for group in first for c in group}) == 9
    assert not {t for group in first for c in group for t in c.token_ids} & set(policy.suppress_ids)


@pytest.mark.parametrize("part", ["visual", "language_model"])
def test_vllm_follows_new_weights_and_forgets_what_it_computed_with_the_old(served, frames, part):
    """One part changes at a time: features of the vision tower and keys of the prompt are kept separately."""
    policy, engine = served
    prompts = ask(policy, frames)
    before = engine.generate(policy, prompts, SHORT)
    generator = torch.Generator().manual_seed(0)
    changed = getattr(policy.core.model, part)
    with torch.no_grad():
        for weight in changed.parameters():
            if weight.ndim > 1:
                weight.add_(0.05 * torch.randn(weight.shape, generator=generator))
    engine.load_weights(policy)
    after = engine.generate(policy, prompts, SHORT)
    assert_same(after, generate(policy, prompts, SHORT))
    assert furthest(after, before) > 0.01
