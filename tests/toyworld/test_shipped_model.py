"""The small model that travels with the package: what its card says, and how the workflow finds it."""

import importlib.util
import json
import shutil
from functools import partial
from pathlib import Path

import pytest
import torch
import yaml
from safetensors import safe_open

from rollout3d import resources
from rollout3d.config import Config, load, read
from rollout3d.cot import geometric
from rollout3d.model import load as loading
from rollout3d.model.directory import ModelError, check
from rollout3d.model.load import check_weights, read_model, refer_model
from rollout3d.planning.shape import model_shape
from toyworld.model.training import Trainer
from toyworld.settings import StudyConfig

ROOT = Path(__file__).parents[2]
MODEL = ROOT / "resources" / "tiny_qwen"
NAME = "resources/tiny_qwen"


@pytest.fixture(scope="module")
def made():
    """The script that writes the card."""
    spec = importlib.util.spec_from_file_location("tiny_qwen", ROOT / "docs" / "tiny_qwen.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def card():
    """The card's front matter."""
    return yaml.safe_load((MODEL / "README.md").read_text(encoding="utf-8").split("---\n")[1])


def test_the_card_has_the_recipe_of_the_preset(made, card):
    assert card["recipe"] == made.recipe()


def test_the_card_has_what_is_taught_after_its_first_steps(made, card):
    """Lessons and rates in every part of the training, which the first losses do not reach."""
    assert card["taught"] == made.taught() and len(card["taught"]) == 5


def test_it_is_a_whole_model_of_two_to_eight_million_parameters_in_bfloat16():
    check(MODEL)
    with safe_open(MODEL / "model.safetensors", "pt") as file:
        tensors = [file.get_tensor(name) for name in file.keys()]  # noqa: SIM118  # no dictionary
    assert 2e6 <= sum(tensor.numel() for tensor in tensors) <= 8e6
    assert {tensor.dtype for tensor in tensors} == {torch.bfloat16}


def test_the_first_steps_of_the_recipe_are_the_same_bytes_twice_and_the_cards_losses(made, card):
    """By one process, whose sums differ from those of two by rounding."""
    study = read.load(ROOT / "config" / "config.yaml", made.PRESET, model=StudyConfig)
    reason = partial(geometric.reasoning, seed=study.seed, most=study.cot.sentences)
    torch.set_num_threads(1)
    trainers = [Trainer(study, "x", reason) for _ in range(2)]
    losses = []
    for trainer in trainers:
        trainer.policy.model.train()
        losses.append([trainer.step(step)["loss"] for step in range(len(card["first_losses"]))])
    assert losses[0] == losses[1] == pytest.approx(card["first_losses"], abs=1e-3)
    assert all(torch.equal(a, b) for a, b in zip(*(trainer.parameters for trainer in trainers), strict=True))


@pytest.mark.parametrize("preset", ["demo", "seeing", "tiny"])
def test_presets_start_from_it_and_show_what_it_was_trained_on(preset, made):
    study = load(ROOT / "config" / "config.yaml", ROOT / "config" / "presets" / f"{preset}.yaml")
    recipe = load(ROOT / "config" / "config.yaml", made.PRESET)
    assert study.models["base"].shipped and study.models["base"].small and not study.models["base"].tiny
    assert study.prompts.think == recipe.prompts.think
    if preset != "tiny":  # whose scores mean nothing
        for key in ("train_frames", "train_max_pixels", "train_min_pixels"):
            assert getattr(study.video, key) == getattr(recipe.video, key)
        assert study.toyworld["scans"]["n_objects"] == recipe.toyworld["scans"]["n_objects"]


@pytest.fixture
def moved(tmp_path, monkeypatch):
    """A copy of the model in another clone, which this one is taken for."""
    clone = tmp_path / "clone"
    shutil.copytree(MODEL, clone / NAME)
    monkeypatch.setattr(loading, "shipped", lambda name: clone / name)
    return clone / NAME


def test_its_model_json_is_the_same_in_every_clone(tmp_path, moved):
    refer_model(tmp_path / "a.json", name=NAME, where=str(moved))
    about = json.loads((tmp_path / "a.json").read_text())
    assert (about["kind"], about["path"], about["name"]) == ("shipped", NAME, NAME)
    handle = read_model(tmp_path / "a.json")
    assert handle.path == str(moved)
    (moved / "README.md").write_text("another card")
    check_weights(tmp_path / "a.json", handle)
    refer_model(tmp_path / "b.json", name=NAME, where=str(moved))
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    (moved / "config.json").write_text((moved / "config.json").read_text() + " ")
    with pytest.raises(ModelError, match="are not those that it describes"):
        check_weights(tmp_path / "a.json", handle)


def test_its_sizes_are_known_before_anything_ran(tmp_path):
    config = load(ROOT / "config" / "config.yaml", ROOT / "config" / "presets" / "demo.yaml")
    shape, where = model_shape(config, "base")
    assert where == str(resources.shipped(NAME) / "config.json") and shape.layers == 5


def test_a_model_trained_from_scratch_has_another_name():
    with pytest.raises(ValueError, match=f"models.base: {NAME} is trained already"):
        Config.model_validate({"models": {"base": {"name": NAME, "tiny": True}}})
