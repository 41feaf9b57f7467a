"""The presets of SpaceR and Spatial-R1 plan every run of their paper, and none of OCR's data."""

import re

import pytest

from dag.clones import ROOT, copy_repository, snakemake
from rollout3d import config

pytestmark = pytest.mark.timeout(300)
OCRS = {"select_hard", "annotate", "sft_table"}
"""Rules of the hard questions and of the reasoning about them."""
SETTINGS = {"spacer": {"frames16_sampled"}, "spatial_r1": set()}
"""Settings in which the filter model is asked: for SpaceR's resampled questions alone."""


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    """What a dry run of each preset says."""
    clone = copy_repository(tmp_path_factory.mktemp("clones") / "clone")

    def plan(preset):
        done = snakemake(clone, "-n", "-p", "--configfile", f"config/presets/{preset}.yaml", "--", "all")
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return {preset: plan(preset) for preset in ("spacer", "spatial_r1")}


@pytest.mark.parametrize("preset", ["spacer", "spatial_r1"])
def test_a_dry_run_lists_every_run_of_the_paper(said, preset):
    study = config.load(ROOT / "config" / "presets" / f"{preset}.yaml")
    runs = config.read_runs(ROOT / "config" / f"runs_{preset}.tsv", study)
    assert set(re.findall(r"stages\.evaluate .*?--run (\w+) ", said[preset])) == {
        n for n, r in runs.items() if r.tables
    }
    trained = set(re.findall(r"--row '?\{\"run\":\"(\w+)\",\"method\":\"(?:sft|grpo)\"", said[preset]))
    assert trained == {name for name, run in runs.items() if run.method != "none"} - {"filter"}


@pytest.mark.parametrize("preset", ["spacer", "spatial_r1"])
def test_nothing_of_the_hard_questions_is_planned(said, preset):
    assert not OCRS & set(re.findall(r"^(?:local)?rule (\w+):", said[preset], re.M))
    assert set(re.findall(r"difficulty/(frames\w+)/0\.parquet", said[preset])) == SETTINGS[preset]
    assert "/runs/filter/" not in said[preset]


def test_the_run_keeps_the_weights_that_rows_name_and_each_is_evaluated_with_its_own(said):
    trained = dict(re.findall(r"--row '?\{\"run\":\"(\w+)\".*?--keep-steps ?([\d ]*?) --out-dir", said["spacer"]))
    assert trained.pop("spacer") == "1000 3000" and set(trained.values()) == {""}
    made = re.findall(r"stages\.checkpoint .*?\"at\":\"(\S+?)\".*? --model (\S+) --out (\S+)", said["spacer"])
    folder = "results/spacer/runs"
    assert set(made) == {
        (f"spacer@{n}", f"{folder}/spacer/model.json", f"{folder}/spacer_{n}/model.json") for n in (1000, 3000)
    }
    asked = set(re.findall(r"--run (spacer_\d000) --method (\w+) --style (\w+) .*?--model (\S+)", said["spacer"]))
    assert asked == {(f"spacer_{n}", "none", "think", f"{folder}/spacer_{n}/model.json") for n in (1000, 3000)}


def test_the_sft_counterpart_trains_and_is_evaluated_on_answers_alone(said):
    assert re.search(
        r"stages\.train_sft .*?\"run\":\"spacer_sft\".*?\"style\":\"direct\".*?train/ocr_rl", said["spacer"]
    )
    assert set(re.findall(r"--run spacer_sft --method sft --style (\w+)", said["spacer"])) == {"direct"}
