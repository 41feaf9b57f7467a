"""A rule whose environment is `vllm` runs there, started by a Snakemake whose own environment has no vLLM.

A virtual environment, named in `site.python`, stands in for the conda environment of `--sdm conda`, which cannot be had
everywhere; both must hold what envs/vllm.yaml lists, and here the build for CPUs takes the place of the one for GPUs.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dag.clones import copy_repository
from evaluation import small_world
from rollout3d import tables
from rollout3d.model.load import save_policy
from toyworld.model.architecture import build_tiny, tiny_tokenizer

ROOT = Path(__file__).parents[2]
SNAKEMAKE = Path(os.environ.get("ROLLOUT3D_TEST_SNAKEMAKE") or ROOT / ".venv" / "bin" / "snakemake")
BENCHMARK = "results/tiny/benchmarks/synthetic"
TARGET = "results/tiny/eval/qwen3b/synthetic/predictions.parquet"


@pytest.fixture
def clone(tmp_path):
    """A clone with a benchmark, and a model with heads of 64, which vLLM needs and the preset's own lacks."""
    if not SNAKEMAKE.exists():
        pytest.skip(f"{SNAKEMAKE} is not there: make test makes it")
    folder = copy_repository(tmp_path / "clone")
    for name, table, rows in (
        ("questions", tables.QUESTIONS, small_world.question_rows()),
        ("frames", tables.FRAMES, small_world.frame_rows()),
    ):
        path = folder / BENCHMARK / f"{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        tables.write(table, path, rows, small_world.LINEAGE)
    corpus = [row["question"] for row in small_world.question_rows()] * 4
    tokenizer = tiny_tokenizer(corpus, 450)
    save_policy(build_tiny(tokenizer, seed=1, hidden=128, head_dim=64, layers=2), tmp_path / "model")
    return folder


def test_evaluate_answers_with_vllm_in_an_environment_of_its_own(clone, tmp_path):
    driver = SNAKEMAKE.parent / "python"
    absent = subprocess.run([driver, "-c", "import vllm; vllm.__version__"], capture_output=True)
    assert absent.returncode, "the environment that runs Snakemake must not be able to run the rule"
    values = {
        "models": {"base": {"name": "stand-in", "tiny": False}},
        "video": small_world.CONFIG["video"],
        "generation": {"backend": "vllm", "max_new_tokens_direct": 4},
        "site": {
            "models": {"base": str(tmp_path / "model" / "weights")},
            "python": {"vllm": sys.executable},
        },
    }
    run = subprocess.run(
        [
            *(SNAKEMAKE, "--cores", "1", "--resources", "gpu=0", "--configfile", "config/presets/tiny.yaml"),
            *("--config", *(f"{key}={json.dumps(value)}" for key, value in values.items())),
            *("--allowed-rules", "evaluate", "merge_predictions", "describe_model", "--", TARGET),
        ],
        cwd=clone,
        capture_output=True,
        text=True,
        timeout=550,
        # Nothing is compiled (conftest.py), which vLLM must know.
        env={**os.environ, "VLLM_USE_AOT_COMPILE": "0"},
    )
    assert run.returncode == 0, run.stdout[-6000:] + run.stderr[-6000:]
    rows = tables.read(tables.PREDICTIONS, clone / TARGET)
    asked = {row["question_id"] for row in small_world.question_rows()}
    assert {row["question_id"] for row in rows} == asked and all(row["n_tokens"] for row in rows)
