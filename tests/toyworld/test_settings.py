"""The settings of the toy world: read with the study's configuration, and the same results as before they moved."""

from pathlib import Path

import pytest

from rollout3d import tables
from rollout3d.config import Config, read
from rollout3d.config.former import RENAMED, identity_name, present_name
from rollout3d.stages import registry
from toyworld import stages
from toyworld.settings import NoToyWorld, StudyConfig, ToyWorld, settings_of

CONFIG = Path(__file__).parents[2] / "config"

IDENTITIES = {
    "demo": {
        "scannet": "f4677e1332f78c0e20ec7334a7c01a43",
        "scannetpp": "ea263b2c3f5fbbdafbab445e9b96eeae",
        "arkitscenes": "cb26291e36841335cf05989448c91a3c",
    },
    "tiny": {
        "scannet": "79ca1bb900ddba05db4e396b8d1d7580",
        "scannetpp": "3f1b0fce76897f246a3f3f7c29775a42",
        "arkitscenes": "e91e9f43c143f3f0ab8de3e05e0f64ee",
    },
    "seeing": {
        "scannet": "bdbae8521a091d7ecaf5f20987c7f744",
        "scannetpp": "39c23d2e88540ec5e9c97df751d91d8e",
        "arkitscenes": "61e140f16b33a5caf66ef47515901dfc",
    },
}
"""Identities of scans without parents, recorded when the settings were the section `synthetic`."""
SCANS = {
    "demo": {"scans_per_dataset": 10, "val_scans": 4, "n_objects": (15, 40), "fps": 10},
    "tiny": {},
    "seeing": {"val_scans": 24, "n_objects": (6, 12), "fps": 10},
}
"""Settings of the presets then, where they differ from those of today."""


def preset(name):
    return read.load(CONFIG / "config.yaml", CONFIG / "presets" / f"{name}.yaml", model=StudyConfig)


@pytest.mark.parametrize("name", IDENTITIES)
def test_scans_made_before_the_settings_moved_stay_current(name):
    assert set(stages.SPECS) <= set(registry.STAGES)
    study = preset(name)
    scans = study.toyworld.scans.model_copy(update=SCANS[name])
    study = study.model_copy(update={"toyworld": study.toyworld.model_copy(update={"scans": scans})})
    found = {}
    for dataset in IDENTITIES[name]:
        values, _ = registry.split(registry.job_values("render_scans", study, registry.Scope(dataset=dataset)))
        found[dataset] = tables.Lineage("render_scans", values).identity
    assert found == IDENTITIES[name]


def test_a_moved_key_has_its_former_name_in_identities_and_its_present_one_in_messages():
    for prefix, former in ((key, name) for key, name in RENAMED.items() if key.endswith(".")):
        assert identity_name(f"{prefix}x") == f"{former}x" and present_name(f"{former}x") == f"{prefix}x"
    assert identity_name("grpo.lr") == present_name("grpo.lr") == "grpo.lr"


def test_names_of_stages_are_registered_once():
    with pytest.raises(ValueError, match="a stage render_scans already"):
        registry.register({"render_scans": registry.STAGES["render_scans"]})


def test_the_settings_are_those_of_the_section_and_their_absence_is_said():
    assert settings_of(preset("tiny")).scans.n_objects == (15, 20)
    assert settings_of(StudyConfig(toyworld=ToyWorld())) == ToyWorld()
    with pytest.raises(NoToyWorld, match="no section `toyworld`"):
        settings_of(StudyConfig())
    with pytest.raises(TypeError, match="StudyConfig"):
        settings_of(Config(toyworld={}))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("toyworld:\n  scans:\n    secnods: 2\n", ":3: toyworld.scans.secnods is not a key of toyworld.scans; did you"),
        ("toyworld:\n  modle: {}\n", ":2: toyworld.modle is not a key of toyworld; did you mean model?"),
        ("toyworld:\n  model:\n    steps: yes\n", ":3: toyworld.model.steps must be a number, not true"),
        ("toyworld:\n  scans:\n    fps: null\n", ":3: toyworld.scans.fps cannot be null"),
        ("toyworld: [1]\n", ":1: toyworld is a section: write its keys below it"),
        (
            "synthetic:\n  fps: 2\n",
            ":1: synthetic is now toyworld.scans: write `toyworld:`, `scans:` indented below it",
        ),
        (
            "base_model: {steps: 2}\n",
            ":1: base_model is now toyworld.model: write `toyworld:`, `model:` indented below",
        ),
    ],
)
def test_a_wrong_key_is_refused_with_its_line(tmp_path, text, says):
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(read.ConfigError) as caught:
        read.load(CONFIG / "config.yaml", CONFIG / "presets" / "tiny.yaml", tmp_path / "mine.yaml", model=StudyConfig)
    assert any(f"mine.yaml{says}" in problem for problem in caught.value.problems), caught.value.problems


def test_the_paper_reads_the_section_as_it_stands():
    loaded = read.load(CONFIG / "config.yaml", CONFIG / "presets" / "demo.yaml")
    assert loaded.toyworld == {"scans": {"scans_per_dataset": 43, "val_scans": 34, "fps": 5, "n_objects": [10, 18]}}
    assert Config().toyworld is None
