import numpy as np
import pytest
import torch

from rollout3d.model import generate_hf
from rollout3d.model.encode import Image, Text, Video
from rollout3d.model.generate_hf import generate
from rollout3d.model.sampling import Sampling

SAMPLED = Sampling(n=3, temperature=1.0, top_p=0.95, max_new_tokens=12)


@pytest.fixture(scope="module")
def prompts(policy):
    noise = np.random.default_rng(0).integers(0, 256, (16, 56, 84, 3), dtype=np.uint8)
    return [
        policy.encoder.prompt([Video(noise), Text("How many chairs are there?")]),
        policy.encoder.prompt([Image(noise[0]), Video(noise[:5]), Text("Is the sofa to the left of the table?")]),
        policy.encoder.prompt([Text("Answer")]),
    ]


@pytest.fixture
def biased(policy):
    """Add something to the logits of some tokens."""
    handles = []

    def bias(**additions):
        extra = torch.zeros(policy.core.lm_head.out_features)
        for name, value in additions.items():
            extra[list(getattr(policy, name))] = value
        handles.append(policy.core.lm_head.register_forward_hook(lambda *about: about[-1] + extra))

    yield bias
    for handle in handles:
        handle.remove()


def _flat(groups):
    return [completion for group in groups for completion in group]


def _written(groups):
    return [completion.token_ids for completion in _flat(groups)]


def _full_forward(policy, prompt, tokens):
    """Log-probabilities (T + 1, V) after the prompt and after each token: no cache, no padding, one row."""
    tokens = torch.tensor(tokens, dtype=torch.int64)
    embeddings = torch.cat([policy.prompt_embeddings([prompt])[0], policy.embed_tokens(tokens)])
    later = prompt.next_position + torch.arange(len(tokens))
    positions = torch.cat([prompt.position_ids, later.expand(3, -1)], dim=1)
    with torch.no_grad():
        logits = policy.core(inputs_embeds=embeddings[None], position_ids=positions[:, None]).logits[0]
    return torch.log_softmax(logits[len(prompt) - 1 :].float(), dim=-1)


def test_the_cached_loop_agrees_with_a_full_forward(policy, prompts):
    for prompt, group in zip(prompts, generate(policy, prompts, SAMPLED, seed=3), strict=True):
        for completion in group:
            table = _full_forward(policy, prompt, completion.token_ids)
            expected = table[range(len(completion.token_ids)), completion.token_ids]
            assert torch.allclose(torch.tensor(completion.logprobs), expected, atol=1e-4)
            assert completion.logprob_sum == pytest.approx(expected.sum().item(), abs=1e-3)


def test_greedy_takes_the_likeliest_allowed_token_every_time(policy, prompts):
    greedy = Sampling(n=2, temperature=0.0, max_new_tokens=8)
    for prompt, group in zip(prompts, generate(policy, prompts, greedy), strict=True):
        tokens = []
        while len(tokens) < 8 and not (tokens and tokens[-1] in policy.eos_ids):
            scores = _full_forward(policy, prompt, tokens)[-1]
            scores[list(policy.suppress_ids)] = -torch.inf
            tokens.append(int(scores.argmax()))
        assert [completion.token_ids for completion in group] == [tokens] * 2


def test_rollouts_do_not_depend_on_their_batch(policy, prompts):
    """Neither on neighbours (left padding), nor on how many are drawn at once, nor on the length allowed."""
    together = generate(policy, prompts, SAMPLED, seed=1)
    assert len({tuple(c.token_ids) for group in together for c in group}) > 6
    for prompt, group in zip(prompts, together, strict=True):
        alone = generate(policy, [prompt], SAMPLED, seed=1)[0]
        assert [c.token_ids for c in alone] == [c.token_ids for c in group]
        single = generate(policy, [prompt], Sampling(1, 1.0, 0.95, 5), seed=1)[0][0]
        assert single.token_ids == group[0].token_ids[:5]
        for one, other in zip(alone, group, strict=True):
            assert one.logprobs == pytest.approx(other.logprobs, abs=1e-4)


def test_draws_follow_seed_and_key(policy, prompts):
    prompt = prompts[0]
    base, same, keyed = (
        [c.token_ids for c in group]
        for group in generate(policy, [prompt, prompt, prompt], SAMPLED, seed=1, keys=["a", "a", "b"])
    )
    assert base == same != keyed
    assert [c.token_ids for c in generate(policy, [prompt], SAMPLED, seed=2, keys=["a"])[0]] != base
    with pytest.raises(ValueError, match="keys"):
        generate(policy, [prompt], SAMPLED, keys=[])


def test_vision_tokens_are_never_written(policy, prompts, biased):
    biased(suppress_ids=1000.0)
    for sampling in (SAMPLED, Sampling(max_new_tokens=12)):
        written = {t for group in generate(policy, prompts, sampling) for c in group for t in c.token_ids}
        assert written and not written & set(policy.suppress_ids)


def test_log_probabilities_are_over_the_whole_vocabulary(policy, prompts, biased):
    """Suppressed tokens keep their share, or the trainer's forward would disagree."""
    biased(suppress_ids=1000.0)
    completion = generate(policy, prompts[:1], Sampling(max_new_tokens=1))[0][0]
    assert completion.logprobs[0] < -900


def test_the_end_of_turn_stops_an_answer(policy, prompts, biased):
    biased(eos_ids=1000.0)
    for group in generate(policy, prompts, SAMPLED):
        for completion in group:
            assert completion.finished and completion.text == ""
            assert len(completion.token_ids) == 1 and completion.token_ids[0] in policy.eos_ids


def test_an_unfinished_answer_says_so(policy, prompts, biased):
    biased(eos_ids=-1000.0)
    completion = generate(policy, prompts[:1], Sampling(max_new_tokens=5))[0][0]
    assert not completion.finished and len(completion.token_ids) == 5
    assert completion.text == policy.tokenizer.decode(completion.token_ids)


def test_finished_answers_leave_the_batch_without_a_trace(policy, prompts, biased, monkeypatch):
    biased(eos_ids=3.0)
    long = Sampling(n=6, temperature=1.0, max_new_tokens=40)
    monkeypatch.setattr(generate_hf, "SHRINK", 1.0)
    shrinking = generate(policy, prompts, long, seed=5)
    monkeypatch.setattr(generate_hf, "SHRINK", 0.0)
    standing = generate(policy, prompts, long, seed=5)
    lengths = {len(c.token_ids) for group in shrinking for c in group}
    assert len(lengths) > 3
    for one, other in zip(_flat(shrinking), _flat(standing), strict=True):
        assert one.token_ids == other.token_ids
        assert one.logprobs == pytest.approx(other.logprobs, abs=1e-4)


def test_the_cache_grows_when_its_room_is_used_up(policy, prompts, monkeypatch):
    expected = generate(policy, prompts, SAMPLED)
    monkeypatch.setattr(generate_hf, "RESERVE", 1)
    assert _written(generate(policy, prompts, SAMPLED)) == _written(expected)


def test_each_distinct_prompt_is_prefilled_once(policy, prompts, monkeypatch):
    batches, model = [], policy.core.model.language_model
    forward = model.forward

    def counting(*args, inputs_embeds, **kwargs):
        batches.append(inputs_embeds.shape[:2])
        return forward(*args, inputs_embeds=inputs_embeds, **kwargs)

    monkeypatch.setattr(model, "forward", counting)
    generate(policy, [prompts[0], prompts[2], prompts[0]], Sampling(4, 1.0, 1.0, 2), keys=["a", "b", "c"])
    assert batches[0] == (2, max(len(prompts[0]), len(prompts[2])))
    assert batches[1:] == [(12, 1)]


def test_training_mode_and_checkpointing_change_nothing_and_come_back(policy, prompts):
    expected = _written(generate(policy, prompts, SAMPLED))
    policy.model.train()
    policy.model.gradient_checkpointing_enable()
    try:
        found = generate(policy, prompts, SAMPLED)
        assert policy.model.training
    finally:
        policy.model.gradient_checkpointing_disable()
        policy.model.eval()
    assert _written(found) == expected


def test_nothing_in_gives_nothing_out(policy):
    assert generate(policy, [], SAMPLED) == []
