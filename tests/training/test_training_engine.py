"""Adapters, frozen towers, precision, bad gradients; several processes, and DeepSpeed."""

import shutil
import subprocess

import pytest
import torch
import training_world as tw
from training_world import quick_command as command

from rollout3d import tables
from rollout3d.config import Grpo
from rollout3d.model import generate_vllm
from rollout3d.model.load import load_policy
from rollout3d.training.data import NotTrainable
from rollout3d.training.engines.choose import make_engine
from rollout3d.training.engines.engine import LearningRate
from rollout3d.training.engines.plain import PlainOptimiser
from rollout3d.training.engines.policy import LORA_TARGETS
from rollout3d.training.packing import PackedRow, pack
from rollout3d.training.run import _divide, run_grpo, run_sft
from rollout3d.training.world import World


def _long(value):
    return pytest.param(value, marks=pytest.mark.long)


def engine(files, **settings):
    config = tw.config(**settings)
    motor = make_engine(files["init"], config.grpo, World(), training=config.training, video=config.video, total=10)
    motor.schedule = LearningRate(1e-2, "linear", 10)
    return motor


def some_rows(motor):
    from rollout3d.model.encode import Text, Video

    prompt = motor.policy.encoder.prompt([Video(tw.picture("scene_a", 0)[None]), Text("How many?")])
    return [PackedRow(prompt, [[5, 6, 7], [8, 9]])]


def descend(motor, steps=2):
    for step in range(steps):
        motor.update(some_rows(motor), lambda logp, _: -logp.mean(), step)


def test_adapters_train_alone_and_without_them_the_model_is_its_reference(files):
    motor = engine(files, lora_rank=2)
    assert motor.trained and all("lora_" in name and "visual" not in name for name in motor.trained)
    packed = pack(some_rows(motor))
    before = motor.reference_logprobs(packed)
    assert torch.equal(before, motor.logprobs(packed).detach())  # an adapter starts as nothing
    descend(motor)
    assert torch.equal(before, motor.reference_logprobs(packed))
    assert not torch.allclose(before, motor.logprobs(packed).detach(), atol=1e-3)


def test_the_exported_model_has_its_adapters_merged(files, tmp_path):
    motor = engine(files, lora_rank=2)
    descend(motor)
    exported = motor.export()
    assert not any("lora" in name for name, _ in exported.core.named_parameters())
    from rollout3d.training.packing import LogProbs

    packed = pack(some_rows(motor))
    with torch.no_grad():
        assert torch.allclose(LogProbs(exported)(packed), motor.logprobs(packed), atol=1e-5)


def test_adapters_never_reach_the_vision_tower(files):
    import re

    names = [name for name, _ in engine(files).policy.core.named_modules()]
    hit = [name for name in names if re.fullmatch(LORA_TARGETS, name)]
    assert len(hit) == 2 * 7 and not any("visual" in name for name in hit)


def test_a_frozen_vision_tower_does_not_move(files):
    motor = engine(files, freeze_vision=True)
    assert motor.trained and not any("visual" in name for name in motor.trained)


def test_bfloat16_keeps_steps_too_small_for_it_in_its_masters(files):
    motor = engine(files, dtype="bfloat16", lr=1e-6)
    motor.schedule.peak = 1e-6
    name = next(n for n, p in motor.trained.items() if p.ndim == 2)
    before = motor.optimiser.masters[name].detach().clone()
    descend(motor, 3)
    moved = (motor.optimiser.masters[name].detach() - before).abs()
    assert motor.trained[name].dtype == torch.bfloat16 and motor.optimiser.masters[name].dtype == torch.float32
    assert 1e-6 < moved.max() < 4e-6
    assert torch.equal(motor.trained[name], motor.optimiser.masters[name].to(torch.bfloat16))


def test_a_gradient_that_is_not_finite_updates_nothing(files):
    motor = engine(files)
    before = {name: p.clone() for name, p in motor.trained.items()}
    _, norm = motor.update(some_rows(motor), lambda logp, _: logp.sum() * float("inf"), 0)
    assert not norm < float("inf") and motor.updates == 0
    assert all(torch.equal(before[name], p) for name, p in motor.trained.items())


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_optimiser_of_a_gpu_trains_the_same_and_resumes(files, monkeypatch, dtype):
    """Fused, which torch offers on a CPU too; two steps, saved and restored, two more."""
    usual = engine(files, dtype=dtype)
    descend(usual, 4)
    monkeypatch.setattr(PlainOptimiser, "fused", True)
    first, second = engine(files, dtype=dtype), engine(files, dtype=dtype)
    descend(first, 2)
    second.restore({name: dict(tensors) for name, tensors in first.state()}, first.updates)
    for motor in (first, second):
        for step in (2, 3):
            motor.update(some_rows(motor), lambda logp, _: -logp.mean(), step)
        assert {float(state["step"]) for state in motor.optimiser.adam.state.values()} == {4.0}
    for name, master in second.optimiser.masters.items():
        assert torch.equal(master, first.optimiser.masters[name])
        if dtype == "float32":
            assert torch.allclose(master, usual.optimiser.masters[name], atol=1e-4)
    assert all(p.grad is None for motor in (usual, second) for p in motor.trained.values())


def test_norms_and_biases_do_not_decay(files, monkeypatch):
    monkeypatch.setattr(Grpo, "weight_decay", 0.3)
    motor = engine(files)
    decays = {id(p): group["weight_decay"] for group in motor.optimiser.adam.param_groups for p in group["params"]}
    for p in motor.trained.values():
        assert decays[id(p)] == (0.3 if p.ndim >= 2 else 0.0)


def test_gradient_checkpointing_changes_memory_and_not_numbers(files):
    plain, lean = engine(files), engine(files, gradient_checkpointing=True)
    numbers = []
    for motor in (plain, lean):
        motor.logprobs(pack(some_rows(motor))).sum().backward()
        numbers.append(torch.cat([p.grad.flatten() for p in motor.trained.values()]))
    assert torch.allclose(*numbers, atol=1e-6)


def test_vllm_takes_the_configured_share_of_the_memory(files, monkeypatch):
    taken = []
    monkeypatch.setattr(generate_vllm, "Engine", lambda *_, **options: taken.append(options["gpu_memory_utilization"]))
    for share in (0.3, 0.15):
        config = tw.config(backend="vllm", vllm_memory_share=share)
        given = {"training": config.training, "video": config.video, "backend": config.generation.backend}
        make_engine(files["init"], config.grpo, World(), total=10, **given)
    assert taken == [0.3, 0.15]


def test_questions_that_cannot_be_shared_out_are_refused_with_the_remedy():
    with pytest.raises(NotTrainable, match="make it a multiple"):
        _divide("grpo.prompts_per_step", 4, World(0, 3))


# --- several processes -----------------------------------------------------------------------------------------------


def spread(one, other):
    """Largest difference of any weight."""
    return max(float((one[name] - other[name]).abs().max()) for name in one)


def test_two_processes_train_as_one_does(files, taught, tmp_path):
    """The same questions, rollouts and updates, up to the rounding of sums; rollouts of both are kept."""
    config, run = tw.config(max_new_tokens=24, lr=1e-4, prompts_per_step=4), tw.run(steps=3)
    run_grpo(config, run, tw.inputs(files, taught), tmp_path / "one", tw.lineage)
    subprocess.run(command("train_grpo", config, run, files, taught, tmp_path / "two", 2), check=True, timeout=120)
    one, two = (tables.read(tables.ROLLOUTS, tmp_path / name / "rollouts.parquet") for name in ("one", "two"))
    assert {row["rank"] for row in two} == {0, 1}

    def known(row):
        return row["step"], row["question_id"], row["view"], row["sample"], row["text"], row["perturbed_objects"]

    assert sorted(map(known, one)) == sorted(map(known, two))
    first, second = (tables.read(tables.METRICS, tmp_path / name / "metrics.parquet") for name in ("one", "two"))
    assert sum(row["grad_norm"] > 0 for row in first) >= 2
    for a, b in zip(first, second):
        for key in ("loss", "kl", "reward_std", "frac_zero_std", "acc_clean", "completion_len_mean", "n_regions"):
            assert b[key] == pytest.approx(a[key], rel=1e-4, abs=1e-6), key
        assert b["grad_norm"] == pytest.approx(a["grad_norm"], rel=1e-3)
    moved = spread(tw.weights(taught), tw.weights(tmp_path / "one" / "model.json"))
    apart = spread(tw.weights(tmp_path / "two" / "model.json"), tw.weights(tmp_path / "one" / "model.json"))
    assert moved > 1e-4 and apart < 0.1 * moved


def test_sft_weighs_every_token_alike_whichever_process_has_it(files, tmp_path):
    rows = [tw.target(tw.question_row(i)) for i in range(6)]
    rows = [{**row, "target": row["target"] + " and so on" * (4 * i)} for i, row in enumerate(rows)]
    tables.write(tables.OCR_SFT, tmp_path / "ocr_sft.parquet", rows, tw.NOWHERE)
    files, run = {**files, "ocr_sft": tmp_path / "ocr_sft.parquet"}, tw.run(method="sft", train_table="ocr_sft")
    run_sft(tw.config(), run, tw.inputs(files, train="ocr_sft"), tmp_path / "one", tw.lineage)
    made = command("train_sft", tw.config(), run, files, files["init"], tmp_path / "two", 2, train="ocr_sft")
    subprocess.run(made, check=True, timeout=120)
    one, two = (tables.read(tables.METRICS, tmp_path / name / "metrics.parquet") for name in ("one", "two"))
    for a, b in zip(one, two, strict=True):
        assert b["loss"] == pytest.approx(a["loss"], rel=1e-4)
        assert b["grad_norm"] == pytest.approx(a["grad_norm"], rel=1e-3)


@pytest.mark.pipeline
@pytest.mark.parametrize("stage", [_long("zero0"), "zero2", _long("zero3")])
def test_deepspeed_trains_as_plain_torch_does_and_each_resumes_the_other(files, taught, tmp_path, stage):
    """On two processes, through the stage."""
    run = tw.run(steps=3)
    settings = {"max_new_tokens": 24, "lr": 1e-4, "prompts_per_step": 4}
    plain, zero = tw.config(**settings), tw.config(**settings, deepspeed=stage)
    run_grpo(plain, run, tw.inputs(files, taught), tmp_path / "plain", tw.lineage)
    # The model cannot be written at the end: checkpoints stay, and the other engine resumes at step 2.
    interrupted = {"zero_then_plain": zero, "plain_then_zero": plain}
    for name, config in interrupted.items():
        (tmp_path / name / "rollouts.parquet").mkdir(parents=True)
        processes = 2 if config is zero else 1
        made = command("train_grpo", config, run, files, taught, tmp_path / name, processes)
        assert subprocess.run(made, timeout=400, capture_output=True).returncode != 0
        found = sorted((tmp_path / name / "checkpoints").glob("*/step_*"))
        assert [path.name for path in found] == ["step_00000002", "step_00000003"]
        shutil.rmtree(found[1])
        (tmp_path / name / "rollouts.parquet").rmdir()
    for name, config in {"zero_then_plain": plain, "plain_then_zero": zero, "zero": zero}.items():
        processes = 2 if config is zero else 1
        subprocess.run(
            command("train_grpo", config, run, files, taught, tmp_path / name, processes), check=True, timeout=400
        )
        first, second = (tables.read(tables.METRICS, tmp_path / n / "metrics.parquet") for n in ("plain", name))
        for a, b in zip(first, second, strict=True):
            assert b["loss"] == pytest.approx(a["loss"], rel=1e-3, abs=1e-5)
            assert b["grad_norm"] == pytest.approx(a["grad_norm"], rel=1e-2)
        moved = spread(tw.weights(taught), tw.weights(tmp_path / "plain" / "model.json"))
        apart = spread(tw.weights(tmp_path / name / "model.json"), tw.weights(tmp_path / "plain" / "model.json"))
        assert apart < 0.1 * moved, name


@pytest.mark.pipeline
@pytest.mark.long
@pytest.mark.parametrize(
    ("stage", "processes", "settings"),
    [
        pytest.param(stage, processes, settings, id=f"{stage} {how}")
        for stage in ("zero0", "zero2", "zero3")
        for how, processes, settings in (
            ("alone", 1, {}),
            ("with adapters", 2, {"lora_rank": 2}),
            ("in bfloat16", 1, {"dtype": "bfloat16"}),
        )
        if (stage, how) != ("zero3", "in bfloat16")
    ],
)
def test_deepspeed_on_one_process_with_adapters_and_in_bfloat16(files, taught, tmp_path, stage, processes, settings):
    run, shared = tw.run(steps=3), {"max_new_tokens": 24, "lr": 1e-3, "prompts_per_step": 4, **settings}
    run_grpo(tw.config(**shared), run, tw.inputs(files, taught), tmp_path / "plain", tw.lineage)
    zero = command("train_grpo", tw.config(**shared, deepspeed=stage), run, files, taught, tmp_path / "zero", processes)
    subprocess.run(zero, check=True, timeout=400)
    first, second = (tables.read(tables.METRICS, tmp_path / name / "metrics.parquet") for name in ("plain", "zero"))
    assert sum(row["grad_norm"] > 0 for row in first) >= 2
    for a, b in zip(first, second, strict=True):
        assert b["loss"] == pytest.approx(a["loss"], rel=1e-3, abs=1e-5)
        assert b["grad_norm"] == pytest.approx(a["grad_norm"], rel=1e-2)
    moved = spread(tw.weights(taught), tw.weights(tmp_path / "plain" / "model.json"))
    apart = spread(tw.weights(tmp_path / "zero" / "model.json"), tw.weights(tmp_path / "plain" / "model.json"))
    assert moved > 0 and apart < 0.1 * moved


@pytest.mark.pipeline
def test_zero3_trains_in_bfloat16(files, taught, tmp_path):
    """Not step by step as plain torch does: DeepSpeed puts a linear function of its own in place of torch's, for all
    models of the process, that rounds after the product too, so other tokens are drawn. Sampler and trainer agree all
    the same, or the run would not start."""
    config = tw.config(max_new_tokens=24, lr=1e-3, prompts_per_step=4, dtype="bfloat16", deepspeed="zero3")
    subprocess.run(command("train_grpo", config, tw.run(steps=2), files, taught, tmp_path, 2), check=True, timeout=400)
    rows = tables.read(tables.METRICS, tmp_path / "metrics.parquet")
    assert [row["grad_norm"] > 0 for row in rows] == [True, True]
    assert rows[0]["kl"] == 0 and 0 < rows[1]["kl"] < 1
    assert 1e-4 < spread(tw.weights(taught), tw.weights(tmp_path / "model.json")) < 1e-2


def test_sft_starts_from_the_command_line(files, tmp_path):
    config, run = tw.config(), tw.run(method="sft", train_table="ocr_sft")
    made = command("train_sft", config, run, files, files["init"], tmp_path / "cli", train="ocr_sft")
    subprocess.run(made, check=True, timeout=120)
    run_sft(config, run, tw.inputs(files, train="ocr_sft"), tmp_path / "call", tw.lineage)
    assert spread(tw.weights(tmp_path / "cli" / "model.json"), tw.weights(tmp_path / "call" / "model.json")) == 0
    lineage = tables.lineage(tmp_path / "cli" / "metrics.parquet")
    assert lineage["stage"] == "train_sft" and set(lineage["parents"]) == {"init", "train", "frames"}
    assert load_policy(tmp_path / "cli" / "model.json").name == "r"
