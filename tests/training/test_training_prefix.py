"""Completions that go through the model piece by piece behind their prompt equal separate forwards, and cost less."""

from contextlib import nullcontext

import pytest
import torch
import training_step
import training_world as tw
from test_training_checkpoint import crash, interrupt_at, same_run, train_grpo
from test_training_packing import COMPLETIONS, gradients, one_by_one, prompt_of, sharp
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from transformers.models.qwen2_5_vl import modeling_qwen2_5_vl as modeling

from rollout3d import tables
from rollout3d.training import engine as engines
from rollout3d.training import prefix as prefixes
from rollout3d.training.group import Group
from rollout3d.training.grpo import update
from rollout3d.training.packing import LogProbs, Row, pack
from rollout3d.training.prefix import Prefix

ALONE = 1
"""A limit that no row meets: every completion is a piece."""
MOVED = {"full": {}, "lora": {"lora_rank": 2}, "checkpointing": {"gradient_checkpointing": True}}


@pytest.fixture
def model():
    return sharp(tw.tiny_policy())


def in_pieces(policy, row, limit):
    """Log-probabilities of a row's completions piece by piece; their weighted sum's gradient is left in the weights."""
    policy.model.zero_grad()
    prefix, found = Prefix(policy, row.prompt), []
    for piece in row.pieces(limit):
        logp = LogProbs(policy)(pack([piece], behind_prompt=True), prefix=prefix)
        (piece.weight * logp).sum().backward()
        prefix.collect()
        found.append(logp.detach())
    prefix.pull().backward()
    return torch.cat(found), torch.cat([p.grad.flatten() for p in policy.model.parameters()])


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("room", [0, 5, 9])
def test_pieces_behind_a_prompt_equal_separate_forwards(model, room, checkpointing):
    prompt = prompt_of(model)
    row = Row(prompt, COMPLETIONS, weight=torch.linspace(-1, 1, 11))
    assert [len(piece.completions) for piece in row.pieces(len(prompt) + room)] == {
        0: [1, 1, 1],
        5: [2, 1],
        9: [2, 1],
    }[room]
    separate = torch.cat([one_by_one(model, prompt, c) for c in COMPLETIONS])
    expected = gradients(model, (row.weight * separate).sum())
    if checkpointing:
        model.core.gradient_checkpointing_enable({"use_reentrant": False})
        model.core.train()
    logp, found = in_pieces(model, row, len(prompt) + room)
    assert torch.allclose(logp, separate, rtol=0, atol=1e-5)
    assert expected.abs().max() > 1
    assert torch.allclose(found, expected, rtol=0, atol=1e-5)


def test_pieces_equal_separate_forwards_in_double_precision(monkeypatch):
    # transformers' norm works in single precision whatever the model's; its rounding alone would differ by 1e-7.
    def norm(self, x):
        return self.weight * x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.variance_epsilon)

    monkeypatch.setattr(modeling.Qwen2_5_VLRMSNorm, "forward", norm)
    # The sum of the pieces is kept in single precision, whose digits a single piece does not lose.
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)
    double = sharp(tw.tiny_policy(dtype=torch.float64))
    row = Row(prompt_of(double), COMPLETIONS, weight=torch.linspace(-1, 1, 11, dtype=torch.float64))
    logp, found = in_pieces(double, row, ALONE)
    separate = torch.cat([one_by_one(double, row.prompt, c) for c in COMPLETIONS])
    assert torch.allclose(logp, separate, rtol=0, atol=1e-8)
    assert torch.allclose(found, gradients(double, (row.weight * separate).sum()), rtol=0, atol=1e-8)


def test_a_piece_has_its_own_completions_and_what_is_known_of_their_tokens(model):
    known = {name: torch.rand(11) for name in ("weight", "advantage", "told", "kl_weight", "behaviour")}
    prompt = prompt_of(model)
    row = Row(prompt, [COMPLETIONS[0], [], *COMPLETIONS[1:]], **known)
    pieces = row.pieces(len(prompt) + 5)
    assert [piece.completions for piece in pieces] == [COMPLETIONS[:2], COMPLETIONS[2:]]
    for name, whole in known.items():
        assert torch.equal(torch.cat([getattr(piece, name) for piece in pieces]), whole)
    assert row.pieces(len(prompt) + 5) is pieces, "statistics of a batch are kept by its rows"


def test_rows_that_fit_or_cannot_be_cut_have_no_pieces(model):
    prompt = prompt_of(model)
    assert Row(prompt, COMPLETIONS).pieces(len(prompt) + 11) == []
    assert Row(prompt, COMPLETIONS).pieces(len(prompt) + 10) != []
    assert Row(prompt, COMPLETIONS[:1]).pieces(ALONE) == []
    assert Row(prompt, COMPLETIONS, prompt_targets=[1]).pieces(ALONE) == []


def test_gradients_of_the_prompt_add_up_in_single_precision():
    """In bfloat16, as small as these, the later ones would be lost."""
    policy = tw.tiny_policy(dtype=torch.bfloat16)
    prefix = Prefix(policy, prompt_of(policy))
    for grad in (256.0, *[0.5] * 8):
        prefix._leaves[1].grad = torch.full_like(prefix._leaves[1], grad)
        prefix.collect()
    assert prefix._pulled[1].dtype == torch.float32 and torch.all(prefix._pulled[1] == 260)


def test_a_layer_that_passes_the_cache_over_is_an_error(model, monkeypatch):
    """As transformers' layers do under gradient checkpointing: the completions would not see their prompt."""
    model.core.gradient_checkpointing_enable({"use_reentrant": False})
    model.core.train()
    monkeypatch.setattr(prefixes, "_cache_kept", lambda _: nullcontext())
    with pytest.raises(RuntimeError, match="without the prompt's cache"):
        Prefix(model, prompt_of(model))


# --- the engine ------------------------------------------------------------------------------------------------------


def away(motor):
    """Move the policy away from its reference, so that there is a KL."""
    with torch.no_grad():
        for p in motor.trained.values():
            p.add_(torch.randn(p.shape, generator=torch.Generator().manual_seed(p.numel())), alpha=0.02)
    return motor


def step(files, monkeypatch, limit, sums, **settings):
    """Log-probabilities of a row, then the gradient and figures of one step's first update, rows cut by `limit`."""
    monkeypatch.setattr(engines, "MICRO_TOKENS", limit)
    grpo = tw.config(grad_rollouts="both_on_clean", offpolicy_correction="truncated", beta=0.1, **settings).grpo
    motor = away(training_step.engine(files, grpo))
    made: Group = training_step.group(files, motor, grpo, (1.0, 0.0, 0.3, 0.5))
    score = motor.score([Row(made.rollouts[0].prompt, [r.completion.token_ids for r in made.rollouts])], 0.7)
    forward = LogProbs.forward
    with monkeypatch.context() as patch:
        patch.setattr(LogProbs, "forward", lambda *a, **k: sums.append(1) or forward(*a, **k))
        return torch.cat(score), *training_step.gradient(motor, [made], grpo)


@pytest.mark.parametrize("settings", MOVED.values(), ids=MOVED)
def test_a_group_too_long_for_one_row_gives_the_same_step(files, monkeypatch, settings):
    """Objective, KL against the reference, the weight of other videos' rollouts, and the gradient."""
    whole, cut = [], []
    logp, expected, about = step(files, monkeypatch, 8192, whole, **settings)
    same, found, told = step(files, monkeypatch, ALONE, cut, **settings)
    assert len(whole) == 3 and len(cut) == 2 + 4 + 4  # behaviour of 2 rollouts, then policy and reference of 4
    assert torch.allclose(logp, same, rtol=0, atol=1e-5) and len(logp) == 14
    assert expected.abs().max() > 1e-2
    assert torch.allclose(found, expected, rtol=0, atol=1e-5)
    assert told == pytest.approx(about, rel=1e-4, abs=1e-6) and told["kl"] > 1e-3


@pytest.mark.parametrize("settings", MOVED.values(), ids=MOVED)
def test_several_updates_on_a_long_group_give_the_same_weights(files, monkeypatch, settings):
    """The second and third meet the old policy's log-probabilities, piece by piece."""
    weights = []
    for limit in (8192, ALONE):
        monkeypatch.setattr(engines, "MICRO_TOKENS", limit)
        grpo = tw.config(grad_rollouts="both_on_clean", updates_per_rollout=3, beta=0.1, **settings).grpo
        motor = away(training_step.engine(files, grpo))
        before = torch.cat([p.detach().flatten().clone() for p in motor.trained.values()])
        update([training_step.group(files, motor, grpo, (1.0, 0.0, 0.3, 0.5))], motor, grpo, 0)
        assert motor.updates == 3
        weights.append(torch.cat([p.detach().flatten() for p in motor.trained.values()]) - before)
    whole, cut = weights
    assert whole.abs().max() > 1e-3  # three updates of about 1e-3, whose sign a gradient near zero may flip by rounding
    assert ((whole - cut).abs() > 1e-5).float().mean() < 0.01


def test_each_video_is_looked_at_once_by_policy_and_reference(files, monkeypatch):
    monkeypatch.setattr(engines, "MICRO_TOKENS", ALONE)
    grpo = tw.config(grad_rollouts="both_on_clean", beta=0.1, updates_per_rollout=2).grpo
    motor, seen = training_step.engine(files, grpo), []
    for name, module in (("policy", motor.policy), ("reference", motor._reference.policy)):
        tower = module.core.model.visual
        tower.register_forward_hook(lambda *_, name=name: seen.append(name))
    update([training_step.group(files, motor, grpo, (1.0, 0.0, 0.3, 0.5))], motor, grpo, 0)
    assert seen == ["policy", "reference", "policy"]
    assert motor._behind is None, "the reference's keys and values are not kept beyond their group"


def test_in_lockstep_a_long_row_stays_whole(files, monkeypatch):
    monkeypatch.setattr(engines, "MICRO_TOKENS", ALONE)
    motor = training_step.engine(files, tw.config().grpo)
    row = Row(training_step.group(files, motor, tw.config().grpo, (1.0,)).rollouts[0].prompt, COMPLETIONS)
    motor.lockstep, sizes = True, []
    motor.update([row], lambda logp, _: sizes.append(len(logp)) or -logp.mean(), 0)
    motor.lockstep = False
    motor.update([row], lambda logp, _: sizes.append(len(logp)) or -logp.mean(), 0)
    assert sizes == [11, 4, 1, 6]


def test_a_run_in_pieces_resumes_bit_for_bit(files, taught, tmp_path, monkeypatch):
    monkeypatch.setattr(engines, "MICRO_TOKENS", ALONE)
    train_grpo(files, taught, tmp_path / "whole")
    with monkeypatch.context() as patch:
        interrupt_at(patch, 2, crash)
        with pytest.raises(RuntimeError, match="power cut"):
            train_grpo(files, taught, tmp_path / "died", save_every=1)
    train_grpo(files, taught, tmp_path / "died", save_every=1)
    same_run(tmp_path / "whole", tmp_path / "died", [tables.METRICS, tables.ROLLOUTS])


# --- what it costs ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("checkpointing", [False, True])
def test_eight_completions_cost_little_more_than_their_tokens(model, checkpointing):
    """At most 1.2 times (P + 8 c) / 8 (P + c) of eight forwards with a prompt each, forward and backward."""
    prompt = prompt_of(model, "How many chairs?" * 12, frames=8)
    c = round(len(prompt) * 300 / 1260)
    words = torch.randint(5, 300, (8, c), generator=torch.Generator().manual_seed(0)).tolist()
    row = Row(prompt, words, weight=torch.ones(8 * c))
    if checkpointing:
        model.core.gradient_checkpointing_enable({"use_reentrant": False})
        model.core.train()

    def counted(work):
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            work()
        return counter.get_total_flops()

    def separately():
        for completion in words:
            LogProbs(model)(pack([Row(prompt, [completion])])).sum().backward()

    bound = (len(prompt) + 8 * c) / (8 * (len(prompt) + c))
    assert counted(lambda: in_pieces(model, row, ALONE)) / counted(separately) <= 1.2 * bound
