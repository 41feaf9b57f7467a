"""The configuration: the committed file is the models', presets parse, typos are errors, values are the paper's."""

import json
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from rollout3d import config
from rollout3d.config.__main__ import render_schema, render_yaml

ROOT = Path(__file__).parents[2]
PRESETS = sorted((ROOT / "config" / "presets").glob("*.yaml"))


def load(*overlays):
    return config.load(ROOT / "config" / "config.yaml", *overlays)


def test_committed_configuration_is_what_the_models_say():
    assert (ROOT / "config" / "config.yaml").read_text() == render_yaml(), "run: python -m rollout3d.config"
    assert load() == config.Config()


def test_committed_schema_is_that_of_the_models_and_editors_find_it():
    assert (ROOT / "config" / "schema.json").read_text() == render_schema(), "run: python -m rollout3d.config"
    schema = Draft202012Validator(json.loads(render_schema()))
    for path in [ROOT / "config" / "config.yaml", *PRESETS]:
        first = path.read_text().splitlines()[0]
        assert first.startswith("# yaml-language-server: $schema=")
        assert (path.parent / first.split("=")[1]).resolve() == ROOT / "config" / "schema.json"
        assert list(schema.iter_errors(yaml.safe_load(path.read_text()))) == [], path
    wrong = {"grop": {}, "grpo": {"lr": "fast"}, "datasets": {"scannetpp": None}}
    assert len(list(schema.iter_errors(wrong))) == 2


def test_default_models_are_the_papers():
    models = load().models
    assert models["base"].name == "Qwen/Qwen2.5-VL-3B-Instruct"
    assert models[load().difficulty.model].name == "Qwen/Qwen2.5-VL-7B-Instruct"


def test_the_papers_runs_take_two_thousand_steps_of_linear_schedule():
    runs = config.read_runs(ROOT / "config" / "runs.tsv", load())
    assert {run.steps for run in runs.values() if run.method == "grpo"} == {2000}
    assert runs["ocr"].schedule == "linear" and runs["ocr"].regions == "aabb_none"
    assert runs["filter"].rollout == "vanilla" and runs["filter"].init == "filter_base"


def test_every_row_of_the_papers_ablations_has_a_run():
    runs = config.read_runs(ROOT / "config" / "runs.tsv", load())
    rows = {table: [r.run for r in runs.values() if table in r.tables] for table in ("table3", "table4", "table5")}
    assert rows["table3"] == ["sft_video_r1", "sft", "grpo_video_r1", "grpo", "ocr_video_r1", "ocr"]
    assert rows["table4"] == ["sft_video_r1", "grpo", "ocr", "tgrpo", "noisy", "downsample"]
    assert rows["table5"] == ["ocr", "ocr_fix", "ocr_exp", "ocr_cos"]
    assert {r.init for r in runs.values() if r.method == "grpo"} == {"sft", "sft_video_r1", "filter_base"}


@pytest.mark.parametrize("preset", PRESETS, ids=lambda p: p.stem)
def test_preset_is_valid_and_writes_elsewhere(preset):
    loaded = load(preset)
    assert loaded.preset == preset.stem
    assert loaded.results == f"results/{preset.stem}"
    assert config.read_runs(ROOT / loaded.runs.table, loaded)


def test_unknown_key_is_an_error_that_names_it():
    with pytest.raises(ValidationError, match="tempreature"):
        config.Config.model_validate({"grpo": {"tempreature": 0.7}})


def test_values_from_the_command_line_arrive_as_text_and_are_converted():
    assert config.Config.model_validate({"grpo": {"beta": "0.1"}, "seed": "7"}).grpo.beta == 0.1


def test_a_split_cannot_be_trained_on_and_tested():
    with pytest.raises(ValidationError, match="train and test"):
        config.Config.model_validate({"datasets": {"scannet": {"splits": {"train": ["val"], "test": ["val"]}}}})


def test_nothing_is_spent_unasked():
    assert config.Config().cot.max_usd == config.Config().judge.max_usd == 0


def test_synthetic_scans_never_go_where_the_paper_writes():
    with pytest.raises(ValueError, match="presets"):
        config.Config.model_validate({"toyworld": {}}).checked()


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("x\tgrpo\tbase\tocr_rl\tobject_centric\t-\t-\tocr\t5\t0\t-\t-", "schedule, regions"),
        ("x\tsft\tbase\t-\t-\t-\t-\t-\t-\t0\t-\t-", "train_table"),
        ("x\tsft\tnowhere\tocr_sft\t-\t-\t-\t-\t-\t0\t-\t-", "nowhere"),
        ("base\tnone\tbase\t-\t-\t-\t-\t-\t-\t0\t-\t-", "name of a model"),
    ],
)
def test_a_bad_run_is_refused_with_its_name(tmp_path, row, says):
    lines = (ROOT / "config" / "runs.tsv").read_text().rstrip("\n").split("\n")
    bad = tmp_path / "runs.tsv"
    bad.write_text("\n".join([*lines, row]) + "\n")
    with pytest.raises(ValueError, match=says):
        config.read_runs(bad, load())


def test_places_of_the_machine_decide_no_result_but_the_place_of_a_model():
    from rollout3d.config import Config, Run
    from rollout3d.stages.registry import STAGES, Scope, job_values

    run = Run(run="ocr", method="grpo", init="base", train_table="ocr_rl", rollout="vanilla", reward="ocr", steps=1)
    scope = Scope(dataset="scannet", key="base", setting="frames2", benchmark="vsibench", run_name="ocr", run=run)
    by_hand = {name for name, spec in STAGES.items() if spec.keys(Config(), scope) == ("*",)}
    assert by_hand == {
        "ask",
        "check_scan",
        "compare",
        "export",
        "growth",
        "inventory",
        "publish",
        "summary",
        "view",
        "watch",
        "preflight",
        "show",
    }
    for name in set(STAGES) - by_hand:
        found = {key for key in job_values(name, Config(), scope) if key.startswith("site") or key == "results"}
        assert found == ({"site.models"} if name == "describe_model" else set()), name
