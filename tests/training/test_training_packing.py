"""A packed row equals its completions run one by one: values and gradients."""

import numpy as np
import pytest
import torch
import training_world
from transformers.models.qwen2_5_vl import modeling_qwen2_5_vl as modeling

from rollout3d.model.encode import Image, Text, Video
from rollout3d.model.generate_hf import generate
from rollout3d.model.sampling import Sampling
from rollout3d.training import packing
from rollout3d.training.packing import LogProbs, PackedRow, micro_batches, pack

COMPLETIONS = [[5, 9, 11, 40], [7], [5, 9, 12, 13, 60, 61]]


def sharp(policy):
    """Weights large enough that every input matters."""
    with torch.no_grad():
        for weight in policy.model.parameters():
            if weight.ndim > 1:
                weight.mul_(4)
    return policy


@pytest.fixture(scope="module")
def model():
    return sharp(training_world.tiny_policy())


@pytest.fixture(scope="module")
def double():
    return sharp(training_world.tiny_policy(dtype=torch.float64))


def prompt_of(policy, words="How many chairs?", frames=4, seed=0):
    rng = np.random.default_rng(seed)
    return policy.encoder.prompt([Video(rng.integers(0, 256, (frames, 56, 84, 3), np.uint8)), Text(words)])


def one_by_one(policy, prompt, completion):
    """Log-probabilities of one completion by the model class's own forward: no packing, no mask, own positions."""
    ids = torch.cat([prompt.input_ids, torch.tensor(completion)])[None]
    after = prompt.next_position + torch.arange(len(completion))
    positions = torch.cat([prompt.position_ids, after.expand(3, -1)], dim=1)[:, None]
    logits = policy.core(
        input_ids=ids,
        position_ids=positions,
        pixel_values_videos=prompt.pixel_values_videos.to(policy.core.dtype),
        video_grid_thw=prompt.video_grid_thw,
    ).logits[0]
    logp = torch.log_softmax(logits[len(prompt) - 1 : -1], dim=-1)
    return logp.gather(1, torch.tensor(completion)[:, None]).squeeze(1)


def gradients(policy, value):
    policy.model.zero_grad()
    value.backward()
    return torch.cat([p.grad.flatten() for p in policy.model.parameters()])


def test_a_packed_row_equals_separate_forwards_in_double_precision(double, monkeypatch):
    # transformers' norm works in single precision whatever the model's; its rounding alone would differ by 1e-7.
    def norm(self, x):
        return self.weight * x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.variance_epsilon)

    monkeypatch.setattr(modeling.Qwen2_5_VLRMSNorm, "forward", norm)
    prompt = prompt_of(double)
    packed = LogProbs(double)(pack([PackedRow(prompt, COMPLETIONS)]))
    separate = torch.cat([one_by_one(double, prompt, c) for c in COMPLETIONS])
    assert packed.shape == (11,)
    assert torch.allclose(packed, separate, rtol=0, atol=1e-8)
    weight = torch.linspace(-1, 1, 11, dtype=torch.float64)
    ours, theirs = gradients(double, (weight * packed).sum()), gradients(double, (weight * separate).sum())
    assert theirs.abs().max() > 1e-2
    assert torch.allclose(ours, theirs, rtol=0, atol=1e-8)


def test_a_padded_batch_of_packed_rows_equals_separate_forwards_in_single_precision(model):
    prompts = [prompt_of(model, "How many?", 2, 1), prompt_of(model, "How many sofas are there in the room?", 6, 2)]
    rows = [PackedRow(prompts[0], COMPLETIONS), PackedRow(prompts[1], [[3, 4], [8, 9, 10]])]
    packed = LogProbs(model)(pack(rows))
    separate = torch.cat([one_by_one(model, row.prompt, c) for row in rows for c in row.completions])
    assert torch.allclose(packed, separate, rtol=0, atol=1e-5)
    ours, theirs = gradients(model, packed.mean()), gradients(model, separate.mean())
    assert torch.allclose(ours, theirs, rtol=0, atol=1e-5)


def test_rows_of_one_completion_need_no_mask_and_give_the_same(model):
    rows = [PackedRow(prompt_of(model, seed=i), [COMPLETIONS[i]]) for i in range(3)]
    packed = pack(rows)
    assert packed.attention is None
    separate = torch.cat([one_by_one(model, row.prompt, row.completions[0]) for row in rows])
    assert torch.allclose(LogProbs(model)(packed), separate, rtol=0, atol=1e-5)


def test_log_probabilities_agree_with_those_of_generation(model):
    prompt = prompt_of(model)
    written = generate(model, [prompt], Sampling(n=3, temperature=1.0, max_new_tokens=8), seed=3)[0]
    with torch.no_grad():
        logp = LogProbs(model)(pack([PackedRow(prompt, [c.token_ids for c in written])]))
    told = torch.tensor([chance for completion in written for chance in completion.logprobs])
    assert torch.allclose(logp, told, atol=1e-4)


def test_completions_do_not_see_each_other(model):
    prompt = prompt_of(model)
    first = LogProbs(model)(pack([PackedRow(prompt, [[5, 6, 7], [8, 9]])]))[:3]
    other = LogProbs(model)(pack([PackedRow(prompt, [[5, 6, 7], [60, 70]])]))[:3]
    assert torch.equal(first, other)


def test_tokens_of_the_prompt_can_be_scored_too(model):
    prompt = prompt_of(model)
    places = [1, len(prompt) - 2]
    packed = pack([PackedRow(prompt, [[5, 6]], prompt_targets=places)])
    assert packed.targets.tolist() == [int(prompt.input_ids[i]) for i in places] + [5, 6]
    assert packed.predict.tolist() == [0, len(prompt) - 3, len(prompt) - 1, len(prompt)]


def test_a_large_vocabulary_is_scored_in_pieces_to_the_same_result(model, monkeypatch):
    rows = [PackedRow(prompt_of(model), COMPLETIONS)]
    whole = LogProbs(model)
    monkeypatch.setattr(packing, "LARGE_VOCABULARY", 1)
    pieces = LogProbs(model)
    assert (whole.chunks, pieces.chunks) == (1, packing.HEAD_CHUNKS)
    ours, theirs = pieces(pack(rows)), whole(pack(rows))
    assert torch.allclose(ours, theirs, atol=1e-6)
    assert torch.allclose(gradients(model, ours.sum()), gradients(model, theirs.sum()), atol=1e-5)


def test_temperature_flattens_the_distribution(model):
    packed = pack([PackedRow(prompt_of(model), [[t] for t in range(len(model.tokenizer))])])
    hot = LogProbs(model, temperature=2.0)(packed).detach()
    cold = LogProbs(model, temperature=1.0)(packed).detach()
    assert torch.allclose(hot, torch.log_softmax(cold / 2, dim=0), atol=1e-5)


def test_the_vision_tower_looks_once_at_a_prompt(model, monkeypatch):
    seen = []
    tower = model.core.model.visual.forward
    monkeypatch.setattr(model.core.model.visual, "forward", lambda x, **k: seen.append(len(x)) or tower(x, **k))
    prompt = prompt_of(model)
    LogProbs(model)(pack([PackedRow(prompt, COMPLETIONS), PackedRow(prompt, COMPLETIONS)]))
    assert seen == [len(prompt.pixel_values_videos)]


def test_a_batch_without_pictures_still_uses_the_vision_tower_where_collectives_need_it(model):
    rows = [PackedRow(model.encoder.prompt([Text("How many?")]), [[5, 6]])]
    module = LogProbs(model)
    model.model.zero_grad()
    value = module(pack(rows), always_look=True)
    assert torch.equal(value, module(pack(rows)))
    value.sum().backward()
    grads = [p.grad for p in model.core.model.visual.parameters()]
    assert all(g is not None and not g.any() for g in grads)


def test_gradients_come_in_one_order_whether_a_picture_is_shown_or_not():
    """DeepSpeed adds those of all processes up by their place in this order, in buckets that know no names."""
    model = training_world.tiny_policy()
    order = []
    for name, p in model.core.named_parameters():
        p.register_post_accumulate_grad_hook(lambda _, name=name: order.append(name))
    orders = []
    for row in (
        PackedRow(prompt_of(model), COMPLETIONS),
        PackedRow(model.encoder.prompt([Text("How many?")]), [[5, 6]]),
        packing.idle_row(model),
    ):
        LogProbs(model)(pack([row]), always_look=True).sum().backward()
        orders.append(order.copy())
        order.clear()
    assert orders[0] == orders[1] == orders[2] and len(orders[0]) == len(list(model.core.parameters()))


def test_a_missing_video_is_noticed(model):
    prompt = prompt_of(model)
    blind = type(prompt)(prompt.input_ids, prompt.position_ids, prompt.next_position, (), prompt.key)
    with pytest.raises(AssertionError, match="placeholders"):
        LogProbs(model)(pack([PackedRow(blind, COMPLETIONS)]))


def test_micro_batches_respect_both_limits_and_keep_the_order(model):
    prompt = model.encoder.prompt([Image(np.zeros((28, 28, 3), np.uint8))])
    rows = [PackedRow(prompt, [[1] * n]) for n in (10, 20, 10, 50, 5)]
    size = len(prompt)
    batches = list(micro_batches(rows, 2 * (size + 20)))
    assert [row for batch in batches for row in batch] == rows
    assert [len(batch) for batch in batches] == [2, 1, 1, 1]
    assert [len(batch) for batch in micro_batches(rows, 10_000, max_rows=2)] == [2, 2, 1]
    assert [len(batch) for batch in micro_batches(rows, 1)] == [1] * 5


def test_an_empty_completion_among_others_scores_nothing(model):
    prompt = prompt_of(model)
    with_empty = LogProbs(model)(pack([PackedRow(prompt, [[5, 6], [], [7]])]))
    assert torch.equal(with_empty, LogProbs(model)(pack([PackedRow(prompt, [[5, 6], [7]])])))


def test_a_row_without_completions_is_refused(model):
    with pytest.raises(ValueError, match="without completions"):
        pack([PackedRow(prompt_of(model), [])])
