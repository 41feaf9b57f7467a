"""Completions that go through the model piece by piece behind their prompt equal separate forwards, and cost less."""

import subprocess
from contextlib import nullcontext
from pathlib import Path

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
from rollout3d.config import Training
from rollout3d.model.encode import Text
from rollout3d.training import prefix as prefixes
from rollout3d.training.engines import engine as engines
from rollout3d.training.group import Group
from rollout3d.training.grpo import update
from rollout3d.training.packing import LogProbs, PackedRow, idle_row, pack
from rollout3d.training.prefix import Prefix
from rollout3d.training.run import run_grpo

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
    row = PackedRow(prompt, COMPLETIONS, weight=torch.linspace(-1, 1, 11))
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
    row = PackedRow(prompt_of(double), COMPLETIONS, weight=torch.linspace(-1, 1, 11, dtype=torch.float64))
    logp, found = in_pieces(double, row, ALONE)
    separate = torch.cat([one_by_one(double, row.prompt, c) for c in COMPLETIONS])
    assert torch.allclose(logp, separate, rtol=0, atol=1e-8)
    assert torch.allclose(found, gradients(double, (row.weight * separate).sum()), rtol=0, atol=1e-8)


def test_a_piece_has_its_own_completions_and_what_is_known_of_their_tokens(model):
    known = {name: torch.rand(11) for name in ("weight", "advantage", "sampler_logp", "kl_weight", "behaviour")}
    prompt = prompt_of(model)
    row = PackedRow(prompt, [COMPLETIONS[0], [], *COMPLETIONS[1:]], **known)
    pieces = row.pieces(len(prompt) + 5)
    assert [piece.completions for piece in pieces] == [COMPLETIONS[:2], COMPLETIONS[2:]]
    for name, whole in known.items():
        assert torch.equal(torch.cat([getattr(piece, name) for piece in pieces]), whole)
    assert row.pieces(len(prompt) + 5) is pieces, "statistics of a batch are kept by its rows"


def test_rows_that_fit_or_cannot_be_cut_have_no_pieces(model):
    prompt = prompt_of(model)
    assert PackedRow(prompt, COMPLETIONS).pieces(len(prompt) + 11) == []
    assert PackedRow(prompt, COMPLETIONS).pieces(len(prompt) + 10) != []
    assert PackedRow(prompt, COMPLETIONS[:1]).pieces(ALONE) == []
    assert PackedRow(prompt, COMPLETIONS, prompt_targets=[1]).pieces(ALONE) == []


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


def apart(settings):
    """Settings of grpo, and those of training."""
    shared = {key: value for key, value in settings.items() if key in Training.model_fields}
    return {key: value for key, value in settings.items() if key not in shared}, shared


def step(files, monkeypatch, limit, sums, **settings):
    """Log-probabilities of a row, then the gradient and figures of one step's first update, rows cut by `limit`."""
    monkeypatch.setattr(engines, "MICRO_TOKENS", limit)
    own, training = apart(settings)
    grpo = tw.config(grad_rollouts="both_on_clean", offpolicy_correction="truncated", beta=0.1, **own).grpo
    motor = away(training_step.engine(files, grpo, **training))
    made: Group = training_step.group(files, motor, grpo, (1.0, 0.0, 0.3, 0.5))
    score = motor.score([PackedRow(made.rollouts[0].prompt, [r.completion.token_ids for r in made.rollouts])], 0.7)
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
        own, training = apart(settings)
        grpo = tw.config(grad_rollouts="both_on_clean", updates_per_rollout=3, beta=0.1, **own).grpo
        motor = away(training_step.engine(files, grpo, **training))
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
    for name, module in (("policy", motor.policy), ("reference", motor.reference.module.policy)):
        tower = module.core.model.visual
        tower.register_forward_hook(lambda *_, name=name: seen.append(name))
    update([training_step.group(files, motor, grpo, (1.0, 0.0, 0.3, 0.5))], motor, grpo, 0)
    assert seen == ["policy", "reference", "policy"]
    assert motor.reference._prefix is None, "the reference's keys and values are not kept beyond their group"


def test_where_rows_are_not_cut_a_long_one_stays_whole(files, monkeypatch):
    """As under ZeRO-3."""
    monkeypatch.setattr(engines, "MICRO_TOKENS", ALONE)
    motor = training_step.engine(files, tw.config().grpo)
    row = PackedRow(training_step.group(files, motor, tw.config().grpo, (1.0,)).rollouts[0].prompt, COMPLETIONS)
    sizes = []
    for motor.optimiser.cuts in (False, True):
        motor.update([row], lambda logp, _: sizes.append(len(logp)) or -logp.mean(), 0)
    assert sizes == [11, 4, 1, 6]


@pytest.mark.parametrize("shown", ["video", "text alone"])
@pytest.mark.parametrize("tied", [True, False])
def test_gradients_of_pieces_and_prompt_come_in_the_order_of_any_other_batch(model, tied, shown):
    """Processes that run equally many backwards may run others: DeepSpeed adds gradients up by their place in it."""
    if not tied:
        model.core.lm_head.weight = torch.nn.Parameter(model.core.lm_head.weight.detach().clone())
    order, orders = [], []
    for name, p in model.core.named_parameters():
        p.register_post_accumulate_grad_hook(lambda _, name=name: order.append(name))

    def backward(value):
        value.backward()
        orders.append(order.copy())
        order.clear()

    backward(LogProbs(model)(pack([idle_row(model)]), always_look=True).sum())
    row = PackedRow(prompt_of(model) if shown == "video" else model.encoder.prompt([Text("How many?")]), COMPLETIONS)
    prefix = Prefix(model, row.prompt, always_look=True)
    for piece in row.pieces(ALONE):
        backward(LogProbs(model)(pack([piece], behind_prompt=True), always_look=True, prefix=prefix).sum())
        prefix.collect()
    backward(prefix.pull())
    assert len(orders) == 5 and len(orders[0]) == len(list(model.core.parameters()))
    assert all(found == orders[0] for found in orders)


def test_a_run_in_pieces_resumes_bit_for_bit(files, taught, tmp_path, monkeypatch):
    monkeypatch.setattr(engines, "MICRO_TOKENS", ALONE)
    train_grpo(files, taught, tmp_path / "whole")
    with monkeypatch.context() as patch:
        interrupt_at(patch, 2, crash)
        with pytest.raises(RuntimeError, match="power cut"):
            train_grpo(files, taught, tmp_path / "died", save_every=1)
    train_grpo(files, taught, tmp_path / "died", save_every=1)
    same_run(tmp_path / "whole", tmp_path / "died", [tables.METRICS, tables.ROLLOUTS])


@pytest.mark.pipeline
@pytest.mark.parametrize(
    ("stage", "settings"),
    [
        ("zero2", {}),
        pytest.param("zero2", {"lora_rank": 2}, marks=pytest.mark.long),
        pytest.param("zero2", {"gradient_checkpointing": True}, marks=pytest.mark.long),
        pytest.param("zero0", {}, marks=pytest.mark.long),
        pytest.param("zero3", {}, marks=pytest.mark.long),
    ],
)
def test_deepspeed_in_pieces_trains_as_plain_torch_does_on_whole_rows(files, taught, tmp_path, stage, settings):
    """On two processes, which have different numbers of groups with spread, so different numbers of pieces."""
    run, shared = tw.run(steps=3), {"max_new_tokens": 24, "lr": 1e-4, "prompts_per_step": 4, **settings}
    run_grpo(tw.config(**shared), run, tw.inputs(files, taught), tmp_path / "plain", tw.lineage)
    made = tw.quick_command(
        "train_grpo", tw.config(**shared, deepspeed=stage), run, files, taught, tmp_path / "zero", 2
    )
    module = made.index("rollout3d.stages.train_grpo")
    made[module - 1 : module + 1] = [str(Path(__file__).parent / "in_pieces.py")]
    subprocess.run(made, check=True, timeout=400)
    first, second = (tables.read(tables.METRICS, tmp_path / name / "metrics.parquet") for name in ("plain", "zero"))
    assert sum(row["grad_norm"] > 0 for row in first) >= 2
    for a, b in zip(first, second, strict=True):
        assert b["loss"] == pytest.approx(a["loss"], rel=1e-3, abs=1e-5)
        assert b["grad_norm"] == pytest.approx(a["grad_norm"], rel=1e-2)
    whole, cut, before = (tw.weights(tmp_path / name / "model.json") for name in ("plain", "zero", taught.parent))
    moved = max(float((before[name] - whole[name]).abs().max()) for name in before)
    apart = max(float((cut[name] - whole[name]).abs().max()) for name in before)
    assert moved > 0 and apart < 0.1 * moved


# --- what it costs ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("checkpointing", [False, True])
def test_eight_completions_cost_little_more_than_their_tokens(model, checkpointing):
    """At most 1.2 times (P + 8 c) / 8 (P + c) of eight forwards with a prompt each, forward and backward."""
    prompt = prompt_of(model, "How many chairs?" * 12, frames=8)
    c = round(len(prompt) * 300 / 1260)
    words = torch.randint(5, 300, (8, c), generator=torch.Generator().manual_seed(0)).tolist()
    row = PackedRow(prompt, words, weight=torch.ones(8 * c))
    if checkpointing:
        model.core.gradient_checkpointing_enable({"use_reentrant": False})
        model.core.train()

    def counted(work):
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            work()
        return counter.get_total_flops()

    def separately():
        for completion in words:
            LogProbs(model)(pack([PackedRow(prompt, [completion])])).sum().backward()

    bound = (len(prompt) + 8 * c) / (8 * (len(prompt) + c))
    assert counted(lambda: in_pieces(model, row, ALONE)) / counted(separately) <= 1.2 * bound


class Held:
    """Bytes that autograd holds for backwards, the weights apart, and the most that it held at once."""

    def __init__(self, policy):
        self.now = self.most = 0
        weights = {p.untyped_storage().data_ptr() for p in policy.core.parameters()}

        class Saved:
            def __init__(saved, tensor):
                saved.tensor = tensor
                saved.bytes = 0 if tensor.untyped_storage().data_ptr() in weights else tensor.nbytes
                self.now += saved.bytes
                self.most = max(self.most, self.now)

            def __del__(saved):
                self.now -= saved.bytes

        self.hooks = torch.autograd.graph.saved_tensors_hooks(Saved, lambda saved: saved.tensor)


def test_only_the_prompt_and_one_piece_are_in_memory(model):
    prompt, c = prompt_of(model, "How many chairs?" * 12, frames=8), 40
    words = torch.randint(5, 300, (8, c), generator=torch.Generator().manual_seed(0)).tolist()
    row = PackedRow(prompt, words, weight=torch.ones(8 * c))
    with sdpa_kernel(SDPBackend.FLASH_ATTENTION):  # holds no matrix of all pairs
        whole, cut = Held(model), Held(model)
        with whole.hooks:
            LogProbs(model)(pack([row])).sum().backward()
        with cut.hooks:
            in_pieces(model, row, ALONE)
    assert whole.now == cut.now == 0
    tokens = (len(prompt) + c) / (len(prompt) + 8 * c)
    assert cut.most < 1.2 * tokens * whole.most
