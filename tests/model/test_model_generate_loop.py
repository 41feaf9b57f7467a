"""The decoding loop against a plain one that hands every token to the host at once: same answers, fewer waits."""

import numpy as np
import pytest
import torch
from transformers.cache_utils import Cache

from rollout3d.model import generate_hf
from rollout3d.model.encode import Image, Text, Video
from rollout3d.model.generate_hf import generate
from rollout3d.model.sampling import Sampling, choose

SAMPLED = Sampling(n=6, temperature=1.0, max_new_tokens=40)
READS = ("tolist", "item", "cpu", "numpy", "__bool__", "__int__", "__float__", "__index__")
"""Methods of a tensor that wait for the device."""


@pytest.fixture(scope="module")
def prompts(policy):
    noise = np.random.default_rng(0).integers(0, 256, (8, 56, 84, 3), dtype=np.uint8)
    return [
        policy.encoder.prompt([Video(noise), Text("How many chairs are there?")]),
        policy.encoder.prompt([Image(noise[0]), Text("Is the sofa to the left of the table?")]),
        policy.encoder.prompt([Text("Answer")]),
    ]


@pytest.fixture
def often_ending(policy):
    """The end of turn is likelier, so that answers have many lengths."""
    extra = torch.zeros(policy.core.lm_head.out_features)
    extra[list(policy.eos_ids)] = 3.0
    handle = policy.core.lm_head.register_forward_hook(lambda *about: about[-1] + extra)
    yield
    handle.remove()


@pytest.fixture
def events(policy, monkeypatch):
    """What happens in order: forwards of the language model, and reads of a tensor by the host."""
    seen = []
    model = policy.core.model.language_model
    forward = model.forward
    monkeypatch.setattr(model, "forward", lambda *a, **k: seen.append("forward") or forward(*a, **k))
    for name in READS:
        read = getattr(torch.Tensor, name)
        monkeypatch.setattr(torch.Tensor, name, lambda self, *a, _read=read: seen.append("read") or _read(self, *a))
    return seen


def plain_decode(policy, prompts, rows, sampling, draws):
    """Token by token: everything is read by the host before the next forward starts."""
    hidden, layers, mask = generate_hf.prefill(policy, prompts)
    start = torch.tensor(rows)
    cache = Cache(layers=[generate_hf._Reserved(keys[start], values[start]) for keys, values in layers])
    hidden, mask = hidden[start], None if mask is None else mask[start]
    position = torch.tensor([prompts[row].next_position for row in rows])
    tokens, chances, finished = [[] for _ in rows], [[] for _ in rows], [False] * len(rows)
    batch = list(range(len(rows)))
    for step in range(sampling.max_new_tokens):
        logits = policy.core.lm_head(hidden).float()
        scale = logits.logsumexp(-1)
        logits[:, list(policy.suppress_ids)] = -torch.inf
        chosen = choose(logits, sampling, None if draws is None else draws[:, step])
        told = logits.gather(1, chosen.unsqueeze(1)).squeeze(1) - scale
        ends = torch.isin(chosen, torch.tensor(policy.eos_ids))
        for answer, token, chance, end in zip(batch, chosen.tolist(), told.tolist(), ends.tolist(), strict=True):
            if not finished[answer]:
                tokens[answer].append(token)
                chances[answer].append(chance)
                finished[answer] = end
        going = [row for row, answer in enumerate(batch) if not finished[answer]]
        if not going:
            break
        if len(going) <= generate_hf.SHRINK * len(batch):
            keep = torch.tensor(going)
            batch = [batch[row] for row in going]
            chosen, position = chosen[keep], position[keep]
            mask, draws = (None if x is None else x[keep] for x in (mask, draws))
            for layer in cache.layers:
                layer.select(keep)
        if mask is not None:
            mask = torch.cat([mask, mask.new_zeros(len(batch), 1)], dim=1)
        hidden = policy.core.model.language_model(
            inputs_embeds=policy.embed_tokens(chosen.unsqueeze(1)),
            position_ids=position.view(1, -1, 1).expand(3, -1, 1),
            attention_mask=None if mask is None else mask[:, None, None, :],
            past_key_values=cache,
            use_cache=True,
        ).last_hidden_state[:, -1]
        position = position + 1
    about = zip(tokens, finished, chances, strict=True)
    return [generate_hf.Completion(ids, policy.decode(ids), end, own) for ids, end, own in about]


def plainly(policy, prompts, sampling, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(generate_hf, "_decode", plain_decode)
        return generate(policy, prompts, sampling, seed=5)


@pytest.mark.parametrize("sampling", [SAMPLED, Sampling(2, 1.0, 0.9, 1), Sampling(max_new_tokens=40)])
@pytest.mark.parametrize("one", [True, False], ids=["one prompt", "padded prompts"])
def test_answers_equal_those_of_a_plain_loop_bit_for_bit(policy, prompts, often_ending, sampling, one, monkeypatch):
    asked = prompts[:1] if one else prompts
    expected = plainly(policy, asked, sampling, monkeypatch)
    assert generate(policy, asked, sampling, seed=5) == expected
    if sampling is SAMPLED:
        lengths = {len(completion.token_ids) for group in expected for completion in group}
        assert len(lengths) > 3 and min(lengths) < 10  # some end early, and the batch shrinks


@pytest.mark.parametrize("shrink", [generate_hf.SHRINK, 0.0])
def test_ends_that_are_read_late_change_no_answer(policy, prompts, often_ending, shrink, monkeypatch):
    """As on a GPU. Where the batch shrinks a step later, products have other sizes: log-probabilities may round."""
    monkeypatch.setattr(generate_hf, "SHRINK", shrink)
    expected = plainly(policy, prompts, SAMPLED, monkeypatch)
    monkeypatch.setattr(generate_hf, "LATE", {"cpu": 1})
    found = generate(policy, prompts, SAMPLED, seed=5)
    for one, other in zip(found, expected, strict=True):
        for ours, theirs in zip(one, other, strict=True):
            assert (ours.token_ids, ours.text, ours.finished) == (theirs.token_ids, theirs.text, theirs.finished)
            assert ours.logprobs == (pytest.approx(theirs.logprobs, abs=1e-5) if shrink else theirs.logprobs)


def test_the_host_reads_once_a_step_instead_of_three_times(policy, prompts, often_ending, events, monkeypatch):
    counted = []
    for run in (
        lambda: plainly(policy, prompts[:1], SAMPLED, monkeypatch),
        lambda: generate(policy, prompts[:1], SAMPLED, seed=5),
    ):
        events.clear()
        run()
        decoding = events[events.index("forward") :]  # from the prompt's forward on
        counted.append((decoding.count("forward"), decoding.count("read")))
    (steps, before), (same, after) = counted
    assert steps == same > 10
    # Two at the end: all tokens, all log-probabilities.
    assert (before, after) == (3 * steps, steps + 2)


def test_a_gpu_has_the_next_step_before_the_host_waits_for_the_last(policy, prompts, events, monkeypatch):
    """At a wait for step t, the forward that follows it has been started."""
    read = generate_hf._Report.read
    monkeypatch.setattr(generate_hf._Report, "read", lambda self: events.append("wait") or read(self))
    sampling = Sampling(n=2, temperature=1.0, max_new_tokens=6)
    for late in (0, 1):
        events.clear()
        monkeypatch.setattr(generate_hf, "LATE", {"cpu": late})
        generate(policy, prompts[:1], sampling, seed=5)
        steps = [event for event in events if event != "read"]
        started = [steps[: i + 1].count("forward") for i, event in enumerate(steps) if event == "wait"]
        # The first token comes from the prompt's forward, so the wait for token t follows t forwards, or t + late.
        assert started == [t + late for t in range(1, len(started) + 1)] and len(started) >= 3
