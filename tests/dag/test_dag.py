"""The job graph: every obligatory edge, no shared path between presets, precious stages that nothing retriggers."""

import json
import os
import re
import shutil
import subprocess
import time
from functools import cache

import pytest

from dag.clones import ROOT, SNAKEMAKE, copy_repository, snakemake
from rollout3d import tables

PRESETS = sorted(p.stem for p in (ROOT / "config" / "presets").glob("*.yaml"))


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """The repository as a user has it: no local.yaml, no results, no data."""
    return copy_repository(tmp_path_factory.mktemp("graph") / "clone")


@cache
def jobs(folder, preset=None, *targets):
    """Jobs of a dry run: name -> list of (outputs, inputs), read from what Snakemake prints."""
    options = ["--configfile", f"config/presets/{preset}.yaml"] if preset else []
    run = snakemake(folder, "-n", *options, "--", *(targets or ("all",)))
    assert run.returncode == 0, run.stdout + run.stderr
    found = {}
    for name, body in re.findall(r"^(?:local)?rule (\w+):\n((?:    .*\n)+)", run.stdout + run.stderr, re.M):
        paths = {k: v.split(", ") for k, v in re.findall(r"^    (input|output): (.*)$", body, re.M)}
        found.setdefault(name, []).append((paths.get("output", []), paths.get("input", [])))
    return found


def reads(graph, consumer, of):
    """Return whether some job writing a path that contains `consumer` reads a path that contains `of`."""
    every = [job for listed in graph.values() for job in listed]
    return any(consumer in out and of in read for outs, ins in every for out in outs for read in ins)


OBLIGATORY = [
    ("scenes/scannet/0/regions.aabb_none.parquet", "scenes/scannet/0/objects.parquet"),
    ("questions/scannetpp/3.parquet", "scenes/scannetpp/3/objects.parquet"),
    ("train/ocr_rl.parquet", "questions/arkitscenes/15.parquet"),
    ("train/ocr_rl.parquet", "benchmarks/vsibench/questions.parquet"),
    ("runs/filter/model.json", "train/ocr_rl.parquet"),
    ("runs/filter/model.json", "models/filter_base/model.json"),
    ("difficulty/frames2/0.parquet", "models/filter_base/model.json"),
    ("difficulty/frames16_bev/0.parquet", "scenes/scannet/0/maps.parquet"),
    ("difficulty/frames16_grpo/0.parquet", "runs/filter/model.json"),
    ("difficulty/hard.parquet", "difficulty/frames2/7.parquet"),
    ("difficulty/hard.parquet", "difficulty/frames16/7.parquet"),
    ("difficulty/hard.parquet", "difficulty/frames16_bev/7.parquet"),
    ("difficulty/hard.parquet", "difficulty/frames16_grpo/7.parquet"),
    ("cot/annotations.parquet", "difficulty/hard.parquet"),
    ("train/ocr_sft.parquet", "cot/annotations.parquet"),
    ("runs/sft/model.json", "train/ocr_sft.parquet"),
    ("runs/sft/model.json", "models/base/model.json"),
    ("runs/ocr/model.json", "runs/sft/model.json"),
    ("runs/ocr/model.json", "train/ocr_rl.parquet"),
    ("runs/ocr/model.json", "regions.aabb_none.parquet"),
    ("eval/ocr/vsibench/predictions/7.parquet", "runs/ocr/model.json"),
    ("eval/ocr/vsibench/predictions/7.parquet", "benchmarks/vsibench/frames.parquet"),
    ("eval/ocr/vsibench/predictions.parquet", "eval/ocr/vsibench/predictions/7.parquet"),
    ("eval/ocr/vsibench/predictions.parquet", "benchmarks/vsibench/questions.parquet"),
    ("eval/ocr/vsibench/scores.parquet", "eval/ocr/vsibench/predictions.parquet"),
    ("report/index.html", "eval/ocr/vsibench/scores.parquet"),
]


@pytest.mark.parametrize(("consumer", "of"), OBLIGATORY, ids=lambda p: p)
def test_obligatory_edge_of_the_paper(clone, consumer, of):
    assert reads(jobs(clone), consumer, of)


def test_training_questions_depend_on_no_model(clone):
    graph = jobs(clone, None, "results/train/ocr_rl.parquet")
    assert set(graph) == {"ingest", "questions", "prepare_benchmark", "assemble"}


def test_released_questions_join_the_training_table_where_they_are_configured(clone):
    external = {source: f"/nowhere/{source}.json" for source in ("spacer", "vlm3r_route", "video_r1")}
    site = json.dumps({"external": external})
    arguments = ("-n", "--config", f"site={site}", "--", "results/train/ocr_rl.parquet")
    said = snakemake(clone, *arguments).stdout
    assert said.count("rule import_questions:") == 3 and "rule judge:" not in said
    run = snakemake(clone, *arguments[:2], 'judge={"max_usd": 5}', *arguments[2:])
    assert run.stdout.count("rule judge:") == 2, "general data are not judged"
    run = snakemake(clone, *arguments[:2], 'judge={"max_usd": 5, "generated_sample": 99}', *arguments[2:])
    assert run.stdout.count("rule judge:") == 3 and "questions/external/generated.verdicts.parquet" in run.stdout
    said = snakemake(clone, "--cores", "1", *arguments[1:]).stderr
    assert "site.external.spacer" in said and "no file /nowhere/vlm3r_route.json" in said


def test_ablations_run_every_row_of_tables_3_to_5(clone):
    graph = jobs(clone, "ablations")
    runs = {out.split("/")[-2] for outs, _ in graph["grpo"] + graph["sft"] for out in outs if "model.json" in out}
    assert runs == {
        *("filter", "sft", "sft_video_r1", "grpo", "grpo_video_r1", "ocr", "ocr_video_r1"),
        *("tgrpo", "noisy", "downsample", "ocr_fix", "ocr_exp", "ocr_cos"),
    }
    assert sum("/sft/model.json" in out for outs, _ in graph["sft"] for out in outs) == 1
    assert reads(graph, "runs/sft_video_r1/model.json", "train/video_r1_cot.parquet")
    assert len(graph["import_cot"]) == 1


def test_the_main_study_needs_no_external_file(clone):
    assert "import_cot" not in jobs(clone)


def test_each_table_of_the_paper_is_a_target(clone):
    names = ("table1", "table2", "table3", "table4", "table5", "figure3")
    asked = jobs(clone, None, *names)
    for name in names:
        assert reads(asked, f"report/{name}.parquet", "train/" if name == "figure3" else "parquet"), name


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_writes_no_path_of_the_paper(clone, preset):
    outputs = [out for listed in jobs(clone, preset).values() for outs, _ in listed for out in outs]
    papers = {out for listed in jobs(clone).values() for outs, _ in listed for out in outs}
    assert outputs and not papers & set(outputs)
    assert all(out.startswith(f"results/{preset}/") for out in outputs)


def test_dry_run_on_a_bare_clone_is_quick(clone):
    started = time.monotonic()
    assert subprocess.run([SNAKEMAKE, "-n"], cwd=clone, capture_output=True).returncode == 0
    assert time.monotonic() - started < 15


@pytest.mark.parametrize("preset", ["spacer", "spatial_r1"])
def test_the_training_questions_of_other_papers_need_scannet_and_the_benchmark_alone(clone, preset):
    table = {"spacer": "sr_91k", "spatial_r1": "sr"}[preset]
    graph = jobs(clone, preset, f"results/{preset}/train/{table}.parquet")
    assert {*graph} == {"ingest", "questions", "assemble", "train_part", "prepare_benchmark"}
    assert all("/scannet/" in path for outs, _ in graph["ingest"] for path in outs)
    assert reads(graph, f"train/{table}.parquet", "train/ocr_rl.parquet")
    assert reads(graph, "train/ocr_rl.parquet", "benchmarks/vsibench/questions.parquet")


def test_dry_run_with_the_slurm_profile(clone):
    run = snakemake(clone, "--profile", "slurm", "-n", "all")
    assert run.returncode == 0, run.stderr
    assert "rule grpo" in run.stdout + run.stderr


def test_real_run_without_data_stops_at_once_with_one_message(clone):
    run = snakemake(clone, "--cores", "1")
    said = run.stdout + run.stderr
    assert run.returncode != 0 and "rule ingest:" not in said
    assert said.count("nothing was run") == 1
    for expected in (
        "data/scannet/scans",
        "data/scannetpp/data",
        "data/arkitscenes/raw",
        "data/vsibench",
        "local.yaml",
    ):
        assert expected in said


@pytest.mark.parametrize("configured", [False, True])
def test_real_run_that_imports_says_which_file_is_missing(clone, configured):
    site = {"external": {"video_r1_cot": "/nowhere/Video-R1-COT-165k.json"} if configured else {}}
    run = snakemake(clone, "--cores", "1", "--config", f"site={site}", "--", "results/train/video_r1_cot.parquet")
    said = run.stdout + run.stderr
    assert run.returncode != 0 and "rule import_cot:" not in said
    assert said.count("nothing was run") == 1 and "data/scannet" not in said
    assert "site.external.video_r1_cot" in said and "huggingface.co/datasets/Video-R1/Video-R1-data" in said
    assert ("no file /nowhere/Video-R1-COT-165k.json" in said) == configured


def test_local_file_may_name_a_preset(clone):
    local = clone / "config" / "local.yaml"
    local.write_text("preset: tiny\n")
    try:
        run = snakemake(clone, "-n")
    finally:
        local.unlink()
    assert "results/tiny/report/index.html" in run.stdout + run.stderr


def test_unknown_key_stops_with_its_name(clone):
    run = snakemake(clone, "-n", "--config", "grop={'steps': 7}")
    assert run.returncode != 0
    assert "--config: grop is not a key of the configuration; did you mean grpo?" in run.stdout + run.stderr
    assert "pydantic" not in run.stdout + run.stderr


SCANNET_ALONE = 'datasets={"scannetpp": null, "arkitscenes": null}'


@pytest.mark.parametrize("preset", [None, "demo"])
def test_scannet_alone_is_enough(clone, preset):
    options = ["--configfile", f"config/presets/{preset}.yaml"] if preset else []
    run = snakemake(clone, "-n", *options, "--config", SCANNET_ALONE)
    assert run.returncode == 0, run.stderr
    assert "/scenes/scannet/0/scenes.parquet" in run.stdout and "report/index.html" in run.stdout
    assert not re.search(r"/(scannetpp|arkitscenes)(/\d|\.parquet)", run.stdout)


def test_a_real_run_with_scannet_alone_asks_for_no_other_release(clone):
    run = snakemake(clone, "--cores", "1", "--config", SCANNET_ALONE)
    said = (run.stdout + run.stderr).split("Preflight")[1]
    assert "data/scannet/scans" in said  # the benchmark's archives are named after all three
    assert not re.search(r"(scannetpp|arkitscenes)(:|/)", said.replace("scannetpp.zip", ""))


def test_null_on_the_command_line_reaches_the_stages(clone):
    demo = ("-n", "-p", "--configfile", "config/presets/demo.yaml", "--config", 'cot={"sentences": null}')
    assert "models is null, but it is a section" in snakemake(clone, *demo, "models=").stdout
    run = snakemake(clone, *demo, "--", "results/demo/cot/annotations.parquet")
    assert '"sentences":null' in run.stdout.replace(" ", "")


@pytest.mark.parametrize("folder", ["results/my study", "Ergebnisse/größer/", "../{name}-results", "{tmp}/a b"])
def test_results_may_lie_in_any_folder(clone, tmp_path, folder):
    folder = folder.format(name=clone.name, tmp=tmp_path)
    run = snakemake(clone, "-n", "--config", f"results={folder}")
    assert run.returncode == 0, run.stderr
    assert f"output: {folder.rstrip('/')}/report/index.html" in run.stdout


def test_a_local_file_with_mistakes_stops_with_all_of_them(clone):
    local = clone / "config" / "local.yaml"
    local.write_text("questions:\n  mix: {object_countng: 0.2}\nruns:\n  select: [orc]\ngrpo: {lr: -1}\n")
    try:
        run = snakemake(clone, "-n")
        local.write_text("seed: 1\nkeep: [asemble]\n")
        kept = snakemake(clone, "-n")
        local.write_text("runs:\n\tselect: [ocr]\n")
        tab = snakemake(clone, "-n")
    finally:
        local.unlink()
    assert run.returncode != 0 and tab.returncode != 0
    assert "config/local.yaml:2: questions.mix.object_countng is not a question type; did you mean" in run.stdout
    assert "config/local.yaml:5: grpo.lr must be more than 0, not -1" in run.stdout
    assert "config/local.yaml:2: is indented with a tab; YAML wants spaces" in tab.stdout
    assert "config/local.yaml:2: keep: asemble is not a run or a rule; did you mean assemble?" in kept.stdout


def test_a_bad_run_table_stops_with_its_line(clone):
    table = clone / "mine.tsv"
    table.write_text((clone / "config" / "runs.tsv").read_text().replace("ocr_fix\tgrpo", "ocr fix\tgrpo"))
    number = 1 + table.read_text().split("\n").index(next(t for t in table.read_text().split("\n") if "ocr fix" in t))
    run = snakemake(clone, "-n", "--config", 'runs={"table": "mine.tsv"}')
    assert run.returncode != 0 and f"mine.tsv:{number}: column run: 'ocr fix' is no usable name" in run.stdout


def test_kept_rules_and_runs_are_not_run_and_their_outputs_count_as_given(clone):
    tables.write(tables.ANNOTATIONS, clone / "results/cot/annotations.parquet", [], tables.Lineage("mine"))
    try:
        run = snakemake(clone, "-n", "--config", "keep=[annotate]", "--", "results/runs/sft/model.json")
        kept_run = snakemake(clone, "-n", "--config", "keep=[sft]", "--", "results/runs/ocr/model.json")
    finally:
        shutil.rmtree(clone / "results")
    said = run.stdout + run.stderr
    assert run.returncode == 0 and "rule sft:" in said and "rule annotate:" not in said
    assert kept_run.returncode != 0 and "results/runs/sft/model.json" in kept_run.stdout, "a kept run must be there"


def test_a_misspelt_name_under_keep_is_refused(clone):
    run = snakemake(clone, "-n", "--config", "keep=[anotate]")
    assert run.returncode != 0 and "did you mean annotate?" in run.stdout + run.stderr
    run = snakemake(clone, "-n", "--config", "rebuild=[ingest]")
    assert run.returncode != 0 and "ingest is not a costly rule" in run.stdout + run.stderr


def test_the_core_needs_no_torch(clone):
    blocked = clone / "blocked"
    blocked.mkdir(exist_ok=True)
    heavy = ("torch", "transformers", "open3d", "cv2", "av", "numba", "scipy", "trimesh", "deepspeed")
    for name in heavy:
        (blocked / f"{name}.py").write_text(f"raise ImportError('{name} is not part of the core install')\n")
    run = subprocess.run(
        [SNAKEMAKE, "-n"], cwd=clone, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(blocked)}
    )
    assert run.returncode == 0, run.stderr


def test_environment_files_agree_with_the_package():
    import tomllib

    import yaml

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    known = {*project["dependencies"], *(r for extra in project["optional-dependencies"].values() for r in extra)}
    files = sorted((ROOT / "envs").glob("*.yaml"))
    assert {f.stem for f in files} == {"scenes", "train", "vllm", "api", "report"}
    for file in files:
        pip = next(d["pip"] for d in yaml.safe_load(file.read_text())["dependencies"] if isinstance(d, dict))
        assert set(pip) <= known, f"{file}: {set(pip) - known}"
        extras = {"vllm": ("train", "vllm")}.get(file.stem, (file.stem,))
        extra = {r for e in extras for r in project["optional-dependencies"][e] if not r.startswith("rollout3d")}
        assert extra <= set(pip), f"{file} lacks {extra - set(pip)}"


def test_every_rule_names_an_environment_that_exists():
    for path in (ROOT / "rules").glob("*.smk"):
        for env in re.findall(r'"\.\./(envs/\w+\.yaml)"', path.read_text()):
            assert (ROOT / env).exists(), f"{path} names {env}"


CONDA = """#!/bin/sh
case "$*" in
  *info*) echo '{"conda_version": "25.9.0", "platform": "linux-64", "conda_prefix": "/opt/conda"}' ;;
  *--version*) echo "conda 25.9.0" ;;
  *config*) echo '{"get": {"channel_priority": "strict"}}' ;;
esac
"""
"""Answers what Snakemake asks before it lists environments."""


@pytest.mark.parametrize(("preset", "with_vllm"), [(None, True), ("demo", False)])
def test_rules_that_generate_run_where_their_backend_is_installed(clone, tmp_path, monkeypatch, preset, with_vllm):
    (tmp_path / "conda").write_text(CONDA)
    (tmp_path / "conda").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    options = ["--configfile", f"config/presets/{preset}.yaml"] if preset else []
    run = snakemake(clone, "-n", "--list-conda-envs", "--sdm", "conda", *options, "--", "all")
    assert run.returncode == 0, run.stderr
    used = set(re.findall(r"envs/(\w+)\.yaml", run.stdout))
    assert {"scenes", "train", "report"} <= used and ("vllm" in used) == with_vllm


def test_the_architecture_page_shows_the_current_rulegraph(clone):
    graph = snakemake(clone, "--rulegraph", "mermaid-js").stdout
    names = dict(re.findall(r"(id\d+)\[(\w+)\]", graph))
    edges = {(names[a], names[b]) for a, b in re.findall(r"(id\d+) --> (id\d+)", graph)} - {("", "")}
    edges = {(a, b) for a, b in edges if b != "all"}
    block = re.search(r"```mermaid\n(.*?)```", (ROOT / "docs" / "architecture.md").read_text(), re.S)
    assert block, "docs/architecture.md has no mermaid block: python tests/dag/rulegraph.py"
    assert set(re.findall(r"(\w+) --> (\w+)", block[1])) == edges, "python tests/dag/rulegraph.py"
