"""Weights that a run keeps after some of its steps, and the row of the run table that is evaluated with them."""

import json
import subprocess
from typing import cast

import pytest
import torch
import training_world as tw
from safetensors.torch import load_file
from test_training_checkpoint import crash, interrupt_at, same_run
from test_training_engine import spread

from rollout3d import preflight, tables
from rollout3d.cluster import Cluster
from rollout3d.config import Run
from rollout3d.model.load import load_policy, read_model
from rollout3d.preflight import models
from rollout3d.stages import checkpoint as stage
from rollout3d.stages import evaluate
from rollout3d.training import steps
from rollout3d.training.data import NotTrainable
from rollout3d.training.run import run_grpo

ASKED = tw.config().model_dump(mode="json", include={"video", "generation", "prompts", "seed", "torch_threads"})
ASKED["video"] |= {"eval_frames": tw.N_FRAMES}


def train(files, init, out, seed=0, **more):
    def lineage(_parents):
        return tables.Lineage("test", {"seed": seed})

    settings = tw.config(max_new_tokens=24, kl_of_skipped=True)  # so that every step changes the weights
    run_grpo(settings, tw.run(seed=seed), tw.inputs(files, init), out, lineage, **more)


@pytest.fixture(scope="module")
def half(files, taught, tmp_path_factory):
    """The directory of a run of four steps that has kept its weights after two, and what its second checkpoint held."""
    out = tmp_path_factory.mktemp("half") / "runs" / "whole"
    found = {}

    def keep():
        (weights,) = (out / "checkpoints").glob("*/step_00000002/weights.safetensors")
        found.update(load_file(weights))

    train(files, taught, out, keep=keep, keep_steps=(2,))
    return out, found


@pytest.mark.pipeline
@pytest.mark.long
@pytest.mark.parametrize("settings", [{}, {"lora_rank": 2}], ids=["whole weights", "adapters"])
def test_weights_that_processes_share_are_gathered_when_they_are_kept(files, taught, tmp_path, settings):
    """ZeRO-3 on two processes keeps what plain torch keeps, and trains byte for byte as if it kept nothing."""
    shared = {"max_new_tokens": 24, "lr": 1e-3, "prompts_per_step": 4, **settings}
    run, plain = tw.run(steps=3), tmp_path / "plain"
    run_grpo(tw.config(**shared), run, tw.inputs(files, taught), plain, tw.lineage, keep_steps=(2,))
    zero = tw.config(**shared, deepspeed="zero3")
    for name, more in (("kept", ["--keep-steps", "2"]), ("not", [])):
        made = tw.quick_command("train_grpo", zero, run, files, taught, tmp_path / name, 2)
        subprocess.run([*made, *more], check=True, timeout=400)
    moved, apart, after = (
        spread(tw.weights(one), tw.weights(other))
        for one, other in (
            (taught, steps.model_of(plain, 2)),
            (steps.model_of(tmp_path / "kept", 2), steps.model_of(plain, 2)),
            (steps.model_of(plain, 2), plain / "model.json"),
        )
    )
    assert moved > 0 and after > 0 and apart < 0.1 * min(moved, after)
    same_run(tmp_path / "not", tmp_path / "kept", [tables.METRICS, tables.ROLLOUTS])
    assert not any("lora" in name for name in tw.weights(steps.model_of(tmp_path / "kept", 2)))


def describe(run, step=2):
    row = Run.model_validate({"run": "half", "method": "none", "at": f"whole@{step}"}).model_dump_json()
    out = run.parent / "half" / "model.json"
    stage.main(["--row", row, "--model", str(run / "model.json"), "--out", str(out)])
    return out


def test_the_kept_weights_are_those_of_the_checkpoint_of_that_step(half):
    run, masters = half
    kept = dict(load_policy(steps.model_of(run, 2), video=tw.config().video).model.named_parameters())
    assert masters and all(torch.equal(kept[name], tensor) for name, tensor in masters.items())
    last = tw.weights(run / "model.json")
    assert any(not torch.equal(last[name], tensor) for name, tensor in tw.weights(steps.model_of(run, 2)).items())
    assert not list((run / "checkpoints").glob("*/")), "the checkpoints themselves are gone"


def test_keeping_weights_changes_nothing_of_the_run(files, taught, half, tmp_path):
    train(files, taught, tmp_path)
    same_run(tmp_path, half[0], [tables.METRICS, tables.ROLLOUTS])
    assert not (tmp_path / steps.STEPS).exists()


def test_a_checkpoint_is_a_model_of_its_own_that_answers_a_benchmark(files, half, tmp_path):
    model = describe(half[0])
    handle, kept = read_model(model), read_model(steps.model_of(half[0], 2))
    assert (handle.name, handle.kind, handle.digest, handle.path) == ("half", "grpo", kept.digest, kept.path)
    assert handle.digest != read_model(half[0] / "model.json").digest and handle.about["step"] == 2
    assert not json.loads(model.read_text())["path"].startswith("/"), "a moved results folder keeps its checkpoints"
    rows = [{**tw.question_row(0), "split": "test"}, {**tw.question_row(1), "split": "test"}]
    tables.write(tables.QUESTIONS, tmp_path / "questions.parquet", rows, tw.NOWHERE)
    evaluate.main(
        [
            *(
                "--config",
                json.dumps(ASKED),
                "--run",
                "half",
                "--method",
                "none",
                "--style",
                "think",
                "--model",
                str(model),
            ),
            *("--questions", str(tmp_path / "questions.parquet"), "--frames", str(files["frames"])),
            *("--out", str(tmp_path / "predictions.parquet")),
        ]
    )
    answers = tables.read(tables.PREDICTIONS, tmp_path / "predictions.parquet")
    assert {(row["model"], row["prompt"]) for row in answers} == {("half", "think_plain")}
    assert {row["model_digest"] for row in answers} == {kept.digest}
    stated = tables.lineage(tmp_path / "predictions.parquet")["values"]
    assert "prompts/think_plain.txt" in stated and "prompts/direct.txt" not in stated


def test_a_run_that_died_after_the_step_has_its_weights(files, taught, half, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        interrupt_at(patch, 3, crash)
        with pytest.raises(RuntimeError, match="power cut"):
            train(files, taught, tmp_path, keep_steps=(2,))
    train(files, taught, tmp_path, keep_steps=(2,))
    first, second = (tw.weights(steps.model_of(run, 2)) for run in (half[0], tmp_path))
    assert first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_weights_that_were_never_kept_are_an_error_with_the_remedy(files, taught, half, tmp_path, capsys):
    with pytest.raises(SystemExit):
        describe(half[0], step=3)
    said = capsys.readouterr().err
    assert "run 'half' is whole after 3 steps" in said and "keeps no weights after step 3" in said
    assert f"rollout3d forget {half[0] / 'model.json'}" in said


def test_the_preflight_says_so_before_the_first_job(half):
    model, row = half[0] / "model.json", {"run": "half", "method": "none"}

    def found(step, *jobs):
        runs = {"half": Run.model_validate({**row, "at": f"whole@{step}"})}
        study = preflight.Study(tw.config(), runs, cast(Cluster, None))
        wanted = preflight.Job("checkpoint", {"run": "half"}, [str(model)], ["half/model.json"])
        return [finding.text for finding in models.check(study, [wanted, *jobs]) if finding.stops]

    (said,) = found(3)
    assert "keeps no weights after step 3" in said
    assert not found(2) and not found(3, preflight.Job("grpo", outputs=[str(model)])), "it is trained first"


def test_weights_of_another_training_are_not_taken_for_the_runs_own(files, taught, tmp_path, caplog):
    train(files, taught, tmp_path, keep_steps=(2,))
    assert steps.problem(tmp_path / "model.json", 2) is None
    (tmp_path / "model.json").unlink()
    train(files, taught, tmp_path, seed=1)
    assert not steps.model_of(tmp_path, 2).exists(), "the next training removes them"
    steps.model_of(tmp_path, 2).parent.mkdir(parents=True)
    about = json.loads((tmp_path / "model.json").read_text()) | {"lineage": tw.NOWHERE.as_dict()}
    steps.model_of(tmp_path, 2).write_text(json.dumps(about))
    assert "are of another training" in str(steps.problem(tmp_path / "model.json", 2))


def test_a_run_that_can_no_longer_keep_weights_is_refused_before_it_goes_on(files, taught, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        interrupt_at(patch, 3, crash)
        with pytest.raises(RuntimeError, match="power cut"):
            train(files, taught, tmp_path)
    with pytest.raises(NotTrainable, match="after step 2, and no weights were kept after step 1, which the run"):
        train(files, taught, tmp_path, keep_steps=(1, 3))
    train(files, taught, tmp_path, keep_steps=(3,))
    assert steps.model_of(tmp_path, 3).exists() and not steps.model_of(tmp_path, 1).exists()
