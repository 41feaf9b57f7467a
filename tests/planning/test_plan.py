"""What a run is said to need, against values worked out by hand and against what the tiny model allocates."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import preloaded
from planning.live_bytes import LiveBytes
from rollout3d.config import Config, read_runs
from rollout3d.errors import InvalidInput
from rollout3d.model.encode import Text, Video
from rollout3d.planning import report
from rollout3d.planning.activations import scoring, training
from rollout3d.planning.cards import choose
from rollout3d.planning.flops import RowSize
from rollout3d.planning.memory import GIB, checkpoint_bytes, memory
from rollout3d.planning.seconds import Rates, seconds, step_seconds
from rollout3d.planning.shape import Shape, Unplannable, released
from rollout3d.planning.work import steps, work
from rollout3d.training.engines.policy import add_adapters
from rollout3d.training.packing import LogProbs, PackedRow, pack
from toyworld.model.architecture import build_tiny, tiny_tokenizer

ROOT = Path(__file__).parents[2]
CONFIG = Config()
RUNS = read_runs(ROOT / "config" / "runs.tsv", CONFIG)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("Qwen/Qwen2.5-VL-3B-Instruct", 3_754_622_976), ("Qwen/Qwen2.5-VL-7B-Instruct", 8_292_166_656)],
)
def test_the_released_sizes_have_the_published_numbers_of_parameters(name, parameters):
    assert released(name).parameters == parameters


def parts(run, gib=80, **settings):
    changed = CONFIG.training.model_copy(update=settings)
    runs = {**RUNS, run: RUNS[run].model_copy(update={"settings": {}, "recipe": None})}
    return memory(work(CONFIG.model_copy(update={"training": changed}), runs, run, 8), gib)


def test_parts_of_3b_and_7b_under_zero2_are_those_worked_out_by_hand():
    for run, parameters in (("ocr", 3_754_622_976), ("filter", 8_292_166_656)):
        update = parts(run)["update"]
        two = 2 * parameters  # bytes in bfloat16
        assert update["weights"] == pytest.approx(two, rel=0.005) and update["reference"] == pytest.approx(
            two, rel=0.005
        )
        # float32 masters and Adam's two means, shared out over eight.
        assert update["optimiser"] == pytest.approx(12 * parameters / 8, rel=0.001)
        # vLLM's share of 0.3 of the card, weights included.
        assert update["vLLM weights"] + update["vLLM cache"] == pytest.approx(0.3 * 0.99 * 80 * GIB, rel=0.01)
        # Above: gradients of 2 bytes and 4 / 8 for the partition are the least.
        assert update["gradients"] >= 4 * parameters / 8


def test_zero3_shares_out_what_zero2_holds_whole():
    two, three = parts("filter")["update"], parts("filter", deepspeed="zero3")["update"]
    # The reference only runs forward, and the engine keeps it whole.
    assert three["weights"] < two["weights"] / 4 and three["reference"] == two["reference"]
    assert three["optimiser"] == pytest.approx(two["optimiser"])


def test_the_filter_run_fits_80_gib_by_its_recipe_and_not_without():
    assert "deepspeed" in RUNS["filter"].settings["training"]
    assert not report.problems(work(CONFIG, RUNS, "filter", 8), 80)
    bare = {**RUNS, "filter": RUNS["filter"].model_copy(update={"settings": {}})}
    assert report.problems(work(CONFIG, bare, "filter", 8), 80)


def test_a_checkpoint_holds_weights_masters_and_means():
    # 2 bytes of weights, 12 of masters and means: 3B about 52 GB, 7B about 116 GB at most.
    assert 40e9 < checkpoint_bytes(work(CONFIG, RUNS, "ocr", 8)) < 55e9
    assert 95e9 < checkpoint_bytes(work(CONFIG, RUNS, "filter", 8)) < 120e9


def test_steps_are_the_run_tables_or_follow_from_the_samples():
    assert steps(CONFIG, RUNS["ocr"]) == (2000, "run table")
    assert steps(CONFIG, RUNS["sft"], 2000)[0] == 2000 * CONFIG.sft.epochs // CONFIG.sft.batch_size
    cold, source = steps(CONFIG, RUNS["sft_video_r1"])
    assert source.startswith("165,") and cold == pytest.approx(165_575 / 8, rel=0.01)  # its recipe: 1 epoch, 8 per step


@pytest.mark.parametrize(
    ("table", "samples", "source"),
    [
        ("ocr_rl", 151_310, "questions.total and external.general"),
        ("sr_91k", 91_310, "questions.total"),
        ("general_60k", 60_000, "external.general"),
        ("sr_resampled", 91_310, "at most, by questions.total"),
    ],
)
def test_general_data_count_in_the_tables_that_hold_them(table, samples, source):
    asked = CONFIG.questions.model_copy(update={"total": 91_310})
    general = CONFIG.external.model_copy(update={"general": 60_000})
    config = CONFIG.model_copy(update={"questions": asked, "external": general})
    run = RUNS["sft"].model_copy(update={"train_table": table, "style": "direct", "recipe": None, "settings": {}})
    assert steps(config, run)[1] == f"{samples:,} samples ({source})"


@pytest.mark.parametrize(("run", "gpus", "says"), [("nowhere", 8, "not in the run table"), ("qwen3b", 8, "trains")])
def test_what_cannot_be_planned_is_said(run, gpus, says):
    with pytest.raises(Unplannable, match=says):
        work(CONFIG, RUNS, run, gpus)
    with pytest.raises(Unplannable, match="cannot be shared out over 3"):
        work(CONFIG, RUNS, "ocr", 3)


@pytest.fixture(scope="module")
def policy():
    sizes = {"hidden": 64, "layers": 3, "vision_depth": 3, "vision_hidden": 32, "head_dim": 16}
    made = build_tiny(tiny_tokenizer(["how many chairs are in this room?"], 400), **sizes)
    made.model.train()
    return made


def test_weights_gradients_and_adams_means_of_the_tiny_model_are_counted_to_the_byte(policy):
    shape = Shape.of(policy.core.config.to_dict())
    own = list({id(p): p for p in policy.model.parameters()}.values())
    assert shape.parameters == sum(p.numel() for p in own)
    optimiser = torch.optim.AdamW(own)
    for p in own:
        p.grad = torch.zeros_like(p)
    optimiser.step()
    means = sum(s[name].nbytes for s in optimiser.state.values() for name in ("exp_avg", "exp_avg_sq"))
    assert sum(p.grad.nbytes for p in own) == 4 * shape.parameters and means == 8 * shape.parameters
    policy.model.zero_grad(set_to_none=True)


DEEP, EYES, FLAT = (
    {"hidden": hidden, "layers": layers, "vision_depth": depth, "vision_hidden": 32, "head_dim": 16}
    for hidden, layers, depth in ((64, 6, 1), (64, 1, 6), (32, 1, 1))
)
"""Models whose peak lies in the language model's layers, in the tower's blocks, in the vocabulary's scores."""


def small(sizes, dtype=torch.float32, trained="everything", checkpointing=False):
    """A small policy in training, its batch, and what the plan has to know of both."""
    made = build_tiny(tiny_tokenizer(["how many chairs are in this room?"], 400), dtype=dtype, **sizes)
    shape = Shape.of(made.core.config.to_dict())
    if trained == "adapters":
        add_adapters(made.core, RANK, 0)
    if trained == "language":
        made.core.model.visual.requires_grad_(False)
    if checkpointing:
        made.core.gradient_checkpointing_enable({"use_reentrant": False})
    made.core.train()
    return made, shape


def batch(made, tokens, completions):
    frames = np.random.default_rng(0).integers(0, 256, (4, 140, 196, 3), np.uint8)
    prompt = made.encoder.prompt([Video(frames), Text("how many?")])
    size = RowSize(len(prompt), (tokens,) * completions, tuple(medium.grid for medium in prompt.media))
    return pack([PackedRow(prompt, [[1] * tokens] * completions)]), size


RANK = 8
HALF = torch.bfloat16


@pytest.mark.parametrize(("tokens", "completions"), [(96, 2), (300, 1)])
@pytest.mark.parametrize(
    ("sizes", "dtype", "trained", "checkpointing"),
    [
        (DEEP, torch.float32, "everything", False),
        (DEEP, torch.float32, "everything", True),
        (DEEP, torch.float32, "adapters", False),
        (DEEP, HALF, "everything", False),
        (DEEP, HALF, "adapters", False),
        (EYES, torch.float32, "everything", False),
        (EYES, torch.float32, "language", True),
        (EYES, HALF, "everything", False),
        (FLAT, torch.float32, "everything", False),
        (FLAT, torch.float32, "everything", True),
    ],
)
def test_activations_are_those_that_small_models_allocate(sizes, dtype, trained, checkpointing, tokens, completions):
    made, shape = small(sizes, dtype, trained, checkpointing)
    for parameter in made.core.parameters():
        if parameter.requires_grad:  # gradients have a line of their own: drop each as it comes
            parameter.register_post_accumulate_grad_hook(lambda p: setattr(p, "grad", None))
    packed, size = batch(made, tokens, completions)
    rank = RANK if trained == "adapters" else 0
    said = training(
        shape, [size], dtype.itemsize, trained=trained, checkpointing=checkpointing, chunks=1, lora_rank=rank
    )
    with LiveBytes(*made.core.parameters()) as live:
        LogProbs(made)(packed).sum().backward()
    assert said.peak == pytest.approx(live.peak, rel=0.06)


@pytest.mark.parametrize("dtype", [torch.float32, HALF])
@pytest.mark.parametrize("media", [True, False])
def test_a_forward_without_gradient_takes_what_small_models_allocate(media, dtype):
    made, shape = small(DEEP, dtype)
    if media:  # the tower takes most
        packed, size = batch(made, 96, 2)
    else:  # a layer of the language model does
        prompt = made.encoder.prompt([Text("how many chairs are in this room? " * 60)])
        packed, size = pack([PackedRow(prompt, [[1, 1]])]), RowSize(len(prompt), (2,))
    with torch.no_grad(), LiveBytes(*made.core.parameters()) as live:
        LogProbs(made)(packed)
    assert scoring(shape, [size], dtype.itemsize, 1).peak == pytest.approx(live.peak, rel=0.06)


def test_seconds_of_a_step_are_those_worked_out_by_hand():
    step = work(CONFIG, RUNS, "ocr", 8)
    card = choose("A100-SXM4-80GB", 80)
    at_peak, half = (seconds(step, card, Rates(share, share, 1e9)) for share in (1.0, 0.5))
    parameters, tokens = 3_754_622_976, step.tokens
    # Two bytes a weight, 25 GB/s into vLLM, and 2 ms of the host for every token: not the card's.
    assert 2 * at_peak["rollouts"] - half["rollouts"] == pytest.approx(0.002 * tokens + 2 * parameters / 25e9, rel=1e-6)
    # Everything else of a step follows the card's peaks.
    assert half["update"] == pytest.approx(2 * at_peak["update"]) and half["reference"] == 2 * at_peak["reference"]
    # Four bytes of master and eight of means, written and read again every 100 steps at 1 GB/s.
    assert at_peak["save"] == pytest.approx(2 * 12 * parameters / 1e9 / 100)
    assert at_peak["views"] == pytest.approx(0.01 * step.frames)
    # One micro-batch under ZeRO-2: 7/8 of the gradients reduced and of the weights gathered, in two bytes, at 300 GB/s.
    slower = seconds(step, replace(card, link=card.link / 2), Rates(1, 1))
    assert slower["update"] - at_peak["update"] == pytest.approx(2 * 7 / 8 * 2 * parameters / 300e9)
    assert step_seconds({"views": 3.0, "rollouts": 1.0, "update": 1.0}) == 3.0
    assert step_seconds({"views": 1.0, "rollouts": 1.0, "update": 1.0}) == 2.0


def command(*arguments):
    run = [preloaded.python(preloaded.STAGE), "-m", "rollout3d.stages", "plan", *arguments]
    return subprocess.run(run, cwd=ROOT, capture_output=True, text=True)


@pytest.mark.parametrize(("declared", "says"), [({}, "no file"), ({"mine": {}, "object_centric": {}}, "mine, object_")])
def test_one_rollout_method_is_the_papers(monkeypatch, declared, says):
    assert report.paper_rollout()[0] == "object_centric"
    monkeypatch.setattr(type(report.doors.ROLLOUTS), "declaring", lambda door, name: declared)
    with pytest.raises(InvalidInput, match=rf"PAPER.* is declared by {says}"):
        report.paper_rollout()


def test_the_documents_have_the_table_that_the_command_prints():
    done = command("--table")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() in (ROOT / "docs" / "planning.md").read_text()


def test_a_run_that_does_not_fit_ends_with_1_and_what_would_fit():
    done = command("ocr", "--gpus", "8", "--gib", "24")
    assert done.returncode == 1 and "DOES NOT FIT" in done.stdout and "fits with" in done.stdout
    done = command("ocr", "--gpus", "8", "--gib", "80")
    assert done.returncode == 0 and "hours" in done.stdout and "tree mask" in done.stdout
    assert "misspelt" in command("misspelt").stderr


def test_the_gpu_checks_dry_mode_passes_on_a_cpu(tmp_path):
    run = [sys.executable, "benchmarks/gpu_check.py", "--dry", "--out", str(tmp_path)]
    environment = {"PYTHONPATH": str(ROOT / "workflow"), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    table = (tmp_path / "gpu_check.md").read_text()
    assert "LoRA" in table and "ZeRO-2, one of eight" in table and torch.__version__ in table
    assert (tmp_path / "gpu_check.json").exists()
