"""General data in one run: videos, pictures and text alone in one step, on one process and on several."""

import cv2
import first_gradient
import numpy as np
import pytest
import training_world as tw
from safetensors.torch import load_file

from rollout3d import tables
from rollout3d.model.answer import Setting, answer
from rollout3d.model.generate_hf import Batches
from rollout3d.model.load import load_policy
from rollout3d.model.media import FrameStore
from rollout3d.model.sampling import Completion, Sampling
from rollout3d.training.data import Questions
from rollout3d.training.engines.engine import MICRO_TOKENS
from rollout3d.training.run import run_grpo, run_sft
from rollout3d.training.sampler import Sampler

TEXTS = {
    "choice": ("Which is larger?", ["A. two", "B. three"], "B"),
    "number": ("How many sides has a square?", None, "4"),
    "ocr": ("Write: exit left", None, "exit left"),
    "text": ("What falls from clouds?", None, "heavy rain"),
    "regression": ("What is half of five?", None, "2.5"),
}
"""Answer type -> question, options, answer: the five of Video-R1."""


def png(shade, height=56, width=56):
    return cv2.imencode(".png", np.full((height, width, 3), shade, np.uint8))[1].tobytes()


def general(number, answer_type="number", media=None):
    question, options, truth = TEXTS[answer_type]
    asked = {"question": f"{question} ({number})", "options": options, "ground_truth": truth}
    nowhere = {"scene_id": None, "space_id": None, "dataset": "video_r1", "objects": [], "source": "video_r1"}
    return tw.question_row(number) | nowhere | asked | {"answer_type": answer_type, "media": media}


def clip(number):
    media = [{"bytes": png(20 * i, 56, 84), "path": tables.frame_path(i / 2)} for i in range(tw.N_FRAMES)]
    return general(number, media=media)


def pictures(number, n):
    return general(number, media=[{"bytes": png(60 * i + 40), "path": f"{number}_{i}.png"} for i in range(n)])


MAKERS = (
    *(lambda k: general(k, "choice"), clip, lambda k: general(k, "number"), lambda k: pictures(k, 1)),
    *(tw.question_row, lambda k: general(k, "ocr"), lambda k: pictures(k, 1), lambda k: general(k, "text")),
    *(lambda k: general(k, "regression"), lambda k: general(k, "choice"), lambda k: pictures(k, 2), tw.question_row),
)
"""What the questions show, in the order of training. Of two processes the first has every second one from the first
on, so that one has text alone where the other has a video, or pictures, or text too."""
SEED = tw.config().seed, tw.run().seed


def mixed_rows():
    """Questions whose seeded order is that of MAKERS."""
    names = sorted(f"q{k:02d}" for k in range(len(MAKERS)))
    order = Sampler(names, SEED).take(0, len(names))
    return [make(int(name[1:])) for make, name in zip(MAKERS, order, strict=True)]


@pytest.fixture(scope="module")
def mixed(files, tmp_path_factory):
    """Tables of mixed questions, and a model that has learnt to answer them now and then."""
    root = tmp_path_factory.mktemp("mixed")
    rows = mixed_rows()
    tables.write(tables.OCR_RL, root / "ocr_rl.parquet", rows, tw.NOWHERE)
    tables.write(tables.OCR_SFT, root / "ocr_sft.parquet", [tw.target(row) for row in rows], tw.NOWHERE)
    made = {**files, "ocr_rl": root / "ocr_rl.parquet", "ocr_sft": root / "ocr_sft.parquet"}
    return {**made, "taught": tw.teach(made, root / "taught")}


def spread(one, other):
    """Largest difference of any weight."""
    return max(float((one[name] - other[name]).abs().max()) for name in one)


def test_the_two_processes_of_these_tests_differ_in_what_they_show(mixed):
    """Step by step, of one question per process."""
    questions = Questions(mixed_rows(), FrameStore([mixed["frames"]]), tw.config().video, "plain", SEED)
    media = [[questions.media(row) for row in questions.batch(step, 2)] for step in range(6)]
    shown = [tuple("video" if m.video else f"{len(m.images)} pictures" for m in each) for each in media]
    text, video, one, two = "0 pictures", "video", "1 pictures", "2 pictures"
    assert shown == [(text, video), (text, one), (video, text), (one, text), (text, text), (two, video)]


@pytest.mark.pipeline
@pytest.mark.parametrize(
    ("method", "stage", "limit"),
    [
        pytest.param(
            *(method, stage, limit),
            id=f"{method} {stage}{' in pieces' if limit == 1 else ''}",
            marks=() if (method, stage) == ("grpo", "zero3") else pytest.mark.long,  # half a minute each
        )
        for method, stage, limit in (
            *(("grpo", "zero2", MICRO_TOKENS), ("grpo", "zero3", MICRO_TOKENS), ("grpo", "zero2", 1)),
            *(("sft", "zero2", MICRO_TOKENS), ("sft", "zero3", MICRO_TOKENS)),
        )
    ],
)
def test_two_processes_that_differ_in_modality_train_as_one_does(mixed, tmp_path, monkeypatch, method, stage, limit):
    """Step by step, gradient and weights; processes that wait for each other fail the test."""
    if method == "grpo":
        settings = {"max_new_tokens": 24, "lr": 1e-4, "kl_of_skipped": True, "prompts_per_step": 2}
        plain, zero = tw.config(**settings), tw.config(**settings, deepspeed=stage)
        run, init, train, trains = tw.run(steps=6), mixed["taught"], "ocr_rl", run_grpo
    else:
        plain, zero = (tw.with_sft(batch_size=4, lr=1e-4, deepspeed=name) for name in ("none", stage))
        run, init, train, trains = tw.run(method="sft", train_table="ocr_sft"), mixed["init"], "ocr_sft", run_sft
    with monkeypatch.context() as patch:
        first_gradient.keep(patch, tmp_path / "one.safetensors")
        trains(plain, run, tw.inputs(mixed, init, train), tmp_path / "one", tw.lineage)
    _, *arguments = tw.command(f"train_{method}", zero, run, mixed, init, tmp_path / "two", 2, train)
    module = arguments.index("-m") + 1
    first_gradient.on_two_processes(tmp_path / "two.safetensors", limit, arguments[module:], 400)
    one, two = (load_file(tmp_path / f"{name}.safetensors") for name in ("one", "two"))
    assert one.keys() == two.keys() and any("visual" in name for name in one)
    largest = max(float(gradient.abs().max()) for gradient in one.values())
    assert largest > 0 and spread(one, two) < 1e-4 * largest
    first, second = (tables.read(tables.METRICS, tmp_path / name / "metrics.parquet") for name in ("one", "two"))
    assert len(first) == {"grpo": 6, "sft": 3}[method]
    for a, b in zip(first, second, strict=True):
        assert b["loss"] == pytest.approx(a["loss"], rel=1e-3, abs=1e-5)
        assert b["grad_norm"] == pytest.approx(a["grad_norm"], rel=1e-2)
    before, whole, shared = (
        tw.weights(path) for path in (init, *(tmp_path / n / "model.json" for n in ("one", "two")))
    )
    moved, apart = spread(before, whole), spread(shared, whole)
    assert moved > 0 and apart < 0.1 * moved
    if method == "grpo":
        rollouts = tables.read(tables.ROLLOUTS, tmp_path / "two" / "rollouts.parquet")
        assert len({(row["rank"], row["question_id"]) for row in rollouts}) == len(MAKERS)


def test_text_alone_of_every_answer_type_reaches_training(mixed):
    rows = [general(k, answer_type) for k, answer_type in enumerate(TEXTS)]
    questions = Questions(rows, FrameStore([mixed["frames"]]), tw.config().video, "plain", 0)
    assert len(questions) == len(TEXTS) and questions.scenes == set()
    encoder = load_policy(mixed["init"], video=tw.config().video).encoder
    for row in questions.batch(0, len(rows)):
        media = questions.media(row)
        assert (media.images, media.video, media.bev, media.frames) == ((), None, None, None)
        prompt = questions.prompt(row, media, encoder)
        assert prompt.media == () and not {encoder.image_pad, encoder.video_pad} & set(prompt.input_ids.tolist())


def test_a_step_of_text_alone_rewards_and_updates(mixed, tmp_path):
    """By Video-R1's reward of each answer type: the model has learnt to answer these questions now and then."""
    rows = [general(k, answer_type) for k, answer_type in enumerate(TEXTS)]
    tables.write(tables.OCR_RL, tmp_path / "ocr_rl.parquet", rows, tw.NOWHERE)
    files, settings = {**mixed, "ocr_rl": tmp_path / "ocr_rl.parquet"}, {"max_new_tokens": 24, "n_clean": 4}
    config = tw.config(**settings, n_perturbed=4, prompts_per_step=5)
    run_grpo(config, tw.run("vanilla", steps=1), tw.inputs(files, mixed["taught"]), tmp_path / "run", tw.lineage)
    rollouts = tables.read(tables.ROLLOUTS, tmp_path / "run" / "rollouts.parquet")
    assert {row["question_id"] for row in rollouts} == {row["question_id"] for row in rows}
    assert {(row["view"], tuple(row["perturbed_objects"])) for row in rollouts} == {("clean", ())}
    (figures,) = tables.read(tables.METRICS, tmp_path / "run" / "metrics.parquet")
    assert figures["grad_norm"] > 0 and figures["reward_std"] > 0


@pytest.mark.parametrize("answer_type", TEXTS)
def test_text_alone_of_every_answer_type_is_evaluated(mixed, answer_type):
    """Beside a question with a picture, in one batch; each is scored by its answer type."""
    rows, seen = [general(0, answer_type), pictures(1, 1)], []

    def write(policy, prompts, sampling, seed, keys):
        seen.extend(prompts)
        texts = [f"<think>so</think><answer>{row['ground_truth']}</answer>" for row in rows]
        return [[Completion([5], text, True, [0.0])] for text in texts]

    policy = load_policy(mixed["init"], video=tw.config().video)
    setting = Setting("uniform8", "uniform8", pixels=(784, 4704))
    asked = {"sampling": Sampling(1, 0.0), "batch_size": 2, "scorer": "tagged", "prompt_style": "think"}
    found = list(answer(rows, policy, None, [setting], **asked, think="plain", back_end=Batches(generate=write)))
    assert [len(prompt.media) for prompt in seen] == [0, 1]
    assert [row["question_id"] for row in found] == ["q00", "q01"]
    assert [row["score"] for row in found] == pytest.approx([1.0, 1.0])


def test_a_question_about_a_scene_is_never_taken_for_text_alone(mixed):
    """Its frames are missing: it is left out, and counted."""
    rows = [general(0), tw.question_row(1, scene="nowhere"), tw.question_row(2)]
    questions = Questions(rows, FrameStore([mixed["frames"]]), tw.config().video, "plain", 0)
    assert {row["question_id"] for row in questions.batch(0, 2)} == {"q00", "q02"} and len(questions) == 2
