"""The checks before the first job: every missing thing is found, named with its remedy, and only if a job needs it."""

import json
import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

import preloaded
from dag.clones import SNAKEMAKE, copy_repository, snakemake
from rollout3d import config as configuration
from rollout3d import preflight
from rollout3d.cluster import Cluster
from rollout3d.model import directory
from rollout3d.preflight import Job, Study, disk, environments, machine, models

ROOT = Path(__file__).parents[2]


def study(cluster=None, **changes):
    values = configuration.merge(configuration.Config().model_dump(mode="json"), changes)
    config = configuration.Config.model_validate(values)
    return Study(config, configuration.read_runs(ROOT / config.runs.table, config), cluster or Cluster())


def texts(findings, stops=None):
    return [finding.text for finding in findings if stops in (None, finding.stops)]


def write_safetensors(path, shapes):
    """A file with a header and holes for tensors: checks of a directory read no more."""
    header, at = {}, 0
    for name, shape in shapes.items():
        size = 2
        for length in shape:
            size *= length
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    with open(path, "wb") as stream:
        stream.write(len(text).to_bytes(8, "little") + text)
        stream.truncate(8 + len(text) + at)


@pytest.fixture
def model(tmp_path):
    """A directory in the layout of the Hub's Qwen2.5-VL-3B: flat configuration, two shards, no output layer."""
    folder = tmp_path / "Qwen2.5-VL-3B"
    folder.mkdir()
    config = {"architectures": ["Qwen2_5_VLForConditionalGeneration"], "model_type": "qwen2_5_vl"}
    config |= {"hidden_size": 64, "intermediate_size": 96, "num_attention_heads": 2, "num_key_value_heads": 1}
    config |= {"num_hidden_layers": 2, "vocab_size": 300, "tie_word_embeddings": True}
    config["vision_config"] = {"depth": 1, "hidden_size": 32, "in_chans": 3, "intermediate_size": 48, "num_heads": 2}
    config["vision_config"]["out_hidden_size"] = 64
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer.json").write_text("{}")
    shapes = directory.expected_shapes(config)
    del shapes["lm_head.weight"]
    # transformers 5's names back to the Hub's
    old = {re.sub(r"^model\.(language_model|visual)\.", _hub, name): shape for name, shape in shapes.items()}
    assert "visual.merger.ln_q.weight" in old and "model.norm.weight" in old
    names, index = sorted(old), {}
    for k, part in enumerate((names[::2], names[1::2]), 1):
        shard = f"model-0000{k}-of-00002.safetensors"
        write_safetensors(folder / shard, {name: old[name] for name in part})
        index |= dict.fromkeys(part, shard)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    return folder


def _hub(match):
    return "visual." if match[1] == "visual" else "model."


DESCRIBE = [Job("describe_model", {"key": "base"}, environment=None)]


def test_a_model_in_the_hubs_layout_passes(model):
    given = {"site": {"models": {"base": str(model)}}}
    assert models.check(study(**given, models={"base": {"name": "small"}}), DESCRIBE) == []
    (found,) = models.check(study(**given), DESCRIBE)
    assert found.stops and "holds a model of 2 layers of width 64, which is not Qwen/Qwen2.5-VL-3B" in found.text


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "config.json").write_text('{"model_type": "qwen2_vl"}'), "not Qwen2.5-VL"),
        (lambda f: (f / "config.json").unlink(), "no config.json"),
        (lambda f: (f / "tokenizer.json").unlink(), "no tokeniser"),
        (lambda f: (f / "model-00002-of-00002.safetensors").unlink(), "1 of 2 weight files are missing"),
        (lambda f: (f / "model-00002-of-00002.safetensors").write_bytes(b"version https://git-lfs"), "download it"),
        (lambda f: shutil.rmtree(f), "no directory"),
        (
            lambda f: write_safetensors(f / "model-00001-of-00002.safetensors", {"model.embed_tokens.weight": (7, 64)}),
            "missing tensors: .*another shape than config.json says: 1",
        ),
    ],
)
def test_a_model_that_cannot_be_used_is_a_problem_that_names_it(model, damage, message):
    damage(model)
    (found,) = models.check(study(site={"models": {"base": str(model)}}), DESCRIBE)
    assert found.stops and found.text.startswith("site.models.base: ") and re.search(message, found.text)


def test_pickled_weights_are_a_problem(model):
    for file in model.glob("model*"):
        file.unlink()
    (model / "pytorch_model.bin").write_bytes(b"")
    (found,) = models.check(study(site={"models": {"base": str(model)}}), DESCRIBE)
    assert "pickled files alone" in found.text


def test_the_model_of_an_earlier_run_is_checked_where_jobs_load_it(model, tmp_path):
    described = tmp_path / "models" / "base" / "model.json"
    described.parent.mkdir(parents=True)
    described.write_text(json.dumps({"name": "base", "kind": "directory", "path": str(model)}))
    jobs = [Job("evaluate", {"run": "qwen3b", "benchmark": "vsibench"}, inputs=[str(described)])]
    assert models.check(study(), jobs) == []
    shutil.rmtree(model)
    (found,) = models.check(study(), jobs)
    assert str(described) in found.text


def test_the_model_that_travels_with_the_package_is_found_by_its_name_and_by_its_model_json(tmp_path):
    of = study(Cluster(offline=True), models={"base": {"name": "resources/tiny_qwen"}})
    made = tmp_path / "model.json"
    made.write_text(json.dumps({"kind": "shipped", "path": "resources/tiny_qwen"}))
    described = Job("describe_model", {"key": "base"}, (), ("m",))
    assert models.check(of, [described, Job("evaluate", {}, (str(made),), ("p",))]) == []
    made.write_text(json.dumps({"kind": "shipped", "path": "resources/huge_qwen"}))
    (lost,) = texts(models.check(of, [Job("evaluate", {}, (str(made),), ("p",))]))
    assert "no directory" in lost and "huge_qwen" in lost


def test_a_model_of_the_hub_must_be_in_the_cache_where_there_is_no_network(tmp_path, monkeypatch, model):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    (note,) = models.check(study(), DESCRIBE)
    assert not note.stops and "hf download Qwen/Qwen2.5-VL-3B-Instruct" in note.text
    (problem,) = models.check(study(Cluster(offline=True)), DESCRIBE)
    assert problem.stops and "offline" in problem.text
    kept = tmp_path / "models--Qwen--Qwen2.5-VL-3B-Instruct"
    (kept / "refs").mkdir(parents=True)
    (kept / "refs" / "main").write_text("abc")
    shutil.copytree(model, kept / "snapshots" / "abc")
    assert models.check(study(Cluster(offline=True)), DESCRIBE) == []


INGEST = [Job("ingest", {"dataset": name, "shard": "0"}) for name in ("scannet", "scannetpp", "arkitscenes")]


def test_releases_and_their_lists_are_named_one_by_one(tmp_path):
    roots = {name: str(tmp_path / name) for name in ("scannet", "scannetpp", "arkitscenes")}
    known = study(site={"roots": roots})
    assert len(preflight.check(known, INGEST)) == 3
    for folder in ("scannet/scans", "scannetpp/data", "arkitscenes/raw"):
        (tmp_path / folder).mkdir(parents=True)
    said = "\n".join(texts(preflight.check(known, INGEST)))
    for name in ("scannetv2_train.txt", "scannetv2-labels.combined.tsv", "nvs_sem_train.txt"):
        assert name in said
    assert "_val" not in said, "only the splits of the configuration are read"
    (tmp_path / "scannetpp" / "splits").mkdir()
    for name in ("scannet/scannetv1_train.txt", "scannet/scannet-labels.combined.tsv"):
        (tmp_path / name).write_text("")
    (tmp_path / "scannetpp" / "splits" / "nvs_sem_train.txt").write_text("")
    assert preflight.check(known, INGEST) == []


def test_a_benchmark_needs_questions_and_videos(tmp_path):
    known = study(site={"benchmarks": {"vsibench": str(tmp_path)}})
    jobs = [Job("prepare_benchmark", {"benchmark": "vsibench"})]
    found = texts(preflight.check(known, jobs))
    assert len(found) == 4 and "test.jsonl" in found[0] and "arkitscenes" in found[3]
    (tmp_path / "test.jsonl").write_text("")
    for name in ("scannet", "scannetpp", "arkitscenes"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.mp4").write_bytes(b"")
    assert preflight.check(known, jobs) == []
    (tmp_path / "arkitscenes" / "x.mp4").unlink()
    (said,) = texts(preflight.check(known, jobs))
    assert "no arkitscenes.zip" in said
    part = study(site={"benchmarks": {"vsibench": str(tmp_path)}}, evaluation={"datasets": ["scannet", "scannetpp"]})
    assert preflight.check(part, jobs) == []
    (tmp_path / "arkitscenes.zip").write_bytes(b"")
    assert preflight.check(known, jobs) == [], "archives are read as downloaded"


def test_api_stages_need_a_key_and_a_budget(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    jobs = [Job("annotate"), Job("judge", {"source": "spacer"})]
    said = "\n".join(texts(preflight.check(study(), jobs)))
    assert "cot.max_usd is 0" in said and "judge.max_usd is 0" in said and "OPENAI_API_KEY" in said
    paid = study(cot={"max_usd": 5}, judge={"max_usd": 5})
    (key,) = texts(preflight.check(paid, jobs), stops=True)
    assert "OPENAI_API_KEY" in key
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    assert texts(preflight.check(paid, jobs), stops=True) == []
    assert preflight.check(study(cot={"teacher": "geometric"}), jobs[:1]) == [], "the geometric teacher is free"


def test_vllm_is_asked_of_the_interpreter_that_will_run_the_rule(tmp_path, monkeypatch):
    monkeypatch.setenv("ROLLOUT3D_CODE", str(ROOT / "workflow"))
    monkeypatch.setitem(environments.PACKAGES, "vllm", ("json",))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:/usr/bin:/bin")
    monkeypatch.delenv("PYTHONPATH", raising=False)
    jobs = [Job("evaluate", {"run": "ocr", "benchmark": "vsibench"}, environment="vllm")]
    (found,) = preflight.check(study(), jobs)
    assert "cannot import vLLM" in found.text and "site.python.vllm" in found.text and sys.executable in found.text
    # An environment in which it can be imported: only its own interpreter sees the package.
    package = tmp_path / "packages" / "vllm"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text('__version__ = "0.31.0"\n')
    python = tmp_path / "venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nPYTHONPATH="{package.parent}:$PYTHONPATH" exec "{sys.executable}" "$@"\n')
    python.chmod(0o755 | stat.S_IXUSR)
    monkeypatch.setenv("ROLLOUT3D_PYTHON_evaluate", str(python))
    assert preflight.check(study(site={"python": {"vllm": str(python)}}), jobs) == []
    (package / "__init__.py").write_text('raise OSError("libcuda.so.1: cannot open shared object file")\n')
    (found,) = preflight.check(study(site={"python": {"vllm": str(python)}}), jobs)
    assert "libcuda.so.1" in found.text and "correct site.python.vllm" in found.text


def test_a_package_that_an_environment_lacks_is_named(monkeypatch):
    monkeypatch.setenv("ROLLOUT3D_CODE", str(ROOT / "workflow"))
    monkeypatch.setitem(environments.PACKAGES, "scenes", ("json", "a_package_of_no_one"))
    (found,) = environments.check(study(), [Job("ingest", {"dataset": "scannet"}, environment="scenes")])
    assert "lacks a_package_of_no_one: install what envs/scenes.yaml lists" in found.text


def tool(folder, name, output):
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\ncat <<'END'\n{output}\nEND\n")
    (folder / name).chmod(0o755)


def test_gpus_of_this_machine_are_counted(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    jobs = [Job("sft", {"run": "sft"}, resources={"gpu": 8}), Job("evaluate", resources={"gpu": 1})]
    tool(tmp_path / "bin", "nvidia-smi", "")
    if not machine.gpus_here():
        (found,) = machine._gpus(jobs)
        assert found.stops and "up to 8 GPUs" in found.text and "--resources gpu=0" in found.text
    tool(tmp_path / "bin", "nvidia-smi", "\n".join(f"GPU {k}: A100 (UUID: x)" for k in range(8)))
    assert machine._gpus(jobs) == []
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    (note,) = machine._gpus(jobs)
    assert not note.stops and "shows 2" in note.text
    assert machine._gpus([Job("sft", {"run": "sft"}, resources={"gpu": 0})]) == []


def test_partitions_time_limits_and_gpus_of_the_cluster_are_compared(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    tool(tmp_path / "bin", "sbatch", "")
    tool(tmp_path / "bin", "sinfo", "compute|1-00:00:00|(null)\nbooster|12:00:00|gpu:a100:4(S:0-1)\nold|infinite|gpu:2")
    cluster = Cluster(slurm=True)

    def said(**resources):
        return "\n".join(
            texts(machine.check(study(cluster), [Job("grpo", {"run": "ocr"}, resources=resources, local=False)]))
        )

    monkeypatch.setattr(disk, "estimate", lambda *_: {})
    assert said(slurm_partition="booster", runtime=720, gpu=8, nodes=2) == ""
    assert said(slurm_partition="compute", runtime=1440) == ""
    assert "no partition 'gpu', only booster, compute, old: set ROLLOUT3D_GPU_PARTITION" in said(
        slurm_partition="gpu", gpu=8
    )
    assert "ROLLOUT3D_GPU_MAX_RUNTIME=720" in said(slurm_partition="booster", runtime=2880, gpu=4)
    assert "8 GPUs of a node" in said(slurm_partition="booster", runtime=1, gres="gpu:a100:8", gpu=0)
    tool(tmp_path / "bin", "sinfo", "")
    assert "lists no partition" in said(slurm_partition="gpu")


@pytest.mark.parametrize(
    ("limit", "minutes"), [("infinite", None), ("2-01:00:00", 2940), ("12:30:00", 750), ("30:00", 30), ("n/a", None)]
)
def test_time_limits_of_slurm_are_read(limit, minutes):
    assert machine.minutes_of(limit) == minutes


def test_disk_space_is_compared_with_an_estimate_by_stage(tmp_path, monkeypatch):
    jobs = [Job("grpo", {"run": "ocr"}), Job("grpo", {"run": "filter"}), *INGEST]
    parts = disk.estimate(study(), jobs)
    assert parts["checkpoints"] == 36 * disk.parameters(study(), "filter"), "of the larger run, one at a time"
    assert 3e9 < disk.parameters(study(), "ocr") < 5e9 < disk.parameters(study(), "filter") < 1e10
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=10 * 2**30))
    monkeypatch.setattr(machine, "_gpus", lambda jobs: [])
    (found,) = machine.check(study(results=str(tmp_path / "not" / "yet")), jobs[:2])
    assert found.text.startswith(f"{tmp_path}: 10 GiB are free") and "checkpoints" in found.text
    small = configuration.load(ROOT / "config" / "config.yaml", ROOT / "config" / "presets" / "tiny.yaml")
    tiny = Study(small, configuration.read_runs(ROOT / small.runs.table, small), Cluster(), rendered=2)
    assert sum(disk.estimate(tiny, jobs).values()) < 2**30


def test_a_live_trainer_of_a_run_that_will_train_is_a_note(monkeypatch):
    monkeypatch.setattr(disk, "estimate", lambda *_: {})
    held = ["results/runs/ocr/checkpoints/lock.json: process 7 on host n1"]
    monkeypatch.setattr(machine, "live_locks", lambda results: held)
    (note,) = machine.check(study(), [Job("grpo", {"run": "ocr"})])
    assert not note.stops and "process 7 on host n1" in note.text
    assert machine.check(study(), [Job("grpo", {"run": "filter"}), Job("evaluate", {"run": "ocr"})]) == []


def test_locks_are_listed_where_the_package_can_read_them(tmp_path):
    assert preflight.live_locks(tmp_path) == []


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    return copy_repository(tmp_path_factory.mktemp("preflight") / "clone")


def test_a_real_run_of_the_paper_says_all_that_is_missing_at_once(clone):
    run = snakemake(clone, "--cores", "1", OPENAI_API_KEY="", HF_HUB_OFFLINE="0")
    said = run.stdout + run.stderr
    assert run.returncode != 0 and "rule ingest:" not in said and "Traceback" not in said
    for expected in (
        *("data/scannet/scans", "data/scannetpp/data", "data/arkitscenes/raw", "data/vsibench"),
        *("cot.max_usd is 0", "OPENAI_API_KEY", "environment vllm", "note: models.base.name"),
        "note: annotate: at most 2,000 questions with 66,000 pictures",
    ):
        assert said.count(expected) == 1, expected
    assert not (clone / "results").exists()


def preflight_command(clone, *arguments, **environment):
    python = preloaded.python(preloaded.SNAKEMAKE)
    rollout3d = [python, "-m", "rollout3d.stages.preflight"]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ROLLOUT3D_")}
    kept |= {"PYTHONPATH": str(clone / "workflow"), "PATH": f"{Path(SNAKEMAKE).parent}:{os.environ['PATH']}"}
    kept |= {preloaded.EXECUTABLE: python}
    return subprocess.run([*rollout3d, *arguments], cwd=clone, capture_output=True, text=True, env=kept | environment)


def test_the_command_prints_the_list_alone_and_starts_nothing(clone):
    run = preflight_command(clone, "--configfile", "config/presets/tiny.yaml", "-n")
    assert (run.returncode, run.stdout) == (0, "Preflight: 39 jobs can run.\n"), run.stdout + run.stderr
    assert not (clone / "results").exists()
    run = preflight_command(clone, "results/questions/scannet/0.parquet")
    assert run.returncode == 1 and run.stdout.startswith("Preflight: 1 problem; nothing was run.\n  scannet: ")
    assert len(run.stdout.splitlines()) == 2
    run = preflight_command(clone, "results/no/such/file")
    assert run.returncode == 1 and "MissingRuleException" in run.stderr


def test_hooks_may_be_left_out_where_the_preflight_is_wrong(clone):
    run = snakemake(clone, "--cores", "1", "--no-hooks", "--", "results/train/video_r1_cot.parquet")
    said = run.stdout + run.stderr
    assert "rule import_cot:" in said and "nothing was run" not in said


def test_touching_outputs_needs_nothing(tmp_path):
    clone = copy_repository(tmp_path / "clone")
    table = clone / "results" / "train" / "video_r1_cot.parquet"
    table.parent.mkdir(parents=True)
    for name in ("video_r1_cot", "video_r1_cot_dropped"):
        table.with_stem(name).write_bytes(b"")
    run = snakemake(clone, "--cores", "1", "--touch", "--", str(table.relative_to(clone)))
    assert run.returncode == 0, run.stdout + run.stderr


def test_the_preflight_needs_no_torch(clone):
    blocked = clone / "blocked"
    blocked.mkdir(exist_ok=True)
    for name in ("torch", "transformers", "open3d", "cv2", "av", "numba", "scipy", "trimesh", "deepspeed"):
        (blocked / f"{name}.py").write_text(f"raise SystemExit('{name} was imported')\n")
    run = snakemake(clone, "--cores", "1", PYTHONPATH=str(blocked))
    said = run.stdout + run.stderr
    assert "nothing was run" in said and "was imported" not in said, said[-3000:]
