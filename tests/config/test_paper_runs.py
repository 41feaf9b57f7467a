"""The run tables of SpaceR and Spatial-R1: every run that their papers' rows are compared with."""

import csv
from pathlib import Path

import pytest

from rollout3d import config, doors

ROOT = Path(__file__).parents[2]
PAPERS = ("spacer", "spatial_r1")
BASES = {("qwen7b", "spacer_scannet")}
"""Runs from which a table takes differences, without a row of their own."""
OURS = {("spacer_own_map", "spacer_table5")}
"""Rows that the paper does not have."""


def runs(paper):
    study = config.load(ROOT / "config" / "presets" / f"{paper}.yaml")
    return config.read_runs(ROOT / "config" / f"runs_{paper}.tsv", study), study


def compared(paper):
    with (ROOT / "resources" / "reference" / f"{paper}.csv").open(newline="") as file:
        return {(row["run"], row["table"]) for row in csv.DictReader(file)}


@pytest.mark.parametrize("paper", PAPERS)
def test_runs_and_reference_name_each_other(paper):
    found, _ = runs(paper)
    named = {(name, table) for name, run in found.items() for table in run.tables}
    rows = {(run, table) for run, table in compared(paper) if run not in ("", "random", "frequent")}
    assert rows == named - BASES - OURS
    assert {doors.paper_of(table) for _, table in named} == {paper}


@pytest.mark.parametrize("paper", PAPERS)
def test_the_preset_selects_every_run_that_a_table_reports(paper):
    found, study = runs(paper)
    assert study.runs.table == f"config/runs_{paper}.tsv"
    assert list(study.runs.select) == [name for name, run in found.items() if run.tables]
    assert not any(run.train_table == "ocr_sft" for run in found.values())


def test_frames_of_spacer_have_the_pixels_of_section_5_1():
    _, study = runs("spacer")
    assert study.video.eval_max_pixels == 448 * 28 * 28 and study.video.eval_frames == 32


def test_runs_are_asked_as_the_paper_asks_them():
    found, study = runs("spacer")
    think = {name for name, run in found.items() if run.tables and run.asked == "think"}
    assert {name for name in found if name.endswith("_direct")} | {"spacer_sft", "spacer_tiny_sft"} <= set(
        found
    ) - think
    maps = {name for name in think if config.of_run(study, found[name]).prompts.think == "map"}
    assert maps == think - {"spacer_no_map"}
    for name, run in found.items():
        own = config.of_run(study, run)
        if run.tables:
            tokens = own.generation.max_new_tokens if name in think else own.generation.max_new_tokens_direct
            assert (own.evaluation.temperature, tokens) == (0.01, 1024 if name in think else 128), name
        if run.tables and run.method == "grpo":
            assert own.grpo.n_clean + own.grpo.n_perturbed == 8 and own.grpo.max_new_tokens == 1024
    assert found["spacer_1000"].checkpoint == ("spacer", 1000) and found["spacer_3000"].checkpoint == ("spacer", 3000)


def test_the_sft_counterparts_train_on_the_same_questions_as_spacer():
    found, _ = runs("spacer")
    for name, init in (("spacer_sft", "base"), ("spacer_tiny_sft", "base_3b")):
        run = found[name]
        assert (run.method, run.init, run.asked) == ("sft", init, "direct")
        assert run.train_table == found["spacer"].train_table


def test_ablations_differ_from_spacer_in_what_their_name_says():
    found, study = runs("spacer")
    spacer = found["spacer"].model_dump(exclude={"run", "tables"})
    differs = {
        name: {key for key, value in run.model_dump(exclude={"run", "tables"}).items() if value != spacer[key]}
        for name, run in found.items()
    }
    assert differs["spacer_no_length"] == {"reward"}
    assert differs["spacer_no_map"] == {"reward", "recipe", "settings"}
    assert differs["spacer_no_general"] == differs["spacer_no_sr"] == {"train_table", "steps"}
    assert differs["spacer_tiny"] == differs["spacer_video_r1"] == {"init"}
    for n in (5, 15, 20):
        assert differs[f"spacer_map{n}"] == {"recipe", "settings"}
        own, base = (dict(config.keys.leaves(config.of_run(study, found[r]))) for r in (f"spacer_map{n}", "spacer"))
        assert {key for key in own if own[key] != base[key]} == {"prompts.map_grid"}
        assert own["prompts.map_grid"] == n
    for thousand in (5, 10, 15, 20, 30):
        run = found[f"spacer_{thousand}k"]
        assert differs[run.run] == {"steps"} and run.steps is not None
        assert run.steps * study.grpo.prompts_per_step == 1000 * thousand


@pytest.mark.parametrize(
    ("run", "samples", "passes"),
    [("spacer", 151_310, 1), ("spacer_no_general", 91_310, 1), ("spacer_no_sr", 60_000, 1), ("spatial_r1", 9_000, 2)],
)
def test_steps_are_passes_over_the_training_table(run, samples, passes):
    found, study = runs("spatial_r1" if run == "spatial_r1" else "spacer")
    steps = found[run].steps
    assert steps is not None
    assert 0 <= steps * study.grpo.prompts_per_step - passes * samples < study.grpo.prompts_per_step
