"""Recipes: what a run of the run table has for itself."""

from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from rollout3d import config
from rollout3d.config.former import present_name
from rollout3d.config.recipes import CELLS, RECIPE_KEYS, SHIPPED, of_run, read_recipe
from rollout3d.config.runs import Run
from rollout3d.doors import ROLLOUTS
from rollout3d.stages import registry

HEADER = "run\tmethod\tinit\ttrain_table\trollout\treward\tsteps\tseed\trecipe"
FILTER = "filter\tgrpo\tfilter_base\tocr_rl\tvanilla\tocr\t20\t0\t-"
SFT = "sft\tsft\tbase\tocr_sft\t-\t-\t-\t0\t-"
OTHERS = "runs: {select: [sft]}"


@pytest.fixture
def study(tmp_path, monkeypatch):
    """(configuration, runs) of a table whose last row is `row`, with recipes by name."""
    monkeypatch.chdir(tmp_path)

    def read(row, settings=None, **recipes):
        Path("recipes").mkdir(exist_ok=True)
        for name, text in recipes.items():
            Path("recipes", f"{name}.yaml").write_text(text)
        Path("runs.tsv").write_text("\n".join([HEADER, FILTER, SFT, row, ""]))
        found = config.Config.model_validate({"runs": {"table": "runs.tsv", "select": ["sft"]}} | (settings or {}))
        return found, config.read_runs("runs.tsv", found)

    return read


ROW = "x\tgrpo\tsft\tocr_rl\tnoisy\tocr\t20\t0\tmine"


def test_a_recipe_is_laid_over_the_configuration_for_its_run_alone(study):
    found, runs = study(ROW, mine="grpo: {lr: 2.0e-6, n_clean: 6}\nvideo: {train_frames: fps2max16}\n")
    own = of_run(found, runs["x"])
    assert (own.grpo.lr, own.grpo.n_clean, own.video.train_frames) == (2e-6, 6, "fps2max16")
    assert own.grpo.beta == found.grpo.beta and own.sft == found.sft
    assert of_run(found, runs["filter"]) is found and of_run(found, None) is found
    assert (found.grpo.lr, found.video.train_frames) == (1e-6, 16)
    assert of_run(found, runs["x"]) is own, "worked out once"


def test_its_values_decide_the_identity_and_its_name_does_not(study):
    def values(text, name="mine"):
        found, runs = study(ROW.replace("mine", name), **{name: text})
        own = of_run(found, runs["x"])
        scope = registry.Scope(run_name="x", run=runs["x"])
        return registry.split(registry.job_values("train_grpo", own, scope))[0]

    usual, lr = values("{}"), values("grpo: {lr: 2.0e-6}")
    assert {key for key in usual if usual[key] != lr[key]} == {"grpo.lr"}
    assert values("grpo: {lr: 2.0e-6}", "yours") == lr
    assert values("training: {deepspeed: zero3}") == usual, "where it is computed"


def test_it_may_fill_cells_that_the_row_leaves_empty(study):
    row = "x\tgrpo\t-\tocr_rl\t-\tocr\t-\t0\tmine"
    _, runs = study(row, mine="run: {init: sft, rollout: vanilla, steps: 30}")
    assert (runs["x"].init, runs["x"].rollout, runs["x"].steps) == ("sft", "vanilla", 30)
    capped = {"runs": {"table": "runs.tsv", "select": ["sft"], "max_steps": 5}}
    assert study(row, capped)[1]["x"].steps == 5


def test_a_study_may_leave_recipes_out(study):
    settings = {"runs": {"table": "runs.tsv", "select": ["sft"], "recipes": False}}
    found, runs = study(ROW, settings, mine="grpo: {lr: 2.0e-6}")
    assert of_run(found, runs["x"]) is found and runs["x"].recipe is None


BAD = [
    (ROW.replace("mine", "miine"), "{}", "runs.tsv: recipe miine is not a file of"),
    (ROW, "grpo: {lrr: 1}", "recipe mine (run x): grpo.lrr is not a key"),
    (ROW, "grpo: {lr: -1}", "recipe mine (run x): grpo.lr must be more than 0, not -1"),
    (ROW, "video: {train_max_pixels: 300000}", "recipe mine (run x): video.train_max_pixels: 300000 is more than"),
    (ROW, "grpo:\n  lr: 1\nscenes: {agreement: flag}", "mine.yaml:3: scenes.agreement is not a run's own"),
    (ROW, "seed: 3", "mine.yaml:1: seed is not a run's own"),
    (
        ROW,
        "run: {rolout: noisy}",
        "mine.yaml:1: run.rolout is not a cell that a recipe may fill; did you mean rollout?",
    ),
    (
        ROW,
        "run: {steps: 30}",
        "run 'x' has steps 20, its recipe mine 30: leave the cell empty (-), or take run.steps out",
    ),
    (ROW, "grpo: [", "mine.yaml:"),
    (ROW.replace("noisy", "-"), "run: {rollout: nosy}", "column rollout: nosy is not a rollout"),
]


@pytest.mark.parametrize(("row", "text", "says"), BAD, ids=[says for *_, says in BAD])
def test_what_is_no_recipe_is_a_sentence_that_names_the_file_or_run(study, row, text, says):
    with pytest.raises(config.ConfigError) as caught:
        study(row, mine=text)
    assert says in str(caught.value), str(caught.value)


def test_a_recipe_cannot_show_larger_frames_than_the_study_stores(study):
    text = "video: {eval_max_pixels: 300000}"
    with pytest.raises(config.ConfigError, match=r"recipe mine \(run x\): video.eval_max_pixels: 300000 .* 200704"):
        study(ROW, mine=text)
    found, runs = study(ROW, {"video": {"eval_max_pixels": 300_000}}, mine=text)
    assert of_run(found, runs["x"]).video.eval_max_pixels == 300_000


def test_recipes_beside_the_table_come_before_those_of_the_clone(study, tmp_path):
    name = sorted(SHIPPED.glob("*.yaml"))[0].stem
    assert read_recipe(name, tmp_path / "runs.tsv") == read_recipe(name, SHIPPED.parent / "runs.tsv")
    study(ROW, mine="{}", **{name: "grpo: {lr: 3.0}"})
    assert read_recipe(name, tmp_path / "runs.tsv") == {"grpo": {"lr": 3.0}}


STUDYS = (
    *(
        "seed",
        "torch_threads",
        "evaluation.datasets",
        "evaluation.scorers",
        "generation.shards",
        "evaluation.benchmarks",
        "evaluation.probe*",
    ),
    *("site.*", "runs.*"),
)
"""Keys of the sections that recipes touch which belong to the study."""


def test_a_recipe_may_set_what_the_stages_of_a_run_read_and_nothing_else():
    read = set()
    whole = config.Config()
    for rollout in ROLLOUTS.names:
        row = {"run": "x", "init": "base", "train_table": "ocr_rl", "rollout": rollout, "schedule": "linear"}
        for method in ("none", "sft", "grpo"):
            table = "ocr_sft" if method == "sft" else "ocr_rl"
            run = Run.model_validate(
                row | {"method": method, "train_table": table, "reward": "ocr", "steps": 1} | {"regions": "aabb_none"}
            )
            scope = registry.Scope(benchmark="vsibench", run_name="x", run=run)
            for stage in ("train_sft", "train_grpo", "evaluate"):
                read |= registry.job_values(stage, whole, scope).keys()
    read = {present_name(key) for key in read if not key.startswith(("job.", "run.", "prompts/"))}
    unsettable = {key for key in read if not any(fnmatchcase(key, pattern) for pattern in RECIPE_KEYS)}
    assert {key for key in unsettable if not any(fnmatchcase(key, pattern) for pattern in STUDYS)} == set()
    for pattern in RECIPE_KEYS:
        assert any(fnmatchcase(key, pattern) for key in read), f"{pattern}: no stage of a run reads it"
    assert set(CELLS) <= set(Run.model_fields)


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_recipe_is_valid_and_used(path):
    studies = [config.Config(), *map(config.load, sorted((SHIPPED.parent / "presets").glob("*.yaml")))]
    using = 0
    for study in (study for study in studies if study.runs.recipes):
        for run in config.read_runs(SHIPPED.parents[1] / study.runs.table, study).values():
            if run.recipe == path.stem:
                assert of_run(study, run) is not None
                using += 1
    assert using, f"no run names {path.stem}"
