"""The stages' command lines: errors that a user can correct, and models that are only described."""

import json

import pytest
import training_world as tw

from rollout3d.model.load import read_model
from rollout3d.stages import describe_model, train_grpo


def test_a_model_of_the_hub_is_described_without_touching_the_network(tmp_path):
    describe_model.main(["--key", "base", "--out", str(tmp_path / "model.json")])
    handle = read_model(tmp_path / "model.json")
    assert (handle.name, handle.kind, handle.path) == ("Qwen/Qwen2.5-VL-3B-Instruct", "hub", handle.name)


def test_a_directory_of_this_machine_stands_in_for_the_hub(tmp_path, files, monkeypatch):
    weights = files["init"].parent / "weights"
    monkeypatch.setenv("ROLLOUT3D_SITE", json.dumps({"models": {"base": str(weights)}}))
    named = ["--config", json.dumps({"models": {"base": {"name": "mine"}}})]
    describe_model.main([*named, "--key", "base", "--out", str(tmp_path / "model.json")])
    handle = read_model(tmp_path / "model.json")
    assert (handle.name, handle.kind, handle.path) == ("mine", "directory", str(weights))
    assert handle.digest == read_model(files["init"]).digest


def test_another_model_under_the_name_of_a_release_is_refused(tmp_path, files, monkeypatch, capsys):
    """Tables would give its numbers to Qwen2.5-VL-3B-Instruct."""
    monkeypatch.setenv("ROLLOUT3D_SITE", json.dumps({"models": {"base": str(files["init"].parent / "weights")}}))
    with pytest.raises(SystemExit):
        describe_model.main(["--key", "base", "--out", str(tmp_path / "model.json")])
    said = capsys.readouterr().err
    assert "not Qwen/Qwen2.5-VL-3B-Instruct (36 of 2048)" in said and "models.*.name" in said
    assert not (tmp_path / "model.json").exists()


def test_a_model_that_is_not_configured_is_an_error_that_lists_those_that_are(tmp_path, capsys):
    with pytest.raises(SystemExit):
        describe_model.main(["--key", "gpt", "--out", str(tmp_path / "model.json")])
    assert "not one of base" in capsys.readouterr().err


def arguments(files, out, **changes):
    given = {
        "--config": tw.config().model_dump_json(include={*tw.SECTIONS, "grpo"}),
        "--row": tw.run("vanilla", steps=1).model_dump_json(exclude={"tables"}),
        "--init": files["init"],
        "--train": files["ocr_rl"],
        "--frames": files["frames"],
        "--out-dir": out,
        **changes,
    }
    return [str(part) for pair in given.items() for part in pair]


def test_grpo_runs_from_the_command_line(files, tmp_path):
    train_grpo.main(arguments(files, tmp_path))
    assert read_model(tmp_path / "model.json").kind == "grpo"


def test_errors_that_the_user_can_mend_are_one_message(files, tmp_path, capsys):
    with pytest.raises(SystemExit):
        train_grpo.main(arguments(files, tmp_path, **{"--train": files["frames"].parent / "none.parquet"}))
    assert "none.parquet" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        train_grpo.main(arguments(files, tmp_path, **{"--row": '{"run": "r", "method": "grpo", "init": "base"}'}))
    assert "lacks train_table, rollout, reward, steps" in capsys.readouterr().err
