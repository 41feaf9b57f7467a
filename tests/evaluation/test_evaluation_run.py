"""A run on a benchmark: its frames, prompts and settings; and all stages from difficulty to scores in a row."""

from __future__ import annotations

import json

import numpy as np
import pytest

from evaluation.small_world import CONFIG, Recorder, question_rows, tiny_policy, write_tables
from rollout3d import tables
from rollout3d.config import Config, Evaluation
from rollout3d.evaluation.run import evaluate, settings
from rollout3d.evaluation.settings import style_of
from rollout3d.model.generate_hf import Batches
from rollout3d.model.load import read_model, save_policy
from rollout3d.model.media import FrameStore
from rollout3d.model.wordings import wording_digest
from rollout3d.stages import annotate, difficulty, prepare_benchmark, score, select_hard, sft_table
from rollout3d.stages import evaluate as evaluate_stage


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return write_tables(tmp_path_factory.mktemp("world"))


def run(files, style, most_tokens=16, **changes):
    recorder = Recorder("<think>a</think><answer>A</answer>")
    video = Config.model_validate(CONFIG).video
    rows = evaluate(
        "my_run",
        question_rows(),
        tiny_policy("someone"),
        FrameStore([files["frames"]]),
        Evaluation(**changes),
        video,
        style=style,
        think="plain",
        most_tokens=most_tokens,
        batch_size=8,
        seed=0,
        back_end=Batches(recorder),
    )
    return list(rows), recorder


def test_trained_runs_reason_and_released_models_answer_directly(files):
    assert [style_of(method) for method in ("none", "sft", "grpo")] == ["direct", "think", "think"]
    direct, asked = run(files, "direct")
    assert {r["scorer"] for r in direct} == {"vsibench"} and {s.max_new_tokens for s in asked.samplings} == {16}
    think, asked = run(files, "think", 77)
    assert {r["scorer"] for r in think} == {"tagged"} and {s.max_new_tokens for s in asked.samplings} == {77}
    assert {r["model"] for r in think} == {"my_run"}
    assert [r["question_id"] for r in think] == [q["question_id"] for q in question_rows()]


def test_every_prediction_says_how_it_was_made(files):
    def told(rows):
        return {tuple((name, row[name]) for name in tables.SETTING_COLUMNS) for row in rows}

    rows, _ = run(files, "think", 77, temperature=0.5, probes=["black"])
    asked = {"frames": 6, "frame_policy": "uniform", "max_pixels": 3136, "prompt": "think_plain"}
    asked |= {"prompt_digest": wording_digest("think_plain"), "temperature": 0.5, "max_new_tokens": 77}
    asked |= {"backend": "hf", "model_digest": None, "split": None}
    assert told(rows) == {tuple(asked.items())}
    rows, _ = run(files, "direct")
    direct = {"prompt": "direct", "prompt_digest": wording_digest("direct"), "temperature": 0.0, "max_new_tokens": 16}
    assert told(rows) == {tuple((asked | direct).items())}


def test_evaluation_frames_are_shown_and_black_ones_only_if_asked_for(files):
    _, asked = run(files, "think")
    assert {p.media[0].frames.shape for p in asked.prompts} == {(6, 56, 56, 3)}
    rows, asked = run(files, "think", probes=["black"])
    assert [r["setting"] for r in rows] == ["uniform6"] * 6 + ["black6"] * 6
    bright, dark = asked.prompts[:6], asked.prompts[6:]
    assert all(p.media[0].frames.any() for p in bright) and not any(p.media[0].frames.any() for p in dark)
    assert [np.array_equal(b.input_ids, d.input_ids) for b, d in zip(bright, dark)] == [True] * 6


def test_settings_are_named_after_the_number_of_frames():
    found = settings(Evaluation(probes=["black"]), Config().video)
    assert [(s.name, s.frame_set, s.n, s.pixels) for s in found] == [
        ("uniform32", "uniform32", 32, (4 * 28 * 28, 256 * 28 * 28)),
        ("black32", "uniform32", 32, (4 * 28 * 28, 256 * 28 * 28)),
    ]


def call(stage, config, words):
    stage.main(["--config", json.dumps(config), *words.split()])


def test_stages_lead_from_predictions_to_cold_start_and_scores(files, tmp_path, caplog, capsys):
    save_policy(tiny_policy(), tmp_path / "model", kind="tiny")
    model = tmp_path / "model" / "model.json"
    config = CONFIG | {
        "generation": {"backend": "hf", "max_new_tokens": 3, "max_new_tokens_direct": 2},
        "cot": {"teacher": "geometric", "fallback": 6},
        "evaluation": {"probes": ["black"]},
    }
    asked = f"--questions {files['ocr_rl']}"
    media = f"--frames {files['frames']} --maps {files['maps']}"
    out = {
        n: tmp_path / f"{n}.parquet" for n in ("hard", "notes", "sft", "questions", "frames", "predictions", "scores")
    }
    given = ""
    for setting in ("frames2", "frames16", "frames16_bev", "frames16_grpo"):
        given += f" --{setting.replace('_', '-')}"
        for shard in range(2):
            part = tmp_path / f"{setting}.{shard}.parquet"
            where = f"--setting {setting} --shard {shard} --n-shards 2"
            call(difficulty, config, f"{where} {asked} {media} --model {model} --out {part}")
            given += f" {part}"
    call(select_hard, config, f"{asked} {given} --out {out['hard']}")
    # Random weights answer nothing right, so both transitions are empty and the fallback takes every question.
    assert {r["transition"] for r in tables.read(tables.HARD, out["hard"])} == {"fallback"}
    assert "cot.fallback" in caplog.text
    call(annotate, config, f"--hard {out['hard']} {asked} {media} --out {out['notes']}")
    verdicts = {r["verdict"] for r in tables.read(tables.ANNOTATIONS, out["notes"])}
    assert verdicts == {"accepted", "failed"}, "size questions have evidence, direction questions have none"
    call(sft_table, config, f"--annotations {out['notes']} {asked} --out {out['sft']}")
    learnt = tables.read(tables.OCR_SFT, out["sft"])
    assert {r["question_type"] for r in learnt} == {"object_size_estimation"} and len(learnt) == 3

    sources = f"--questions {files['questions']} --frames {files['frames']}"
    made = f"--out-questions {out['questions']} --out-frames {out['frames']}"
    call(prepare_benchmark, config, f"--benchmark synthetic {sources} {made}")
    run = "--run ocr --benchmark synthetic"
    shown = f"--questions {out['questions']} --frames {out['frames']}"
    call(evaluate_stage, config, f"{run} --method grpo --model {model} {shown} --out {out['predictions']}")
    made = tables.read(tables.PREDICTIONS, out["predictions"])
    assert {(r["model_digest"], r["split"]) for r in made} == {(read_model(model).digest, "full")}
    read = f"--predictions {out['predictions']} --questions {out['questions']} --train {files['ocr_rl']}"
    call(score, config, f"{run} --method grpo --model {model} {read} --out {out['scores']}")
    rows = tables.read(tables.SCORES, out["scores"])
    assert {r["settings"] for r in rows if r["view"] in ("video", "black", "seen")} == {
        "6 frames uniform, at most 3136 px, think_plain, temperature 0, 3 tokens, hf"
    }
    assert {r["view"] for r in rows} == {"video", "black", "seen", "random", "frequent"}
    overall = {r["view"]: r for r in rows if r["task"] == "overall"}
    assert overall["video"]["n"] == 6 and overall["video"]["well_formed"] == 0.0
    # Directions: half by chance. Sizes 150, 160, 170 guessed from each other: 0.9 on average or more.
    assert overall["random"]["score"] > 60
    lineage = tables.lineage(out["scores"])
    assert lineage["stage"] == "score" and set(lineage["parents"]) == {"predictions", "questions", "train"}
    assert lineage["values"]["evaluation.scorers"] == ["auto"] and lineage["values"]["video.eval_frames"] == 6

    other = config | {"video": config["video"] | {"eval_frames": 4}}
    with pytest.raises(SystemExit):
        call(score, other, f"{run} --method grpo {read} --out {tmp_path}/other.parquet")
    said = capsys.readouterr().err
    assert "frames is 6 in the predictions, 4 in the configuration (video.eval_frames)" in said
    assert not (tmp_path / "other.parquet").exists()
    call(
        score,
        other,
        f"{run} --method grpo {read} --out {tmp_path}/other.parquet --kept evaluate --scorer tagged vsibench",
    )
    marked = tables.read(tables.SCORES, tmp_path / "other.parquet")
    assert {r["scorer"] for r in marked} == {"tagged", "vsibench", None}
    assert {(r["settings"] or "").partition(",")[0] for r in marked} == {"6 frames uniform [configured: 4]", ""}


def test_stage_reports_a_missing_benchmark_in_one_line(tmp_path, capsys):
    config = {"site": {"benchmarks": {"vsibench": str(tmp_path / "nowhere")}}}
    out = f"--out-questions {tmp_path}/q.parquet --out-frames {tmp_path}/f.parquet"
    with pytest.raises(SystemExit):
        call(prepare_benchmark, config, f"--benchmark vsibench --questions --frames {out}")
    assert "site.benchmarks.vsibench" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_paid_teacher_is_refused_by_default(files, tmp_path, capsys):
    tables.write(tables.HARD, tmp_path / "hard.parquet", [], tables.Lineage("test"))
    given = f"--hard {tmp_path}/hard.parquet --questions {files['ocr_rl']} --frames {files['frames']}"
    with pytest.raises(SystemExit):
        call(annotate, {}, f"{given} --maps {files['maps']} --out {tmp_path}/a.parquet")
    assert "set cot.max_usd" in capsys.readouterr().err
