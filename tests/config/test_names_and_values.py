"""Misspelt names get the nearest one, and values that cannot be meant are refused."""

from pathlib import Path

import pytest

from rollout3d import config
from rollout3d.config import read
from rollout3d.config.names import unknown
from rollout3d.config.problems import dotted
from toyworld.settings import StudyConfig, ToyWorld

LOCAL = "config/local.yaml"


# --- names


MISSPELT = [
    ("grop: {lr: 1}", "grop is not a key of the configuration; did you mean grpo?"),
    ("grpo: {tempreature: 1}", "grpo.tempreature is not a key of grpo; did you mean temperature?"),
    ("datasets: {scannet: {splits: {tran: [train]}}}", "datasets.scannet.splits.tran is not a key of"),
    ("lr: 1", "lr is not a key of the configuration; did you mean toyworld.model.lr, sft.lr or grpo.lr?"),
    ("grpo.lr: 1", "grpo.lr is not a key of the configuration: write `grpo:`, and `lr:` indented below it"),
    ("datasets: {Scanet: {shards: 1}}", "datasets.Scanet is not a dataset; did you mean scannet"),
    ("datasets: {scannet: {splits: {train: [tran]}}}", "datasets.scannet.splits.train[0]: tran is not one of"),
    (
        "questions: {mix: {object_countng: 0.2}}",
        "questions.mix.object_countng is not a question type; did you mean obj",
    ),
    ("questions: {per_scene: {obj_counting: 3}}", "questions.per_scene.obj_counting is not a question type; did you"),
    ("questions: {sources: {route_planing: both}}", "questions.sources.route_planing is not a question type with"),
    ("questions: {sources: {route_planning: extern}}", "questions.sources.route_planning: extern is not one of"),
    ("external: {spatial_types: [route_planing]}", "external.spatial_types[0]: route_planing is not a question type;"),
    (
        "site: {external: {spacerr: x}}",
        "site.external.spacerr is not a source of released training files; did you mean",
    ),
    ("site: {benchmarks: {vsi_bench: x}}", "site.benchmarks.vsi_bench is not a benchmark of others; did you mean vsi"),
    ("evaluation: {scorers: [taged]}", "evaluation.scorers[0]: taged is not a scorer; did you mean tagged?"),
    ("site: {models: {bse: x}}", "site.models.bse is not one of the models; did you mean base?"),
    ("site: {roots: {scanetpp: x}}", "site.roots.scanetpp is not a dataset; did you mean scannetpp"),
    (
        "evaluation: {benchmarks: [vsbench]}",
        "evaluation.benchmarks[0]: vsbench is not a benchmark; did you mean vsibench, sti_bench or spar_bench?",
    ),
    (
        "difficulty: {model: filter_bas}",
        "difficulty.model: filter_bas is not one of the models; did you mean filter_base?",
    ),
    ("generation: {backend: vlm}", "generation.backend: vlm is not one of hf, vllm; did you mean vllm?"),
    (
        "models: {x: {name: y, same_as: bse}}",
        "models.x.same_as must name a model that stands for itself: bse is not one",
    ),
    ("preset: tinny", "preset: tinny is not a preset; did you mean tiny?"),
]


@pytest.mark.parametrize(("local", "says"), MISSPELT, ids=[local for local, _ in MISSPELT])
def test_a_misspelt_name_gets_a_sentence_with_the_nearest_one(study, local, says):
    said = study.refused(local + "\n")
    assert said.startswith(f"{LOCAL}:1: {says}"), said
    assert "pydantic" not in said and "extra" not in said.lower() and "\n" not in said


@pytest.mark.parametrize("key", ["runs.select", "difficulty.run"])
def test_names_of_runs_are_placed_like_all_others(study, key):
    section, name = key.split(".")
    text = f"seed: 1\n{section}:\n  {name}: {'[orc]' if name == 'select' else 'orc'}\n"
    loaded = study(text)
    with pytest.raises(config.ConfigError) as caught:
        config.read_runs(loaded.runs.table, loaded)
    (said,) = read.placed(caught.value.problems, read.study_layers())
    assert said == f"{LOCAL}:3: {key}: orc is not a run of config/runs.tsv; did you mean ocr?"
    for other in ("config/runs.tsv:3: run 'orc' stands twice", "questions.yaml:3: seed must be a whole number"):
        assert read.placed([other], read.study_layers()) == [other]


def test_all_problems_are_told_at_once_with_their_lines(study):
    said = study.refused(
        "grpo:\n  tempreature: 1\n  lr: -1\n  beta: .nan\nsft:\n  lr: abc\n  epochs: 2.5\n",
        "generation={'backend': 'vlm'}",
    )
    assert said.splitlines() == [
        "6 problems in the configuration:",
        "  --config: generation.backend: vlm is not one of hf, vllm; did you mean vllm?",
        f"  {LOCAL}:2: grpo.tempreature is not a key of grpo; did you mean temperature?",
        f"  {LOCAL}:3: grpo.lr must be more than 0, not -1",
        f"  {LOCAL}:4: grpo.beta must be a finite number, not nan",
        f"  {LOCAL}:6: sft.lr must be a number, not 'abc'",
        f"  {LOCAL}:7: sft.epochs must be a whole number, not 2.5",
    ]


def test_a_problem_is_traced_to_the_preset_or_file_that_sets_it(study):
    preset = Path("config/presets/tiny.yaml")
    preset.write_text(preset.read_text() + "prompts2: {think: plain}\n")
    lines = preset.read_text().count("\n")
    assert study.refused("preset: tiny\n").startswith(f"{preset}:{lines}: prompts2 is not a key")
    Path("mine.yaml").write_text("seed: x\n")
    assert study.refused("", files=["mine.yaml"]).startswith("mine.yaml:1: seed must be a whole number, not 'x'")
    assert study.refused("seed: 1\n", "seed=y").startswith("--config: seed must be a whole number, not 'y'")


def test_unknown_says_what_there_is_when_nothing_is_near():
    assert unknown("xyz", ["hf", "vllm"], "a back end") == "xyz is not a back end; choose from hf, vllm"
    assert unknown("VLLM", ["hf", "vllm"], "a back end") == "VLLM is not a back end; did you mean vllm?"
    assert dotted(("evaluation", "benchmarks", 0)) == "evaluation.benchmarks[0]"


# --- values


@pytest.mark.parametrize(
    ("local", "says"),
    [
        (
            "toyworld: {scans: {n_objects: [40, 15]}}",
            "toyworld.scans.n_objects: [40, 15] must be the fewest, then the most: swap them",
        ),
        ("toyworld: {scans: {n_objects: [4]}}", "toyworld.scans.n_objects[1] is missing"),
        (
            "toyworld: {scans: {val_scans: 8}}",
            "toyworld.scans.val_scans: 8 of 8 scans_per_dataset leaves no scan to train on",
        ),
        ("video: {train_max_pixels: 300000}", "video.train_max_pixels: 300000 is more than eval_max_pixels (200704)"),
        ("video: {train_min_pixels: 200000}", "video.train_min_pixels: 200000 is more than train_max_pixels (105369)"),
        ("questions: {mix: {route_planning: 0.7, object_counting: 0.6}}", "questions.mix: the shares add up to 1.3"),
        ("prompts: {map_grid: 12}", "prompts.map_grid must be 5, 10, 15 or 20, not 12"),
        ("generation: {shards: true}", "generation.shards must be a number, not true"),
        ("sft: {lr: yes}", "sft.lr must be a number, not true"),
        ("runs: {select: []}", "runs.select is empty: at least one must be there"),
        ("site: {openai_base_url: localhost}", "site.openai_base_url: 'localhost' is no address"),
        ("site: {openai_base_url: 'ftp://me:pass@host'}", "site.openai_base_url: 'ftp://...@host' is no address"),
        ("evaluation: {benchmarks: [synthetic]}", "evaluation.benchmarks: synthetic asks the questions of test splits"),
        ("site: {roots: {scannetpp: null}}", "site.roots.scannetpp is missing: name the folder of this release, or"),
        ("models: {a b: {name: x}}", "models: 'a b' is no usable name"),
        ("models: {base: {name: ''}}", "models.base.name is empty"),
        ("models: {base: {tiny: true}}", "models.base.tiny: the toy world trains such a model: set toyworld"),
    ],
)
def test_a_value_that_cannot_be_meant_is_refused(study, local, says):
    said = study.refused(local + "\n")
    assert says in said and said.startswith(f"{LOCAL}:1: "), said


def test_no_number_may_be_nan_infinite_or_of_the_wrong_sign(study):
    """Every float and whole number of the configuration, wherever it stands."""
    unsigned = 0
    for path, value in _numbers(StudyConfig(toyworld=ToyWorld())):
        for wrong in (".nan", ".inf", "-.inf", "-1"):
            text = wrong
            for step in reversed(path[1:]):
                text = f"{{{step}: {text}}}"
            said = study.refused(f"{path[0]}: {text}\nresults: results/other\n")
            assert f"{LOCAL}:1: {'.'.join(path)} must be " in said, (path, wrong, said)
        unsigned += isinstance(value, float)
    assert unsigned > 12


def _numbers(section, path=()):
    for name in type(section).model_fields:
        value = getattr(section, name)
        if isinstance(value, config.Section):
            yield from _numbers(value, (*path, name))
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield (*path, name), value
        elif isinstance(value, dict):
            for key, item in value.items():
                if isinstance(item, config.Section):
                    yield from _numbers(item, (*path, name, key))


# --- paths


@pytest.mark.parametrize(
    ("typed", "path"),
    [
        ("results/my study", "results/my study"),
        ("Ergebnisse/größer", "Ergebnisse/größer"),
        ("results/mine/", "results/mine"),
        ("./results//mine", "results/mine"),
        ("/data/a b", "/data/a b"),
        ("../elsewhere/x/../y", "../elsewhere/y"),
        ("~/study", "{home}/study"),
        ("$ROLLOUT3D_TEST/study", "/scratch/study"),
    ],
)
def test_results_may_lie_anywhere(study, monkeypatch, typed, path):
    monkeypatch.setenv("ROLLOUT3D_TEST", "/scratch")
    assert study(f"results: '{typed}'\n").results == path.format(home=Path.home())


@pytest.mark.parametrize(
    "typed",
    [
        "a{b}",
        "a<b",
        'a"b',
        "a''b",
        "a`b",
        "a*b",
        "a[b]",
        "a\\b",
        ".",
        "config/x",
        "benchmarks",
        "-x",
        " x",
        "",
        "$NO_SUCH/x",
    ],
)
def test_a_results_folder_that_would_break_the_workflow_is_refused(study, typed):
    assert study.refused(f"results: '{typed}'\n").startswith(f"{LOCAL}:1: results: ")


def test_a_line_end_in_the_results_folder_is_refused(study):
    assert study.refused('results: "results/new\\nline"\n').startswith(f"{LOCAL}:1: results: ")


def test_synthetic_scans_stay_out_of_the_papers_folder_however_it_is_written(study):
    assert "presets have a folder of their own" in study.refused("preset: tiny\nresults: ./results/\n")


def test_paths_of_the_site_are_expanded_or_refused(study, monkeypatch):
    monkeypatch.setenv("ROLLOUT3D_TEST", "/scratch")
    roots = study(
        "site: {roots: {scannet: '~/scans', scannetpp: '${ROLLOUT3D_TEST}/pp', arkitscenes: data/a b}}"
    ).site.roots
    assert roots == {"scannet": f"{Path.home()}/scans", "scannetpp": "/scratch/pp", "arkitscenes": "data/a b"}
    said = study.refused("site: {roots: {scannet: $NO_SUCH/x}}")
    assert "site.roots.scannet: '$NO_SUCH/x' names the environment variable $NO_SUCH, which is not set" in said
    assert "names a home folder that does not exist" in study.refused("site: {external: {spacer: ~nobody-here/x}}")


def test_names_of_released_files_are_those_that_the_importers_know():
    from rollout3d.config.choices import GENERAL
    from rollout3d.config.site import ExternalName
    from rollout3d.imports.released import SOURCES
    from rollout3d.imports.video_r1 import ANSWER_TYPES, NAME

    assert set(ExternalName.__args__) == {*SOURCES, NAME}
    assert {name.lower() for name in GENERAL} == set(ANSWER_TYPES)
