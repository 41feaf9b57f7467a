"""Keys that the configuration once had: results made under them stay current, and files that set them are refused."""

import json
from importlib import import_module
from pathlib import Path

import pytest

from lineage.identities import PRESETS, identities
from rollout3d.config import ConfigError, former, read
from rollout3d.config.former import CONSTANTS, HELD, MOVED, RENAMED, SHARED, identity_name, present_name
from rollout3d.config.keys import leaves, narrow, values
from toyworld import stages as _registered  # noqa: F401  the toy world's stages are jobs of the study
from toyworld.settings import StudyConfig

ROOT = Path(__file__).parents[2]
BEFORE = json.loads((ROOT / "tests" / "lineage" / "identities.json").read_text())
"""Preset -> job -> digest of the values that decide it, recorded before any key was moved or removed."""
MOST = 130
"""Keys that the configuration may have; later ones say what they buy. `evaluation.probe_share`: two probes in a demo of
minutes. `grpo.variant`: the rewards of SpaceR and Spatial-R1 as their releases have them. `prompts.map_grid` and
`prompts.leak_keys`: SpaceR's Table 6, and its release's prompt. `questions.rules`: the questions of both papers.
`evaluation.given_map` and `site.boxes`: SpaceR's Table 5, and true maps of benchmark scenes without their scans.
`grpo.ablation.grad_limit`: rollout methods at equal cost.
`training.probe_every` and `training.probe_questions`: a blind model is noticed while it trains."""


@pytest.mark.parametrize("name", [name or "paper" for name in PRESETS])
def test_no_result_is_stale_because_a_key_was_moved_or_removed(name):
    files = [] if name == "paper" else [ROOT / "config" / "presets" / f"{name}.yaml"]
    found = identities(read.read_study([], files, ROOT, StudyConfig))
    assert len(found) >= 50 and found == BEFORE[name]


@pytest.mark.parametrize("key", CONSTANTS)
def test_a_constant_has_the_value_that_identities_hold(key):
    constant = CONSTANTS[key]
    assert getattr(import_module(f"rollout3d.{constant.module}"), constant.name) == constant.value
    assert (ROOT / constant.place.split(" in ")[1]).is_file()


def test_an_edited_constant_changes_the_identities_that_hold_it(monkeypatch):
    """The configuration is no part of the code digest: a constant that stands there must count by its value."""
    before = values(StudyConfig(), ["grpo.max_grad_norm", "grpo.lr"])
    monkeypatch.setattr(former, "literal", lambda path, name: 0.25)
    after = values(StudyConfig(), ["grpo.max_grad_norm", "grpo.lr"])
    assert before["grpo.max_grad_norm"] == 5.0 and after == before | {"grpo.max_grad_norm": 0.25}


def test_the_configuration_has_few_keys():
    """Keys of a section in a dictionary count once (`datasets.<name>.shards`); so does the key `toyworld`."""
    config = StudyConfig()
    one = config.model_copy(
        update={name: dict([*getattr(config, name).items()][:1]) for name in ("datasets", "models")}
    )
    keys = [key for key, _ in leaves(one)]
    assert len(keys) <= MOST, f"{len(keys)} keys"
    assert not {*keys} & {*CONSTANTS, *MOVED}


@pytest.mark.parametrize("key", SHARED)
def test_a_key_that_several_have_become_stands_in_an_identity_by_the_name_that_a_stage_declares(key):
    for name in SHARED[key]:
        found = values(StudyConfig(), [name, f"{key.split('.')[0]}.*"])
        assert name in found and key not in found and present_name(name) == key == MOVED[name]
        held = narrow(StudyConfig(), found)
        assert dict(leaves(held))[key] == found[name], "a stage reads the present key"


@pytest.mark.parametrize("key", [*HELD, "cot.timeout_s", "sft.nodes"])
def test_a_file_that_sets_a_key_without_successor_is_told_what_to_do(tmp_path, key):
    section, name = key.split(".")
    (tmp_path / "mine.yaml").write_text(f"{section}:\n  {name}: 7\n")
    with pytest.raises(ConfigError, match=rf"mine.yaml:2: {key} is no key any more: .*remove the line"):
        read.load(tmp_path / "mine.yaml")


def test_a_moved_key_has_its_former_name_in_identities_and_its_present_one_in_messages():
    for key, old in RENAMED.items():
        if not key.endswith("."):
            assert identity_name(key) == old and present_name(old) == key and MOVED[old] == key
    assert identity_name("grpo.lr") == present_name("grpo.lr") == "grpo.lr"


@pytest.mark.parametrize("key", [*CONSTANTS, *(key for key in MOVED if "." in key)])
def test_a_file_that_sets_a_former_key_is_told_what_became_of_it(tmp_path, key):
    section, name = key.split(".")
    (tmp_path / "mine.yaml").write_text(f"\n{section}:\n  {name}: 7\n")
    with pytest.raises(ConfigError) as refused:
        read.load(tmp_path / "mine.yaml")
    (problem,) = refused.value.problems
    if key in CONSTANTS:
        assert f"{key} is no key any more, but a constant: {CONSTANTS[key].value} (" in problem
    else:
        assert f"mine.yaml:3: {key} is now {MOVED[key]}: write `{MOVED[key].split('.')[0]}:`" in problem
