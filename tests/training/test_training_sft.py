"""Labels, loss and the run of supervised fine-tuning."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import training_world as tw
import yaml

from rollout3d import tables
from rollout3d.config import Config
from rollout3d.model.encode import Image, Text, Video
from rollout3d.model.load import load_policy
from rollout3d.model.media import FrameStore
from rollout3d.training.data import NotTrainable, Questions
from rollout3d.training.packing import PackedRow, pack
from rollout3d.training.run import run_sft
from rollout3d.training.sft import loss_of, prompt_labels, sample, sft_steps
from rollout3d.training.world import World

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def mixed():
    """A prompt with a picture, a video and words, and its encoder."""
    encoder = tw.tiny_policy().encoder
    frames = np.zeros((4, 28, 56, 3), np.uint8)
    return encoder.prompt([Image(frames[0]), Video(frames), Text("How many?")]), encoder


def test_only_the_completion_is_labelled(mixed):
    assert prompt_labels(*mixed, "completion") == []


def test_all_text_labels_no_vision_token(mixed):
    prompt, encoder = mixed
    labelled = prompt.input_ids[prompt_labels(*mixed, "all_text")]
    assert len(labelled) and not set(labelled.tolist()) & set(encoder.vision_ids)
    assert len(labelled) == len(prompt) - 1 - int(torch.isin(prompt.input_ids, torch.tensor(encoder.vision_ids)).sum())


def test_video_r1s_labels_hold_the_placeholders_of_videos_but_not_of_images(mixed):
    prompt, encoder = mixed
    labelled = prompt.input_ids[prompt_labels(*mixed, "video_r1")].tolist()
    assert labelled.count(encoder.video_pad) == int((prompt.input_ids == encoder.video_pad).sum()) > 0
    assert encoder.image_pad not in labelled


QUESTION = "Which is closest?Options:\nA. chair\nB. sofa\n"
ASKED = (
    f"{QUESTION}\nPlease think about this question as if you were a human pondering deeply. Engage in an internal "
    "dialogue using expressions such as 'let me think', 'wait', 'Hmm', 'oh, I see', 'let's break it down', etc, or "
    "other natural language thought expressions It's encouraged to include self-reflection or verification in the "
    "reasoning process. Provide your detailed reasoning between the <think> </think> tags, and then give your final "
    "answer between the <answer> </answer> tags. Please provide only the single option letter (e.g., A, B, C, D, etc.) "
    "within the <answer> </answer> tags."
)
TARGET = "<think>\nA chair, wait.\n</think>\n<answer>A</answer>"


@pytest.fixture
def choice(files):
    """A row with options, and the questions that it belongs to, asked as Video-R1 asks."""
    row = tw.question_row(0, question="Which is closest?", answer_type="choice", options=["A. chair", "B. sofa"])
    row |= {"ground_truth": "A", "think": "A chair, wait.", "target": TARGET}
    video = tw.config().video
    return row, Questions([row], FrameStore([files["frames"]]), video, "video_r1", 0)


@pytest.mark.parametrize("system", [None, "You are a helpful assistant"])
def test_a_sample_is_the_chat_template_written_out_with_its_system_turn(choice, system):
    """The template by hand: 8 frames of 56x56 pixels, four pairs of 2x2 tokens each."""
    encoder, tokenizer = (policy := tw.tiny_policy()).encoder, policy.tokenizer
    made = sample(*choice, encoder, "completion", system)
    asked = (
        f"<|im_start|>system\n{'You are a helpful assistant.' if system is None else system}<|im_end|>\n"
        f"<|im_start|>user\n<|vision_start|>{'<|video_pad|>' * 16}<|vision_end|>{ASKED}<|im_end|>\n"
        "<|im_start|>assistant\n"
    )
    assert made.prompt.input_ids.tolist() == tokenizer.encode(asked)
    assert list(made.completions[0]) == tokenizer.encode(f"{TARGET}<|im_end|>")
    assert not made.prompt_targets, "the loss is the completion's alone"
    # Video-R1's collator labels the template's whole text but the first token, which nothing predicts.
    whole = sample(*choice, encoder, "video_r1", system)
    labelled = [*whole.prompt.input_ids[whole.prompt_targets].tolist(), *whole.completions[0]]
    assert labelled == tokenizer.encode(f"{asked}{TARGET}<|im_end|>\n")[1:]


def test_the_system_turn_reaches_the_training_and_the_models_description(files, tmp_path):
    told = {"usual": None, "video_r1": "You are a helpful assistant"}
    first = {}
    for name, system in told.items():
        run_sft(
            tw.with_sft(batch_size=6, system=system),
            tw.run(method="sft"),
            tw.inputs(files, train="ocr_sft"),
            tmp_path / name,
            tw.lineage,
        )
        first[name] = tables.read(tables.METRICS, tmp_path / name / "metrics.parquet")[0]["loss"]
    assert first["usual"] != first["video_r1"]
    about = json.loads((tmp_path / "video_r1" / "model.json").read_text())
    assert about["prompts"] == {"think": "plain", "system": "You are a helpful assistant"}


LENGTHS, LOGP = (1, 3, 2), [-1.0, -2.0, -3.0, -4.0, -5.0, -9.0]
"""Labelled tokens of three samples, and their log-probabilities."""


@pytest.mark.parametrize(("mean", "expected"), [("token_mean", 24 / 6), ("sample_mean", (1 + 3 + 7) / 3)])
@pytest.mark.parametrize("cut", [[(0, 3)], [(0, 1), (1, 3)]])
def test_the_loss_is_a_mean_over_tokens_or_over_samples_however_they_are_batched(mixed, mean, expected, cut):
    rows = [PackedRow(mixed[0], [[5] * n]) for n in LENGTHS]
    part = loss_of(rows, mean, World())
    logp = torch.tensor(LOGP).split(LENGTHS)
    parts = [part(torch.cat(logp[first:end]), pack(rows[first:end])) for first, end in cut]
    assert float(sum(parts)) == pytest.approx(expected)


def test_video_r1s_recipe_is_its_script():
    """4 GPUs x 1 sample x 2 accumulated, once over 165,000 samples; the system turn has no full stop."""
    recipe = yaml.safe_load((ROOT / "config" / "recipes" / "video_r1_sft.yaml").read_text())
    config = Config.model_validate({name: recipe[name] for name in ("training", "sft")})
    sft, shared = config.sft, config.training
    assert sft_steps(165_000, sft) == 165_000 // (4 * 1 * 2)
    assert (sft.lr, sft.weight_decay, sft.max_grad_norm, shared.save_every) == (1e-6, 0, 5, 1000)
    assert (shared.dtype, shared.deepspeed, sft.lora_rank, shared.freeze_vision) == ("bfloat16", "zero2", 0, False)
    assert (sft.system, sft.loss, sft.label_mode) == ("You are a helpful assistant", "sample_mean", "completion")


@pytest.mark.parametrize(
    ("n", "epochs", "batch", "steps"), [(6, 2, 8, 2), (8, 2, 8, 2), (2000, 2, 8, 500), (9, 1, 8, 2)]
)
def test_steps_cover_the_epochs(n, epochs, batch, steps):
    assert sft_steps(n, tw.with_sft(epochs=epochs, batch_size=batch).sft) == steps


def test_the_first_loss_is_the_mean_cross_entropy_of_the_batchs_targets(files, tmp_path):
    run_sft(tw.with_sft(batch_size=6), tw.run(method="sft"), tw.inputs(files, train="ocr_sft"), tmp_path, tw.lineage)
    first = tables.read(tables.METRICS, tmp_path / "metrics.parquet")[0]
    # One epoch is one batch, so every sample is in it: the model class's own loss on each, weighted by its tokens.
    policy = load_policy(files["init"], video=tw.config().video)
    store = FrameStore([files["frames"]])
    rows = tables.read(tables.OCR_SFT, files["ocr_sft"])
    questions = Questions(rows, store, tw.config().video, "plain", 0)
    total = count = 0
    for row in rows:
        prompt = questions.prompt(row, questions.media(row), policy.encoder)
        target = policy.encoder.completion(row["target"])
        ids = torch.cat([prompt.input_ids, target])[None]
        after = prompt.next_position + torch.arange(len(target))
        with torch.no_grad():
            logits = policy.core(
                input_ids=ids,
                position_ids=torch.cat([prompt.position_ids, after.expand(3, -1)], dim=1)[:, None],
                pixel_values_videos=prompt.pixel_values_videos,
                video_grid_thw=prompt.video_grid_thw,
            ).logits[0]
        total += torch.nn.functional.cross_entropy(logits[len(prompt) - 1 : -1], target, reduction="sum").item()
        count += len(target)
    assert first["loss"] == pytest.approx(total / count, rel=1e-5)
    assert first["lr"] == 1e-3
    assert first["kl"] is None and first["rewards"] == []


def test_training_teaches_the_format(taught):
    metrics = tables.read(tables.METRICS, taught.parent / "metrics.parquet")
    assert metrics[0]["loss"] > 5 and metrics[-1]["loss"] < 1.5
    assert [row["step"] for row in metrics] == list(range(90))
    assert metrics[-1]["lr"] == pytest.approx(3e-3 / 90)


def test_the_model_names_its_run_and_where_it_came_from(taught):
    about = json.loads(taught.read_text())
    assert (about["name"], about["kind"], about["prompts"]) == (
        "r",
        "sft",
        {"think": "plain", "system": "You are a helpful assistant."},
    )


DIRECT = "These are frames of a video.\n{}\nAnswer with the option's letter from the given choices directly."


def test_a_direct_sample_is_the_direct_prompt_and_the_answer_alone(files, choice):
    """Prompt and text by hand: no thought, no tags, nothing of the wording that asks for reasoning."""
    row, _ = choice
    questions = Questions([row], FrameStore([files["frames"]]), tw.config().video, None, 0)
    policy = tw.tiny_policy()
    made = sample(row, questions, policy.encoder, "completion")
    words = DIRECT.format("Which is closest?\nOptions:\nA. chair\nB. sofa")
    asked = (
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
        f"<|im_start|>user\n<|vision_start|>{'<|video_pad|>' * 16}<|vision_end|>{words}<|im_end|>\n"
        "<|im_start|>assistant\n"
    )
    assert made.prompt.input_ids.tolist() == policy.tokenizer.encode(asked)
    assert list(made.completions[0]) == policy.tokenizer.encode("A<|im_end|>")


def test_answers_alone_can_be_trained_on_questions_without_reasoning(files, tmp_path):
    run_sft(
        tw.with_sft(epochs=20, lr=3e-3, save_every=1000),
        tw.run(method="sft", rollout=None, reward=None, steps=None, style="direct"),
        tw.inputs(files),
        tmp_path,
        tw.lineage,
    )
    metrics = tables.read(tables.METRICS, tmp_path / "metrics.parquet")
    assert metrics[-1]["loss"] < 1.5 < metrics[0]["loss"]
    about = json.loads((tmp_path / "model.json").read_text())
    assert about["prompts"] == {"style": "direct", "system": "You are a helpful assistant."}


def test_a_table_without_targets_is_refused(files, tmp_path):
    with pytest.raises(NotTrainable, match="no target text"):
        run_sft(tw.config(), tw.run(method="sft"), tw.inputs(files), tmp_path, tw.lineage)
    assert not (tmp_path / "checkpoints" / "lock.json").exists()


def test_micro_batches_change_nothing(files, tmp_path, monkeypatch):
    run_sft(tw.config(), tw.run(method="sft"), tw.inputs(files, train="ocr_sft"), tmp_path / "whole", tw.lineage)
    monkeypatch.setattr("rollout3d.training.engines.engine.MICRO_TOKENS", 1)
    run_sft(tw.config(), tw.run(method="sft"), tw.inputs(files, train="ocr_sft"), tmp_path / "single", tw.lineage)
    whole, single = (tables.read(tables.METRICS, tmp_path / name / "metrics.parquet") for name in ("whole", "single"))
    for one, other in zip(whole, single):
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-4)
        assert one["grad_norm"] == pytest.approx(other["grad_norm"], rel=1e-3)
